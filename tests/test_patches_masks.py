"""Patches of masks: tiles whose annotations are true, against decoding, cutting and encoding."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import random_masks
from maskmill import Masks, coco_json, patches
from reference import masks_of, properties


def assert_tiles(masks: Masks, boxes: np.ndarray, min_visible: float = 0.0) -> None:
    parts, box, mask, visible = masks.tiles(boxes, min_visible=min_visible)
    images = masks.decode() if len(masks) else np.zeros((0, 0, 0), np.uint8)
    expected = []
    for b, (y0, y1, x0, x1) in enumerate(boxes.tolist()):
        tiles = patches.extract(images.transpose(1, 2, 0), [[y0, y1, x0, x1]])[0] if len(masks) else []
        for m in range(len(masks)):
            shown, whole = int(tiles[:, :, m].sum()), int(images[m].sum())
            if shown and shown / whole >= min_visible:
                expected.append((b, m, shown / whole, Masks.encode(tiles[:, :, m])))
    assert box.tolist() == [e[0] for e in expected]
    assert mask.tolist() == [e[1] for e in expected]
    assert visible.tolist() == [e[2] for e in expected]
    assert parts == Masks.concatenate(e[3] for e in expected)


def test_tiles_of_noise(rng: np.random.Generator) -> None:
    masks = Masks.encode(np.concatenate([random_masks(rng, 5, 50, 70, d) for d in (0.02, 0.5, 1, 0)]))
    for edge in ("ragged", "drop", "shift", "pad", "cem"):
        assert_tiles(masks, patches.grid((50, 70), 32, 32 if edge == "cem" else 20, edge=edge))
    assert_tiles(masks, patches.grid((50, 70), 16), min_visible=0.1)
    assert_tiles(masks, np.array([[-9, 60, -9, 80], [60, 70, 0, 5], [3, 3, 4, 9]]))


@properties
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 4), least=st.sampled_from([0.0, 0.3, 1.0]))
def test_tiles_property(seed: int, n: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    masks = Masks.encode(rng.random((n, 7, 9)) < rng.random())
    low = rng.integers(-4, 9, (5, 2))
    high = low + rng.integers(0, 8, (5, 2))
    assert_tiles(masks, np.stack([low, high], 2).reshape(5, 4), least)


def test_tiles_on_every_backend(backend: str, rng: np.random.Generator) -> None:
    arrays = masks_of(list(random_masks(rng, 6, 31, 33)))
    got = patches.crop_masks(*arrays, patches.grid((31, 33), 10), backend=backend)
    expected = Masks(*arrays).tiles(patches.grid((31, 33), 10))[0]
    assert Masks(*got[:3]) == expected


def test_tiles_keep_coco_annotations_true(data: Path) -> None:
    file = data / "coco/val2014_100/instances_val2014_100.json"
    if not file.exists():
        pytest.skip(f"no {file}")
    content = json.loads(file.read_text())
    image = content["images"][0]
    size = image["height"], image["width"]
    rows = [a for a in content["annotations"] if a["image_id"] == image["id"] and not a["iscrowd"]]
    masks = Masks.from_polygons([a["segmentation"] for a in rows], size)
    boxes = patches.grid(size, 160)
    parts, _, mask, _ = masks.tiles(boxes)
    # Nothing is lost, and nothing counted twice.
    assert np.bincount(mask, parts.area, len(rows)).tolist() == masks.area.tolist()
    assert_tiles(masks, boxes)


def test_a_mask_of_many_runs_is_not_copied_for_every_box(rng: np.random.Generator) -> None:
    image = rng.random((600, 600)) < 0.5
    masks = Masks.encode(np.stack([image, ~image]))
    tracemalloc.start()
    parts, *_ = masks.tiles(patches.grid((600, 600), 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert parts.area.sum() == 600 * 600
    assert peak < 60 * 30 * masks.counts.nbytes / 10  # 900 boxes, 30 strips


def crop_by_pycocotools(row: dict[str, Any], size: tuple[int, int], box: list[int]) -> tuple[Any, float]:
    """RLE of what a box shows, and its share of the mask."""
    mask_utils = pytest.importorskip("pycocotools.mask")
    rle = row["segmentation"]
    if isinstance(rle, list) or isinstance(rle["counts"], list):
        rle = mask_utils.frPyObjects(rle, *size)
        rle = mask_utils.merge(rle) if isinstance(rle, list) else rle
    pixels = mask_utils.decode(rle)
    y0, y1, x0, x1 = box
    part = mask_utils.encode(np.asfortranarray(pixels[y0:y1, x0:x1]))
    return part, float(mask_utils.area(part)) / max(int(pixels.sum()), 1)


@pytest.mark.parametrize("least", [0.0, 0.2])
def test_coco_tiles_against_pycocotools(least: float, rng: np.random.Generator) -> None:
    mask_utils = pytest.importorskip("pycocotools.mask")
    size = (90, 120)
    blobs = Masks.encode(rng.random((4, *size)) < 0.005).dilate(6)
    rows: list[dict[str, Any]] = [
        {
            "id": 10 + i,
            "image_id": 3,
            "category_id": i % 2,
            "iscrowd": i % 2,
            "segmentation": rle,
            "note": "kept",
        }
        for i, rle in enumerate(blobs.to_coco(text=True))
    ]
    rows += [
        {"id": 20, "image_id": 3, "category_id": 5, "iscrowd": 0, "segmentation": [[3, 3, 99, 8, 50, 80.5]]}
    ]
    plain = {"size": list(size), "counts": [100, 2000, 8700]}
    rows += [{"id": 21, "image_id": 3, "category_id": 5, "iscrowd": 1, "segmentation": plain}]
    rows += [{"id": 22, "image_id": 4, "category_id": 5, "iscrowd": 0, "segmentation": [[0, 0, 9, 0, 9, 9]]}]
    images = [{"id": i, "height": size[0], "width": size[1], "file_name": f"a/{i}.png"} for i in (3, 4)]
    content = {"images": images, "annotations": rows, "categories": [{"id": 5, "name": "x"}]}
    boxes = patches.grid(size, 40, 30)
    found = coco_json.tiles(content, boxes, image_id=3, min_visible=least, first_image_id=7, first_id=100)
    json.dumps(found)
    expected, dropped = [], []
    for t, box in enumerate(boxes.tolist()):
        for row in rows[:-1]:
            part, share = crop_by_pycocotools(row, size, box)
            if share == 0:
                continue
            if share < least:
                dropped.append({"original_id": row["id"], "tile": t, "visible": share})
                continue
            expected.append(row | {
                "id": 100 + len(expected), "image_id": 7 + t, "original_id": row["id"], "visible": share,
                "segmentation": {"size": part["size"], "counts": part["counts"].decode()},
                "bbox": mask_utils.toBbox(part).tolist(), "area": int(mask_utils.area(part)),
            })  # fmt: skip
    assert [a for tile in found.tiles for a in tile["annotations"]] == expected
    assert found.dropped == dropped
    assert bool(dropped) == (least > 0)
    assert found.tiles[1]["images"] == [
        {"id": 8, "height": 40, "width": 40, "file_name": "a/3_0-40_30-70.png", "original_id": 3,
         "tile": [0, 40, 30, 70]}
    ]  # fmt: skip


def test_coco_tiles_of_keypoints_and_files(tmp_path: Path) -> None:
    row = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]]}
    row |= {"keypoints": [1, 1, 2, 6, 5, 1, 7, 7, 0], "num_keypoints": 2}
    content = {"images": [{"id": 1, "height": 8, "width": 8}], "annotations": [row], "categories": []}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    boxes = [[0, 4, 0, 4], [4, 12, 4, 12]]
    found = coco_json.tiles(content, boxes)
    assert found == coco_json.tiles(coco_json.read(path), boxes)
    first, second = (tile["annotations"][0] for tile in found.tiles)
    assert first["keypoints"] == [1, 1, 2, 0, 0, 0, 0, 0, 0]
    assert second["keypoints"] == [0, 0, 0, 2, 1, 1, 0, 0, 0]
    assert (first["num_keypoints"], second["num_keypoints"]) == (1, 1)
    assert (second["segmentation"]["size"], second["bbox"]) == ([8, 8], [0, 0, 4, 4])
    assert coco_json.tiles(content | {"annotations": []}, boxes).tiles[1]["annotations"] == []


def test_coco_tiles_bad_arguments() -> None:
    image = {"id": 1, "height": 8, "width": 8}
    row = {"id": 6, "image_id": 1, "category_id": 1}
    boxes = [[0, 4, 0, 4]]

    def fails(text: str, rows: list[Any], images: Any = (image,), **options: Any) -> None:
        with pytest.raises(ValueError, match=text):
            coco_json.tiles({"images": images, "annotations": rows}, boxes, **options)

    fails("content must have one image, not 0", [], [])
    fails("content must have one image of id 5, not 0", [], image_id=5)
    fails("annotation 6: ", [row])
    fails("annotation 6: ", [row | {"segmentation": {"size": [8, 8]}}])
    fails("annotation 6: its size must be that", [row | {"segmentation": {"size": [4, 8], "counts": [32]}}])
    fails("min_visible must be within 0 and 1, not 3", [], min_visible=3)


def test_tiles_bad_arguments() -> None:
    masks = Masks.encode(np.ones((2, 3, 4), bool))
    with pytest.raises(ValueError, match=r"boxes must have shape \(N, 4\), not \(1, 6\)"):
        masks.tiles([[0, 1, 0, 1, 0, 1]])
    with pytest.raises(ValueError, match=r"box 1: must end where it begins or behind, not \[0, 1, 3, 2\]"):
        masks.tiles([[0, 1, 0, 1], [0, 1, 3, 2]])
    with pytest.raises(ValueError, match="min_visible must be within 0 and 1, not 2"):
        masks.tiles([[0, 1, 0, 1]], min_visible=2)
    with pytest.raises(ValueError, match="masks must all have one size"):
        Masks.concatenate([masks, Masks.encode(np.ones((4, 4), bool))]).tiles([[0, 1, 0, 1]])
