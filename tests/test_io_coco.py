"""COCO files as data sets: every field, real files, hostile files, round trips."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
from annotations import mutated, mutated_json, random_dataset, random_polygons, read_or_refused
from maskmill import Dataset, FormatError, Masks
from maskmill.dataset import KINDS
from maskmill.io import coco

IMAGE = {"id": 7, "file_name": "a.png", "height": 4, "width": 5, "license": 3}
CLASS = {"id": 2, "name": "grain", "supercategory": "rock", "frequency": "r"}
DRAWN = {"id": 1, "image_id": 7, "category_id": 2, "segmentation": [[0, 0, 3, 0, 3, 3.5]], "iscrowd": 0}
ENCODED = {**DRAWN, "id": 2, "segmentation": {"size": [4, 5], "counts": [2, 3, 15]}, "iscrowd": 1}
POSED = {
    **DRAWN,
    "id": 3,
    "keypoints": [1, 2, 2, 0, 0, 0],
    "num_keypoints": 1,
    "bbox": [0, 0, 3, 3],
    "area": 4.5,
}
BARE = {"id": 4, "image_id": 7, "category_id": 2, "segmentation": [], "bbox": [1, 1, 2, 2], "score": 0.5}
EMPTY = {"id": 5, "image_id": 7}


def document(*annotations: dict, **more: object) -> dict:
    return {"images": [IMAGE], "categories": [CLASS], "annotations": list(annotations), **more}


def saved(folder: Path, content: object) -> Path:
    path = folder / "a.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture(params=["whole", "in pieces"])
def pieces(request, monkeypatch):
    """Both ways of reading."""
    monkeypatch.setattr(coco, "PIECE", 2 if request.param == "in pieces" else 10**9)


def test_every_field_of_every_kind(tmp_path, pieces):
    content = document(DRAWN, ENCODED, POSED, BARE, EMPTY, info={"year": 2026}, scenes=[1])
    read = maskmill.io.read(saved(tmp_path, content))
    assert [KINDS[kind] for kind in read.shapes.kind] == ["polygon", "mask", "polygon", "box", "none"]
    assert read.instances["category"].tolist() == [0, 0, 0, 0, -1]
    assert read.instances["iscrowd"].tolist() == [False, True, False, False, False]
    assert read.instances["keypoints"][2].tolist() == [[1, 2, 2], [0, 0, 0]]
    assert read.instances["attributes"][2] == {"num_keypoints": 1}
    assert read.instances["area"][2] == 4.5
    assert read.instances["score"][3] == 0.5
    assert read.images["attributes"][0] == {"license": 3}
    assert read.categories["attributes"][0] == {"frequency": "r"}
    assert read.info["coco"] == {"info": {"year": 2026}, "scenes": [1]}
    assert read.masks[1].area.tolist() == [3]


def test_both_ways_of_reading_agree(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    coco.write(random_polygons(3, 50), path)
    whole = coco.read(path)
    monkeypatch.setattr(coco, "PIECE", 7)
    parts = coco.read(path)
    assert whole.instances == parts.instances
    assert whole.images == parts.images
    assert np.array_equal(whole.shapes.points.points, parts.shapes.points.points)
    assert whole.masks == parts.masks


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_round_trips_keep_all(tmp_path, seed):
    for dataset in (random_dataset(seed), random_polygons(seed)):
        report = maskmill.io.write(dataset, tmp_path / f"{os.getpid()}.json")
        assert report.lossless, str(report)
        report = maskmill.io.write(dataset, tmp_path / f"{os.getpid()}.json", polygons=False)
        assert report.masks_kept, str(report)


def test_crowds_are_written_as_runs(tmp_path):
    dataset = random_polygons(1)
    crowds = dataset.replace(instances=dataset.instances.with_columns(iscrowd=np.ones(8, bool)))
    report = maskmill.io.write(crowds, tmp_path / "a.json")
    assert report.masks_kept
    assert (report.crowds_lost, report.vertices_lost) == (0, 8)


def test_nothing_that_is_no_json_is_written(tmp_path):
    dataset = Dataset.from_coco(document(POSED))
    strange = dataset.replace(
        instances=dataset.instances.with_columns(
            attributes=np.array([{"a": np.nan, "b": np.float32(2)}], object)
        )
    )
    coco.write(strange, tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["annotations"][0]["b"] == 2
    dataset.instances["keypoints"][0][0, 0] = np.inf
    with pytest.raises(ValueError, match="instance 0: keypoints must be finite"):
        coco.write(dataset, tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()


def test_sizes_that_the_file_lacks(tmp_path):
    content = document(DRAWN)
    content["images"] = [{"id": 7, "file_name": "folder/a.png"}]
    path = saved(tmp_path, content)
    assert coco.read(path).images["height"].tolist() == [0]
    assert coco.read(path, sizes={"a.png": (4, 5)}).masks.sizes.tolist() == [[4, 5]]
    content["annotations"] = [ENCODED]
    assert coco.read(saved(tmp_path, content)).images["width"].tolist() == [5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 8}, "annotations[0].image_id: expected one of the file's, found 8"),
        ({"image_id": None}, "annotations[0].image_id: expected a whole number, found None"),
        ({"image_id": 7.5}, "annotations[0].image_id: expected a whole number, found 7.5"),
        ({"category_id": 9}, "annotations[0].category_id: expected one of the file's, found 9"),
        ({"id": "x"}, "annotations[0].id: expected a whole number, found 'x'"),
        ({"id": True}, "annotations[0].id: expected a whole number, found True"),
        ({"id": 2**70}, "annotations[0].id: expected a whole number"),
        ({"area": float("nan")}, "annotations[0].area: expected a finite number, found nan"),
        ({"area": "big"}, "annotations[0].area: expected a finite number, found 'big'"),
        ({"score": [1]}, "annotations[0].score: expected a finite number, found [1]"),
        ({"iscrowd": 2}, "annotations[0].iscrowd: expected 0 or 1, found 2"),
        ({"iscrowd": [1]}, "annotations[0].iscrowd: expected 0 or 1, found [1]"),
        (
            {"bbox": [1, 2, 3]},
            "annotations[0].bbox: expected 4 numbers: x, y, width, height, found [1, 2, 3]",
        ),
        ({"bbox": [1, 2, 3, 1e300]}, "annotations[0].bbox: expected a finite number, found 1e+300"),
        ({"bbox": [1, 2, 3, None]}, "annotations[0].bbox: expected a finite number, found None"),
        ({"bbox": [1, 2, 3, float("nan")]}, "annotations[0].bbox: expected a finite number, found nan"),
        ({"bbox": "no"}, "annotations[0].bbox: expected 4 numbers"),
        ({"keypoints": [1, 2]}, "annotations[0].keypoints: expected 3 finite numbers for each point"),
        ({"keypoints": ["a", 1, 2]}, "annotations[0].keypoints: expected 3 finite numbers for each point"),
        ({"segmentation": [[1, 2, 3]]}, "annotations[0].segmentation: ring 0: must be x, y"),
        ({"segmentation": [1, 2, 3, 4, 5, 6]}, "annotations[0].segmentation: must be a list of rings"),
        ({"segmentation": [["a", 1]]}, "annotations[0].segmentation: ring 0: must be numbers"),
        (
            {"segmentation": [[0, 0, 1e300, 0, 3, 3]]},
            "annotations[0].segmentation: expected finite coordinates",
        ),
        ({"segmentation": [[0, 0, float("inf"), 0, 3, 3]]}, "annotations[0].segmentation: expected finite"),
        (
            {"segmentation": [[0, None, 1, 0, 3, 3]]},
            "annotations[0].segmentation: expected finite coordinates",
        ),
        ({"segmentation": "no"}, "annotations[0].segmentation: expected an array of polygons"),
        ({"segmentation": {"size": [4, 5]}}, "annotations[0].segmentation: must have 'counts' and 'size'"),
        ({"segmentation": {"size": [4, 5], "counts": [3]}}, "annotations[0].segmentation: "),
        ({"segmentation": {"size": [4, 5], "counts": "!"}}, "annotations[0].segmentation: "),
        ({"segmentation": {"size": [4, -5], "counts": [20]}}, "annotations[0].segmentation: "),
        ({"segmentation": {"size": [10**9, 10**9], "counts": [5]}}, "annotations[0].segmentation"),
        (
            {"segmentation": {"size": [5, 4], "counts": [20]}},
            "annotations[0].segmentation.size: expected the image's height and width [4, 5], found [5, 4]",
        ),
    ],
)
def test_malformed_annotations(tmp_path, change, message):
    path = saved(tmp_path, document({**DRAWN, **change}))
    with pytest.raises(FormatError) as error:
        coco.read(path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [IMAGE, IMAGE]}, "images[1].id: expected an id that no other has, found 7"),
        ({"categories": [CLASS, CLASS]}, "categories[1].id: expected an id that no other has, found 2"),
        ({"images": [{**IMAGE, "height": 10**9}]}, "images[0].height: expected 0 to 16777216 pixels"),
        ({"images": [{**IMAGE, "width": -1}]}, "images[0].width: expected 0 to 16777216 pixels, found -1"),
        ({"images": [{**IMAGE, "file_name": 3}]}, "images[0].file_name: expected text, found 3"),
        ({"images": [3]}, "images[0]: expected an object, found 3"),
        ({"images": {}}, "images: expected an array of objects, found {}"),
        ({"annotations": ["x"]}, "annotations[0]: expected an object, found 'x'"),
        ({"categories": [{"id": 1, "name": []}]}, "categories[0].name: expected text, found []"),
    ],
)
def test_malformed_sections(tmp_path, change, message):
    path = saved(tmp_path, {**document(DRAWN), **change})
    with pytest.raises(FormatError) as error:
        coco.read(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_ids_as_text_and_annotations_without_ids(tmp_path):
    content = document({**DRAWN, "image_id": "7", "id": None, "category_id": 2.0})
    content["images"] = [{**IMAGE, "id": "7"}]
    read = coco.read(saved(tmp_path, content))
    assert (read.instances["id"].tolist(), read.images["id"].tolist()) == ([1], [7])


def test_files_that_are_no_json(tmp_path, pieces):
    path = tmp_path / "a.json"
    for text in (b"", b"{", b"[" * 100_000, b'{"images": [' + b"[" * 100_000, b"\xff\xfe\x00", b"\x80", b"3"):
        path.write_bytes(text)
        with pytest.raises(FormatError, match=r"a\.json: expected"):
            coco.read(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_rubbish_is_read_or_refused(tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = document(DRAWN, ENCODED, POSED, BARE, EMPTY)
    path = tmp_path / "fuzzed.json"
    path.write_bytes(mutated(json.dumps(content).encode(), rng))
    coco.PIECE = 2 if seed % 2 else 8_000
    try:
        for _ in range(2):
            read = read_or_refused(coco.read, path)
            if read is not None:
                coco.write(read, tmp_path / "again.json")
            path.write_text(json.dumps(mutated_json(content, rng)))
    finally:
        coco.PIECE = 8_000


# Real data


@pytest.mark.parametrize(
    ("name", "n", "area"),
    [
        ("coco/val2014_100/instances_val2014_100.json", 839, None),
        ("lvis/lvis_val_100.json", 977, 4_937_393),
        ("coco/dense_3img/eval_all_coco.json", 3_253, 1_685_736),
        ("taco/annotations.json", 4_784, 719_568_164),
        ("taco/annotations_unofficial.json", 8_334, 1_641_533_889),
    ],
)
def test_real_files_keep_all(data, tmp_path, name, n, area):
    read = maskmill.io.read(data / name)
    assert len(read.instances) == n
    assert area is None or int(read.masks.area.sum()) == area
    report = maskmill.io.write(read, tmp_path / "a.json")
    assert report.lossless, str(report)
    again = json.loads((tmp_path / "a.json").read_bytes())
    given = json.loads((data / name).read_bytes())
    for key in ("id", "image_id", "category_id"):
        assert [a[key] for a in again["annotations"]] == [a[key] for a in given["annotations"]]
    assert {k: v for k, v in again.items() if k in ("info", "scene_annotations")} == {
        k: v for k, v in given.items() if k in ("info", "scene_annotations")
    }


def test_val2014_masks_are_those_of_pycocotools(data):
    pycocotools = pytest.importorskip("pycocotools.coco")
    path = data / "coco/val2014_100/instances_val2014_100.json"
    read = maskmill.io.read(path)
    assert read.instances["iscrowd"].sum() == 9
    theirs = pycocotools.COCO(str(path))
    rles = [theirs.annToRLE(annotation) for annotation in theirs.dataset["annotations"]]
    assert Masks.from_coco(rles) == read.masks


def test_lvis_fields_are_kept(data):
    read = maskmill.io.read(data / "lvis/lvis_val_100.json")
    assert sum(len(a["neg_category_ids"]) for a in read.images["attributes"]) == 942
    assert sum(len(a["not_exhaustive_category_ids"]) for a in read.images["attributes"]) == 16
    assert read.categories["attributes"][0]["frequency"] == "r"
    assert all(read.images["file_name"])
    written = read.to_coco()
    assert written["categories"][0]["synset"] == "acorn.n.01"


def test_keypoints_that_others_lose_are_counted(tmp_path):
    dataset = Dataset.from_coco(document(DRAWN, POSED))
    assert maskmill.io.write(dataset, tmp_path / "a.json").keypoints_lost == 0
    assert maskmill.io.write(dataset, tmp_path / "a.csv", "kaggle").keypoints_lost == 1


def test_keypoints_are_kept(data, tmp_path):
    for name in ("gt_dataset.json", "example_crowdpose_val.json"):
        read = maskmill.io.read(data / "coco/keypoints" / name)
        assert maskmill.io.write(read, tmp_path / name).lossless
        again = maskmill.io.read(tmp_path / name)
        for a, b in zip(read.instances["keypoints"], again.instances["keypoints"], strict=True):
            assert np.array_equal(a, b)


def test_ids_as_text_in_a_real_file(data):
    read = maskmill.io.read(data / "coco/small_cases/gt_ignore_test.json")
    assert read.images["id"].tolist() == [2299]
    assert len(read.instances) == 14
