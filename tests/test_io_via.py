"""VIA 1, 2 and 3: by hand, to and fro, damaged, and the real projects."""

from __future__ import annotations

import ast
import base64
import csv
import json

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotated import a_ring, from_arrays, mutated, mutated_json, reads_or_says_why
from maskmill import Dataset, FormatError, Masks, io
from maskmill.dataset import ShapesBuilder
from maskmill.io import via
from reference import properties


def region(name=None, attributes=None, **shape):
    return {
        "shape_attributes": {"name": name, **shape} if name else {},
        "region_attributes": attributes or {},
    }


SQUARE = region("polygon", {"class": "g"}, all_points_x=[1, 5, 5, 1], all_points_y=[2, 2, 6, 6])
SHAPES = [
    SQUARE,
    region("polyline", all_points_x=[0, 4, 4], all_points_y=[0, 0, 4.5]),
    region("rect", x=2, y=3, width=4, height=5),
    region("circle", cx=10, cy=10, r=3),
    region("ellipse", cx=10, cy=10, rx=4, ry=2, theta=0.5),
    region("point", cx=3.5, cy=4),
    region(attributes={"note": "of the whole image"}),
]


def entry(*regions, name="a.png", size=-1, **attributes):
    return {"filename": name, "size": size, "regions": list(regions), "file_attributes": attributes}


def project(*entries, definitions=None):
    made = {f"{e['filename']}{e['size']}": e for e in entries}
    return {
        "_via_settings": {"project": {"name": "x"}},
        "_via_img_metadata": made,
        "_via_attributes": {"region": definitions or {}, "file": {}},
        "_via_data_format_version": "2.0.10",
        "_via_image_id_list": list(made),
    }


def put(path, content, name="a.json"):
    file = path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def same_json(a, b):
    """Equal, and keys in the same order, and integers are integers."""
    return json.dumps(json.loads(a.read_bytes())) == json.dumps(json.loads(b.read_bytes()))


SIZES = {"a.png": (20, 20), "b.png": (9, 11), "b.mp4": (20, 20)}
GRAIN = {"class": {"type": "radio", "description": "", "options": {"g": "grain", "v": "void"}}}


# Reading


def test_every_shape(tmp_path):
    found = io.read(put(tmp_path, project(entry(*SHAPES), definitions=GRAIN)), sizes=SIZES)
    kinds = [3, 3, 4, 5, 6, 7, 0]
    assert found.shapes.kind.tolist() == kinds
    assert found.masks.area.tolist()[:3] == [16, 10, 20]
    y, x = np.ogrid[0.5:20, 0.5:20]
    assert found.masks[3] == Masks.encode(np.hypot(x - 10, y - 10)[None] < 3)
    assert found.masks.area.tolist()[5:] == [0, 0]
    assert found.instances["bbox"][0].tolist() == [1, 2, 4, 4]
    assert found.category_names == ["grain"] + [""] * 6
    assert found.categories["name"].tolist() == ["grain", "void"]
    assert found.instances["attributes"].tolist() == [None] * 6 + [{"note": "of the whole image"}]


def test_ellipse_turns_as_via_draws_it(tmp_path):
    found = io.read(put(tmp_path, project(entry(SHAPES[4]))), sizes=SIZES)
    t = np.linspace(0, 2 * np.pi, 20001)
    c, s = np.cos(0.5), np.sin(0.5)
    x, y = 10 + 4 * np.cos(t) * c - 2 * np.sin(t) * s, 10 + 4 * np.cos(t) * s + 2 * np.sin(t) * c
    box = found.instances["bbox"][0]
    np.testing.assert_allclose(box, [x.min(), y.min(), np.ptp(x), np.ptp(y)], atol=1e-6)


def test_polylines_as_lines(tmp_path):
    found = io.read(put(tmp_path, project(entry(SHAPES[1]))), sizes=SIZES, polylines="lines")
    assert found.shapes.kind.tolist() == [9]
    assert found.masks.area.tolist() == [0]


