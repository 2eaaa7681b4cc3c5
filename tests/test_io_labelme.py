"""labelme 4 and 5: by hand, to and fro, damaged, and labelme's own examples with the outputs of its converters."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from annotated import a_ring, from_arrays, mutated, mutated_json, reads_or_says_why
from maskmill import FormatError, Masks, io
from maskmill.io import labelme
from test_io_via import drawn as drawn_by_hand

Image = pytest.importorskip("PIL.Image")


def png(array):
    return base64.b64encode(cv2.imencode(".png", np.asarray(array, np.uint8))[1].tobytes()).decode()


def shape(kind, points, label="grain", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


SHAPES = [
    shape("polygon", [[1, 1], [8, 1.5], [7, 6]], description="sharp"),
    shape("rectangle", [[9, 8], [3, 4]], "void"),
    shape("circle", [[10, 10], [13, 10]], flags={"blurred": True}),
    shape("line", [[2, 2], [15, 12]]),
    shape("linestrip", [[2, 15], [8, 10], [15, 16]]),
    shape("point", [[6, 6]]),
    shape("oriented_rectangle", [[2, 2], [6, 2], [6, 5], [2, 5]]),
    shape("mask", [[3.4, 5], [6.4, 7]], mask=png(np.eye(3, 4)), other=[1]),
]


def content(*shapes, name="a.png", size=(20, 24), **more):
    return {
        "version": "5.0.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": name,
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
        **more,
    }


def put(path, what, name="a.json"):
    file = path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(what), encoding="utf-8")
    return file


def test_every_shape_as_labelme_paints_it(tmp_path):
    found = io.read(put(tmp_path, content(*SHAPES)))
    kinds = [3, 2, 2, 2, 2, 2, 3, 2]
    assert found.shapes.kind.tolist() == kinds
    masks = found.masks.decode()
    assert masks[1].nonzero()[0].min() == 4
    assert masks[1].sum() == 5 * 7  # both corners are in it
    assert masks[5].sum() == 97  # a disc of radius 5
    assert masks[6].sum() == 5 * 4
    assert (np.argwhere(masks[7]) == [[5, 3], [6, 4], [7, 5]]).all()
    assert found.category_names == ["grain", "void", *["grain"] * 6]
    assert found.instances["attributes"].tolist() == [
        {"description": "sharp"},
        None,
        {"flags": {"blurred": True}},
        None,
        None,
        None,
        None,
        {"other": [1]},
    ]


def test_other_rules_keep_shapes_as_they_are(tmp_path):
    found = io.read(put(tmp_path, content(*SHAPES)), rule="even-odd")
    assert found.shapes.kind.tolist() == [3, 4, 5, 8, 9, 7, 3, 2]
    assert found.masks.area[1] == 24
    assert found.masks.area[3:6].tolist() == [0, 0, 0]
    coco = io.read(put(tmp_path, content(*SHAPES)), rule="coco")
    assert coco.masks[0] == Masks.from_polygons([[SHAPES[0]["points"]]], (20, 24), rule="coco")


def test_corners_of_masks(tmp_path):
    """Whole numbers: both corners are inside; others are rounded, and the patch has its own size."""
    full = png(np.ones((4, 6)))
    cases = [
        ([[2, 3], [7, 6]], (3, 7, 2, 8)),
        ([[2, 3], [5, 4]], (3, 5, 2, 6)),
        ([[1.6, 2.5], [5, 4]], (2, 6, 2, 8)),
        ([[-2, 18], [3, 21]], (18, 20, 0, 4)),
        ([[500, 3], [505, 6]], (0, 0, 0, 0)),
    ]
    found = io.read(put(tmp_path, content(*(shape("mask", corners, mask=full) for corners, _ in cases))))
    for mask, (_, (top, bottom, left, right)) in zip(found.masks.decode(), cases, strict=True):
        expected = np.zeros((20, 24), bool)
        expected[top:bottom, left:right] = True
        assert (mask == expected).all()


@pytest.mark.parametrize("rule", ["labelme", "coco", "even-odd", "coverage"])
def test_groups_are_unions(tmp_path, rule):
    a, b = [[1, 1], [8, 1], [8, 8], [1, 8]], [[4, 4], [12, 4], [12, 12], [4, 12]]
    shapes = [
        shape("polygon", a, group_id=0),
        shape("polygon", a, group_id=1),
        shape("polygon", b, group_id=0),
        shape("polygon", b, "void", group_id=0),
        shape("circle", [[10, 10], [13, 10]], group_id=1),
    ]
    found = io.read(put(tmp_path, content(*shapes)), rule=rule)
    single = io.read(put(tmp_path, content(*({**s, "group_id": None} for s in shapes)), "b.json"), rule=rule)
    expected = [single.masks[[0, 2]].union(), single.masks[[1, 4]].union(), single.masks[[3]]]
    assert found.masks == Masks.concatenate(expected)
    assert found.category_names == ["grain", "grain", "void"]


def test_ignore_and_labels(tmp_path):
    file = put(
        tmp_path, content(SHAPES[0], {**SHAPES[1], "label": "__ignore__"}, {**SHAPES[1], "label": "new"})
    )
    found = io.read(file)
    assert found.category_names == ["grain", "", "new"]
    assert found.instances["iscrowd"].tolist() == [False, True, False]
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nvoid\ngrain\n")
    for labels in (tmp_path / "labels.txt", ["__ignore__", "_background_", "void", "grain"]):
        found = io.read(file, labels=labels)
        assert found.categories["name"].tolist() == ["void", "grain", "new"]
        assert found.categories["id"].tolist() == [1, 2, 3]
    assert io.read(file, labels=["void", "grain"]).categories["id"].tolist() == [0, 1, 2]


def test_which_picture(tmp_path):
    image = np.arange(48, dtype=np.uint8).reshape(6, 8)
    for name in ("a.png", "other.png", "sub/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), image)
    put(tmp_path, content(name="a.json", size=(None, None)))
    put(tmp_path, content(name="..\\x\\other.png", size=(None, None)), "c.json")
    put(tmp_path, content(name="gone.png", size=(None, None), imageData=png(image)), "d.json")
    put(tmp_path, content(name="", size=(None, None), imageData=png(image)), "e.json")
    put(tmp_path, content(name="gone.png", size=(None, 8)), "sub/b.json")
    put(tmp_path, {"images": []}, "not-labelme.json")
    found = io.read(tmp_path, "labelme")
    assert found.images["file_name"].tolist() == ["a.png", "other.png", "gone.png", "e.png", "sub/b.jpg"]
    assert found.images["height"].tolist() == [6] * 5
    assert found.images["width"].tolist() == [8] * 5
    assert all(p.read().shape == (6, 8) for p in found.images["pixels"])
    assert (found.images["pixels"][2].read() == image).all()


def test_flags_of_pictures(tmp_path):
    found = io.read(put(tmp_path, content(flags={"cat": True}, more=1)))
    assert found.images["attributes"].tolist() == [{"flags": {"cat": True}, "more": 1}]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (shape("star", [[1, 1]]), r"shapes\[1\]\.shape_type: expected one of polygon, .*found 'star'"),
        (shape("polygon", [[1, 1], [2]]), r"shapes\[1\]\.points\[1\]: expected x and y, found \[2\]"),
        (shape("polygon", [[1, 1], [2, None]]), r"shapes\[1\]\.points\[1\]: expected a number, found None"),
        (shape("polygon", [[1, 1], [2, float("nan")]]), r"shapes\[1\]\.points\[1\]: expected a number"),
        (shape("polygon", None), r"shapes\[1\]\.points: expected an array"),
        (shape("circle", [[1, 1]]), r"shapes\[1\]\.points: expected 2 points of a circle"),
        (shape("circle", [[1, 1], [90000, 1]]), r"shapes\[1\]: a circle must be at most 50000 pixels across"),
        (shape("linestrip", [[1, 1]]), r"shapes\[1\]\.points: expected 2 points of a linestrip, or more"),
        (shape("mask", [[1, 1], [2, 2]]), r"shapes\[1\]\.mask: expected a PNG as base64, found None"),
        (shape("mask", [[1, 1], [2, 2]], mask="&"), r"shapes\[1\]\.mask: expected"),
        (
            shape("mask", [[1, 1], [2, 2]], mask=png(np.ones((50, 9)))),
            r"expected a mask within 20 x 24 .*50 x 9",
        ),
        (shape("point", [[1, 1]], None), r"shapes\[1\]\.label: expected text, found None"),
        (shape("point", [[1, 1]], group_id=[1]), r"shapes\[1\]\.group_id: expected text"),
        (shape("point", [[1, 1]], maskmill={"rule": "x"}), r"shapes\[1\]\.maskmill\.rule: expected one of"),
        (3, r"shapes\[1\]: expected an object, found 3"),
    ],
)
def test_errors_name_shape_and_field(tmp_path, bad, says):
    with pytest.raises(FormatError, match=says) as raised:
        io.read(put(tmp_path, content(SHAPES[0], bad)))
    assert str(tmp_path / "a.json") in str(raised.value)


def test_wrong_options(tmp_path):
    file = put(tmp_path, content(SHAPES[0]))
    with pytest.raises(ValueError, match="rule must be one of"):
        io.read(file, rule="x")
    found = io.read(file)
    for options in ({"rule": "x"}, {"masks": "x"}):
        with pytest.raises(ValueError, match="must be "):
            io.write(found, tmp_path / "out", "labelme", **options)
    io.write(found, tmp_path / "out", "labelme")
    with pytest.raises(FileExistsError, match="must be a folder without JSONs"):
        io.write(found, tmp_path / "out", "labelme")
    with pytest.raises(ValueError, match="path must be a folder, as there are 2 images"):
        io.write(found.take([0, 0]), tmp_path / "out.json", "labelme")


# Writing


def test_unchanged_files_come_back(tmp_path):
    before = content(*SHAPES, flags={"a": True}, own=3)
    found = io.read(put(tmp_path, before))
    report = io.write(found, tmp_path / "out", "labelme")
    assert report.lossless, report
    after = json.loads((tmp_path / "out" / "a.json").read_bytes())
    assert json.dumps(after) == json.dumps(before)


def test_embedded_pictures(tmp_path):
    image = png(np.zeros((20, 24)))
    found = io.read(put(tmp_path, content(SHAPES[0], imageData=image)))
    io.write(found, tmp_path / "b.json", "labelme")
    assert json.loads((tmp_path / "b.json").read_bytes())["imageData"] == image
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((20, 24), np.uint8))
    found = io.read(put(tmp_path, content(name="c.png"), "c.json"))
    io.write(found, tmp_path / "out", "labelme", embed=True)
    made = json.loads((tmp_path / "out" / "c.json").read_bytes())
    assert base64.b64decode(made["imageData"]) == (tmp_path / "c.png").read_bytes()


def test_paths_of_pictures_are_relative(tmp_path):
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a.png"), np.zeros((9, 11), np.uint8))
    found = io.read(put(tmp_path, content()), images=tmp_path / "pictures")
    fresh = found.replace(images=found.images.without("labelme"))
    io.write(fresh, tmp_path / "out", "labelme")
    assert json.loads((tmp_path / "out" / "a.json").read_bytes())["imagePath"] == "../pictures/a.png"


@pytest.mark.parametrize("options", [{}, {"masks": "polygons"}, {"rule": "coco"}, {"rule": "even-odd"}])
def test_masks_with_holes_and_parts(tmp_path, options):
    full = np.ones((9, 11), bool)
    dataset = from_arrays(
        [("a.png", [(a_ring(9, 11), 0), (full, 1)]), ("sub/b.png", []), ("c.png", [(~a_ring(9, 11), 1)])],
        ["grain", "void"],
    )
    report = io.write(dataset, tmp_path / "out", "labelme", **options)
    assert report.lossless, report


@pytest.mark.parametrize("rule", ["even-odd", "coco", "labelme", "coverage"])
def test_everything_that_is_not_labelme_s_own(tmp_path, rule):
    dataset = drawn_by_hand(rule)
    report = io.write(dataset, tmp_path / "out", "labelme")
    traced = 1 + (rule not in ("coco", "labelme"))  # the ellipse, and two rings that may be a hole
    assert report.vertices_lost == traced, report
    assert not any(v for k, v in report._losses().items() if k != "vertices_lost"), report


def test_what_changed_is_written_anew(tmp_path):
    found = io.read(put(tmp_path, content(*SHAPES, {**SHAPES[0], "label": "__ignore__"})))
    category = found.instances["category"].copy()
    category[0] = 1
    changed = found.replace(instances=found.instances.with_columns(category=category)).take(
        instances=[7, 0, 1, 8]
    )
    report = io.write(changed, tmp_path / "out", "labelme")
    assert report.lossless, report
    made = json.loads((tmp_path / "out" / "a.json").read_bytes())["shapes"]
    assert made[0] == SHAPES[7]
    assert made[1]["label"] == "void"
    resized = changed.replace(
        images=changed.images.with_columns(height=[5], width=[5]), shapes=changed.shapes.take([1, 1, 3, 3])
    )
    assert io.write(resized, tmp_path / "small", "labelme").masks_changed == 0


# Damaged files


HANDS_OFF = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
VALID = content(
    *SHAPES, shape("polygon", [[1, 1], [5, 1], [5, 5]], group_id=1), shape("point", [[4, 4]], group_id=1)
)


@HANDS_OFF
@given(mutated(json.dumps(VALID).encode(), (b'"', b"null", b"[]", b"{}")))
def test_damaged_bytes(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    reads_or_says_why(lambda: labelme.read(tmp_path / "a.json"))


@HANDS_OFF
@given(mutated_json(VALID, ("rectangle", "mask", "point", png(np.ones((3, 3))), 1 << 24)))
def test_damaged_documents(tmp_path, damaged):
    file = put(tmp_path, damaged)
    reads_or_says_why(lambda: labelme.read(file))
    reads_or_says_why(lambda: labelme.read(file, rule="coco"))
    try:
        found = labelme.read(file)
    except FormatError:
        return
    labelme.write(found, tmp_path / "b.json")
    labelme.write(found, tmp_path / "b.json", rule="coco", masks="polygons")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"shapes": ' + "[" * 100_000, '{"shapes": {}}', "\x00", "{}"]
)
def test_not_labelme(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=r"a\.json"):
        labelme.read(tmp_path / "a.json")


def test_a_bomb_of_a_mask(tmp_path):
    """A PNG of a few bytes that says it is huge is not unpacked."""
    data = bytearray(base64.b64decode(png(np.ones((3, 3)))))
    data[16:24] = (1 << 30).to_bytes(4, "big") * 2
    bomb = shape("mask", [[1, 1], [3, 3]], mask=base64.b64encode(data).decode())
    with pytest.raises(FormatError, match="expected a mask within"):
        labelme.read(put(tmp_path, content(bomb)))
    with pytest.raises(FormatError, match="expected a mask within"):
        labelme.read(put(tmp_path, content(bomb, size=(1 << 24, 1 << 24))))
    wide = shape("line", [[0, 0], [1e8, 1e8]])
    with pytest.raises(FormatError, match="to paint"):
        labelme.read(put(tmp_path, content(wide, size=(1 << 24, 1 << 24))))


# labelme's own examples


@pytest.fixture(scope="module")
def examples(data):
    return data / "labelme"


def test_primitives(examples):
    found = io.read(examples / "primitives" / "primitives.json")
    areas = dict(zip(found.shapes.kind.tolist(), found.masks.area.tolist(), strict=True))
    assert areas[3] == 11085
    assert found.masks.area.tolist() == [10201, 8144, 15656, 11085, 514, 97, 2358, 7275]


def test_instances_equal_labelme_s_coco(examples):
    folder = examples / "instance_segmentation"
    found = io.read(folder / "data_annotated", labels=folder / "labels.txt")
    expected = json.loads((folder / "expected_coco" / "annotations.json").read_bytes())
    stems = {image["id"]: image["file_name"].rpartition("/")[2] for image in expected["images"]}
    names = {category["id"]: category["name"] for category in expected["categories"]}
    theirs = [
        (stems[a["image_id"]], names[a["category_id"]], a["area"], a["bbox"]) for a in expected["annotations"]
    ]
    kept = np.flatnonzero(~found.instances["iscrowd"])
    mine = [
        (
            found.images["file_name"][found.instances["image"][i]],
            found.category_names[i],
            float(found.masks.area[i]),
            found.masks.bbox[i].tolist(),
        )
        for i in kept
    ]
    assert sorted(mine) == sorted(theirs)
    assert len(mine) == 12


def test_maps_equal_labelme_s_voc(examples):
    folder = examples / "instance_segmentation"
    found = io.read(folder / "data_annotated", labels=folder / "labels.txt")
    ids = np.append(found.categories["id"], -1)[found.instances["category"]]
    for i, name in enumerate(found.images["file_name"]):
        rows = found.rows_of_image(i)
        stem = name.rpartition(".")[0]
        for kind, values in (
            ("Class", ids[rows]),
            ("Object", np.arange(1, len(rows) + 1) * (ids[rows] != -1)),
        ):
            expected = np.load(folder / "expected_voc" / f"Segmentation{kind}Npy" / f"{stem}.npy")
            painted = np.zeros(expected.shape, np.int64)
            for mask, value in zip(found.masks[rows].decode(), values, strict=True):
                painted[mask != 0] = value
            different = np.count_nonzero(painted != expected)
            assert different <= 5, (name, kind, different)


def test_tutorial_equals_its_label_image(examples):
    folder = examples / "tutorial"
    names = (folder / "expected" / "label_names.txt").read_text().split()
    found = io.read(folder / "apc2016_obj3.json", labels=names)
    expected = np.array(Image.open(folder / "expected" / "label.png"))  # a palette: numbers, not colours
    assert found.images["pixels"][0].read().shape[:2] == expected.shape
    painted = np.zeros(expected.shape, np.int64)
    values = found.categories["id"][found.instances["category"]]
    for mask, value in zip(found.masks.decode(), values, strict=True):
        painted[mask != 0] = value
    assert np.count_nonzero(painted != expected) <= 10  # of a million; versions of Pillow differ


def test_boxes_of_the_detection_example(examples):
    found = io.read(examples / "bbox_detection" / "data_annotated", rule="even-odd")
    root = ET.parse(
        examples / "bbox_detection" / "expected_voc" / "Annotations" / "2011_000006.xml"
    ).getroot()
    for element, box in zip(root.iter("bndbox"), found.instances["bbox"], strict=True):
        corners = [float(element.find(name).text) for name in ("xmin", "ymin", "xmax", "ymax")]
        np.testing.assert_allclose(corners, [*box[:2], *(box[:2] + box[2:])], atol=1)


FOLDERS = ("primitives", "instance_segmentation/data_annotated", "bbox_detection/data_annotated", "tutorial")


@pytest.mark.parametrize("name", FOLDERS)
def test_round_trips_of_all_examples(examples, tmp_path, name):
    """labelme, VIA, COCO and back: no pixel, no class, no attribute changes."""
    first = io.read(examples / name)
    assert io.write(first, tmp_path / "same", "labelme").lossless
    dataset = first
    for format, target in (
        ("via", "v.json"),
        ("coco", "c.json"),
        ("labelme", "l"),
        ("coco", "d.json"),
        ("via", "w.json"),
    ):
        report = io.write(dataset, tmp_path / target, format)
        assert report.masks_kept, report
        assert report.attributes_lost == 0
        dataset = io.read(tmp_path / target, format)
    assert dataset.masks == first.masks
    assert dataset.category_names == first.category_names
    assert dataset.instances["iscrowd"].tolist() == first.instances["iscrowd"].tolist()
