"""CVAT's XML: every shape by hand, tracks, to and fro, damaged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from annotated import a_ring, from_arrays, mutated, reads_or_says_why
from maskmill import Dataset, FormatError, io
from maskmill.dataset import ShapesBuilder, objects
from maskmill.dataset.loss import compared
from maskmill.dataset.shapes import KINDS
from maskmill.io import cvat

XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>3</id><labels>
    <label><name>car</name><color>#fa3253</color><type>any</type></label>
    <label><name>road</name><attributes/></label>
  </labels></task></meta>
  <image id="0" name="a/b c.jpg" width="20" height="10" subset="train">
    <tag label="night" source="manual"/>
    <box label="car" occluded="1" source="auto" xtl="2.5" ytl="1" xbr="6" ybr="9" z_order="2" group_id="4">
      <attribute name="make">old &amp; red</attribute><attribute name="parked">true</attribute>
    </box>
    <polygon label="road" occluded="0" points="0.00,0.00;20.00,0.00;20.00,5.00;0.00,5.00" z_order="-1"/>
    <mask label="car" rle="1, 2, 3, 1, 2" left="4" top="3" width="3" height="3" z_order="0"/>
    <ellipse label="car" cx="10" cy="5" rx="4" ry="2" rotation="90.0" z_order="0"/>
    <polyline label="road" points="0,0;5,5;6.5,5" z_order="0"/>
    <points label="car" points="3,4;5,6" z_order="0"/>
    <box label="car" xtl="4" ytl="4" xbr="8" ybr="6" rotation="90" z_order="0"/>
  </image>
  <image id="1" name="empty.jpg" width="3" height="4"/>
</annotations>
"""


def kinds(dataset: Dataset) -> list[str]:
    return [KINDS[kind] for kind in dataset.shapes.kind]


def test_every_shape(tmp_path):
    (tmp_path / "annotations.xml").write_text(XML)
    found = io.read(tmp_path / "annotations.xml")
    assert found.images["file_name"].tolist() == ["a/b c.jpg", "empty.jpg"]
    assert found.images["attributes"][0] == {"subset": "train", "tags": ["night"]}
    assert found.categories["attributes"].tolist() == [{"color": "#fa3253"}, None]
    assert kinds(found) == ["polygon", "mask", "ellipse", "polyline", "point", "polygon", "box"]
    assert found.masks.area.tolist()[:2] == [100, 3]
    assert found.masks[1].decode()[0].nonzero() == pytest.approx(np.array([(3, 3, 5), (5, 6, 4)]))
    assert found.instances["bbox"][2].tolist() == pytest.approx([8, 1, 4, 8])
    assert found.instances["bbox"][5].tolist() == pytest.approx([5, 3, 2, 4])
    assert found.instances["bbox"][6].tolist() == [2.5, 1, 3.5, 8]
    assert found.instances["attributes"][6] == {
        "z_order": 2, "occluded": True, "source": "auto", "group_id": 4, "make": "old & red", "parked": True,
    }  # fmt: skip


def test_what_lies_above_wins(tmp_path):
    """z_order, not the order in the file."""
    (tmp_path / "a.xml").write_text(
        '<annotations><image name="a" width="4" height="4">'
        '<polygon label="top" points="0,0;2,0;2,4;0,4" z_order="1"/>'
        '<polygon label="ground" points="0,0;4,0;4,4;0,4" z_order="0"/></image></annotations>'
    )
    found = io.read(tmp_path / "a.xml")
    assert found.category_names == ["ground", "top"]
    assert found.masks.labels()[0].tolist() == [2, 2, 1, 1]


VIDEO = """<annotations><version>1.1</version>
  <meta><task><labels><label><name>car</name></label></labels>
  <original_size><width>20</width><height>10</height></original_size></task></meta>
  <track id="7" label="car">
    <box frame="12" keyframe="1" outside="0" occluded="0" xtl="1" ytl="1" xbr="3" ybr="3" z_order="0"/>
    <box frame="3" keyframe="0" outside="0" occluded="1" xtl="0" ytl="0" xbr="2" ybr="2" z_order="0"/>
    <box frame="13" keyframe="1" outside="1" occluded="0" xtl="1" ytl="1" xbr="3" ybr="3" z_order="0"/>
  </track>
  <track id="8" label="person">
    <skeleton frame="3" outside="0" keyframe="1" z_order="0">
      <points label="head" outside="0" occluded="0" points="5,6"/>
      <points label="foot" outside="0" occluded="1" points="7,9"/>
      <points label="hand" outside="1" occluded="0" points="0,0"/>
    </skeleton>
  </track>
</annotations>"""