def test_offset_and_scale_apply_to_polygons_and_boxes(tmp_path):
    file = put(tmp_path, project(entry(*SHAPES)))
    plain, moved = io.read(file, sizes=SIZES), io.read(file, sizes=SIZES, offset=0.5, scale={"a.png": 2.0})
    expected = plain.instances["bbox"].copy()
    np.testing.assert_allclose(moved.instances["bbox"], expected * 2 + [0.5, 0.5, 0, 0], atol=1e-12)
    assert moved.shapes.points[4][0].tolist()[1:] == [[8, 4], [0.5, 0]]


@pytest.mark.parametrize("rule", ["coco", "even-odd", "non-zero"])
def test_rule(tmp_path, rule):
    ring = region("polygon", all_points_x=[1.2, 9.7, 3.3], all_points_y=[2.1, 5.5, 12.4])
    found = io.read(put(tmp_path, project(entry(ring))), sizes=SIZES, rule=rule)
    assert found.masks == Masks.from_polygons([found.shapes.points[0]], (20, 20), rule=rule)


def test_layouts_of_via_1_and_2(tmp_path):
    closed = region("polygon", all_points_x=[1, 5, 5, 1, 1], all_points_y=[2, 2, 6, 6, 2])
    old = {
        "fileref": "",
        "size": 7,
        "filename": "a.png",
        "base64_img_data": "",
        "file_attributes": {"caption": "é"},
        "regions": {"0": closed},
    }
    for content in ({"a.png7": old}, {"a.png-1": entry(SQUARE)}, project(entry(SQUARE))):
        found = io.read(put(tmp_path, content), sizes=SIZES)
        assert found.shapes.points[0][0].tolist() == [[1, 2], [5, 2], [5, 6], [1, 6]]
    assert via.read(put(tmp_path, {"a.png7": old})).images["attributes"][0] == {"caption": "é"}


def test_picture_within_via_1(tmp_path):
    image = np.arange(60, dtype=np.uint8).reshape(6, 10)
    data = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    old = {**entry(SQUARE), "fileref": "", "base64_img_data": "data:image/png;base64," + data}
    found = io.read(put(tmp_path, {"k": old}))
    assert found.images["height"].tolist() == [6]
    assert (found.images["pixels"][0].read() == image).all()


def test_sizes_of_pictures_and_of_file_attributes(tmp_path):
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((9, 11), np.uint8))
    content = project(
        entry(SQUARE, height="30", width=40), entry(name="some/where/b.png"), entry(name="c.png")
    )
    found = io.read(put(tmp_path, content))
    assert found.images["height"].tolist() == [30, 9, 0]
    assert found.images["width"].tolist() == [40, 11, 0]
    assert found.images["pixels"][1].read().shape == (9, 11)


def test_csv(tmp_path):
    head = "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    rect = '"{""name"":""rect"",""x"":1,""y"":2,""width"":3,""height"":4}"'
    text = head + (
        f'one, two.png,12,"{{""a"":""b,c""}}",2,0,{rect},"{{""label"":""a \\""white\\"" swan, good""}}"\n'
        f'one, two.png,12,"{{""a"":""b,c""}}",2,1,{rect},"{{}}"\n'
        'empty.png,-1,"{}",0,0,"{}","{}"\n'
    )
    found = io.read(put(tmp_path, text, "a.csv"))
    assert found.images["file_name"].tolist() == ["one, two.png", "empty.png"]
    assert found.images["attributes"].tolist() == [{"a": "b,c"}, None]
    assert found.category_names == ['a "white" swan, good', ""]
    with pytest.raises(FormatError, match=r"expected 2 regions, found 1"):
        io.read(put(tmp_path, "\n".join(text.splitlines()[:2]), "a.csv"))
    with pytest.raises(FormatError, match=r"a\.csv: line 2: "):
        io.read(put(tmp_path, text[: len(head) + 38], "a.csv"))


