"""Evaluation of what a model gives on a GPU: the host's numbers, and nothing but runs, scores and labels travels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fake_cupy
from maskmill import Masks
from maskmill.evaluate import Evaluator
from test_evaluator import some_images


def moved(images: list[Any], cupy: Any) -> list[Any]:
    return [{key: cupy.asarray(value) for key, value in image.items()} for image in images]


@pytest.mark.parametrize("iou_type", ["segm", "bbox"])
def test_numbers_are_those_of_the_host(cupy, rng, iou_type):
    preds, target = some_images(rng, 12)
    host, device, mixed = (Evaluator(iou_type) for _ in range(3))
    host.update(preds, target)
    device.update(moved(preds, cupy), moved(target, cupy))
    mixed.update(moved(preds[:5], cupy) + preds[5:], target[:8] + moved(target[8:], cupy))
    expected = host.compute()
    assert np.count_nonzero(expected.precision > 0) > 50
    for evaluator in (device, mixed):
        found = evaluator.compute()
        assert found.to_json() == expected.to_json()
        for name in ("precision", "recall", "scores"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_masks_that_are_encoded_already(cupy, rng):
    preds, target = some_images(rng, 4)
    there = [{**image, "masks": Masks.encode(cupy.asarray(image["masks"]))} for image in preds]
    host, device = Evaluator(), Evaluator()
    host.update(preds, target)
    device.update(there, target)
    assert device.compute().to_json() == host.compute().to_json()


def test_one_transfer_for_an_update(rng):
    with fake_cupy.pretended() as cupy:
        from maskmill import _cuda_emulated

        preds, target = (moved(side, cupy) for side in some_images(rng, 6))
        before = fake_cupy.transfers, _cuda_emulated.waits()
        Evaluator("bbox").update(preds, target)
        assert (fake_cupy.transfers, _cuda_emulated.waits()) == (before[0] + 1, before[1])
        Evaluator("segm").update(preds, target)
        assert fake_cupy.transfers == before[0] + 2
        assert _cuda_emulated.waits() <= before[1] + 12  # for the number of runs of each side of each image


def test_the_same_faults(cupy):
    masks = np.ones((2, 1, 3, 4), np.float32)
    good = {"masks": masks[:, 0] > 0, "scores": np.ones(2), "labels": np.ones(2, int)}
    for change in (
        {"masks": masks},
        {"masks": masks[:, 0]},
        {"scores": np.array([1, np.inf])},
        {"labels": np.ones(2)},
        {"labels": np.ones((2, 1), int)},
    ):
        texts = []
        for there in (np.asarray, cupy.asarray):
            image = {key: there(value) for key, value in {**good, **change}.items()}
            with pytest.raises((TypeError, ValueError)) as error:
                Evaluator().update([image], [{"masks": good["masks"], "labels": good["labels"]}])
            texts.append(str(error.value))
        assert texts[0] == texts[1]
