"""One PNG per instance, nested and flat."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
from annotations import assert_report, mutated, random_dataset, read_or_refused
from maskmill import FormatError
from maskmill.io import instance_pngs


def png(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


def mask(*at, size=(3, 4), value=255):
    out = np.zeros(size, np.uint8)
    for y, x in at:
        out[y, x] = value
    return out


def test_nested(tmp_path):
    png(tmp_path / "one/masks/b.png", mask((0, 1)))
    png(tmp_path / "one/masks/a.png", mask((0, 1), (2, 2), value=1))
    png(tmp_path / "one/images/one.png", np.zeros((3, 4, 3), np.uint8))
    png(tmp_path / "two/images/x.jpg", np.zeros((5, 6, 3), np.uint8))
    (tmp_path / "two/masks").mkdir()
    (tmp_path / "three/masks").mkdir(parents=True)
    read = maskmill.io.read(tmp_path, sizes={"three": (7, 8)}, category="nucleus")
    assert read.images["file_name"].tolist() == ["one.png", "three.png", "x.jpg"]
    assert read.images["height"].tolist() == [3, 7, 5]
    assert read.masks.area.tolist() == [2, 1]
    assert read.category_names == ["nucleus"] * 2
    assert read.images["pixels"][2].read().shape == (5, 6, 3)
    single = maskmill.io.read(tmp_path / "one")
    assert single.images["file_name"].tolist() == ["one.png"]


def test_flat(tmp_path):
    for name in ("a_10", "a_9", "b c_0", "other"):
        png(tmp_path / f"{name}.png", mask((0, len(name) % 4)))
    read = maskmill.io.read(tmp_path, "instance_pngs")
    assert read.images["file_name"].tolist() == ["a.png", "b c.png"]
    assert read.masks.bbox[:, 0].tolist() == [3, 0, 1]


@pytest.mark.parametrize("layout", ["nested", "flat"])
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_reports_are_what_pixels_say(tmp_path_factory, layout, seed):
    folder = tmp_path_factory.mktemp("pngs")
    dataset = random_dataset(seed, classes=1)
    if layout == "flat" and not len(dataset.instances):
        return
    report = maskmill.io.write(dataset, folder, "instance_pngs", layout=layout)
    rows = instance_pngs.write(dataset, folder, layout=layout)
    after = instance_pngs.read(folder, layout=layout)
    assert_report(report, dataset, after, rows)
    assert (report.instances_lost, report.masks_changed) == (0, 0)
    assert report.images_lost == (
        0 if layout == "nested" else len(dataset) - len(np.unique(dataset.instances["image"]))
    )


def test_overlap_is_kept(tmp_path):
    dataset = random_dataset(2)
    assert (dataset.masks[0] & dataset.masks[1]).area[0] > 0
    assert maskmill.io.write(dataset, tmp_path / "out", "instance_pngs").masks_changed == 0


def test_other_masks_are_in_the_way(tmp_path):
    png(tmp_path / "picture 0/masks/9.png", mask((0, 0)))
    with pytest.raises(FileExistsError, match="must hold nothing of the kind yet"):
        instance_pngs.write(random_dataset(2), tmp_path)


def test_wrong_files(tmp_path):
    with pytest.raises(FormatError, match="expected PNGs of instances"):
        instance_pngs.read(tmp_path)
    png(tmp_path / "a/masks/1.png", mask((0, 0)))
    png(tmp_path / "a/masks/2.png", mask((0, 0), size=(4, 3)))
    with pytest.raises(FormatError, match=r"2\.png: expected the size \[3, 4\] of 1\.png, found \[4, 3\]"):
        instance_pngs.read(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_rubbish_is_read_or_refused(tmp_path, seed):
    file = png(tmp_path / "fuzzed/a/masks/1.png", mask((0, 0), (1, 2)))
    png(tmp_path / "fuzzed/a/masks/2.png", mask((0, 0)))
    file.write_bytes(mutated(file.read_bytes(), np.random.default_rng(seed)))
    read_or_refused(instance_pngs.read, tmp_path / "fuzzed")


def test_dsb2018_one_by_one(data, tmp_path):
    """The corrected masks, taken apart as they were given out."""
    labels = maskmill.io.read(data / "dsb2018/labels", "label_images").take(images=np.arange(0, 664, 40))
    assert maskmill.io.write(labels, tmp_path / "stage1", "instance_pngs").masks_kept