VIA3 = {
    "project": {"pid": "__VIA_PROJECT_ID__", "rev": "1", "pname": "x", "vid_list": ["1", "2"]},
    "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}},
    "attribute": {
        "1": {"aname": "kind", "anchor_id": "FILE1_Z0_XY1", "type": 4, "desc": "", "options": {"0": "grain"}},
        "2": {
            "aname": "faults",
            "anchor_id": "FILE1_Z0_XY1",
            "type": 2,
            "desc": "",
            "options": {"0": "x", "1": "y"},
        },
        "3": {"aname": "weather", "anchor_id": "FILE1_Z0_XY0", "type": 1, "desc": "", "options": {}},
    },
    "file": {
        "1": {"fid": "1", "fname": "a.png", "type": 2, "loc": 1, "src": ""},
        "2": {"fid": "2", "fname": "b.mp4", "type": 4, "loc": 2, "src": "http://x/b.mp4"},
    },
    "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
    "metadata": {
        "a": {"vid": "1", "flg": 0, "z": [], "xy": [7, 1, 2, 5, 2, 5, 6, 1, 6], "av": {"1": "0", "2": "0,1"}},
        "b": {"vid": "1", "flg": 3, "z": [], "xy": [1, 3, 4], "av": {}},
        "c": {"vid": "1", "flg": 0, "z": [], "xy": [8, 3, 1, 6, 4, 2, 9, 1, 5], "av": {}},
        "d": {"vid": "1", "flg": 0, "z": [], "xy": [9, 13, 10, 10, 13, 7, 10], "av": {}},
        "e": {"vid": "1", "flg": 0, "z": [], "xy": [5, 0, 0, 3, 3], "av": {}},
        "f": {"vid": "1", "flg": 0, "z": [], "xy": [], "av": {"3": "rain"}},
        "g": {"vid": "2", "flg": 0, "z": [1.5], "xy": [2, 1, 1, 3, 3], "av": {}},
        "h": {"vid": "2", "flg": 0, "z": [1.5, 3], "xy": [], "av": {}},
        "i": {"vid": "1", "flg": 0, "z": [], "xy": [3, 10, 10, 3], "av": {}},
        "j": {"vid": "1", "flg": 0, "z": [], "xy": [4, 10, 10, 3, 2], "av": {}},
    },
}


def test_via_3(tmp_path):
    found = io.read(put(tmp_path, VIA3), sizes=SIZES)
    assert found.images["file_name"].tolist() == ["a.png", "b.mp4", "b.mp4"]
    assert found.images["attributes"].tolist() == [{"weather": "rain"}, None, {"time": 1.5}]
    assert found.shapes.kind.tolist() == [3, 7, 4, 5, 8, 5, 6, 4]
    assert found.shapes.points[2][0].tolist() == [[1, 1], [6, 9]]
    np.testing.assert_allclose(found.shapes.points[3][0], [[10, 10], [13, 10]])
    assert found.category_names[0] == "grain"
    assert found.instances["attributes"][0] == {"faults": {"0": True, "1": True}}
    assert found.instances["via"][1][0]["flg"] == 3
    assert found.info["via"]["project"]["via3"]["times"] == [{**VIA3["metadata"]["h"], "mid": "h"}]
    report = io.write(found, tmp_path / "b.json", "via", polylines="lines")
    assert report.lossless, report
    made = json.loads((tmp_path / "b.json").read_bytes())
    assert {"_via_settings", "_via_img_metadata", "_via_attributes", "_via_image_id_list"} <= set(made)
    assert made["_via_attributes"]["region"]["kind"]["options"] == {"0": "grain"}


@pytest.mark.parametrize(
    ("values", "definitions", "expected"),
    [
        ([{"kind": "a"}, {}], {}, ["object", "object"]),
        ([{"kind": "a"}, {"kind": "zz"}], {"kind": {"type": "dropdown", "options": {"a": "A"}}}, ["A", "zz"]),
        ([{"Label": "a"}, {"Label": ""}], {}, ["a", ""]),
        ([{"name": "n", "type": "t"}, {"type": 7}], {}, ["t", "7"]),
        ([{"class": {"a": True, "b": False}}, {"class": {"a": True, "b": True}}], {}, ["a", ""]),
    ],
)
def test_classes(tmp_path, values, definitions, expected):
    regions = [region("point", value, cx=1, cy=1) for value in values]
    assert (
        io.read(put(tmp_path, project(entry(*regions), definitions=definitions))).category_names == expected
    )


