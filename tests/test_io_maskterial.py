"""maskmill.io.maskterial: a layout read back as a data set."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
from maskmill import FormatError
from maskmill.io import maskterial
from maskmill.studies.flakes import build, kshot, read_source, validate
from maskmill.studies.flakes.annotations import read_annotations
from maskmill.studies.flakes.predictions import read_results
from test_flakes_layout import project, squares


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("io")
    for split, side in (("train", 30), ("test", 31)):
        masks = project(
            folder / split, **{f"{split}_a": squares(side, 15, 10), f"{split}_b": squares(side, 18)}
        )
        build(read_source(masks), folder / "G", split=split, scale=0.5)
    kshot(folder / "G", shots=(1,), runs=2)
    return folder / "G"


def test_what_is_read(layout):
    assert maskmill.io.sniff(layout).name == "maskterial"
    data = maskmill.io.read(layout)
    assert data.masks.area.tolist() == [900, 225, 100, 900, 324]
    assert data.info["maskterial"] == {
        "file": "train_annotations_with_class_full.json", "material": "G", "missing": []
    }  # fmt: skip
    assert [a["original"] for a in data.images["attributes"]] == ["train_a.jpg", "train_b.jpg"]
    assert data.images["scale"].tolist() == [0.5, 0.5]
    for row in data.images:
        assert row["pixels"].read().shape == (row["height"], row["width"], 3)
        assert set(np.unique(row["semantic"].read())) == {0, 1}


@pytest.mark.parametrize(
    ("options", "file", "n"),
    [
        ({"split": "test"}, "test_annotations_with_class_full.json", 5),
        ({"size": "300"}, "train_annotations_with_class_300.json", 3),
        ({"size": "200", "with_class": False}, "train_annotations_200.json", 4),
        ({"shot": (1, 0)}, "train_annotations_with_class_300.json", None),
        ({"shot": (1, 1), "with_class": False}, "train_annotations_300.json", None),
    ],
)
def test_every_file(layout, options, file, n):
    data = maskmill.io.read(layout, **options)
    assert data.info["maskterial"]["file"] == file
    assert n is None or len(data.instances) == n
    assert all(photo is not None for photo in data.images["pixels"])


def test_missing_files(layout, tmp_path):
    import shutil

    part = shutil.copytree(layout, tmp_path / "G")
    for variant in [v for split in maskterial.SPLITS for v in maskterial.variants(split)]:
        if (variant.split, variant.size, variant.with_class) != ("test", "300", False):
            variant.path(part).unlink()
    shutil.rmtree(part / "meta_data")
    shutil.rmtree(part / "test_semantic_masks")
    data = maskmill.io.read(part)
    assert data.info["maskterial"]["file"] == "test_annotations_300.json"
    assert len(data.info["maskterial"]["missing"]) == 11
    assert data.images["attributes"].tolist() == data.images["semantic"].tolist() == [None, None]
    with pytest.raises(
        FormatError, match="expected annotations of split 'train', found test_annotations_300.json"
    ):
        maskmill.io.read(part, split="train")
    with pytest.raises(FormatError, match="found none"):
        maskmill.io.read(part, shot=(7, 7))


def test_a_layout_of_a_layout(layout, tmp_path):
    """What was read builds the same again."""
    build(read_source(layout), tmp_path / "H", names="keep")
    assert validate(tmp_path / "H").ok
    assert maskmill.io.read(tmp_path / "H").masks == maskmill.io.read(layout).masks


FILES = ("RLE_annotations/train_annotations_with_class_full.json", "meta_data/train_set_name_to_uuid.json")
SPLICES = (
    b"",
    b"\xff",
    b"null",
    b"[[[[",
    b'"../../x"',
    b"1e999",
    b"NaN",
    b"-1",
    b"9" * 40,
    b'{"a":' * 9,
    b'"',
    b"\0",
)


def complaint(call, *arguments):
    """What a reader says of a file; "" if it reads it. Any other exception is a fault."""
    try:
        call(*arguments)
    except FormatError as error:
        return str(error)
    return ""


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(which=st.integers(0, 1), at=st.floats(0, 1), length=st.integers(0, 60), new=st.sampled_from(SPLICES))
def test_damaged_files(layout, which, at, length, new):
    """An error that names the file, or a data set: never anything else; so do the readers of the study."""
    path = layout / FILES[which]
    good = path.read_bytes()
    start = int(at * len(good))
    try:
        path.write_bytes(good[:start] + new + good[start + length :])
        said = [complaint(maskmill.io.read, layout), complaint(read_annotations, layout / FILES[0])]
        assert all(path.name in message for message in said if message)
        assert complaint(validate, layout) == ""
    finally:
        path.write_bytes(good)


@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b'{"images": {}, "annotations": []}', b"\xff\xfe" + b"x" * 9]
)
def test_hostile_annotations(layout, content):
    path = layout / "RLE_annotations/test_annotations_full.json"
    good = path.read_bytes()
    try:
        path.write_bytes(content)
        for read in (read_annotations, read_results):
            with pytest.raises(FormatError, match="test_annotations_full.json"):
                read(path)
    finally:
        path.write_bytes(good)


def test_hostile_manifest(layout):
    path = layout / "RLE_annotations/kshot_manifest.json"
    good = path.read_bytes()
    try:
        for content in (
            b"[" * 100_000,
            b"3",
            json.dumps({"sources": {"../../x": "1"}, "draws": [{}]}).encode(),
        ):
            path.write_bytes(content)
            assert any(p.kind == "shot" for p in validate(layout).problems)
    finally:
        path.write_bytes(good)
