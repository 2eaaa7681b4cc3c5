"""Evaluation batch by batch: pycocotools' numbers, from arrays."""

from __future__ import annotations

import contextlib
import io
import pickle
from typing import Any

import numpy as np
import pytest

from conftest import random_masks
from maskmill import Masks
from maskmill.evaluate import Evaluator


def some_images(rng: np.random.Generator, n: int, *, areas: bool = True) -> tuple[list[Any], list[Any]]:
    """Predictions and ground truth of images of different sizes: shifted copies, noise, nothing; ties of scores."""
    preds, target = [], []
    for i in range(n):
        h, w = rng.integers(20, 150, 2).tolist()
        k = int(rng.integers(0, 7)) if i else 0
        gt = np.zeros((k, h, w), bool)
        for mask in gt:
            y, x = rng.integers(0, h), rng.integers(0, w)
            mask[y : y + rng.integers(1, h), x : x + rng.integers(1, w)] = True
        chosen = rng.integers(0, k, rng.integers(0, 9)) if k else np.zeros(0, int)
        dt = np.roll(gt[chosen], tuple(rng.integers(-3, 4, 2)), (1, 2))
        dt = np.concatenate([dt, random_masks(rng, int(rng.integers(0, 3)), h, w, 0.1)])
        labels = rng.integers(3, 6, k)
        preds.append(
            {
                "masks": dt,
                "boxes": boxes_of(rng, dt),
                "scores": (rng.integers(0, 8, len(dt)) / 7).astype(np.float32),
                "labels": np.concatenate([labels[chosen], rng.integers(3, 8, len(dt) - len(chosen))]),
            }
        )
        target.append(
            {"masks": gt, "boxes": boxes_of(rng, gt), "labels": labels, "iscrowd": rng.random(k) < 0.2}
        )
        if areas and i % 2:
            target[-1]["area"] = rng.uniform(0, 10_000, k)
    return preds, target


def boxes_of(rng: np.random.Generator, masks: np.ndarray) -> np.ndarray:
    """Corners of boxes near to masks, in float32."""
    x, y, w, h = Masks.encode(masks).bbox.T
    return (np.stack([x, y, x + w, y + h], 1) + rng.uniform(0, 0.7, (len(masks), 4))).astype(np.float32)


def by_pycocotools(preds: list[Any], target: list[Any], iou_type: str, class_agnostic: bool = False) -> Any:
    """COCOeval of the real pycocotools on the same, as dicts."""
    from pycocotools import mask as coco_mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def annotations(images: list[Any], is_target: bool) -> list[dict[str, Any]]:
        anns: list[dict[str, Any]] = []
        for i, image in enumerate(images):
            for k in range(len(image["labels"])):
                ann: dict[str, Any] = {"id": len(anns) + 1, "image_id": i}
                ann["category_id"] = int(image["labels"][k])
                x0, y0, x1, y1 = image["boxes"][k]
                box = [float(v) for v in (x0, y0, x1 - x0, y1 - y0)]
                rle = coco_mask.encode(np.asfortranarray(image["masks"][k].astype(np.uint8)))
                if iou_type == "segm":
                    ann |= {"segmentation": rle, "area": float(coco_mask.area(rle))}
                else:
                    ann |= {"bbox": box, "area": box[2] * box[3]}
                if is_target:
                    ann["iscrowd"] = int(image["iscrowd"][k])
                    if "area" in image:
                        ann["area"] = float(image["area"][k])
                else:
                    ann["score"] = float(image["scores"][k])
                anns.append(ann)
        return anns

    sides = []
    labels = {int(label) for image in (*preds, *target) for label in image["labels"]}
    with contextlib.redirect_stdout(io.StringIO()):
        for images, is_target in ((target, True), (preds, False)):
            coco = COCO()
            coco.dataset = {
                "images": [
                    dict(zip(("id", "height", "width"), (i, *image["masks"].shape[1:]), strict=True))
                    for i, image in enumerate(images)
                ],
                "categories": [{"id": label, "name": str(label)} for label in sorted(labels)],
                "annotations": annotations(images, is_target),
            }
            coco.createIndex()
            sides.append(coco)
        ev = COCOeval(*sides, iou_type)
        ev.params.useCats = int(not class_agnostic)
        ev.evaluate()
        ev.accumulate()
    with contextlib.redirect_stdout(io.StringIO()) as text:
        ev.summarize()
    return ev, text.getvalue()


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_numbers_are_those_of_pycocotools(rng, iou_type, class_agnostic):
    preds, target = some_images(rng, 40)
    ev, text = by_pycocotools(preds, target, iou_type, class_agnostic)
    evaluator = Evaluator(iou_type, class_agnostic=class_agnostic)
    for first in range(0, 40, 7):
        evaluator.update(preds[first : first + 7], target[first : first + 7])
    found = evaluator.compute()
    assert found.stats["AP50"] > 0.05
    assert np.count_nonzero(found.precision > 0) > 100
    np.testing.assert_array_equal(found.precision, ev.eval["precision"])
    np.testing.assert_array_equal(found.recall, ev.eval["recall"])
    np.testing.assert_array_equal(found.scores, ev.eval["scores"])
    assert [*found.stats.values()] == ev.stats.tolist()
    assert found.text == text
    if not class_agnostic:
        crowd = np.concatenate([image["iscrowd"] for image in target])
        assert sum(row["instances"] for row in found.classes) == np.count_nonzero(~crowd)
    assert found.curves().keys() == {"0.50", "0.75", "0.50:0.95"}


