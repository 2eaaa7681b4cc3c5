"""Kernel coco_json: writing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskmill
from maskmill import Masks, Polygons, coco_json, use_backend

COLUMNS = {
    "id": np.array([1, 2, -(2**63)]),
    "image_id": np.array([3, 2**63 - 1, 0]),
    "category_id": np.array([1, 1, 2]),
    "bbox": np.array(
        [[0, 1.5, 1e-7, 3], [-0.0, 1e16, 123456.789, 2], [5e-324, 1.7976931348623157e308, 0.1, 1e22]]
    ),
    "area": np.array([0.1 + 0.2, 1e15, 1e-5]),
    "iscrowd": np.array([0, 1, 1], np.uint8),
    "score": np.array([1.0, 0.5, 1 / 3]),
}


def masks_to_write(rng: np.random.Generator) -> Masks:
    return Masks.encode(rng.random((3, 40, 30)) < 0.5)


def test_written_as_json_writes(kernels: Any, rng: np.random.Generator) -> None:
    masks = masks_to_write(rng)
    runs = {"counts": masks.counts, "offsets": masks.offsets, "sizes": masks.sizes}
    strings = maskmill.rle.to_strings(masks.counts, masks.offsets)
    for chosen in (list(COLUMNS), ["id"], ["score", "image_id"], []):
        columns = {name: COLUMNS[name] for name in chosen}
        got = kernels.coco_json_write(columns | runs, 3)
        order = ["id", "image_id", "category_id", "bbox", "area", "segmentation", "iscrowd", "score"]
        rows = []
        for i in range(3):
            values = {name: column[i].tolist() for name, column in columns.items()}
            values["segmentation"] = {"size": [40, 30], "counts": strings[i].decode()}
            rows.append({name: values[name] for name in order if name in values})
        assert got.decode() == "[" + ",\n".join(map(json.dumps, rows)) + "]"


def test_doubles_are_written_as_json_writes_them(kernels: Any, rng: np.random.Generator) -> None:
    bits = rng.integers(0, 2**63, 3000, dtype=np.int64).view(np.float64)
    short = [np.round(rng.uniform(-2000, 2000, 300), decimals) for decimals in range(9)]
    edges = np.array([0.0, -0.0, 1e-4, 9.9e-5, 1.01e-4, 1e9, 999999999.999999, np.nextafter(0.5, 1), 2.675])
    numbers = np.concatenate(
        [bits[np.isfinite(bits)], 10.0 ** np.arange(-30, 30), rng.random(500) * 1000, *short, edges]
    )
    got = kernels.coco_json_write({"score": numbers}, len(numbers))
    assert got.decode() == "[" + ",\n".join(json.dumps({"score": v}) for v in numbers.tolist()) + "]"
    assert kernels.coco_json_write({}, 2) == b"[{},\n{}]"
    assert kernels.coco_json_write({}, 0) == b"[]"


def test_writing_refuses(kernels: Any) -> None:
    with pytest.raises(ValueError, match="annotation 1: its bbox is not finite"):
        kernels.coco_json_write({"bbox": np.array([[1.0, 2, 3, 4], [1, 2, np.nan, 4]])}, 2)
    with pytest.raises(ValueError, match="annotation 0: its score is not finite"):
        kernels.coco_json_write({"score": np.array([np.inf])}, 1)
    with pytest.raises(ValueError, match="column 'id' must have 2 elements, not 1"):
        kernels.coco_json_write({"id": np.array([1])}, 2)
    with pytest.raises(TypeError):
        kernels.coco_json_write({"id": np.array([1.0])}, 1)


@pytest.mark.parametrize("results", [True, False])
@pytest.mark.parametrize("kind", ["masks", "polygons", None])
def test_written_and_read(
    backend: str, rng: np.random.Generator, tmp_path: Path, kind: str | None, results: bool
) -> None:
    masks = masks_to_write(rng)
    rings = [[[1, 2, 3, 2.5, 4, 9]], [], [[0, 0, 9, 0, 9, 9]] * 2]
    shapes = {"masks": masks, "polygons": Polygons.from_lists(rings), None: None}
    path = tmp_path / "file.json"
    extra: dict[str, Any] = (
        {} if results else {"images": [{"id": 3, "height": 40, "width": 30, "file_name": "\u00fc"}]}
    )
    with use_backend(backend):
        coco_json.write(
            path,
            COLUMNS | {"id": np.array([1, 2, 3]), "image_id": np.array([3, 3, 3])},
            shapes[kind],
            **extra,
        )
        file = coco_json.read(path)
        assert file.is_results is results
        for name in ("category_id", "bbox", "area", "iscrowd", "score"):
            assert file.columns[name].tobytes() == COLUMNS[name].tobytes()
        if kind == "masks":
            assert file.masks() == masks
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
    document = json.loads(path.read_text(encoding="utf-8"))
    rows = document if results else document["annotations"]
    assert [row["area"] for row in rows] == COLUMNS["area"].tolist()
    if kind == "polygons":
        assert [row["segmentation"] for row in rows] == rings
    if not results:
        assert document["images"] == extra["images"]


def test_writing_leaves_nothing_half_written(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")
    with use_backend(backend):
        with pytest.raises(ValueError, match="not finite"):
            coco_json.write(path, {"score": [1.0, np.nan]})
        with pytest.raises(TypeError):
            coco_json.write(path, {"id": [1]}, images=[{"id": object()}])
        with pytest.raises(ValueError, match="columns must have one length"):
            coco_json.write(path, {"id": [1], "score": [0.5, 1]})
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