def test_named_and_default_class(tmp_path):
    file = put(tmp_path, project(entry(region("point", {"track": 3}, cx=1, cy=1), SHAPES[5])))
    assert io.read(file, class_attribute="track").category_names == ["3", ""]
    assert io.read(file, class_attribute="track", default_class="x").category_names == ["3", "x"]
    assert io.read(file, default_class="grain").category_names == ["grain", "grain"]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (region("poly"), r"'a\.png-1', region 1: name: expected one of polygon, .*found 'poly'"),
        (
            region("polygon", all_points_x=[1, 2], all_points_y=[1]),
            r"region 1: all_points: expected as many x as y",
        ),
        (region("polygon", all_points_x=[1, None], all_points_y=[1, 2]), r"region 1: all_points \(x\[1\]\)"),
        (
            region("polygon", all_points_x=[1, float("nan")], all_points_y=[1, 2]),
            r"region 1: all_points \(x\[1\]\)",
        ),
        (region("polygon", all_points_x=[1, 1e300], all_points_y=[1, 2]), r"region 1: all_points \(x\[1\]\)"),
        (
            region("polygon", all_points_x="12", all_points_y=[1, 2]),
            r"region 1: all_points \(x\): expected an array",
        ),
        (region("rect", x=1, y=2, width=3), r"region 1: height: expected a number, found None"),
        (region("ellipse", cx=1, cy=1, rx=1, ry=1, theta="t"), r"region 1: theta: expected a number"),
        (
            region("circle", {"maskmill_role": "x"}, cx=1, cy=1, r=1),
            r"region 1: maskmill_role: expected one of",
        ),
        ([1], r"'a\.png-1', region 1: expected an object, found \[1\]"),
        ({"shape_attributes": 3}, r"region 1: shape_attributes: expected an object, found 3"),
    ],
)
def test_errors_name_entry_region_and_field(tmp_path, bad, says):
    with pytest.raises(FormatError, match=says) as raised:
        io.read(put(tmp_path, project(entry(SHAPES[5], bad))))
    assert str(tmp_path / "a.json") in str(raised.value)


def test_wrong_options(tmp_path):
    file = put(tmp_path, project(entry()))
    for option, value in (("rule", "x"), ("polylines", "x")):
        with pytest.raises(ValueError, match=f"{option} must be "):
            io.read(file, **{option: value})
    with pytest.raises(ValueError, match="layout must be 'project' or 'annotations', not 'x'"):
        io.write(io.read(file), tmp_path / "b.json", "via", layout="x")


# Writing what was read


UNKNOWN = {**region("polygon", r=3, all_points_x=[1, 5, 5.0], all_points_y=[2, 2, 6]), "extra": [1]}


@pytest.mark.parametrize("options", [{}, {"offset": 0.5}, {"polylines": "lines"}, {"default_class": "grain"}])
@pytest.mark.parametrize("layout", ["project", "annotations"])
def test_unchanged_files_come_back_as_json(tmp_path, layout, options):
    content = project(
        {**entry(*SHAPES, UNKNOWN, size="12", caption="x"), "more": None},
        entry(name="b.png"),
        definitions=GRAIN,
    )
    content["_via_attributes"]["other"] = 1
    content = content if layout == "project" else content["_via_img_metadata"]
    first = put(tmp_path, content)
    report = io.write(io.read(first, sizes=SIZES, **options), tmp_path / "b.json", "via", **options)
    assert report.lossless, report
    assert same_json(first, tmp_path / "b.json")


