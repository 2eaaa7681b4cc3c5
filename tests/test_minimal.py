"""What every wheel must do on the machine it is made for: needs no more than maskmill's own dependencies and pytest."""

from __future__ import annotations

import contextlib
import io
import json
from importlib import metadata

import numpy as np
import pytest

import maskmill
from maskmill import Masks
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


@compiled
def test_every_instruction_set():
    from maskmill import _core

    best = _core.best_simd_level()
    seen = []
    try:
        for level in ("baseline", "avx2", "avx512"):
            try:
                _core.set_simd_level(level)
            except ValueError:
                continue  # this processor has it not
            seen.append(level)
            assert np.array_equal(Masks.encode(disc()).decode()[0], disc())
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
