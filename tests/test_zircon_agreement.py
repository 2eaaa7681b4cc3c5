"""Agreement of two sets of measurements: the published workbook reproduced, and the arithmetic on small sets."""

from __future__ import annotations

import contextlib
import math
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.cli import main
from maskmill.studies.zircon import agreement
from maskmill.studies.zircon.comparison import ALL, SUMMARY
from maskmill.studies.zircon.pairs import Pairs, read_pairs, read_workbook, sample_of


def write_csv(path, heading, *rows, encoding="utf-8"):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([heading, *rows]) + "\n", encoding=encoding)
    return path


@pytest.fixture
def files(tmp_path):
    hand = write_csv(
        tmp_path / "hand.csv",
        "Analysis,Long axis (μm),Short axis (um)",
        *(
            "A-Spot 1,100,50",
            "A-Spot 2,80,40",
            "B-Spot 1,60,30",
            "B-Spot 2,50,20",
            "B-Spot 3,,10",
            "B-Spot 4,70,35",
        ),
    )
    auto = write_csv(
        tmp_path / "auto.csv",
        "Analysis,Best long axis length (µm),Best short axis length (µm),spot_time",
        *("A-Spot 1,110,40,0.5", "A-Spot 2,64,40,0.25", "B-Spot 1,60,24,", "B-Spot 2,,,1", "C-Spot 1,3,4,5"),
        encoding="utf-8-sig",
    )
    return hand, auto


# The workbook


def test_published_summary(data):
    """Every sample and every column, rules and order of operations included."""
    openpyxl = pytest.importorskip("openpyxl")
    path = data / "zircon" / "timed_czd_test_eval.xlsx"
    found = agreement(path)
    sheet = openpyxl.load_workbook(path, read_only=True, data_only=True)["Summary"]
    heading, *rows = sheet.iter_rows(values_only=True)
    assert [name.replace("\u03bc", "\u00b5") for name in heading] == list(SUMMARY)
    assert len(rows) == len(found.summary) == 19
    for expected, row in zip(rows, found.summary, strict=True):
        assert row["Sample"] == expected[0]
        assert list(row.values())[1:] == pytest.approx(expected[1:], rel=1e-12, abs=1e-12)
    assert len(found.pairs) == 5004
    assert len(found.pairs.left_out) == 6
    long = next(row for row in found.axes if row["Group"] == ALL and row["Axis"] == "long")
    assert long["correlation"] == pytest.approx(0.939182, abs=1e-6)
    assert (long["lower limit (µm)"], long["upper limit (µm)"]) == pytest.approx((-21.081, 16.076), abs=1e-3)
    assert long["bias from (µm)"] < -2.502 < long["bias to (µm)"]
    assert sum(row["n"] for row in found.sizes if row["Axis"] == "long") == 4994


def workbook(path, rows, sheet="A"):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Summary"
    made = book.create_sheet(sheet)
    for line, row in enumerate(rows, 7):
        for column, value in enumerate(row, 1):
            made.cell(line, column, value)
    book.save(path)
    return path


ROW = ("A-Spot 1", "1520", "15", "99", "0.1", "0.05", "Spot 1", 0.09, 0.04, None, None, None, None, 0.2)


def test_workbook(tmp_path):
    rows = [
        ROW,
        ("A-Spot 2", None, None, None, "0.1", "x"),
        ("A-Spot 3", None, None, None, 0.1, 0.1),
        (),
        ROW,
    ]
    pairs = read_workbook(workbook(tmp_path / "a.xlsx", rows))
    assert len(pairs) == 2
    assert pairs.left_out == ("A-Spot 3",)
    assert agreement(pairs).summary.row(0)["avg. long axis error (µm)"] == pytest.approx(-10)