def test_forms_of_masks_and_boxes(rng):
    preds, target = some_images(rng, 5)
    expected = evaluated("segm", preds, target)
    as_masks = [{**image, "masks": Masks.encode(image["masks"])} for image in preds]
    as_rles = [{**image, "masks": Masks.encode(image["masks"]).to_coco()} for image in target]
    assert evaluated("segm", as_masks, as_rles) == expected
    corners = evaluated("bbox", preds, target)
    for box_format, turn in (
        ("xywh", lambda b: np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], 1)),
        ("cxcywh", lambda b: np.concatenate([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1)),
    ):
        other = [[{**image, "boxes": turn(image["boxes"])} for image in side] for side in (preds, target)]
        found = evaluated("bbox", *other, box_format=box_format)
        np.testing.assert_allclose([*found.values()], [*corners.values()], atol=1e-3)


def evaluated(iou_type: str, preds: Any, target: Any, **options: Any) -> dict[str, float]:
    evaluator = Evaluator(iou_type, **options)
    evaluator.update(preds, target)
    return evaluator.compute().stats


class Tensor:
    """As much of torch's tensors as matters: with a gradient, or of bfloat16, they do not become arrays."""

    def __init__(self, array: Any, dtype: str = "torch.bfloat16", gradient: bool = True) -> None:
        self.array, self.dtype, self.gradient = np.asarray(array), dtype, gradient

    def detach(self) -> Tensor:
        return Tensor(self.array, self.dtype, gradient=False)

    def float(self) -> Tensor:
        return Tensor(self.array, "torch.float32", self.gradient)

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray:
        if self.gradient or self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array.astype(np.float32)


def test_tensors_as_models_give_them(rng):
    preds, target = some_images(rng, 5)
    expected = evaluated("bbox", preds, target)
    tensors = [
        {**image, "boxes": Tensor(image["boxes"]), "scores": Tensor(image["scores"], "torch.float32")}
        for image in preds
    ]
    assert evaluated("bbox", tensors, target) == expected


def test_parts_of_processes(rng):
    preds, target = some_images(rng, 9)
    whole, first, second = (Evaluator(classes=dict.fromkeys(range(3, 9), "grain")) for _ in range(3))
    whole.update(preds, target)
    first.update(preds[:4], target[:4])
    for image, truth in zip(preds[4:], target[4:], strict=True):
        second.update(image, truth)
    first.extend(pickle.loads(pickle.dumps(second)))
    assert len(first) == len(whole) == 9
    assert repr(first) == repr(whole)
    assert first.compute().to_json() == whole.compute().to_json()
    assert len(whole.compute().classes) == 6
    whole.reset()
    assert len(whole) == 0
    with pytest.raises(ValueError, match="^there are no images"):
        whole.compute()
    with pytest.raises(ValueError, match="of one iou_type"):
        whole.extend(Evaluator("bbox"))


