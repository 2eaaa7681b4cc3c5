"""Mosaic projects and image-per-shot projects."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.cli import main
from maskmill.studies.zircon.projects import match_scanlists, read_project
from maskmill.studies.zircon.scans import read_scans
from zircon_projects import align, picture, project, scancsv

HEADING = "Sample,Scanlist,Mosaic,Max_grain_size,X_offset,Y_offset\n"


def table(folder, text, encoding="utf-8"):
    (folder / "mosaic_info.csv").write_text(text, encoding=encoding)
    return folder


def test_old_header_and_mark(tmp_path):
    """As the published table: a byte order mark, and the column's old name."""
    text = HEADING.replace("grain", "zircon") + "A,a.scancsv,a b.bmp,300,1.5,-2\n"
    (sample,) = read_project(table(tmp_path, text, "utf-8-sig"))
    assert (sample.name, sample.field, sample.offset) == ("A", 300, (1.5, -2))
    assert sample.scanlist == tmp_path / "scanlists/a.scancsv"
    assert sample.mosaic == tmp_path / "mosaics/a b.bmp"


def test_real_project(data):
    samples = read_project(data / "zircon")
    assert [(sample.name, sample.field, len(sample.scans.spots)) for sample in samples] == [
        ("SY-D", 300, 397),
        ("1WM-478", 300, 397),
    ]
    matches = [match_scanlists([sample.scanlist], [sample.align])[0] for sample in samples]
    assert [(match.outside, match.fits(0)) for match in matches] == [(0, True), (0, True)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A,a.scancsv,a.bmp,0,0,0", "line 2: Max_grain_size: expected a number above 0, found '0'"),
        ("A,a.scancsv,a.bmp,nan,0,0", "line 2: Max_grain_size: expected a number"),
        ("A,a.scancsv,a.bmp,1e300,0,0", "line 2: Max_grain_size: expected a number of an instrument"),
        ("A,a.scancsv,a.bmp,300,x,0", "line 2: X_offset: expected a number, found 'x'"),
        ("A,../a.scancsv,a.bmp,300,0,0", "line 2: Scanlist: expected a name without folders"),
        ("A,a.scancsv,/etc/a.bmp,300,0,0", "line 2: Mosaic: expected a name without folders"),
        ("A,a.scancsv,C:a.bmp,300,0,0", "line 2: Mosaic: expected a name without folders"),
        ("..,a.scancsv,a.bmp,300,0,0", "line 2: Sample: expected a name without folders"),
        (",a.scancsv,a.bmp,300,0,0", "line 2: Sample: expected a name without folders"),
        ("A,a.scancsv,a.bmp", "line 2: expected 6 cells, found 3"),
        ("A,a.scancsv,a.bmp,3,0,0\nA,b.scancsv,b.bmp,3,0,0", "line 3: Sample: expected a sample that is not"),
        ("", "expected a row for each sample"),
    ],
)
def test_bad_tables(tmp_path, line, message):
    with pytest.raises(FormatError) as fault:
        read_project(table(tmp_path, HEADING + line + "\n"))
    assert "mosaic_info.csv: " in str(fault.value)
    assert message in str(fault.value)


@given(at=st.integers(0, 140), cut=st.integers(0, 40), insert=st.binary(max_size=8))
def test_mutated_tables(tmp_path_factory, at, cut, insert):
    data = (HEADING + "A,a.scancsv,a.bmp,300,0,0\nB,b.scancsv,b.bmp,300,0,0\n").encode()
    folder = tmp_path_factory.getbasetemp()
    (folder / "mosaic_info.csv").write_bytes(data[:at] + insert + data[at + cut :])
    try:
        samples = read_project(folder)
    except FormatError as error:
        fine = str(error).startswith(str(folder))
    else:
        fine = all(sample.mosaic.parent == folder / "mosaics" for sample in samples)
    assert fine


def test_alignment_by_exact_stem(tmp_path):
    """The original takes whatever contains the name, and strips letters off it."""
    project(tmp_path, picture(60, 40), [("FC", 1010, 2010)], name="Alpha")
    (tmp_path / "mosaics/Alpha 2.Align").write_text(align((0, 0), (1, 1)))
    (sample,) = read_project(tmp_path)
    assert sample.align == tmp_path / "mosaics/Alpha.Align"
    assert sample.transform().sx == 1.0
    (tmp_path / "mosaics/Alpha.ALIGN").write_text(align((0, 0), (1, 1)))
    (sample,) = read_project(tmp_path)
    with pytest.raises(FormatError, match=r"expected one file Alpha.Align, found Alpha.ALIGN, Alpha.Align"):
        sample.transform()


def test_no_alignment(tmp_path):
    project(tmp_path, picture(60, 40), [("FC", 10, 20)])
    (tmp_path / "mosaics/A.Align").unlink()
    (sample,) = read_project(tmp_path)
    with pytest.raises(FormatError, match=r"A.Align: expected where the mosaic of A lies.*--pixels"):
        sample.transform()
    transform = sample.transform(pixels=True)
    assert (transform.unit, transform.to_pixels(sample.scans.xy).tolist()) == ("pixel", [[10, 20]])


def test_matching_knows_the_rotation(tmp_path):
    (tmp_path / "a.scancsv").write_text(scancsv([("FC", 500, 990), ("FC", 500, 10), ("SL", 990, 500)]))
    for rotation in (0, 90):
        (tmp_path / f"{rotation}.Align").write_text(align((500, 500), (1000, 200), rotation))
    flat, turned = match_scanlists([tmp_path / "a.scancsv"], [tmp_path / "0.Align", tmp_path / "90.Align"])
    assert (flat.outside, turned.outside, turned.spots) == (2, 1, 3)
    assert (flat.fits(), flat.fits(1), turned.fits(1)) == (True, False, True)