def test_workbooks_that_are_none(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"not a workbook")
    with pytest.raises(FormatError, match="expected an Excel workbook"):
        agreement(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<a/>")
    with pytest.raises(FormatError, match="expected an Excel workbook"):
        agreement(path)
    with pytest.raises(FileNotFoundError):
        agreement(tmp_path / "none.xlsx")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/bomb.xml", bytes(200 << 20))
    with pytest.raises(FormatError, match="at most 128 MiB"):
        agreement(path)
    with pytest.raises(FormatError, match=r"sheet 'A', cell H7: expected a number, found 'wide'"):
        agreement(workbook(path, [(*ROW[:7], "wide", *ROW[8:])]))
    with pytest.raises(FormatError, match="expected sheets with measurements"):
        agreement(workbook(path, []))


@pytest.fixture(scope="session")
def good_workbook(tmp_path_factory):
    """Its bytes; they hold the time when they are written."""
    return workbook(tmp_path_factory.mktemp("good") / "a.xlsx", [ROW, ROW]).read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mangled_workbooks(tmp_path, good_workbook, data):
    """Cut short or with bytes exchanged: the same pairs, others, or FormatError."""
    content = bytearray(good_workbook)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.xlsx"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(FormatError):
        read_workbook(path)


# Two CSV files


def test_two_files(files):
    found = agreement(*files)
    assert found.pairs.analysis.tolist() == ["A-Spot 1", "A-Spot 2", "B-Spot 1", "B-Spot 2"]
    assert found.pairs.left_out == ("B-Spot 4",)
    assert found.summary["Sample"].tolist() == ["A", "B", ALL]
    whole = found.summary.row(2)
    assert [whole[name] for name in SUMMARY[1:4]] == [4, 3, 25]
    # Errors of the long axis are 10, -16, 0 µm and 10, -20, 0 %; of the short one -10, 0, -6 and -20, 0, -20.
    assert whole["avg. long axis error (µm)"] == pytest.approx(-2)
    assert whole["avg. abs. long axis error (µm)"] == pytest.approx(26 / 3)
    assert whole["long axis RMSE (µm)"] == pytest.approx(math.sqrt(356 / 3))
    assert whole["avg. short axis % error"] == pytest.approx(-40 / 3)
    assert whole["long axis > 20% error"] == pytest.approx(100 / 3)  # 20 is counted
    assert whole["short axis > 20% error"] == pytest.approx(200 / 3)
    assert whole["Underest %"] == pytest.approx(100 / 3)  # but not 20 in the short axis
    assert whole["avg. spot segmentation time (s)"] == 0.375
    short = found.axes.row(5)
    assert (short["Group"], short["Axis"], short["below (%)"]) == (ALL, "short", pytest.approx(200 / 3))


def test_a_border_that_rounding_blurs():
    """0.08 is 20 % less than 0.1, though not in binary: the symmetric rule counts it, whatever the unit."""
    for unit in (1.0, 1000.0):
        pairs = Pairs.make([("A", "1", 0.1, 0.1, 0.08, 0.12, 0), ("A", "2", 0.1, 0.1, 0.1, 0.1, 0)], unit)
        long, short = (agreement(pairs).axes.row(i) for i in (0, 1))
        assert (long["above (%)"], long["below (%)"], long["beyond (%)"]) == (0, 50, 50)
        assert (short["above (%)"], short["below (%)"], short["beyond (%)"]) == (50, 0, 50)


def test_half_a_measurement_is_none():
    pairs = Pairs.make([("A", "1", 10, 5, 11, math.nan, 1), ("A", "2", 10, 5, 11, 6, 1)], 1.0)
    row = agreement(pairs).summary.row(0)
    assert (row["n total"], row["n successful"], row["avg. short axis error (µm)"]) == (2, 1, 1)


@given(st.lists(st.tuples(*[st.floats(1, 300)] * 4), min_size=2, max_size=30))
def test_definitions(rows):
    pairs = Pairs.make([("A", str(i), *row, 1.0) for i, row in enumerate(rows)], 1.0)
    found = agreement(pairs, resamples=20)
    values = np.array(rows)
    error = values[:, 2:] - values[:, :2]
    row, axis = found.summary.row(1), found.axes.row(3)
    assert row["short axis RMSE (µm)"] == pytest.approx(np.sqrt((error[:, 1] ** 2).mean()))
    assert axis["upper limit (µm)"] - axis["lower limit (µm)"] == pytest.approx(
        3.92 * error[:, 1].std(ddof=1)
    )
    assert axis["median abs. error (µm)"] == pytest.approx(np.median(np.abs(error[:, 1])))
    assert axis["above (%)"] + axis["below (%)"] == pytest.approx(axis["beyond (%)"])
    assert found.summary["n total"].tolist() == [len(rows), len(rows)]


def test_the_seed_decides():
    pairs = Pairs.make([("A", str(i), 100, 50, 100 + i, 50, 1) for i in range(20)], 1.0)
    first, again, other = (agreement(pairs, seed=seed).axes.row(0)["bias from (µm)"] for seed in (1, 1, 2))
    assert first == again != other


def test_headings_units_and_samples(tmp_path):
    hand = write_csv(
        tmp_path / "hand.csv", "Spot,Rock,Length (mm),Width (mm)", "x,R1,0.1,0.05", "y,R2,0.2,0.1"
    )
    auto = write_csv(tmp_path / "auto.csv", "Spot,L (Âµm),W (Âµm)", "y,190,90", "x,110,50")
    pairs = read_pairs(
        hand, auto, key="Spot", long=("Length (mm)", "L (µm)"), short=("Width (mm)", "W (µm)"), sample="Rock"
    )
    assert pairs.reference.tolist() == [[100, 50], [200, 100]]
    assert pairs.measured.tolist() == [[110, 50], [190, 90]]
    assert pairs.sample.tolist() == ["R1", "R2"]


def test_a_folder_with_a_table_for_each_sample(files, tmp_path):
    """As the original writes them, without the sample in the names."""
    for sample, rows in {"A": ("Spot 1,110,40", "spot 2,64,40"), "B": ("B-Spot 1,60,24",)}.items():
        write_csv(
            tmp_path / f"out/{sample}_grain_dimensions.csv",
            "Analysis,Best long axis length (µm),Best short axis length (µm)",
            *rows,
        )
    pairs = read_pairs(files[0], tmp_path / "out")
    assert pairs.analysis.tolist() == ["A-Spot 1", "A-Spot 2", "B-Spot 1"]
    assert pairs.measured[:, 0].tolist() == [110, 64, 60]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="expected a table in CSV for each sample"):
        read_pairs(files[0], tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("1WM-478-Spot 12", "1WM-478"),
        ("1PL-534-spot 176", "1PL-534"),
        ("A_Spot3", ""),
        ("Spot 3", ""),
        ("x", ""),
    ],
)
def test_sample_of(name, sample):
    assert sample_of(name) == sample