def test_nothing_to_find_or_nothing_found():
    no, one = np.zeros((0, 4, 5), bool), np.ones((1, 4, 5), bool)
    for dt, gt, ap in ((no, no, -1), (no, one, 0), (one, no, -1), (np.zeros(0), one, 0), (one, one, 1)):
        for agnostic in (False, True):
            stats = evaluated(
                "segm",
                {"masks": dt, "scores": [1.0] * len(dt), "labels": [2] * len(dt)},
                {"masks": gt, "labels": [2] * len(gt)},
                class_agnostic=agnostic,
            )
            assert stats["AP"] == pytest.approx(ap)
    assert (
        evaluated("bbox", {"boxes": [], "scores": [], "labels": []}, {"boxes": [], "labels": []})["AP"] == -1
    )


GOOD = {"masks": np.ones((2, 3, 4), bool), "scores": [0.5, 0.25], "labels": [1, 2]}
TRUTH = {"masks": np.ones((1, 3, 4), bool), "labels": [1]}
WRONG = {
    r"^image 1: preds: must have 'scores', but has only \['labels'\]$": ("preds", {"labels": [1]}, "masks"),
    r"^image 1: preds: scores must have shape \(2,\), one for each shape, not \(3,\)$": (
        "preds",
        {"scores": [1, 2, 3]},
    ),
    "^image 1: preds: scores must be finite": ("preds", {"scores": [0.5, np.nan]}),
    "^image 1: preds: labels must be integers, not float64$": ("preds", {"labels": [1.0, 2.0]}),
    r"^image 1: preds: labels \[7\] are of no class in \[1, 2\]$": ("preds", {"labels": [1, 7]}),
    "^image 1: preds: images must be bool or integer, not float32; compare first, as in array > 0.5": (
        "preds",
        {"masks": np.ones((2, 3, 4), np.float32)},
    ),
    r"^image 1: preds: masks must have shape \(n, H, W\), not \(2, 1, 3, 4\); masks\[:, 0\] takes the one channel$": (
        "preds",
        {"masks": np.ones((2, 1, 3, 4), bool)},
    ),
    r"^image 1: target: iscrowd must have shape \(1,\), one for each shape, not \(2,\)$": (
        "target",
        {"iscrowd": [0, 0]},
    ),
    "^image 1: all masks must have the size of the image, not 3 x 4 and 4 x 3$": (
        "target",
        {"masks": np.ones((1, 4, 3), bool)},
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_its_place(text):
    side, change, *without = WRONG[text]
    images = {"preds": [GOOD, {**GOOD, **change}], "target": [TRUTH, TRUTH]}
    if side == "target":
        images = {"preds": [GOOD, GOOD], "target": [TRUTH, {**TRUTH, **change}]}
    if without:
        images["preds"][1] = {"labels": [1], "masks": GOOD["masks"]}
        text = text.replace(r"\['labels'\]", r"\['labels', 'masks'\]")
    evaluator = Evaluator(classes={1: "a", 2: "b"})
    with pytest.raises((TypeError, ValueError), match=text):
        evaluator.update(images["preds"], images["target"])
    assert len(evaluator) == 0


def test_wrong_parameters():
    for options, text in (
        ({"iou_type": "keypoints"}, "iou_type must be one of 'bbox', 'segm', not 'keypoints'"),
        ({"box_format": "yxyx"}, "box_format must be one of 'xyxy', 'xywh', 'cxcywh', not 'yxyx'"),
        ({"max_dets": [100]}, "max_dets must be 3 rising numbers"),
    ):
        with pytest.raises(ValueError, match=text):
            Evaluator(**options)
    with pytest.raises(ValueError, match="^preds and target must be of the same images, not of 1 and 2$"):
        Evaluator().update([GOOD], [TRUTH, TRUTH])
    with pytest.raises(TypeError, match="^image 0: preds: must be a dict, not list$"):
        Evaluator().update([[GOOD]], [TRUTH])
    for boxes in ([[1, 2, 3]], [[0, 1, 2, np.inf]], np.ones((1, 4), complex)):
        with pytest.raises(ValueError, match="^image 0: preds: boxes must be "):
            Evaluator("bbox").update(
                {"boxes": boxes, "scores": [1], "labels": [1]}, {"boxes": [], "labels": []}
            )