def test_what_changed_is_written_anew(tmp_path):
    file = put(tmp_path, project(entry(UNKNOWN, *SHAPES), definitions=GRAIN))
    found = io.read(file, sizes=SIZES)
    points = found.shapes.points.points.copy()
    points[0] = [0.25, 2]
    shapes = found.shapes.__class__(
        found.shapes.kind,
        found.shapes.rule,
        type(found.shapes.points)(
            points, found.shapes.points.rings, found.shapes.points.masks, found.shapes.points.parent
        ),
        found.shapes.rles,
    )
    category = found.instances["category"].copy()
    category[3] = 1
    changed = found.replace(shapes=shapes, instances=found.instances.with_columns(category=category))
    report = io.write(changed, tmp_path / "b.json", "via")
    assert report.lossless, report
    before, after = (
        json.loads(p.read_bytes())["_via_img_metadata"]["a.png-1"] for p in (file, tmp_path / "b.json")
    )
    pairs = zip(before["regions"], after["regions"], strict=True)
    assert [k for k, (a, b) in enumerate(pairs) if a != b] == [0, 3]
    assert after["regions"][0] == {
        "shape_attributes": {
            "name": "polygon",
            "all_points_x": [0.25, 5.0, 5.0],
            "all_points_y": [2.0, 2.0, 6.0],
            "r": 3,
        },
        "region_attributes": {},
        "extra": [1],
    }
    assert after["regions"][3] == {**before["regions"][3], "region_attributes": {"class": "v"}}


def test_parts_of_a_file(tmp_path):
    file = put(tmp_path, project(entry(*SHAPES), entry(SQUARE, name="b.png"), definitions=GRAIN))
    found = io.read(file, sizes=SIZES)
    io.write(found.take([1]), tmp_path / "b.json", "via")
    made = json.loads((tmp_path / "b.json").read_bytes())
    assert made["_via_image_id_list"] == ["b.png-1"]
    assert list(made["_via_img_metadata"]) == ["b.png-1"]
    mixed = found.take(instances=[3, 0, 7, 2])
    report = io.write(mixed, tmp_path / "b.json", "via")
    assert report.lossless, report
    assert report.vertices_lost == 0


def test_via_1_becomes_via_2(tmp_path):
    old = {**entry(), "regions": {"0": SQUARE, "1": SHAPES[3]}}
    io.write(io.read(put(tmp_path, {"a.png-1": old}), sizes=SIZES), tmp_path / "b.json", "via")
    made = json.loads((tmp_path / "b.json").read_bytes())
    assert made["_via_img_metadata"]["a.png-1"]["regions"] == [SQUARE, SHAPES[3]]


# Writing other data sets


def test_attributes_that_json_hardly_holds(tmp_path):
    before = entry(region("point", {"n": 10**30, "t": "\ud800"}, cx=1, cy=1), more=float("nan"))
    found = io.read(put(tmp_path, project(before)), sizes=SIZES)
    assert io.write(found, tmp_path / "b.json", "via").attributes_lost == 0


def test_masks_with_holes_and_parts(tmp_path):
    full = np.ones((9, 11), bool)
    dataset = from_arrays(
        [
            ("a.png", [(a_ring(9, 11), 0), (full, 1)]),
            ("b.png", []),
            ("c.png", [(~a_ring(9, 11), 1), (full & 0, 0)]),
        ],
        ["grain", "void"],
    )
    for options in ({}, {"layout": "annotations"}, {"offset": 0.5}, {"rule": "coco"}, {"indent": True}):
        report = io.write(dataset, tmp_path / "a.json", "via", **options)
        assert (report.instances_lost, report.masks_changed, report.classes_changed) == (0, 0, 0), report
        assert report.images_lost == report.holes_lost == 0
    made = json.loads((tmp_path / "a.json").read_bytes())
    assert list(made) == [
        "_via_settings",
        "_via_img_metadata",
        "_via_attributes",
        "_via_data_format_version",
        "_via_image_id_list",
    ]
    regions = made["_via_img_metadata"]["a.png-1"]["regions"]
    assert [r["region_attributes"].get("maskmill_role") for r in regions] == ["outer", "hole", "outer", None]
    assert {r["region_attributes"].get("maskmill_id") for r in regions[:3]} == {"0"}
    declared = made["_via_attributes"]
    assert declared["region"]["class"]["options"] == {"grain": "grain", "void": "void"}
    assert {key for r in regions for key in r["region_attributes"]} <= set(declared["region"])
    assert {"height", "width"} <= set(declared["file"])