def test_files_that_do_not_fit(files, tmp_path):
    hand, auto = files
    with pytest.raises(FormatError, match=r"auto.csv: line 1: expected a column 'Key'"):
        read_pairs(auto, hand, key="Key")
    with pytest.raises(FormatError, match=r"line 1: expected a column 'Width'"):
        read_pairs(hand, auto, short="Width")
    twice = write_csv(tmp_path / "twice.csv", "Analysis,Long axis (µm),Short axis (µm)", "a,1,1", "a,2,2")
    with pytest.raises(
        FormatError, match=r"twice.csv: line 3: key: expected a name that no other row has, found 'a'"
    ):
        read_pairs(twice, auto)
    words = write_csv(tmp_path / "words.csv", "Analysis,Long axis (µm),Short axis (µm)", "a,long,1")
    with pytest.raises(FormatError, match=r"words.csv: line 2: .*expected a number, found 'long'"):
        read_pairs(words, auto)
    other = write_csv(tmp_path / "other.csv", "Analysis,Long axis (µm),Short axis (µm)", "a,1,1")
    with pytest.raises(FormatError, match="expected names of"):
        read_pairs(other, auto)
    with pytest.raises(ValueError, match="a second file must be given"):
        agreement(hand)
    with pytest.raises(ValueError, match="sizes must be two or more rising borders"):
        agreement(hand, auto, sizes=[3])
    with pytest.raises(ValueError, match="beyond must be above 0"):
        agreement(hand, auto, beyond=0)


@given(st.binary(max_size=300))
def test_rubbish(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "rubbish.csv"
    path.write_bytes(b"Analysis,Long axis (um),Short axis (um)\n" + content)
    with contextlib.suppress(FormatError):
        read_pairs(path, path)


def test_command(files, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["zircon", "agreement", *map(str, files), str(out)]) == 0
    said = capsys.readouterr().out
    assert "4 grains measured twice, 3 of them with success" in said
    assert "1 have no partner: B-Spot 4" in said
    assert sorted(path.name for path in out.iterdir()) == [
        f"{name}.{suffix}" for name in ("axes", "sizes", "summary") for suffix in ("csv", "html", "md")
    ]
    assert (out / "summary.csv").read_bytes().count(b"\xc2\xb5m") == 6
    assert main(["zircon", "agreement", str(files[0]), str(tmp_path / "none.csv"), str(out)]) == 2
    assert main(["zircon", "agreement", *map(str, [*files, *files]), str(out)]) == 2


def test_pictures(files, tmp_path):
    pytest.importorskip("matplotlib")
    assert main(["zircon", "agreement", *map(str, files), str(tmp_path / "out"), "--plot"]) == 0
    for name in ("bland_altman", "scatter", "by_sample"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
