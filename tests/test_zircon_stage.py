"""Alignments of mosaics, and the transform between the stage and pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.studies.zircon.scanlists import read_scanlist
from maskmill.studies.zircon.stage import Alignment, Transform, read_align

GOOD = """<?xml version="1.0" encoding="Windows-1252" standalone="no"?>
<MappedImage>
  <Alignment>
    <Rotation>5</Rotation>
    <Center>46622.06,79179.01</Center>
    <Size>6155.89,5251.11</Size>
    <Focus>15629</Focus>
  </Alignment>
</MappedImage>
"""


def write(tmp_path, text):
    path = tmp_path / "m.Align"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("cp1252"))
    return path


def test_align(tmp_path):
    assert read_align(write(tmp_path, GOOD)) == Alignment(
        (46622.06, 79179.01), (6155.89, 5251.11), 5.0, 15629.0
    )


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<Size>6155.89,5251.11</Size>", "", "Alignment/Size: expected a value, found none"),
        ("<Center>46622.06,79179.01</Center>", "<Center/>", "Alignment/Center: expected a value"),
        ("<Rotation>5</Rotation>", "", "Alignment/Rotation: expected a value, found none"),
        ("6155.89,5251.11", "0,5251.11", "expected two sizes above 0"),
        ("6155.89,5251.11", "-1,5251.11", "expected two sizes above 0"),
        ("6155.89,5251.11", "nan,5251.11", "expected a finite number, found 'nan'"),
        ("6155.89,5251.11", "1e300,5251.11", "expected a finite number"),
        ("6155.89,5251.11", "6155,89,5251,11", "expected two numbers"),
        ("<Rotation>5<", "<Rotation>five<", "expected a finite number, found 'five'"),
        ("<MappedImage>", BOMB + "<MappedImage>", "found a document type"),
        ("Windows-1252", "no-such", "expected XML"),
        ("</MappedImage>", "", "expected XML"),
        ("MappedImage", "Other", "expected <MappedImage>, found <Other>"),
    ],
)
def test_bad_align_is_named(tmp_path, old, new, message):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(FormatError, match="m.Align: .*" + message.replace("(", r"\(")):
        read_align(path)


def test_huge_and_deep_align(tmp_path):
    with pytest.raises(FormatError, match="more than 1 MiB"):
        read_align(write(tmp_path, GOOD + " " * (1 << 20)))
    with pytest.raises(FormatError, match="expected"):
        read_align(write(tmp_path, "<MappedImage>" + "<a>" * 100_000 + "</a>" * 100_000 + "</MappedImage>"))
    with pytest.raises(FileNotFoundError):
        read_align(tmp_path / "none.Align")


def test_utf16_bomb(tmp_path):
    text = GOOD.replace("Windows-1252", "UTF-16").replace("<MappedImage>", BOMB + "<MappedImage>")
    with pytest.raises(FormatError, match="document type"):
        read_align(write(tmp_path, text.encode("utf-16")))


@given(at=st.integers(0, len(GOOD)), cut=st.integers(0, 60), insert=st.binary(max_size=12))
def test_mutated_align(tmp_path_factory, at, cut, insert):
    data = GOOD.encode("cp1252")
    path = write(tmp_path_factory.getbasetemp(), data[:at] + insert + data[at + cut :])
    try:
        found = read_align(path)
    except FormatError as error:
        named = str(error).startswith(str(path))
    else:
        named = min(found.size) > 0
    assert named


# The transform

MOSAICS = {
    "SY-D-COMPLETE": ("Mosaic171127 0857-33-574", 4580, 3395),
    "1WM-478": ("Mosaic171002 0839-30-177", 4120, 3514),
}


def real(data, name, **more):
    mosaic, columns, rows = MOSAICS[name]
    alignment = read_align(data / "zircon/mosaics" / f"{mosaic}.Align")
    if "rotation" in more:
        alignment = Alignment(alignment.center, alignment.size, more.pop("rotation"))
    return Transform(alignment, columns, rows, **more), read_scanlist(
        data / "zircon/scanlists" / f"{name}.scancsv"
    )


@pytest.mark.parametrize(
    ("name", "s", "corner", "places", "sums", "turned"),
    [
        (
            "SY-D-COMPLETE",
            1.4942298332379367,
            (43477.03, 76354.265),
            {"FC": (1908, 804), "FC-2": (3733, 649), "FC-40": (3898, 773)},
            (879808, 759379),
            (1832, 840),
        ),
        (
            "1WM-478",
            1.4942439209873406,
            (43544.115, 76553.455),
            {"FC": (1938, 1090), "FC-2": (1708, 1041), "SL-32": (1160, 3001)},
            (821554, 789167),
            (1880, 1103),
        ),
    ],
)
def test_compat_is_the_original_on_real_lists(data, name, s, corner, places, sums, turned):
    """Figures measured with colab_zirc_dims 1.0.12 and made-up sizes of the mosaics."""
    transform, scans = real(data, name, compat=True)
    assert transform.sx == transform.sy == s
    assert transform.origin == pytest.approx(corner, abs=1e-9)
    assert [transform.window(field) for field in (300, 400, 500)] == [(200, 200), (268, 268), (334, 334)]
    pixels = transform.to_pixels(scans.xy)
    names = [shot.name for shot in scans.spots]
    assert names[-1] in places
    assert {key: tuple(pixels[names.index(key)].tolist()) for key in places} == places
    assert tuple(pixels.sum(axis=0).tolist()) == sums
    assert transform.inside(scans.xy).all()
    rotated, _ = real(data, name, compat=True, rotation=5.0)
    assert tuple(rotated.to_pixels(scans.xy[:1])[0].tolist()) == turned
    # The scales of these two mosaics differ so little that separate ones move no shot by more than a pixel.
    separate, _ = real(data, name)
    assert abs(separate.to_pixels(scans.xy) - pixels).max() == 1
    assert separate.inside(scans.xy).all()


def original(x, y, alignment, columns, rows, offset):
    """One shot in plain Python, in the order of operations of the original."""
    import math

    (cx, cy), (w, h) = alignment.center, alignment.size
    s = (w / columns + h / rows) / 2
    if alignment.rotation:
        angle = math.radians(alignment.rotation)
        dx, dy = x - cx, y - cy
        x, y = (
            dx * math.cos(angle) + dy * math.sin(angle) + cx,
            -dx * math.sin(angle) + dy * math.cos(angle) + cy,
        )
    return round((x - (cx - w / 2 - offset[0])) / s), round((y - (cy - h / 2 - offset[1])) / s)


coordinate = st.floats(-1e5, 1e5)


@given(
    st.lists(st.tuples(coordinate, coordinate), max_size=5),
    st.tuples(coordinate, coordinate),
    st.tuples(st.floats(1, 1e5), st.floats(1, 1e5)),
    st.floats(-360, 360),
    st.integers(1, 10_000),
    st.integers(1, 10_000),
    st.tuples(coordinate, coordinate),
)
def test_compat_is_the_original(xy, center, size, rotation, columns, rows, offset):
    alignment = Alignment(center, size, rotation)
    transform = Transform(alignment, columns, rows, offset, compat=True)
    expected = [original(x, y, alignment, columns, rows, offset) for x, y in xy]
    assert transform.to_pixels(xy).tolist() == [list(pair) for pair in expected]


@given(st.floats(-360, 360), st.floats(0.1, 10), st.floats(0.1, 10), st.booleans())
def test_there_and_back(rotation, sx, sy, compat):
    transform = Transform(
        Alignment((46000, 79000), (500 * sx, 400 * sy), rotation), 500, 400, (3, -7), compat
    )
    plane = np.array([[0, 0], [500, 400], [12.25, 399.5], [-20, 700]])
    stage = transform.to_stage(plane)
    assert transform.to_plane(stage) == pytest.approx(plane, abs=1e-6)
    homogeneous = np.column_stack([plane, np.ones(len(plane))])
    assert homogeneous @ transform.matrix().T == pytest.approx(stage, abs=1e-6)


def test_one_mean_scale_is_wrong_far_from_the_corner():
    """With 2.0 and 1.8 µm per pixel, the mean moves the far corner of 500 pixels by 26."""
    alignment = Alignment((500, 450), (1000, 900))
    far = [[1000, 900]]
    assert Transform(alignment, 500, 500).to_pixels(far).tolist() == [[500, 500]]
    moved = Transform(alignment, 500, 500, compat=True).to_pixels(far)
    assert (moved - 500).tolist() == [[26, -26]]


def test_inside_knows_the_rotation():
    alignment = Alignment((500, 500), (1000, 200), rotation=90)
    shots = [[500, 990], [990, 500]]
    assert Transform(alignment, 100, 20).inside(shots).tolist() == [True, False]


def test_pixel_mode():
    transform = Transform(None, 50, 40, offset=(1, 2))
    assert (transform.sx, transform.unit) == (1.0, "pixel")
    assert transform.to_pixels([[10, 10]]).tolist() == [[11, 12]]
    assert transform.window(21) == (20, 20)
    assert transform.to_stage([[11, 12]]).tolist() == [[10, 10]]


def test_bad_arguments():
    with pytest.raises(ValueError, match="columns and rows must be 1 or more, not 0 and 5"):
        Transform(None, 0, 5)
    with pytest.raises(ValueError, match=r"stage must have shape \(N, 2\)"):
        Transform(None, 5, 5).to_plane([[1, 2, 3]])
    with pytest.raises(ValueError, match="field must be more than 0, not 0"):
        Transform(None, 5, 5).window(0)