def test_info(tmp_path, capsys):
    project(tmp_path / "p", picture(60, 40), [("FC", 1010, 2010), ("Spot 1", 1020, 2020)])
    assert main(["zircon", "info", str(tmp_path / "p")]) == 0
    told = capsys.readouterr().out
    assert "A.bmp: 60 x 40 pixels" in told
    assert "1 standards (FC 1)" in told
    assert "0 of 2  A.scancsv  A.Align" in told
    (tmp_path / "p/scanlists/A.scancsv").write_text(scancsv([("FC", 1, 1)]))
    (tmp_path / "p/mosaics/A.bmp").unlink()
    assert main(["zircon", "info", str(tmp_path / "p")]) == 3
    told = capsys.readouterr().err
    assert "A.bmp: no such mosaic, of sample A" in told
    assert "sample A: 1 of 1 spots are not on the mosaic" in told


def test_info_before_there_is_a_table(tmp_path, capsys):
    project(tmp_path, picture(60, 40), [("FC", 1010, 2010)])
    (tmp_path / "mosaic_info.csv").unlink()
    assert main(["zircon", "info", str(tmp_path)]) == 0
    assert "   0 of 1  A.scancsv  A.Align" in capsys.readouterr().out


# Image-per-shot projects


def image(path, shape=(30, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros(shape, np.uint8))


def test_layout_a(tmp_path):
    for name in ("HT-01_1.png", "HT-01_ping_1.png", "V.01-Spot 3.tif", "noname.png"):
        image(tmp_path / "scans" / name)
    (tmp_path / "scans/notes.txt").write_text("")
    (tmp_path / "scans/HT-01_1.Align").write_text(align((0, 0), (80, 45)))
    (tmp_path / "sample_info.csv").write_text("Sample,Scale\nV.01,1.5\n", encoding="utf-8-sig")
    scans, ignored = read_scans(tmp_path)
    assert [(scan.sample, scan.shot, scan.sx, scan.sy, scan.scale_from) for scan in scans] == [
        ("HT-01", "1", 2.0, 1.5, ".Align"),
        ("HT-01_ping", "1", 1.0, 1.0, "default (1.0)"),
        ("V.01", "Spot 3", 1.5, 1.5, "sample_info.csv"),
    ]
    assert (scans[0].columns, scans[0].rows) == (40, 30)
    assert [path.name for path, _ in ignored] == ["noname.png", "notes.txt"]


def test_layout_b(tmp_path):
    image(tmp_path / "scans/B/Spot 1.png")
    image(tmp_path / "scans/A/ping_1.png")
    scans, ignored = read_scans(tmp_path)
    assert [(scan.sample, scan.shot) for scan in scans] == [("A", "ping_1"), ("B", "Spot 1")]
    assert ignored == []


def test_ucsb_and_other_names(tmp_path):
    image(tmp_path / "scans/ScanImage_NV-01-Spot7_Ablation_x.png")
    ((scan,), _) = read_scans(tmp_path, "ucsb")
    assert (scan.sample, scan.shot) == ("NV-01", "Spot7")
    ((scan,), _) = read_scans(tmp_path, r"(?P<shot>\w+)_(?P<sample>.*)")
    assert (scan.sample, scan.shot) == ("NV-01-Spot7_Ablation_x", "ScanImage")
    ((scan,), _) = read_scans(tmp_path, "whole")
    assert (scan.sample, scan.shot) == (tmp_path.name, "ScanImage_NV-01-Spot7_Ablation_x")
    with pytest.raises(ValueError, match=r"names must be last, ucsb, whole or have groups"):
        read_scans(tmp_path, "(.*)")
    with pytest.raises(ValueError, match="names must be a regular expression"):
        read_scans(tmp_path, "(")


def test_faults_of_image_per_shot_projects(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_scans(tmp_path)
    image(tmp_path / "scans/A-1.png")
    image(tmp_path / "scans/A_1.png")
    with pytest.raises(FormatError, match="A_1.png: expected one picture of A 1"):
        read_scans(tmp_path)
    (tmp_path / "scans/A_1.png").unlink()
    for name in ("A-1.Align", "A-1.align"):
        (tmp_path / "scans" / name).write_text(align((0, 0), (1, 1)))
    with pytest.raises(
        FormatError, match=r"A-1.Align: expected one .Align file of this stem, found A-1.align"
    ):
        read_scans(tmp_path)
    (tmp_path / "scans/A-1.align").unlink()
    (tmp_path / "scans/A_1.png").write_bytes(b"")
    with pytest.raises(FormatError, match=r"A_1.png: expected one|expected a PNG"):
        read_scans(tmp_path)
    (tmp_path / "sample_info.csv").write_text("Sample,Scale\nA,0\n")
    with pytest.raises(FormatError, match="sample_info.csv: line 2: Scale: expected a number above 0"):
        read_scans(tmp_path)


def test_info_of_image_per_shot(tmp_path, capsys):
    image(tmp_path / "scans/A/1.png")
    image(tmp_path / "scans/A/2.png")
    assert main(["zircon", "info", str(tmp_path)]) == 0
    assert "sample A: 2 images, scale from default (1.0)" in capsys.readouterr().out
    assert main(["zircon", "info", str(tmp_path / "scans")]) == 2