def test_tracks(tmp_path):
    (tmp_path / "a.xml").write_text(VIDEO)
    found = io.read(tmp_path / "a.xml")
    assert found.images["file_name"].tolist() == ["frame_000003", "frame_000012"]
    assert found.images["width"].tolist() == [20, 20]
    assert found.category_names == ["car", "person", "car"]
    assert found.instances["attributes"][0] == {"track_id": 7, "keyframe": False, "occluded": True}
    assert found.instances["keypoints"][1].tolist() == [[5, 6, 2], [7, 9, 1], [0, 0, 0]]
    assert found.instances["bbox"][1].tolist() == [5, 6, 2, 3]


def test_round_trip(tmp_path, rng):
    noise = rng.random((17, 23)) < 0.5
    square = np.zeros((17, 23), bool)
    square[3:9, 4:20] = True
    images = [("ü b.png", [(noise, 0), (square, 1)]), ("c\\d.png", [(a_ring(9, 12), 1)]), ("none.png", [])]
    dataset = from_arrays(images, ["a <&> 'b'", '"c" 😀'])
    attributes = [
        {"z_order": 3, "n": 3, "s": "3", "t": " x ", "l": [1, None]},
        {"occluded": True},
        {"group_id": 2},
    ]
    dataset = dataset.replace(instances=dataset.instances.with_columns(attributes=objects(attributes)))
    rows = cvat.write(dataset, tmp_path / "a.xml")
    assert rows.tolist() == [1, 0, 2]
    found = cvat.read(tmp_path / "a.xml")
    assert compared(dataset, found, rows, "cvat").lossless
    assert kinds(found) == ["polygon", "mask", "mask"]


def test_vertices_and_curves_come_back(tmp_path):
    builder = ShapesBuilder(rule="even-odd")
    builder.polygon([[(0.1, 0.2), (7.3, 1 / 3), (5, 8)]])
    builder.add("circle", [(5, 5), (8.2, 5)])
    builder.add("ellipse", [(5, 5), (4, 2.5), (0.3, 0)])
    builder.add("point", [(1.5, 2)])
    builder.add("polyline", [(1.5, 2), (3, 4), (5, 6)])
    builder.box()
    bbox = np.full((6, 4), np.nan)
    bbox[5] = (1.25, 2, 3, 4)
    dataset = Dataset(
        {"file_name": ["a"], "height": [10], "width": [12]}, {"name": ["x"]}, {"bbox": bbox, "category": [0] * 6},
        builder.build(),
    )  # fmt: skip
    report = io.write(dataset, tmp_path / "a.xml", "cvat")
    assert report.masks_kept
    assert report.boxes_changed == 0
    assert report.vertices_lost <= 2  # the circle is an ellipse now; degrees and radians
    assert kinds(io.read(tmp_path / "a.xml")) == ["polygon", "ellipse", "ellipse", "point", "polyline", "box"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('xtl="2.5"', 'xtl="nan"', r"image\[0\]\.box\[0\]\.xtl"),
        ('ytl="1" ', "", r"image\[0\]\.box\[0\]\.ytl"),
        ("0.00,0.00;", "0.00;", r"polygon\[1\]\.points\[0\]"),
        ("0.00,0.00;", "0.00,1e300;", r"polygon\[1\]\.points\[0\]"),
        ("0,0;5,5;6.5,5", "0,0", r"polyline\[4\]\.points: expected at least 2"),
        ('rle="1, 2,', 'rle="1, 2000,', r"mask\[2\]\.rle"),
        ('rle="1, 2,', 'rle="1, 8,', r"mask\[2\]\.rle"),
        ('left="4"', 'left="40"', r"mask\[2\]: expected a mask within"),
        (
            'width="3" height="3" z',
            'width="16777216" height="16777216" z',
            r"mask\[2\]: expected a mask within",
        ),
        ('z_order="2"', 'z_order="high"', r"box\[0\]\.z_order"),
        ('width="20"', 'width="-20"', r"image\[0\]\.width"),
        ('rotation="90"', 'rotation="x"', r"box\[6\]\.rotation"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, said):
    assert old in XML
    (tmp_path / "a.xml").write_text(XML.replace(old, new, 1))
    with pytest.raises(FormatError, match=rf"a\.xml: .*{said}"):
        cvat.read(tmp_path / "a.xml")


def test_a_turned_box():
    corners = cvat._turned_box(0, 0, 4, 2, math.radians(90))
    assert corners == pytest.approx(np.array([(3, -1), (3, 3), (1, 3), (1, -1)]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    xml=mutated(XML.encode(), (b"&lt;", b"<image>", b"../../x", b"<!DOCTYPE a [", b"<mask/>")),
    video=mutated(VIDEO.encode()),
)
def test_damaged(tmp_path, xml, video):
    for data in (xml, video):
        (tmp_path / "a.xml").write_bytes(data)
        reads_or_says_why(lambda: cvat.read(tmp_path / "a.xml"))
