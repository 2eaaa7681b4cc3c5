"""Makers of mosaic projects for the tests of `maskmill zircon`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

HEADING = "Scan Type,Description,Vertex Count,Vertex List\n"


def scancsv(shots: Sequence[tuple[str, float, float]]) -> str:
    return HEADING + "".join(f'Spot,"{name}",1,"{x},{y},15600.00"\n' for name, x, y in shots)


def align(center: tuple[float, float], size: tuple[float, float], rotation: float = 0.0) -> str:
    return (
        '<?xml version="1.0" encoding="Windows-1252" standalone="no"?>\n<MappedImage><Alignment>'
        f"<Rotation>{rotation}</Rotation><Center>{center[0]},{center[1]}</Center>"
        f"<Size>{size[0]},{size[1]}</Size></Alignment></MappedImage>\n"
    )


def picture(columns: int, rows: int, seed: int = 0) -> np.ndarray:
    """(rows, columns, 3) with bright grains on dark epoxy; every pixel tells where it is."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (rows, columns, 3), dtype=np.uint8)
    for _ in range(columns * rows // 2500):
        at = (int(rng.integers(columns)), int(rng.integers(rows)))
        axes = (int(rng.integers(8, 24)), int(rng.integers(5, 12)))
        shade = tuple(int(v) for v in rng.integers(120, 250, 3))
        cv2.ellipse(image, at, axes, float(rng.integers(180)), 0, 360, shade, -1)
    return image


def project(
    folder: Path,
    image: np.ndarray,
    shots: Sequence[tuple[str, float, float]],
    *,
    name: str = "A",
    size: tuple[float, float] | None = None,
    rotation: float = 0.0,
    field: float = 40,
    suffix: str = ".bmp",
) -> Path:
    """A project of one sample, or with one more: its mosaic's corner is at (1000, 2000) µm."""
    rows, columns = image.shape[:2]
    size = size or (float(columns), float(rows))
    for part in ("mosaics", "scanlists"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(
        str(folder / "mosaics" / f"{name}{suffix}"), image[..., ::-1] if image.ndim == 3 else image
    )
    center = (1000 + size[0] / 2, 2000 + size[1] / 2)
    (folder / "mosaics" / f"{name}.Align").write_text(align(center, size, rotation))
    (folder / "scanlists" / f"{name}.scancsv").write_text(scancsv(shots), encoding="cp1252")
    table = folder / "mosaic_info.csv"
    if not table.exists():
        table.write_text("Sample,Scanlist,Mosaic,Max_grain_size,X_offset,Y_offset\n", encoding="utf-8-sig")
    with open(table, "a", encoding="utf-8") as file:
        file.write(f"{name},{name}.scancsv,{name}{suffix},{field},0,0\n")
    return folder
