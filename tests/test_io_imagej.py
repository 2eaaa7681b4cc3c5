"""ImageJ's regions: by hand, against roifile, to and fro, damaged."""

from __future__ import annotations

import io as streams
import math
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from annotated import a_ring, from_arrays, mutated, reads_or_says_why, sizes_of
from maskmill import Dataset, FormatError, io
from maskmill.dataset import ShapesBuilder, objects
from maskmill.dataset.loss import compared
from maskmill.dataset.shapes import KINDS
from maskmill.io import _roi, imagej
from maskmill.io._roi import Roi


def header(kind: int, box: tuple[int, int, int, int], n: int = 0, *, floats: bytes = bytes(16), size: int = 0,
           subtype: int = 0, options: int = 0, ratio: bytes = bytes(4), version: int = 227) -> bytes:  # fmt: skip
    """Bytes 0 to 63, by the description in ij.io.RoiDecoder; box: left, top, right, bottom."""
    left, top, right, bottom = box
    return (
        b"Iout" + struct.pack(">hBB4hH", version, kind, 0, top, left, bottom, right, n) + floats
        + struct.pack(">Hi8xHH", 0, size, subtype, options) + ratio + struct.pack(">ii", 0, 0)
    )  # fmt: skip


def xy(dtype: str, *points: tuple[float, float]) -> bytes:
    return np.array(points).T.astype(dtype).tobytes()


def decoded(data: bytes) -> tuple[str, list]:
    roi = _roi.decode(data, "x")
    return roi.kind, [ring.tolist() for ring in roi.rings]


def test_types_by_hand():
    square = [(0, 0), (4, 0), (4, 3)]
    assert decoded(header(0, (10, 20, 14, 23), 3) + xy(">i2", *square)) == (
        "polygon",
        [[[10, 20], [14, 20], [14, 23]]],
    )
    far = header(8, (40000 - 65536, 2, 40004 - 65536, 5), 3) + xy(">i2", *square)
    assert decoded(far)[1][0][0] == [40000, 2]
    assert decoded(header(1, (1, 2, 5, 8))) == ("rectangle", [[[1, 2], [5, 8]]])
    part = header(1, (1, 2, 5, 8), floats=struct.pack(">4f", 1.5, 2.25, 3, 4), options=128)
    assert decoded(part) == ("rectangle", [[[1.5, 2.25], [4.5, 6.25]]])
    assert decoded(header(2, (1, 2, 5, 8))) == ("ellipse", [[[3, 5], [2, 3], [0, 0]]])
    line = header(3, (0, 0, 9, 9), floats=struct.pack(">4f", 1, 2, 3, 4.5))
    assert decoded(line) == ("line", [[[1.5, 2.5], [3.5, 5]]])
    sub = header(7, (1, 1, 4, 4), 2, options=128) + bytes(8) + xy(">f4", (1.25, 2.5), (3, 3.75))
    assert decoded(sub) == ("polygon", [[[1.25, 2.5], [3, 3.75]]])
    assert decoded(header(10, (3, 4, 3, 4), 1) + xy(">i2", (0, 0))) == ("point", [[[3.5, 4.5]]])
    assert decoded(header(5, (3, 4, 8, 9), 2) + xy(">i2", (0, 0), (5, 5)))[0] == "polyline"
    ends = struct.pack(">4f", 0, 0, 0, 8)
    kind, [ring] = decoded(header(7, (0, 0, 9, 9), floats=ends, subtype=3, ratio=struct.pack(">f", 0.5)))
    assert (kind, ring) == ("ellipse", [[0, 4], [4, 2], [math.pi / 2, 0]])
    kind, [ring] = decoded(header(7, (0, 0, 9, 9), floats=ends, subtype=5, ratio=struct.pack(">f", 4)))
    assert ring == pytest.approx(np.array([(-2, 0), (2, 0), (2, 8), (-2, 8)]))
    path = [0, 0, 0, 1, 9, 0, 1, 9, 9, 4, 0, 2, 2, 3, 2, 2, 4, 4, 4, 4, 4]
    kind, rings = decoded(header(1, (0, 0, 9, 9), size=len(path)) + np.array(path, ">f4").tobytes())
    assert (kind, rings[0], len(rings[1])) == ("polygon", [[0, 0], [9, 0], [9, 9]], 17)


def test_names_properties_and_positions():
    roi = Roi(
        "polygon",
        [np.array([(0, 0), (4, 0), (4, 3.5)])],
        "ä 😀",
        7,
        {"position": 3, "channel": 1, "frame": 5},
    )
    roi.properties = {"ü :=#!": ' a\\b\n"x" 😀', "plain": "3.5"}
    again = _roi.decode(_roi.encode(roi), "x")
    assert (again.name, again.group, again.positions, again.properties) == (
        roi.name, roi.group, roi.positions, roi.properties,
    )  # fmt: skip
    assert _roi._properties("# no\na: b c\nd=e\n") == {"a": "b c", "d": "e"}