def test_keys_have_the_size_in_bytes(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 11), np.uint8))
    size = (tmp_path / "a.png").stat().st_size
    io.write(from_arrays([("a.png", []), ("b.png", []), ("b.png", [])], []), tmp_path / "a.json", "via")
    made = json.loads((tmp_path / "a.json").read_bytes())["_via_img_metadata"]
    assert list(made) == [f"a.png{size}", "b.png-1", "b.png-1-2"]
    assert made[f"a.png{size}"]["size"] == size


def drawn(rule="even-odd"):
    builder = ShapesBuilder(rule=rule)
    builder.polygon([[(1.25, 1), (6, 1.5), (4, 7)]])
    builder.polygon([[(1, 1), (8, 1), (8, 8), (1, 8)], [(2, 2), (5, 2), (5, 6)]])
    builder.add("rectangle", [(6.5, 7), (2, 2.25)])
    builder.add("circle", [(5, 5), (5, 8)])
    builder.add("ellipse", [(5, 5), (3, 2), (0.75, 0)])
    builder.add("point", [(3, 4)])
    builder.add("line", [(1, 1), (4, 5)])
    builder.add("polyline", [(1, 1), (4, 5), (7, 2)])
    builder.box()
    return Dataset(
        {"file_name": ["a.png"], "height": [9], "width": [11], "scale": [0.43]},
        {"name": ["x", "y"]},
        {
            "category": [0, 1, 0, -1, 1, 1, 0, 0, 1],
            "bbox": [[np.nan] * 4] * 8 + [[1.5, 2, 3, 4]],
            "iscrowd": [0, 1, 0, 0, 0, 0, 0, 0, 1],
            "score": [np.nan, 0.5, *[np.nan] * 7],
            "attributes": np.array([{"class": 3, "note": ["a", {"b": 1}]}, *[None] * 8], object),
        },
        builder.build(),
    )


@pytest.mark.parametrize("rule", ["even-odd", "coco", "non-zero"])
def test_everything_that_is_not_via_s_own(tmp_path, rule):
    dataset = drawn(rule)
    report = io.write(dataset, tmp_path / "a.json", "via")
    assert report.vertices_lost == 2  # the rectangle's corners are others, the circle's point is elsewhere
    assert not any(v for k, v in report._losses().items() if k != "vertices_lost"), report
    again = io.read(tmp_path / "a.json")
    assert again.shapes.kind.tolist() == dataset.shapes.kind.tolist()
    assert again.images["scale"].tolist() == [0.43]
    assert again.shapes.rule[:2].tolist() == dataset.shapes.rule[:2].tolist()


def test_no_class_at_all(tmp_path):
    dataset = drawn()
    none = dataset.replace(instances=dataset.instances.with_columns(category=np.full(9, -1)))
    assert io.write(none, tmp_path / "a.json", "via").classes_changed == 0


def test_rounding_is_reported(tmp_path):
    report = io.write(drawn(), tmp_path / "a.json", "via", decimals=0)
    assert report.vertices_lost == 3
    assert 0 < report.worst_iou < 1


def test_merged_with_what_has_a_class_attribute(tmp_path):
    """A free attribute with a better name must not become the class."""
    found = io.read(put(tmp_path, project(entry(region("point", {"name": "n"}, cx=1, cy=1)))), sizes=SIZES)
    attributes = np.array([{"label": "l"}], object)
    changed = found.replace(instances=found.instances.with_columns(attributes=attributes))
    report = io.write(changed, tmp_path / "b.json", "via")
    assert report.lossless, report


# Damaged files


HANDS_OFF = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LINKED = [
    region(
        "polygon", {"maskmill_id": "1", "maskmill_role": role}, all_points_x=[1, 5, 5], all_points_y=[2, 2, 6]
    )
    for role in ("outer", "hole", "outer")
]
VALID = project(entry(*SHAPES, *LINKED, height=20, width=20), entry(SQUARE, name="b.png"), definitions=GRAIN)


