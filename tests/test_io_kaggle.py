"""Kaggle's run-length tables: every shape of them, runs in any order, hostile lines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
from annotations import assert_report, mutated, random_dataset, read_or_refused
from maskmill import FormatError
from maskmill.io import kaggle

SIZES = {"a.png": (3, 4), "b.png": (2, 2)}


def saved(path, text):
    path.write_text(text)
    return path


def decoded(text: str, size: tuple[int, int], order: str = "F") -> np.ndarray:
    """As every notebook does it."""
    numbers = [int(word) for word in text.split()]
    flat = np.zeros(size[0] * size[1], bool)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(size, order=order)


def test_plain(tmp_path):
    path = saved(tmp_path / "a.csv", "ImageId,EncodedPixels\na.png,1 2 5 3\nb.png,\na.png,12 1\nc.png,-1\n")
    read = maskmill.io.read(path, sizes=SIZES)
    assert read.images["file_name"].tolist() == ["a.png", "b.png", "c.png"]
    assert read.images["height"].tolist() == [3, 2, 0]
    assert read.instances["image"].tolist() == [0, 0]
    assert np.array_equal(read.masks[0].decode()[0], decoded("1 2 5 3", (3, 4)))
    assert np.array_equal(read.masks[1].decode()[0], decoded("12 1", (3, 4)))


@pytest.mark.parametrize(
    ("text", "names", "classes"),
    [
        ("ImageId,ClassId,EncodedPixels\na.png,3,1 2\nb.png,1,1 1\n", ["a.png", "b.png"], ["3", "1"]),
        (
            "ImageId_ClassId,EncodedPixels\na.png_3,1 2\na.png_4,\nb.png_1,1 1\n",
            ["a.png", "b.png"],
            ["3", "1"],
        ),
        ("Image_Label,EncodedPixels\na.png_Fish,1 2\na.png_Sugar,3 1\n", ["a.png"], ["Fish", "Sugar"]),
        ("img,rle_mask\r\na.png,1 2\r\n", ["a.png"], ["object"]),
        ("id,annotation,width,height,cell_type\na,1 2,4,3,astro\n", ["a"], ["astro"]),
        ('"ImageId","EncodedPixels"\n"a.png","1 2"\n', ["a.png"], ["object"]),
    ],
)
def test_shapes_of_tables(tmp_path, text, names, classes):
    read = maskmill.io.read(saved(tmp_path / "a.csv", text), sizes=SIZES)
    assert read.images["file_name"].tolist() == names
    assert read.category_names == classes
    assert read.masks[0].sizes.tolist() == [[3, 4]]


def test_ids_and_names_of_classes(tmp_path):
    path = saved(tmp_path / "a.csv", "ImageId,ClassId,EncodedPixels\na.png,3,1 2\nb.png,1,1 1\n")
    read = kaggle.read(path, sizes=SIZES, categories={"1": "scratch", "3": "dent", "4": "dirt"})
    assert dict(zip(read.categories["id"].tolist(), read.categories["name"], strict=True)) == {
        1: "scratch",
        3: "dent",
        4: "dirt",
    }
    assert read.category_names == ["dent", "scratch"]


def test_sizes_of_pictures(tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/a.png"), np.zeros((3, 4), np.uint8))
    path = saved(tmp_path / "a.csv", "ImageId,EncodedPixels\na,1 2\n")
    read = kaggle.read(path, images=tmp_path / "images")
    assert read.images["file_name"].tolist() == ["a.png"]
    assert read.masks.sizes.tolist() == [[3, 4]]
    assert read.images["pixels"][0].read().shape == (3, 4)
    with pytest.raises(
        FormatError, match=r"line 2: expected an image whose size is known; give images= or sizes="
    ):
        kaggle.read(path)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["column", "row"]))
def test_runs_in_any_order(tmp_path_factory, seed, order):
    """Unsorted, touching and overlapping runs are what painting them one after the other gives."""
    rng = np.random.default_rng(seed)
    lines, expected = ["ImageId,EncodedPixels"], []
    size = tuple(rng.integers(1, 9, 2).tolist())
    for _ in range(rng.integers(0, 5)):
        starts = rng.integers(1, size[0] * size[1] + 1, rng.integers(1, 7))
        lengths = [int(rng.integers(1, size[0] * size[1] + 2 - start)) for start in starts]
        text = " ".join(f"{a} {b}" for a, b in zip(starts, lengths, strict=True))
        lines.append(f"a,{text}")
        expected.append(decoded(text, size, "F" if order == "column" else "C"))
    path = saved(tmp_path_factory.mktemp("kaggle") / "a.csv", "\n".join(lines))
    read = kaggle.read(path, sizes={"a": size}, order=order)
    assert len(read.masks) == len(expected)
    for mask, own in zip(read.masks, expected, strict=True):
        assert np.array_equal(mask.decode()[0], own)


@pytest.mark.parametrize("order", ["column", "row"])
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_reports_are_what_pixels_say(tmp_path_factory, order, seed):
    path = tmp_path_factory.mktemp("kaggle") / "a.csv"
    dataset = random_dataset(seed)
    report = maskmill.io.write(dataset, path, order=order)
    rows = kaggle.write(dataset, path, order=order)
    columns = (dataset.images[name].tolist() for name in ("file_name", "height", "width"))
    sizes = {name: (h, w) for name, h, w in zip(*columns, strict=True)}
    after = kaggle.read(path, sizes=sizes, order=order)
    assert_report(report, dataset, after, rows)
    assert report.instances_lost == int((dataset.masks.area == 0).sum())
    assert (report.masks_changed, report.classes_changed, report.images_lost) == (0, 0, 0)


def test_written_lines(tmp_path):
    dataset = random_dataset(5)
    for classes, head in (("none", "ImageId"), ("joined", "ImageId_ClassId"), ("column", "ImageId,ClassId")):
        kaggle.write(dataset, tmp_path / "a.csv", classes=classes)
        lines = (tmp_path / "a.csv").read_text().splitlines()
        assert lines[0] == f"{head},EncodedPixels"
        assert lines[-1].endswith(",")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,1 2 3", "line 2: expected pairs of start and length, found '3 numbers'"),
        ("a.png,0 2", "line 2: expected runs within 1 and 12 of an image of 3 x 4 pixels, found '0 2'"),
        ("a.png,1 0", "line 2: expected runs within 1 and 12"),
        ("a.png,12 2", "line 2: expected runs within 1 and 12"),
        ("a.png,1 -2", "line 2: expected pairs of start and length, found '1 -2'"),
        ("a.png,1 99999999999999999999", "line 2: expected pairs of start and length"),
        ("a.png,nan 1", "line 2: expected pairs of start and length"),
        ("a.png", "line 2: expected 2 fields, found 1"),
        (",1 2", "line 2: expected the name of an image, found ''"),
    ],
)
def test_malformed_lines(tmp_path, line, message):
    path = saved(tmp_path / "a.csv", f"ImageId,EncodedPixels\n{line}\n")
    with pytest.raises(FormatError) as error:
        kaggle.read(path, sizes=SIZES)
    assert str(error.value).startswith(f"{path}: {message}")


def test_malformed_files(tmp_path):
    for text in ("", "a,b\n1,2\n", "ImageId\na\n", "EncodedPixels\n1 2\n"):
        with pytest.raises(FormatError, match="line 1: expected columns such as ImageId"):
            kaggle.read(saved(tmp_path / "a.csv", text))
    huge = "ImageId,EncodedPixels,Height,Width\na,1 1,16000000,16000000\n"
    with pytest.raises(FormatError, match="line 2: expected an image of at most 4294967295 pixels"):
        kaggle.read(saved(tmp_path / "a.csv", huge))
    wrong = "ImageId,EncodedPixels,Height,Width\na,1 1,-3,1e9\n"
    with pytest.raises(FormatError, match="line 2: height: expected a whole number from 1"):
        kaggle.read(saved(tmp_path / "a.csv", wrong))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_rubbish_is_read_or_refused(tmp_path, seed):
    path = tmp_path / "fuzzed.csv"
    text = b'ImageId,ClassId,EncodedPixels,Height,Width\na,1,1 2 5 3,3,4\n"b ""x""",2,"1 2",9,9\nc,,,,\n'
    path.write_bytes(mutated(text, np.random.default_rng(seed)))
    read_or_refused(kaggle.read, path)
