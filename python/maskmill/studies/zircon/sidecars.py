"""What lies beside a clip: where it is from, so that polygons drawn on it can be told in µm of the stage."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._check import floats
from maskmill._files import FormatError
from maskmill.io._parse import integer, load_json, mapping, number, sequence, text, wrong

WORLD_SUFFIX = {".png": ".pgw", ".tif": ".tfw"}


@dataclass(frozen=True)
class Clip:
    """A window of a mosaic around a shot.

    Places are (x, y) in pixels: pixel (row r, column c) of the clip covers [c, c + 1) x [r, r + 1).

    Attributes
    ----------
    image : str
        File name of the picture.
    sample, shot, description : str
    standard : bool
    x, y : float
        The shot on the stage, in `unit`.
    unit : str
        "µm", or "pixel" where there was no alignment.
    sx, sy : float
        Width and height of a pixel in that unit.
    rotation : float
        Of the mosaic, in degrees.
    world : ((float, float, float), (float, float, float))
        Stage = world @ (x, y, 1) of a place in the clip.
    field : float
        Side of the window that was asked for.
    left, top, columns, rows : int
        The window, in pixels of the mosaic; it may reach beyond.
    padding : (int, int, int, int)
        Pixels beyond the mosaic: left, top, right, bottom.
    edges : str
        How they were filled: "zero", "reflect" or "constant".
    value : int
        With "constant".
    mosaic : str
        File name.
    mosaic_columns, mosaic_rows : int
    equalized : bool
        Whether the mosaic's low contrast was stretched.
    compat : bool
        Whether one mean scale stands for both.
    """

    image: str
    sample: str
    shot: str
    description: str
    standard: bool
    x: float
    y: float
    unit: str
    sx: float
    sy: float
    rotation: float
    world: tuple[tuple[float, float, float], tuple[float, float, float]]
    field: float
    left: int
    top: int
    columns: int
    rows: int
    padding: tuple[int, int, int, int]
    edges: str
    value: int
    mosaic: str
    mosaic_columns: int
    mosaic_rows: int
    equalized: bool
    compat: bool

    def to_stage(self, places: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) places in the clip to coordinates of the stage."""
        matrix = np.array(self.world)
        stage: NDArray[np.float64] = floats(places, 2, "places") @ matrix[:, :2].T + matrix[:, 2]
        return stage

    def from_stage(self, stage: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) coordinates of the stage to places in the clip."""
        matrix = np.array(self.world)
        moved = floats(stage, 2, "stage") - matrix[:, 2]
        places: NDArray[np.float64] = np.linalg.solve(matrix[:, :2], moved.T).T
        return places

    def to_mosaic(self, places: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) places in the clip to places in the mosaic."""
        return floats(places, 2, "places") + np.array([self.left, self.top], np.float64)

    def from_mosaic(self, places: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) places in the mosaic to places in the clip."""
        return floats(places, 2, "places") - np.array([self.left, self.top], np.float64)

    def sidecar(self, digest: dict[str, str]) -> bytes:
        """The JSON text; `digest` tells of the picture what is checked when clipping is resumed."""
        return json.dumps({**asdict(self), "digest": digest}, indent=1, ensure_ascii=False).encode() + b"\n"

    def world_file(self) -> bytes:
        """Six lines as geographers have them: the matrix column by column, of the centre of the first pixel."""
        (a, b, c), (d, e, f) = self.world
        lines = (a, d, b, e, c + a / 2 + b / 2, f + d / 2 + e / 2)
        return "".join(f"{line!r}\n" for line in lines).encode()


def read_clip(path: str | Path) -> Clip:
    """Read the sidecar of a clip.

    Parameters
    ----------
    path : path
        The `.json` file, or the picture beside it.

    Raises
    ------
    FormatError
        Naming the field.
    FileNotFoundError
    """
    return read_sidecar(Path(path).with_suffix(".json"))[0]


def read_sidecar(path: Path) -> tuple[Clip, dict[str, str]]:
    """A sidecar's clip, and the digests it holds."""
    found = mapping(load_json(path), str(path))

    def get(name: str) -> Any:
        if name not in found:
            raise FormatError(f"{path}: {name}: expected a value, found none")
        return found[name]

    def numbers(name: str, values: Any, count: int) -> tuple[float, ...]:
        values = sequence(values, f"{path}: {name}")
        if len(values) != count:
            raise FormatError(f"{path}: {name}: expected {count} numbers, found {len(values)}")
        return tuple(number(value, f"{path}: {name}", low=-1e12, high=1e12) for value in values)

    lines = sequence(get("world"), f"{path}: world")
    if len(lines) != 2:
        raise FormatError(f"{path}: world: expected two lines, found {len(lines)}")
    (a, b, c), (d, e, f) = (numbers("world", line, 3) for line in lines)
    area = a * e - b * d
    if area == 0 or not math.isfinite(1 / area):
        raise FormatError(f"{path}: world: expected a transform that can be turned back, found none")
    left, top, right, bottom = (int(n) for n in numbers("padding", get("padding"), 4))
    values: dict[str, Any] = {"world": ((a, b, c), (d, e, f)), "padding": (left, top, right, bottom)}
    for name in ("image", "sample", "shot", "description", "unit", "edges", "mosaic"):
        values[name] = text(get(name), f"{path}: {name}")
    for name in ("x", "y", "sx", "sy", "rotation", "field"):
        values[name] = numbers(name, [get(name)], 1)[0]
    for name in ("left", "top", "value", "columns", "rows", "mosaic_columns", "mosaic_rows"):
        values[name] = integer(get(name), f"{path}: {name}", low=-(2**53), high=2**53)
    for name in ("standard", "equalized", "compat"):
        if not isinstance(get(name), bool):
            raise wrong(f"{path}: {name}", "true or false", get(name))
        values[name] = get(name)
    digest = mapping(found.get("digest", {}), f"{path}: digest")
    return Clip(**values), {key: text(value, f"{path}: digest.{key}") for key, value in digest.items()}