@HANDS_OFF
@given(mutated(json.dumps(VALID).encode(), (b'"', b"null", b"[]", b"{}")))
def test_damaged_bytes(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    reads_or_says_why(lambda: via.read(tmp_path / "a.json"))


@HANDS_OFF
@given(mutated_json(VALID, ("rect", "polygon", "polyline", "coco")))
def test_damaged_documents(tmp_path, content):
    file = put(tmp_path, content)
    reads_or_says_why(lambda: via.read(file))
    try:
        found = via.read(file)
    except FormatError:
        return
    via.write(found, tmp_path / "b.json")
    via.write(found, tmp_path / "c.json", offset=0.5, decimals=1)


@HANDS_OFF
@given(mutated_json(VIA3, (7, 8, 9)))
def test_damaged_via_3(tmp_path, content):
    file = put(tmp_path, content)
    reads_or_says_why(lambda: via.read(file))


CSV = """filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes
a,b.png,12,"{""height"":9,""width"":8}",1,0,"{""name"":""rect"",""x"":1,""y"":2,""width"":3,""height"":4}","{""a"":""b""}"
"""


@HANDS_OFF
@given(mutated(CSV.encode(), (b'"', b'""', b",", b"{", b"\n")))
def test_damaged_csv(tmp_path, data):
    (tmp_path / "a.csv").write_bytes(data)
    reads_or_says_why(lambda: via.read(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"a": ' * 100_000,
        '{"a": 3}',
        '{"_via_img_metadata": []}',
        "filename",
        "\x00",
        '{"a":{}}',
    ],
)
def test_not_via(tmp_path, text):
    with pytest.raises(FormatError, match=r"a\.json"):
        via.read(put(tmp_path, text))


def test_pictures_are_never_sought_outside(tmp_path):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "out.png"), np.zeros((3, 3), np.uint8))
    names = (
        "../out.png",
        str(tmp_path / "out.png"),
        "http://x/y.png",
        "a" * 5000,
        "\0",
        "..",
        ".",
        "/",
        "C:\\out.png",
        "",
    )
    found = via.read(put(tmp_path / "in", project(*(entry(name=name) for name in names))))
    assert found.images["pixels"].tolist() == [None] * len(names)


# Real files


@pytest.fixture(scope="module")
def official(data):
    return data / "via" / "via_official"


def test_official_files(official, tmp_path):
    for name, n in (("unit_test_annotation2.json", 12), ("sherlock_ep01_tracks_FRCNN.json", 427)):
        found = io.read(official / name)
        assert len(found.instances) == n
    found = io.read(official / "unit_test_annotation2.json")
    assert np.bincount(found.shapes.kind).tolist() == [0, 0, 0, 1, 2, 1, 3, 5]
    table = io.read(official / "unit_test_annotation1.csv")
    assert table.shapes.same_as(found.shapes).all()
    assert table.category_names == found.category_names
    track = io.read(official / "sherlock_ep01_tracks_FRCNN.json")
    table = io.read(official / "sherlock_ep01_tracks_FRCNN.csv")
    assert table.shapes.same_as(track.shapes).all()
    assert table.instances["attributes"].tolist() == track.instances["attributes"].tolist()
    via.write(track, tmp_path / "a.json")
    assert (tmp_path / "a.json").read_bytes() == (
        official / "sherlock_ep01_tracks_FRCNN.json"
    ).read_bytes().strip()


def test_emps_comes_back_byte_for_byte(data, tmp_path):
    file = data / "via" / "emps" / "viadata.json"
    found = io.read(file)
    assert (len(found), len(found.instances)) == (962, 11_541)
    assert sum(len(found.shapes.points.rings) - 1 for _ in (0,)) == 11_541
    vertices = np.diff(found.shapes.points.rings)[found.shapes.kind == 3].sum()
    assert vertices == 221_728 - 2  # two polylines are closed by their first vertex
    via.write(found, tmp_path / "a.json")
    assert (tmp_path / "a.json").read_bytes() == file.read_bytes().strip()


def emps(data, tmp_path, **options):
    """The regions of the published micrographs, scaled to them."""
    folder = data / "via" / "emps"
    usual = csv.field_size_limit(1 << 24)
    with open(folder / "metadata.csv", encoding="utf-8", newline="") as file:
        regions = {row["filename"]: ast.literal_eval(row["regions"]) for row in csv.DictReader(file)}
    csv.field_size_limit(usual)
    with open(folder / "fitted_scale.csv", encoding="utf-8", newline="") as file:
        rows = {row["filename"]: row for row in csv.DictReader(file)}
    made = {name: entry(*found, name=name) for name, found in regions.items()}
    return io.read(
        put(tmp_path, made, "emps.json"),
        sizes={name: (int(row["height"]), int(row["width"])) for name, row in rows.items()},
        scale={name: float(row["scale"]) for name, row in rows.items()},
        default_class="particle",
        **options,
    )


