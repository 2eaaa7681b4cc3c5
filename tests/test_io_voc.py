"""Pascal VOC: by hand, against labelme's converters, to and fro, damaged."""

from __future__ import annotations

import io as streams
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from annotated import a_ring, from_arrays, mutated, reads_or_says_why
from maskmill import FormatError, io
from maskmill.dataset import objects
from maskmill.dataset.loss import compared
from maskmill.io import voc
from maskmill.io._palette import write_indexed

XML = """<annotation>
  <folder>VOC2012</folder><filename>a b.jpg</filename>
  <size><width>20</width><height>10</height><depth>3</depth></size>
  <object>
    <name>person</name><pose>Left</pose><truncated>1</truncated><difficult>0</difficult>
    <bndbox><xmin>3</xmin><ymin>2</ymin><xmax>6</xmax><ymax>9</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>4</xmax><ymax>3</ymax></bndbox></part>
    <attributes><attribute><name>age</name><value>7</value></attribute></attributes>
  </object>
  <object><name>kite</name><bndbox><xmin>1.5</xmin><ymin>1</ymin><xmax>2</xmax><ymax>1</ymax></bndbox></object>
</annotation>
"""


def png(path, numbers):
    file = streams.BytesIO()
    write_indexed(file, np.asarray(numbers, np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())


def test_boxes_and_attributes(tmp_path):
    (tmp_path / "a b.xml").write_text(XML)
    found = io.read(tmp_path / "a b.xml")
    assert found.images["file_name"].tolist() == ["a b.jpg"]
    assert (found.images["height"][0], found.images["width"][0]) == (10, 20)
    assert found.category_names == ["person", "kite"]
    assert found.instances["bbox"].tolist() == [[2, 1, 4, 8], [0.5, 0, 1.5, 1]]
    head = {"name": "head", "bbox": [2, 1, 2, 2]}
    assert found.instances["attributes"][0] == {
        "difficult": 0, "truncated": 1, "pose": "Left", "age": 7, "parts": [head],
    }  # fmt: skip
    assert io.read(tmp_path, corners="edges").instances["bbox"].tolist()[0] == [3, 2, 3, 7]


def test_labelme_boxes(data):
    folder = data / "labelme" / "bbox_detection"
    found = io.read(folder / "expected_voc" / "Annotations", corners="edges")
    shapes = json.loads((folder / "data_annotated" / "2011_000006.json").read_text())["shapes"]
    corners = np.array([shape["points"] for shape in shapes])
    low, high = corners.min(1), corners.max(1)
    assert np.allclose(found.instances["bbox"], np.concatenate([low, high - low], 1))
    assert found.category_names == [shape["label"] for shape in shapes]


def test_labelme_objects(data):
    """Its PNGs without XML; class -1 of the .npy is void, whose objects are nobody's."""
    folder = data / "labelme" / "instance_segmentation" / "expected_voc"
    found = io.read(folder)
    assert len(found) == 3
    for i, image in enumerate(found.images):
        objects_ = np.load(folder / "SegmentationObjectNpy" / f"{image['file_name']}.npy")
        classes = np.load(folder / "SegmentationClassNpy" / f"{image['file_name']}.npy")
        rows = found.rows_of_image(i)
        values = np.unique(objects_)[1:]
        assert np.array_equal(found.masks[rows].labels(values), objects_)
        painted = found.masks[rows].labels(found.categories["id"][found.instances["category"][rows]])
        assert np.array_equal(np.where(classes > 0, classes, 0), painted)
        assert np.array_equal(image["semantic"].read().astype(np.uint8), classes.astype(np.uint8))


def test_pixels_belong_to_the_object_of_their_number(tmp_path):
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(XML)
    numbers, classes = np.zeros((10, 20)), np.zeros((10, 20))
    numbers[1:9, 2:6], classes[1:9, 2:6] = 1, 15  # person
    numbers[0, 0:3], classes[0, 0:3] = 2, 1  # says aeroplane, the XML kite
    numbers[9, 9:12], classes[9, 9:12] = 7, 12  # nobody's number
    numbers[9, 19] = classes[9, 19] = 255
    png(tmp_path / "SegmentationObject" / "a.png", numbers)
    png(tmp_path / "SegmentationClass" / "a.png", classes)
    found = io.read(tmp_path)
    assert found.category_names == ["person", "kite", "aeroplane", "dog"]
    assert found.masks.area.tolist() == [32, 0, 3, 3]
    assert found.categories["id"][found.instances["category"]].tolist() == [15, 21, 1, 12]


def test_round_trip(tmp_path, rng):
    labels = rng.integers(0, 5, (17, 23))
    images = [
        ("ü b.png", [(labels == i, i % 3) for i in range(1, 5)]),
        ("c/d.png", [(a_ring(9, 12), 2), (np.eye(9, 12) * 0 > 0, 1)]),
        ("none.png", []),
    ]
    dataset = from_arrays(images, ["a", "b & <c>", "ä 😀"])
    attributes = [
        {"difficult": 1, "n": 3, "s": "3", "t": "true story", "l": [1, None]},
        None,
        {"pose": "Rear"},
    ]
    dataset = dataset.replace(
        instances=dataset.instances.with_columns(attributes=objects([*attributes, None, None, None])),
        images=dataset.images.with_columns(attributes=objects([{"split": "val"}, None, {"split": "train"}])),
    )
    for corners in ("voc", "edges"):
        rows = voc.write(dataset, tmp_path / corners, corners=corners)
        found = io.read(tmp_path / corners, corners=corners)
        assert found.images["file_name"].tolist() == ["c/d.png", "none.png", "ü b.png"]
        assert compared(dataset, found, rows, "voc").lossless
        assert found.images["attributes"].tolist() == [None, {"split": "train"}, {"split": "val"}]
        assert np.array_equal(found.instances["bbox"], dataset.instances["bbox"][rows])


def test_report_of_what_one_number_a_pixel_cannot_hold(tmp_path):
    over = [(np.ones((4, 4), bool), 0), (np.eye(4, dtype=bool), 0)]
    report = io.write(from_arrays([("a.png", over)], ["x"]), tmp_path / "a", "voc")
    assert (report.masks_changed, report.pixels_lost, report.pixels_gained) == (1, 4, 0)
    many = [(np.arange(400).reshape(20, 20) == i, 0) for i in range(300)]
    report = io.write(from_arrays([("a.png", many)], ["x"]), tmp_path / "b", "voc")
    assert (report.masks_changed, report.pixels_lost, report.instances_lost) == (46, 46, 0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "<xmin>3</xmin><ymin>2</ymin><xmax>6",
            "<xmin>nan</xmin><ymin>2</ymin><xmax>6",
            r"object\[0\]/bndbox/xmin: ",
        ),
        ("<xmax>6<", "<xmax>1e300<", r"object\[0\]/bndbox/xmax: "),
        ("<xmin>1.5</xmin>", "", r"object\[1\]/bndbox/xmin"),
        ("<width>20<", "<width>999999999<", "size/width"),
        ("<difficult>0<", "<difficult>maybe<", r"object\[0\]/difficult"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, said):
    (tmp_path / "a.xml").write_text(XML.replace(old, new, 1))
    with pytest.raises(FormatError, match=rf"a\.xml: {said}"):
        voc.read(tmp_path / "a.xml")


def test_sizes_must_agree(tmp_path):
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(XML)
    png(tmp_path / "SegmentationObject" / "a.png", np.ones((3, 4)))
    with pytest.raises(FormatError, match="10 x 20 pixels"):
        voc.read(tmp_path)


def test_too_many_classes(tmp_path):
    dataset = from_arrays([("a.png", [])], [str(i) for i in range(255)])
    with pytest.raises(ValueError, match="at most 254"):
        voc.write(dataset, tmp_path / "a")
    voc.write(dataset, tmp_path / "a", masks=False)
    with pytest.raises(FileExistsError, match="without annotations"):
        voc.write(dataset, tmp_path / "a", masks=False)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(xml=mutated(XML.encode(), (b"&lt;", b"<object>", b"../../x", b"<!DOCTYPE a [")))
def test_damaged(tmp_path, xml):
    (tmp_path / "a.xml").write_bytes(xml)
    reads_or_says_why(lambda: voc.read(tmp_path / "a.xml"))