@pytest.mark.parametrize(
    "points",
    [[(3, 4), (9, 4), (9, 8)], [(3.5, 4.25), (9, 4), (9, 8.75)], [(45000, 2), (45010, 2), (45010, 9)]],
)
def test_roifile_reads_what_is_written(points):
    roifile = pytest.importorskip("roifile")
    theirs = roifile.ImagejRoi.frombytes(_roi.encode(Roi("polygon", [np.array(points, float)], "name", 3)))
    assert theirs.coordinates().tolist() == [list(point) for point in points]
    assert (theirs.name, theirs.group) == ("name", 3)


def test_roifile_reads_composites():
    roifile = pytest.importorskip("roifile")
    outer, hole = (
        np.array([(0, 0), (9, 0), (9, 9), (0, 9)], float),
        np.array([(2, 2), (2, 4), (4, 4), (4, 2)], float),
    )
    theirs = roifile.ImagejRoi.frombytes(_roi.encode(Roi("polygon", [outer, hole], "x")))
    assert [ring[:-1].tolist() for ring in theirs.coordinates(multi=True)] == [outer.tolist(), hole.tolist()]


@pytest.mark.parametrize("n", [3, 70_000])
def test_what_roifile_writes_is_read(rng, n):
    roifile = pytest.importorskip("roifile")
    for points in (rng.integers(0, 500, (n, 2)), rng.random((n, 2)).astype(np.float32) * 50):
        theirs = roifile.ImagejRoi.frompoints(points)
        theirs.name, theirs.group, theirs.position = "a", 2, 4
        roi = _roi.decode(theirs.tobytes(), "x")
        assert np.array_equal(roi.rings[0], points)
        assert (roi.name, roi.group, roi.positions) == ("a", 2, {"position": 4})
    again = _roi.decode(_roi.encode(Roi("polygon", [points.astype(float)])), "x")
    assert np.array_equal(again.rings[0], points)


def shapes_of_all_kinds() -> Dataset:
    builder = ShapesBuilder(rule="even-odd")
    builder.polygon([[(0.5, 0.25), (7.5, 1.5), (5, 8)]])
    builder.polygon([[(0.1, 0.5), (7.5, 0.5), (7.5, 9.5), (0.1, 9.5)], [(2, 2), (4, 2), (4, 4.3)]])
    builder.add("circle", [(5, 5), (8.25, 5)])
    builder.add("ellipse", [(5, 5), (2.5, 4), (0.3, 0)])
    builder.add("rectangle", [(1.25, 2), (5.5, 6)])
    builder.add("point", [(1.5, 2)])
    builder.add("line", [(1.5, 2), (6, 7.25)])
    builder.add("polyline", [(1.5, 2), (3, 4), (5, 6)])
    builder.box()
    n = len(builder)
    bbox = np.full((n, 4), np.nan)
    bbox[-1] = (1.25, 2, 3, 4)
    return Dataset(
        {"file_name": ["a"], "height": [10], "width": [12]}, {"name": ["x", "3"]},
        {"bbox": bbox, "category": [i % 3 - 1 for i in range(n)]}, builder.build(),
    )  # fmt: skip


def test_every_kind_comes_back(tmp_path):
    dataset = shapes_of_all_kinds()
    report = io.write(dataset, tmp_path / "a.zip", "imagej")
    assert report.masks_kept
    assert (report.boxes_changed, report.images_lost) == (0, 0)
    found = io.read(tmp_path / "a.zip", size=(10, 12))
    kinds = [KINDS[kind] for kind in found.shapes.kind]
    assert kinds == ["polygon"] * 2 + ["ellipse"] * 2 + ["rectangle", "point", "line", "polyline", "box"]
    for i in (0, 4, 5, 6, 7):
        assert np.array_equal(found.shapes.points[i][0], dataset.shapes.points[i][0])


def test_round_trip(tmp_path, rng):
    noise = rng.random((17, 23)) < 0.5
    images = [("ü b.png", [(noise, 0), (np.eye(17, 23) > 0, 1)]), ("c/d.v1.png", [(a_ring(9, 12), 1)])]
    dataset = from_arrays([*images, ("e.png", [])], ["a", "b 😀"])
    first = {"name": "x/../y", "n": 3, "s": "3", "l": [1, None], "slice": 2}
    attributes = [first, {"name": "x/../y", "slice": -1}, None]
    dataset = dataset.replace(instances=dataset.instances.with_columns(attributes=objects(attributes)))
    rows = imagej.write(dataset, tmp_path / "out")
    found = io.read(tmp_path / "out", sizes=sizes_of(dataset))
    assert found.images["file_name"].tolist() == ["c/d.v1", "e", "ü b"]
    assert compared(dataset, found, rows, "imagej").lossless
    with zipfile.ZipFile(tmp_path / "out" / "ü b.zip") as archive:
        assert archive.namelist() == ["x_.._y.roi", "x_.._y-00001.roi"]
    with pytest.raises(FileExistsError, match="without zips"):
        imagej.write(dataset, tmp_path / "out")
    with pytest.raises(ValueError, match="must be a folder, a zip for each of 3"):
        imagej.write(dataset, tmp_path / "a.zip")


