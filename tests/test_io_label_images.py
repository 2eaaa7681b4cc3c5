"""Label images: numbers of every width and code, classes, side files, what overlaps lose."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskmill.io
from annotations import assert_report, mutated, mutated_json, random_dataset, read_or_refused
from maskmill import Dataset, FormatError, Masks
from maskmill.dataset import objects
from maskmill.io import label_images

LABELS = np.array([[0, 1, 1], [3, 3, 0]])


def png(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), labels)
    return path


def dataset_of(labels: np.ndarray, categories=(1, 2), classes=None) -> Dataset:
    masks, numbers = Masks.from_labels(labels)
    return Dataset(
        {"file_name": objects(["a.jpg"]), "height": [labels.shape[0]], "width": [labels.shape[1]]},
        {"id": list(categories), "name": objects([f"class {i}" for i in categories])},
        {"category": np.zeros(len(numbers), np.int64) if classes is None else classes},
        masks,
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_image(tmp_path, dtype):
    read = maskmill.io.read(png(tmp_path / "a.png", LABELS.astype(dtype)))
    assert read.instances["label"].tolist() == [1, 3]
    assert read.masks.labels([1, 3]).tolist() == LABELS.tolist()
    assert read.category_names == ["object", "object"]


def test_codes_of_numbers(tmp_path):
    big = LABELS.astype(np.uint32) * 70_000
    colours = np.stack([big & 255, big >> 8 & 255, big >> 16], 2).astype(np.uint8)
    png(tmp_path / "a.png", colours[..., ::-1])
    assert label_images.read(tmp_path / "a.png").instances["label"].tolist() == [70_000, 210_000]
    pil = pytest.importorskip("PIL.Image")
    indexed = pil.fromarray(LABELS.astype(np.uint8), "P")
    indexed.putpalette([9, 9, 9] * 256)
    indexed.save(tmp_path / "p.png")
    assert label_images.read(tmp_path / "p.png").instances["label"].tolist() == [1, 3]
    bits = pil.fromarray(LABELS.astype(np.uint8) > 0)
    bits.save(tmp_path / "bits.png")
    assert label_images.read(tmp_path / "bits.png").instances["label"].tolist() == [1]
    tifffile = pytest.importorskip("tifffile")
    for dtype in (np.uint8, np.int16, np.uint32):
        tifffile.imwrite(tmp_path / "t.tif", LABELS.astype(dtype))
        assert label_images.read(tmp_path / "t.tif").instances["label"].tolist() == [1, 3]


def test_classes(tmp_path):
    labels = np.array([[7, 7, 0, 7], [2, 0, 0, 0]], np.uint8)
    path = png(tmp_path / "a.png", labels)
    read = maskmill.io.read(path, values="classes", categories={7: "water", 9: "sand"})
    assert read.categories["id"].tolist() == [2, 7, 9]
    assert read.category_names == ["2", "water"]
    assert np.array_equal(read.images["semantic"][0].read(), labels)
    parts = maskmill.io.read(path, values="classes", components=True)
    assert parts.category_names == ["2", "7", "7"]
    assert parts.masks.area.tolist() == [1, 2, 1]


@pytest.mark.parametrize(("n", "dtype"), [(255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_as_many_bits_as_needed(tmp_path, n, dtype, suffix):
    labels = np.arange(70_400).reshape(220, 320)
    labels[labels > n] = 0
    dataset = dataset_of(labels)
    report = maskmill.io.write(dataset, tmp_path / "out", "label_images", suffix=suffix)
    assert report.lossless, str(report)
    stored = cv2.imread(str(tmp_path / f"out/a{suffix}"), cv2.IMREAD_UNCHANGED)
    if dtype != np.uint32:
        assert stored.dtype == dtype
    elif suffix == ".png":
        assert stored.shape == (220, 320, 3)


@pytest.mark.parametrize("values", ["instances", "classes"])
@pytest.mark.parametrize("overlap", ["later", "earlier"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_reports_are_what_pixels_say(tmp_path_factory, values, overlap, seed):
    folder = tmp_path_factory.mktemp("labels")
    dataset = random_dataset(seed)
    options = {"values": values, "overlap": overlap}
    report = maskmill.io.write(dataset, folder, "label_images", **options)
    rows = label_images.write(dataset, folder, **options)
    after = label_images.read(folder)
    assert_report(report, dataset, after, rows)
    assert report.images_lost == 0
    assert report.classes_changed == 0
    assert after.images["file_name"].tolist() == dataset.images["file_name"].tolist()
    assert np.array_equal(after.sizes, dataset.sizes[rows])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_what_does_not_overlap_comes_back(tmp_path_factory, seed):
    report = maskmill.io.write(
        random_dataset(seed, overlap=False), tmp_path_factory.mktemp("labels"), "label_images"
    )
    assert report.masks_kept, str(report)


def test_ids_that_are_no_numbers_of_pixels(tmp_path):
    dataset = dataset_of(LABELS, categories=(0, -5), classes=[0, 1])
    report = maskmill.io.write(dataset, tmp_path / "out", "label_images", values="classes")
    assert report.masks_kept, str(report)
    assert label_images.read(tmp_path / "out").categories["id"].tolist() == [1, 2]


def test_semantic_images_without_instances(tmp_path):
    path = png(tmp_path / "a.png", np.array([[4, 4], [0, 9]], np.uint8))
    read = maskmill.io.read(path, values="classes").take(instances=[])
    report = maskmill.io.write(read, tmp_path / "out", "label_images", values="classes")
    assert (report.instances_gained, report.pixels_gained) == (2, 0)
    again = maskmill.io.read(tmp_path / "out")
    assert again.categories["id"].tolist() == [4, 9]
    assert again.masks.area.tolist() == [2, 1]


def test_pictures_by_name(tmp_path):
    for name in ("one", "deep/two"):
        png(tmp_path / f"labels/{name}.png", LABELS.astype(np.uint8))
    png(tmp_path / "pictures/deep/two.jpg", np.zeros((2, 3, 3), np.uint8))
    read = maskmill.io.read(tmp_path / "labels", images=tmp_path / "pictures")
    assert read.images["file_name"].tolist() == ["deep/two.jpg", "one.png"]
    assert read.images["pixels"][0].read().shape == (2, 3, 3)
    assert read.images["pixels"][1] is None


def test_a_file_for_one_image(tmp_path):
    dataset = dataset_of(LABELS, classes=[1, 0])
    assert maskmill.io.write(dataset, tmp_path / "x.png").masks_kept
    two = Dataset(
        {"file_name": objects(["a", "b"]), "height": [1, 1], "width": [1, 1]}, {}, {}, Masks.empty()
    )
    with pytest.raises(ValueError, match="must be a folder for 2 images"):
        label_images.write(two, tmp_path / "y.png")


def test_wrong_files(tmp_path):
    with pytest.raises(FormatError, match="expected label images"):
        label_images.read(tmp_path)
    cases = {"float.tif": np.zeros((2, 3), np.float32), "deep.png": np.zeros((2, 3, 3), np.uint16)}
    for name, image in cases.items():
        with pytest.raises(FormatError, match=f"{name}: expected one whole number per pixel"):
            label_images.read(png(tmp_path / name, image))
    with pytest.raises(ValueError, match="values must be one of"):
        label_images.read(tmp_path / "float.tif", values="kinds")


def test_a_small_file_of_many_pixels(tmp_path):
    path = png(tmp_path / "a.png", LABELS.astype(np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = (40_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    with pytest.raises(
        FormatError, match="expected an image of at most 536870912 pixels, found 40000 x 40000"
    ):
        label_images.read(path)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_rubbish_is_read_or_refused(tmp_path, seed):
    rng = np.random.default_rng(seed)
    folder = tmp_path / "fuzzed"
    label_images.write(random_dataset(seed % 7), folder, values=["instances", "classes"][seed % 2])
    side = folder / "labels.json"
    content = json.loads(side.read_bytes())
    side.write_text(json.dumps(mutated_json(content, rng)))
    read_or_refused(label_images.read, folder)
    side.write_bytes(mutated(json.dumps(content).encode(), rng))
    read_or_refused(label_images.read, folder)
    image = folder / "picture 0.png"
    image.write_bytes(mutated(image.read_bytes(), rng))
    read_or_refused(label_images.read, image)


def test_dsb2018_to_coco_and_back(data, tmp_path):
    """28,986 instances of 664 images, none of which overlap here: what overlapped was painted over by its authors."""
    folder = data / "dsb2018"
    read = maskmill.io.read(folder / "labels", "label_images", images=folder / "images")
    with open(folder / "index.csv", newline="") as file:
        index = {row["image"]: row for row in csv.DictReader(file)}
    assert (len(read), len(read.instances)) == (664, 28_986)
    assert sum(reference is not None for reference in read.images["pixels"]) == 250
    stems = [name.removesuffix(".png") for name in read.images["file_name"]]
    areas = np.bincount(read.instances["image"], read.masks.area.astype(float), len(read)).astype(int)
    for i, name in enumerate(stems):
        row = index[name]
        assert len(read.rows_of_image(i)) == int(row["instances"])
        assert areas[i] + int(row["overlap_pixels"]) == int(row["mask_pixels_total"])
        assert (read.images["height"][i], read.images["width"][i]) == (int(row["height"]), int(row["width"]))
    report = maskmill.io.write(read, tmp_path / "dsb.json", polygons=False)
    assert report.lossless, str(report)
    coco = maskmill.io.read(tmp_path / "dsb.json")
    assert maskmill.io.write(coco, tmp_path / "back", "label_images").masks_kept
    for name in sorted(index)[::40]:
        ours, theirs = (
            cv2.imread(str(path / f"{name}.png"), cv2.IMREAD_UNCHANGED)
            for path in (tmp_path / "back", folder / "labels")
        )
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("ids", [[1, 2], [7, 3], [0, 5]])
def test_label_images_of_classes_keep_them_whatever_their_ids(tmp_path, ids):
    labels = np.array([0, *ids], np.uint8)[[[0, 1, 1], [2, 2, 0]]]
    before = maskmill.io.read(png(tmp_path / "a.png", labels), "label_images", values="classes")
    categories = {"id": ids, "name": ["grain", "void"]}
    named = before.replace(categories=categories, instances={}, shapes=Masks.empty())
    maskmill.io.write(named, tmp_path / "out", "label_images", values="classes")
    after = maskmill.io.read(tmp_path / "out", "label_images", values="classes")

    def names(dataset):
        of = dict(zip(dataset.categories["id"].tolist(), dataset.categories["name"], strict=True))
        return [of[v] if v else None for v in dataset.images["semantic"][0].read().ravel().tolist()]

    assert names(after) == names(named)
