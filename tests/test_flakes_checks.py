"""maskmill flakes validate: each thing that can be wrong with a layout is found, and nothing else."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from maskmill import FormatError
from maskmill.io import maskterial
from maskmill.io._labels import read_values
from maskmill.studies.flakes import build, kshot, read_source, validate
from maskmill.studies.flakes.annotations import read_annotations
from maskmill.studies.flakes.semantics import write_labels
from test_flakes_layout import project, squares

FULL = "RLE_annotations/train_annotations_with_class_full.json"
TWIN = "RLE_annotations/train_annotations_300.json"
NAMES = "meta_data/train_set_name_to_uuid.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two splits with k-shot sets, in which nothing is wrong."""
    folder = tmp_path_factory.mktemp("layout")
    for split, first in (("train", 20), ("test", 30)):
        raw = folder / split
        masks = project(raw, **{f"{split}_a": squares(first, 15, 10), f"{split}_b": squares(19, 18)})
        for photo in (raw / "images").iterdir():
            cv2.imwrite(
                str(photo), np.full((*cv2.imread(str(photo)).shape[:2], 3), first + len(photo.name), np.uint8)
            )
        build(read_source(masks), folder / "G", split=split)
    kshot(folder / "G", shots=(1, 2), runs=2)
    return folder / "G"


@pytest.fixture
def layout(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "G")


def edit(path, change):
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def photo(layout):
    return min((layout / "train_images").iterdir())


def test_nothing_is_wrong(layout):
    found = validate(layout)
    assert found.problems == []
    assert found.ok
    assert found.missing == []
    assert found.checked == {
        "annotation files": 12, "flakes": 10, "photos": 4, "semantic masks": 4, "k-shot files": 8,
    }  # fmt: skip


def first(content):
    return content["annotations"][0]


MENDED = [
    (FULL, lambda c: first(c).update(area=7), "area", "annotation 1: area must be"),
    (FULL, lambda c: first(c).update(bbox=[0, 0, 1, 1]), "bbox", "annotation 1: bbox must be"),
    (FULL, lambda c: first(c).pop("bbox"), "bbox", "bbox must be"),
    (FULL, lambda c: [a.update(segmentation=[[4, 2, 24, 2, 24, 22, 4, 22]]) for a in c["annotations"][:1]],
     "polygon", "must be run-lengths, not polygons"),
    ("RLE_annotations/train_annotations_300.json",
     lambda c: c["annotations"].append(dict(json.loads(SMALL), image_id=c["images"][0]["id"])), "small", "300 pixels"),
]  # fmt: skip
SMALL = json.dumps({"id": 2, "category_id": 1, "iscrowd": 0, "area": 225, "bbox": [28, 2, 15, 15],
                    "segmentation": {"size": [80, 61], "counts": [2242] + [15, 65] * 14 + [15, 1503]}})  # fmt: skip


@pytest.mark.parametrize(("file", "change", "kind", "message"), MENDED)
def test_what_can_be_mended(layout, file, change, kind, message):
    edit(layout / file, change)
    found = validate(layout)
    assert not found.ok
    (problem,) = [p for p in found.problems if p.kind == kind]
    assert message in str(problem)
    assert problem.path == file
    mended = validate(layout, repair=True)
    assert [p.mended for p in mended.problems if p.kind == kind] == [True]
    after = [p for p in validate(layout).problems if p.kind not in ("twin", "shot")]
    assert after == []


def test_mended_polygons_have_the_same_pixels(layout):
    before = read_annotations(layout / FULL)
    edit(layout / FULL, MENDED[3][1])
    assert validate(layout, repair=True).ok
    assert read_annotations(layout / FULL).masks == before.masks


@pytest.mark.parametrize(
    ("file", "change", "kind", "message"),
    [
        (FULL, lambda c: first(c).update(id=4), "id", "annotation 4: must have an id of its own"),
        (TWIN, lambda c: first(c).update(id=77), "twin", "must not have annotation 77"),
        (TWIN, lambda c: c["annotations"].pop(), "twin", "must have annotation 5"),
        (TWIN, lambda c: first(c).update(segmentation=c["annotations"][1]["segmentation"]), "format", "mask"),
        (TWIN, lambda c: c["images"].reverse(), "twin", "must have the images of"),
        (FULL, lambda c: c["images"].pop(), "format", "expected a known image"),
        (FULL, lambda c: first(c).update(category_id=3), "format", "expected a known category"),
        (FULL, lambda c: c["categories"].append({"id": 0, "name": "none"}), "category", "1 or more, not 0"),
        (NAMES, lambda c: c.popitem(), "names", "must have a name for"),
        (NAMES, lambda c: c.update(other="abc"), "names", "'other': abc must be an image"),
        (NAMES, lambda c: c.update({next(iter(c)): list(c.values())[1]}), "names", "expected a uuid of its own"),
        ("RLE_annotations/2_shot/run_1/train_annotations_300.json",
         lambda c: c["annotations"].pop(), "shot", "must have the same annotation ids"),
        ("RLE_annotations/kshot_manifest.json", lambda c: c["draws"][0]["annotations"].reverse() or
         c["draws"][0]["annotations"].append(1), "shot", "must have the annotations that kshot_manifest.json says"),
        ("RLE_annotations/kshot_manifest.json", lambda c: c.pop("draws"), "shot", "must be a manifest"),
    ],
)  # fmt: skip
def test_what_cannot_be_mended(layout, file, change, kind, message):
    edit(layout / file, change)
    for repair in (False, True):
        found = validate(layout, repair=repair)
        assert any(p.kind == kind and message in str(p) and not p.mended for p in found.problems), (
            found.problems
        )
        assert not found.ok


