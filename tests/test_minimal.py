"""What every wheel must do on the machine it is made for: needs no more than maskmill's own dependencies and pytest."""

from __future__ import annotations

import contextlib
import io
import json
from importlib import metadata

import numpy as np
import pytest

import maskmill
from maskmill import Masks, hamming, hashes, patches
from maskmill.pycocotools import mask as mask_api
from maskmill.pycocotools.coco import COCO
from maskmill.pycocotools.cocoeval import COCOeval


def is_pure_wheel() -> bool:
    """Whether what is installed says that nothing was compiled for it: any other wheel must have its core."""
    try:
        about = metadata.distribution("maskmill").read_text("WHEEL") or ""
    except metadata.PackageNotFoundError:
        return False
    return "Tag: py3-none-any" in about


compiled = pytest.mark.skipif(is_pure_wheel(), reason="this wheel was built with MASKMILL_PURE")


def disc() -> np.ndarray:
    y, x = np.mgrid[:40, :50]
    return (y - 20) ** 2 + (x - 25) ** 2 < 150


@compiled
def test_core_is_compiled():
    from maskmill import _core

    assert _core.thread_count() >= 1
    assert maskmill.__version__


def test_masks():
    masks = Masks.encode(np.stack([disc(), ~disc()]))
    assert masks.area.tolist() == [disc().sum(), 2000 - disc().sum()]
    assert np.array_equal(masks.decode(), np.stack([disc(), ~disc()]))
    assert Masks.from_polygons(masks.polygons("coco"), masks.sizes) == masks


def test_patches():
    image = np.stack([disc() * np.uint8(200), np.mgrid[:40, :50][1].astype(np.uint8)], axis=2)
    boxes = patches.grid((40, 50), 16, 10)
    assert np.array_equal(patches.stitch(patches.extract(image, boxes), boxes, (40, 50)), image)
    found = patches.stats(image.transpose(2, 0, 1), 0, [(0, 40, 0, 50)], [0, 1], padding=0)
    assert found.max.tolist() == [200, 49]
    assert found.padding.tolist() == [(~disc()).mean(), 0.02]


def test_hashes():
    y, x = np.mgrid[:96, :120]
    image = ((x * x // 40 + y * 3) % 256).astype(np.uint8)
    volume = np.stack([image] * 3, axis=2)
    codes = hashes.planes(volume, 2, [(0, 96, 0, 120)], [0, 2], profile="imagehash")
    assert hashes.to_hex(codes) == hashes.to_hex(hashes.dhash([image, image]))
    texts = [hashes.to_hex(of([image]))[0] for of in (hashes.dhash, hashes.phash, hashes.whash)]
    assert texts == ["fcf9fbf3e7ce1e3c", "960a16e50cf907fe", "0e0c19f9f3e3c60e"]  # imagehash's
    pdq = "70ffc7809c3f73c0ce1f98f033076678e9c34b1e5360aacf5698d5531aa495a8"
    assert hashes.to_hex(hashes.pdq([image])) == [pdq]  # pdqhash's
    colors = np.stack([image, image[::-1], image[:, ::-1]], axis=2)
    assert hashes.to_hex(hashes.colorhash([colors]), 42) == ["00000001000"]
    parts = hashes.crop_resistant([image], min_segment_size=9000)[0]
    expected = ["fefefcf9f3e3c71f", "e7cf1f7ffefcf9f3", "ffffffffffffffff", "fcf9fbf3e7ce1e3c"]
    assert hashes.to_hex(parts) == expected  # imagehash's


def test_hamming():
    codes = [0b0000, 0b0001, 0b0011, 0b0111]
    assert [column.tolist() for column in hamming.greedy(codes, 1)] == [[0, 2], [0, 0, 2, 2], [0, 1, 0, 1]]
    assert [column.tolist() for column in hamming.pairs(codes, 1)] == [[0, 1, 2], [1, 2, 3], [1, 1, 1]]
    assert [column.tolist() for column in hamming.nearest([0b1011], codes)] == [[2], [1]]


@compiled
def test_every_instruction_set():
    from maskmill import _core

    best = _core.best_simd_level()
    ramp = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (90, 1))
    seen = []
    try:
        for level in ("baseline", "avx2", "avx512"):
            try:
                _core.set_simd_level(level)
            except ValueError:
                continue  # this processor has it not
            seen.append(level)
            assert np.array_equal(Masks.encode(disc()).decode()[0], disc())
            assert hashes.to_hex(hashes.dhash([ramp])) == ["ff" * 8]
            assert hamming.nearest([3], np.arange(9, 0, -1))[0].tolist() == [6]
    finally:
        _core.set_simd_level(best)
    assert best in seen


def test_pycocotools():
    rle = mask_api.encode(np.asfortranarray(disc()))
    assert rle["size"] == [40, 50]
    assert np.array_equal(mask_api.decode(rle), disc())
    polygon = mask_api.frPyObjects([[2.0, 2, 7, 2, 7, 6, 2, 6]], 10, 10)
    assert mask_api.area(polygon).tolist() == [20]


def test_evaluation(tmp_path):
    gt = {
        "images": [{"id": 1, "height": 40, "width": 50}],
        "categories": [{"id": 1, "name": "disc"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
        ],
    }
    dt = [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 19], "score": 0.5}]
    (tmp_path / "gt.json").write_text(json.dumps(gt))
    (tmp_path / "dt.json").write_text(json.dumps(dt))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        truth = COCO(tmp_path / "gt.json")
        ev = COCOeval(truth, truth.loadRes(str(tmp_path / "dt.json")), "bbox")
        ev.evaluate()
        ev.accumulate()
        ev.summarize()
    assert " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 1.000" in out.getvalue()
    assert ev.stats[0] == 0.9999999999999998  # one true positive over one and the smallest number
