"""COCO panoptic annotations: the given detection format equalled, overlaps reported, colours, hostile files."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
from annotations import assert_report, mutated, mutated_json, random_dataset, read_or_refused
from maskmill import FormatError
from maskmill.io import panoptic
from maskmill.io._labels import read_values


@pytest.fixture
def written(tmp_path):
    panoptic.write(random_dataset(3, overlap=False), tmp_path / "a.json")
    return tmp_path / "a.json"


@pytest.mark.parametrize("overlap", ["later", "earlier"])
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_reports_are_what_pixels_say(tmp_path_factory, overlap, seed):
    path = tmp_path_factory.mktemp("panoptic") / "a.json"
    dataset = random_dataset(seed)
    crowd = np.random.default_rng(seed).random(len(dataset.instances)) < 0.3
    dataset = dataset.replace(instances=dataset.instances.with_columns(iscrowd=crowd))
    report = maskmill.io.write(dataset, path, "panoptic", overlap=overlap)
    rows = panoptic.write(dataset, path, overlap=overlap)
    after = maskmill.io.read(path)
    assert_report(report, dataset, after, rows)
    assert np.array_equal(after.instances["iscrowd"], crowd[rows])
    assert (report.images_lost, report.crowds_lost) == (0, 0)
    assert np.array_equal(after.instances["area"], after.masks.area)
    assert np.array_equal(after.instances["bbox"], after.masks.bbox)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_what_does_not_overlap_comes_back(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("panoptic") / "a.json"
    assert maskmill.io.write(random_dataset(seed, overlap=False), path, "panoptic").masks_kept


def test_colours_are_those_of_classes(written):
    content = json.loads(written.read_bytes())
    assert [row["isthing"] for row in content["categories"]] == [1, 1, 1]
    colours = {row["id"]: row["color"] for row in content["categories"]}
    for annotation in content["annotations"]:
        first = {}
        for segment in annotation["segments_info"]:
            first.setdefault(segment["category_id"], segment["id"])
        for category, number in first.items():
            r, g, b = colours[category]
            assert number == r + 256 * g + 65536 * b
    stored = cv2.imread(str(written.with_suffix("") / "picture 0.png"))
    assert stored.dtype == np.uint8
    assert stored.shape[2] == 3


def test_ids_may_be_kept(tmp_path):
    dataset = random_dataset(3, overlap=False)
    panoptic.write(dataset, tmp_path / "a.json", keep_ids=True)
    assert panoptic.read(tmp_path / "a.json").instances["id"].tolist() == dataset.instances["id"].tolist()
    same = dataset.replace(instances=dataset.instances.with_columns(id=np.ones(len(dataset.instances), int)))
    with pytest.raises(ValueError, match="ids must be unique"):
        panoptic.write(same, tmp_path / "b.json", keep_ids=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 99}, "annotations[0].image_id: expected one of the file's, found 99"),
        ({"file_name": "../a.png"}, "annotations[0].file_name: expected the name of a file below its folder"),
        ({"file_name": "no.png"}, "annotations[0].file_name: expected a PNG in"),
        ({"segments_info": None}, "annotations[0].segments_info: expected an array"),
        (
            {"segments_info": [{"id": 0}]},
            "annotations[0].segments_info[0].id: expected a whole number from 1",
        ),
        (
            {"segments_info": [{"id": 1, "category_id": 9}]},
            "annotations[0].segments_info[0].category_id: expected",
        ),
    ],
)
def test_malformed_annotations(written, change, message):
    content = json.loads(written.read_bytes())
    content["annotations"][0] |= change
    written.write_text(json.dumps(content))
    with pytest.raises(FormatError) as error:
        panoptic.read(written)
    assert str(error.value).startswith(f"{written}: {message}")


def test_pngs_that_do_not_fit(written):
    png = written.with_suffix("") / "picture 0.png"
    labels = cv2.imread(str(png))
    changed = labels.copy()
    changed[0, 0] = 7
    cv2.imwrite(str(png), changed)
    with pytest.raises(
        FormatError, match=r"picture 0\.png: expected numbers that .*segments_info has, found 460551"
    ):
        panoptic.read(written)
    cv2.imwrite(str(png), np.zeros((99, 98, 3), np.uint8))
    with pytest.raises(FormatError, match=r"picture 0\.png: expected the image's size .*, found '99 x 98'"):
        panoptic.read(written)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_rubbish_is_read_or_refused(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "fuzzed.json"
    panoptic.write(random_dataset(3, overlap=False), path)
    given = path.read_bytes()
    path.write_bytes(mutated(given, rng))
    read_or_refused(panoptic.read, path)
    path.write_text(json.dumps(mutated_json(json.loads(given), rng)))
    read_or_refused(panoptic.read, path)


def test_detection_format_of_the_sample(data, tmp_path):
    """Masks, areas, boxes, crowds and classes equal those that panopticapi made, and go back to the same segments."""
    folder = data / "panoptic/sample_data"
    ours = maskmill.io.read(folder / "panoptic_examples.json", images=folder / "input_images")
    theirs = maskmill.io.read(folder / "panoptic_coco_detection_format.json")
    assert len(ours.instances) == 50
    assert ours.instances["iscrowd"].sum() == 3
    order = [np.lexsort(d.instances["bbox"].T.tolist() + [d.instances["image"]]) for d in (ours, theirs)]
    a, b = (d.take(instances=o) for d, o in zip((ours, theirs), order, strict=True))
    assert a.masks == b.masks
    assert a.category_names == b.category_names
    for name in ("image", "bbox", "area", "iscrowd"):
        assert np.array_equal(a.instances[name], b.instances[name])
    assert np.array_equal(a.instances["area"], a.masks.area)
    assert all(reference.read().ndim == 3 for reference in ours.images["pixels"])

    report = maskmill.io.write(theirs, tmp_path / "again.json", "panoptic")
    assert report.masks_kept, str(report)
    assert maskmill.io.write(ours, tmp_path / "same.json", "panoptic", keep_ids=True).masks_kept
    for name in ("000000142238.png", "000000439180.png"):
        given = read_values(folder / "panoptic_examples" / name)
        assert np.array_equal(read_values(tmp_path / "same" / name), given)