def test_photos(layout):
    photo(layout).rename(layout / "train_images/other.jpg")
    messages = [str(p) for p in validate(layout).problems]
    assert any("must be there" in m for m in messages)
    assert any("other.jpg: is in no annotation file" in m for m in messages)


def test_sizes(layout):
    cv2.imwrite(str(photo(layout)), np.zeros((5, 6, 3), np.uint8))
    problems = [p for p in validate(layout).problems if p.kind == "size"]
    assert len(problems) == 6
    assert "must be 5 x 6 as the photo, not 80 x" in problems[0].message


def test_damaged_photo(layout):
    photo(layout).write_bytes(b"nothing")
    assert [p.kind for p in validate(layout).problems] == ["photo"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: np.where(image > 0, 2, 0), "pixels are not of the class"),
        (lambda image: image * 0, "pixels are not of the class"),
        (
            lambda image: np.maximum(image, np.eye(*image.shape, dtype=np.uint8)),
            "pixels are not of the class",
        ),
        (lambda image: image[1:], "must be 80 x"),
        (None, "must be there"),
    ],
)
def test_semantic_masks(layout, change, message):
    path = min((layout / "train_semantic_masks").iterdir())
    before = read_values(path)
    path.unlink() if change is None else write_labels(path, change(before))
    (problem,) = validate(layout).problems
    assert message in str(problem)
    assert validate(layout, repair=True).ok
    assert np.array_equal(read_values(path), before)
    assert validate(layout).problems == []


def test_a_changed_training_file(layout):
    edit(layout / TWIN, lambda c: c["info"].update(note="x"))
    assert any("it has changed" in str(p) for p in validate(layout).problems)


def test_a_set_with_too_few(layout):
    folder = layout / "RLE_annotations/2_shot/run_0"
    for path in folder.iterdir():
        edit(path, lambda c: c["annotations"].__delitem__(slice(1, None)))
    messages = " ".join(str(p) for p in validate(layout).problems)
    assert "must have 2 of class 'flake', not 1" in messages


def test_leaks(layout):
    (test_photo, *_) = sorted((layout / "test_images").iterdir())
    shutil.copy(test_photo, layout / "train_images" / test_photo.name)
    shutil.copy(test_photo, layout / "train_images" / "a.jpg")
    edit(layout / NAMES, lambda c: c.update({"test_a.jpg": "a"}))
    messages = [str(p) for p in validate(layout).problems if p.kind == "leak"]
    assert len([m for m in messages if "the name is" in m]) == 1
    assert any("'test_a.jpg' must not be in both splits" in m for m in messages)
    assert any("has the bytes of a.jpg" in m for m in messages)


def test_other_layouts(layout, tmp_path):
    """Files that MaskTerial does not publish need not be there; what is no layout is an error."""
    for size in ("full", "200"):
        maskterial.Variant("test", size, False).path(layout).unlink()
    found = validate(layout)
    assert found.ok
    assert found.missing == ["test_annotations_full.json", "test_annotations_200.json"]
    with pytest.raises(FormatError, match="found none"):
        validate(tmp_path)
    with pytest.raises(FileNotFoundError):
        validate(tmp_path / "nothing")


def test_the_real_flakes(data, tmp_path):
    build(read_source(data / "flakes/GrapheneH/instance_masks"), tmp_path / "GrapheneH")
    build(read_source(data / "flakes/WSe2/instance_masks"), tmp_path / "WSe2")
    kshot([tmp_path / "GrapheneH", tmp_path / "WSe2"])
    for name in ("GrapheneH", "WSe2"):
        found = validate(tmp_path / name)
        assert found.problems == []
        assert found.checked["k-shot files"] == 100


def test_pycocotools_reads_every_file(data, tmp_path, capsys):
    pycoco = pytest.importorskip("pycocotools.coco")
    build(read_source(data / "flakes/GrapheneH/instance_masks"), tmp_path / "G")
    kshot(tmp_path / "G", runs=2)
    files = sorted((tmp_path / "G/RLE_annotations").rglob("train*.json"))
    assert len(files) == 6 + 2 * 5 * 2
    for path in files:
        coco = pycoco.COCO(str(path))
        mine = read_annotations(path)
        assert sorted(coco.anns) == sorted(mine.instances["id"].tolist())
        k = int(path.parts[-3].removesuffix("_shot")) if path.parts[-3].endswith("_shot") else 0
        assert len(coco.anns) >= k
        for annotation in coco.loadAnns(coco.getAnnIds())[:5]:
            assert coco.annToMask(annotation).sum() == annotation["area"]
