"""Patches of masks: tiles whose annotations are true, against decoding, cutting and encoding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import random_masks
from maskmill import Masks, patches
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