def test_emps_regions_against_the_authors_label_maps(data, tmp_path):
    """The authors drew with vertices at pixel centres: half a pixel makes the difference."""
    mean = {}
    for offset in (0.0, 0.5):
        found = emps(data, tmp_path, offset=offset)
        found = found.take(np.arange(0, len(found), 4))
        ious = []
        for i in range(len(found)):
            rows = found.rows_of_image(i)
            name = str(data / "via" / "emps" / "segmaps" / found.images["file_name"][i])
            theirs = cv2.imread(name, cv2.IMREAD_UNCHANGED).astype(np.int64)
            mine = found.masks[rows].labels().astype(np.int64)
            n = len(rows) + 1
            both = np.bincount((mine * n + theirs).ravel(), minlength=n * n).reshape(n, n)
            seen = np.flatnonzero(both.sum(0)[1:]) + 1  # three images have instances that others hide
            union = both.sum(0) + both.sum(1) - both.diagonal()
            ious += (both.diagonal()[seen] / union[seen]).tolist()
        mean[offset] = np.mean(ious)
    assert mean[0.5] > 0.95 > 0.94 > mean[0.0]


@pytest.mark.parametrize(
    "name", ["annotation2.json", "tracks_FRCNN.json", "annotation1.csv", "tracks_FRCNN.csv", "emps"]
)
def test_round_trips_of_all_real_files(data, official, tmp_path, name):
    """VIA, COCO, labelme and back: no pixel changes, no class, no attribute."""
    pytest.importorskip("PIL")
    if name == "emps":
        dataset = emps(data, tmp_path)
        dataset = dataset.take(np.arange(0, len(dataset), 4))
    else:
        found = io.read(next(official.glob(f"*{name}")))
        n = len(found)
        dataset = found.replace(
            images=found.images.with_columns(height=np.full(n, 600), width=np.full(n, 800))
        )
    first = dataset
    for k, format in enumerate(("coco", "via", "labelme", "via")):
        target = tmp_path / (f"{k}" if format == "labelme" else f"{k}.json")
        report = io.write(dataset, target, format)
        nothing = report.instances_lost == np.count_nonzero(
            dataset.masks.area == 0
        )  # labelme has no shape for it
        assert report.masks_kept or (format == "labelme" and nothing and report.masks_changed == 0), report
        assert report.attributes_lost == report.classes_changed == 0
        dataset = io.read(target, format)
    rows = np.flatnonzero(first.masks.area > 0)
    order = np.argsort(first.images["file_name"][first.instances["image"][rows]].astype(str), kind="stable")
    assert dataset.masks == first.masks[rows[order]]


@properties
@given(hnp.arrays(bool, st.tuples(st.integers(0, 3), st.just(7), st.just(9))), st.integers(0, 3))
def test_any_masks_make_the_round(tmp_path_factory, masks, classes):
    tmp_path = tmp_path_factory.mktemp("any")
    names = ["grain", "void", "crack"][:classes]
    category = np.arange(len(masks)) % (classes + 1) - 1
    dataset = Dataset(
        {"file_name": ["a.png", "b.png"], "height": [7, 7], "width": [9, 9]},
        {"name": np.array(names, object)},
        {"image": np.arange(len(masks)) % 2, "category": category},
        Masks.encode(masks),
    )
    for options in ({}, {"rule": "non-zero"}, {"rule": "coco"}, {"offset": 0.5}):
        report = io.write(dataset, tmp_path / "a.json", "via", **options)
        assert report.lossless, report
    filled = dataset.take(instances=dataset.masks.area > 0)
    for k, options in enumerate(({}, {"masks": "polygons"})):
        report = io.write(filled, tmp_path / str(k), "labelme", **options)
        assert report.lossless, report
