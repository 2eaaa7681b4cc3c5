"""COCO results as data sets: with and without their ground truth."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
from annotations import mutated, mutated_json, random_dataset, read_or_refused
from maskmill import FormatError
from maskmill.dataset import KINDS
from maskmill.io import coco_results

ROWS = [
    {"image_id": 7, "category_id": 2, "segmentation": {"size": [4, 5], "counts": [2, 3, 15]}, "score": 0.5},
    {"image_id": 7, "category_id": 4, "bbox": [1, 2, 2, 1.5], "score": 0.25},
    {"image_id": 9, "category_id": 2, "keypoints": [1, 2, 1, 3, 3, 2], "score": 1, "extra": "x"},
]


def saved(path, content):
    path.write_text(json.dumps(content))
    return path


def test_without_ground_truth(tmp_path):
    read = maskmill.io.read(saved(tmp_path / "a.json", ROWS))
    assert read.images["id"].tolist() == [7, 9]
    assert read.images["height"].tolist() == [4, 0]
    assert read.category_names == ["2", "4", "2"]
    assert [KINDS[kind] for kind in read.shapes.kind] == ["mask", "box", "none"]
    assert read.instances["score"].tolist() == [0.5, 0.25, 1]
    assert read.instances["attributes"][2] == {"extra": "x"}


def test_with_ground_truth(tmp_path):
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 4, "width": 5} for i in (9, 7, 5)]
    truth = {"images": images, "categories": [{"id": 2, "name": "cat"}, {"id": 4, "name": "dog"}]}
    read = maskmill.io.read(
        saved(tmp_path / "a.json", ROWS), ground_truth=saved(tmp_path / "truth.json", truth)
    )
    assert read.images["file_name"][read.instances["image"]].tolist() == ["7.jpg", "7.jpg", "9.jpg"]
    assert read.category_names == ["cat", "dog", "cat"]
    assert len(read) == 3


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_masks_and_scores_come_back(tmp_path, seed):
    dataset = random_dataset(seed)
    scores = np.random.default_rng(seed).random(len(dataset.instances))
    dataset = dataset.replace(instances=dataset.instances.with_columns(score=scores))
    report = maskmill.io.write(dataset, tmp_path / "a.json", "coco_results")
    assert (report.instances_lost, report.masks_changed, report.scores_lost) == (0, 0, 0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"score": float("inf")}, "[0].score: expected a finite number, found inf"),
        ({"image_id": "x"}, "[0].image_id: expected a whole number, found 'x'"),
        ({"bbox": {}}, "[0].bbox: expected 4 numbers"),
        (
            {"segmentation": {"size": [9, 9], "counts": [81]}},
            "[1].segmentation.size: expected the image's height",
        ),
    ],
)
def test_malformed_rows(tmp_path, row, message):
    path = saved(
        tmp_path / "a.json",
        [{**ROWS[0], **row}, ROWS[0]] if "[1]" not in message else [ROWS[0], {**ROWS[0], **row}],
    )
    with pytest.raises(FormatError) as error:
        coco_results.read(path)
    assert str(error.value).startswith(f"{path}: {message}")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_rubbish_is_read_or_refused(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "fuzzed.json"
    path.write_bytes(mutated(json.dumps(ROWS).encode(), rng))
    read_or_refused(coco_results.read, path)
    read_or_refused(coco_results.read, saved(path, mutated_json(ROWS, rng)))


def test_real_results(data, tmp_path):
    folder = data / "coco/val2014_100"
    truth = folder / "instances_val2014_100.json"
    masks = maskmill.io.read(folder / "instances_val2014_fakesegm100_results.json", ground_truth=truth)
    boxes = maskmill.io.read(folder / "instances_val2014_fakebbox100_results.json", ground_truth=truth)
    assert len(masks.instances) == len(boxes.instances) == 734
    assert len(masks) == 100
    assert "dog" in masks.category_names
    plain = maskmill.io.read(
        data / "coco/uncompressed_rle_602/instances_val2014_fakeseg_uncompressed_602.json"
    )
    assert (len(plain.instances), int(plain.masks.area.sum())) == (602, 5_425_963)
    for i, dataset in enumerate((masks, boxes, plain)):
        report = maskmill.io.write(dataset, tmp_path / f"{i}.json", "coco_results")
        assert (report.instances_lost, report.masks_changed, report.boxes_changed, report.scores_lost) == (
            0,
            0,
            0,
            0,
        )
    pycocotools = pytest.importorskip("pycocotools.coco")
    loaded = pycocotools.COCO(str(truth)).loadRes(str(tmp_path / "0.json"))
    assert len(loaded.anns) == 734
    for name in ("dt_dataset", "example_crowdpose_preds"):
        poses = maskmill.io.read(data / f"coco/keypoints/{name}.json")
        assert all(points.shape[1] == 3 for points in poses.instances["keypoints"])