def test_vertices_that_32_bits_change(tmp_path):
    """A pixel's middle that a vertex only just leaves out is left out."""
    edge = np.nextafter(2.5, 3)
    builder = ShapesBuilder(rule="even-odd")
    builder.polygon([[(edge, 0), (8, 0), (8, 8), (edge, 8)]])
    builder.polygon([[(edge - 1e-12, 0), (8, 0), (8, 8), (edge - 1e-12, 8)]])
    dataset = Dataset({"file_name": ["a"], "height": [9], "width": [9]}, {}, {}, builder.build())
    report = io.write(dataset, tmp_path / "a.zip", "imagej")
    assert report.masks_kept


def test_pictures_give_names_and_sizes(tmp_path):
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "cell.tif"), np.zeros((6, 8), np.uint8))
    (tmp_path / "cell.roi").write_bytes(_roi.encode(Roi("rectangle", [np.array([(1.0, 1), (3, 4)])])))
    found = io.read(tmp_path / "cell.roi")
    assert (found.images["file_name"][0], found.masks.area.tolist()) == ("cell.tif", [6])
    assert io.read(tmp_path / "cell.roi", offset=1.0).instances["bbox"].tolist() == [[2, 2, 2, 3]]


def test_offset_is_taken_back(tmp_path):
    dataset = shapes_of_all_kinds()
    imagej.write(dataset, tmp_path / "a.zip", offset=0.5)
    found = imagej.read(tmp_path / "a.zip", size=(10, 12), offset=0.5)
    assert (found.masks ^ dataset.masks).area.sum() == 0
    assert np.allclose(found.instances["bbox"], dataset.instances["bbox"], atol=1e-5)


GOOD = [
    header(0, (10, 20, 14, 23), 3) + xy(">i2", (0, 0), (4, 0), (4, 3)),
    header(1, (0, 0, 9, 9), size=10) + np.array([0, 0, 0, 1, 9, 0, 1, 9, 9, 4], ">f4").tobytes(),
]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "begins with Iout"),
        (b"Iout", "cut short"),
        (GOOD[0][:70], "cut short"),
        (GOOD[1][:70], "cut short"),
        (header(6, (0, 0, 1, 1)), "a known type of ROI, found 6"),
        (header(0, (0, 0, 1, 1), 0, floats=struct.pack(">i12x", -5)), "cut short"),
        (header(0, (0, 0, 1, 1), 0, floats=struct.pack(">i12x", 2**31 - 1)), "cut short"),
        (
            header(1, (0, 0, 1, 1), floats=struct.pack(">4f", math.nan, 0, 1, 1), options=128),
            "coordinates within 1e9",
        ),
        (header(3, (0, 0, 1, 1), floats=struct.pack(">4f", 1e30, 0, 1, 1)), "coordinates within 1e9"),
        (header(1, (0, 0, 9, 9), size=3) + np.array([1, 0, 0], ">f4").tobytes(), r"shape\[0\]"),
        (header(1, (0, 0, 9, 9), size=2) + np.array([0, 0], ">f4").tobytes(), r"shape\[0\]"),
        (header(1, (0, 0, 9, 9), size=1) + np.array([math.nan], ">f4").tobytes(), r"shape\[0\]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, data, said):
    (tmp_path / "a.zip").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../b.roi", data)
    with pytest.raises(FormatError, match=rf"a\.zip: \.\./\.\./b\.roi.*: .*{said}"):
        imagej.read(tmp_path / "a.zip")


def test_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(imagej, "MAX_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"{i}.roi", GOOD[0] + bytes(400_000))
    with pytest.raises(FormatError, match="expected at most 1048576 bytes of regions"):
        imagej.read(tmp_path / "a.zip")
    monkeypatch.setattr(imagej, "MAX_ENTRIES", 2)
    with pytest.raises(FormatError, match="expected at most 2 regions, found 3"):
        imagej.read(tmp_path / "a.zip")


def zipped() -> bytes:
    file = streams.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, data in enumerate(GOOD):
            archive.writestr(f"{k}.roi", data)
    return file.getvalue()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    roi=mutated(_roi.encode(Roi("polygon", [np.eye(2)] * 2, "n", 1, {}, {"a": "b"}))),
    archive=mutated(zipped()),
)
def test_damaged(tmp_path, roi, archive):
    (tmp_path / "a.roi").write_bytes(roi)
    (tmp_path / "a.zip").write_bytes(archive)
    reads_or_says_why(lambda: imagej.read(tmp_path / "a.roi", size=(9, 9)))
    reads_or_says_why(lambda: imagej.read(tmp_path / "a.zip", size=(9, 9)))
