"""Record tables of Coast Train: reading, rules, counts, pictures; on made tables, and on the ten real ones."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.cli import main
from maskmill.studies.coast.audit import lint
from maskmill.studies.coast.records import COLUMNS, read_records, title
from maskmill.studies.coast.rules import RULES

ROW = {
    "annotation_image_filename": "npz/dune_20180603_ID3.npz",
    "image_filename": "images/dune_20180603_ID3.jpg",
    "label_image_filename": "labels/dune_20180603_ID3_label.jpg",
    "classes_array": "'water', 'sand', 'dev'",
    "num_classes": "3",
    "classes_integer": "1, 2",
    "classes_present_integer": "0, 2",
    "classes_present_array": "'water', 'dev'",
    "pen_width": "3",
    "CRF_theta": "1",
    "CRF_mu": "1",
    "CRF_downsample_factor": "2",
    "Classifier_downsample_factor": "4",
    "prob_of_unary_potential": "0.9",
    "num_of_scales": "2",
    "doodle_spatial_density": "0.25",
    "acc_georef": "6",
    "epsg": "26911",
    "year": "2018",
    "month": "6",
    "day": "3",
    "hour": "12",
    "minute": "0",
    "second": "0",
    "XMin": "300000",
    "XMax": "300080",
    "YMin": "3700000",
    "YMax": "3700060",
    "LonMin": "-119.5",
    "LonMax": "-119.4",
    "LatMin": "34",
    "LatMax": "34.1",
    "CRS": '"NAD83 / UTM zone 11N"',
    "px_size_m": "10",
    "ImageHeightPx": "6",
    "ImageWidthPx": "8",
    "ImageBands": "3",
}


def write(path: Path, *rows: dict[str, str], columns=None) -> Path:
    """A table of `ROW`s with changes."""
    names = columns or list(ROW)
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, names, extrasaction="ignore")
        out.writeheader()
        out.writerows({**ROW, **row} for row in rows)
    return path


def broken(found) -> dict[str, int]:
    """Rules with hits, but for those that every table breaks."""
    names = [f.rule for f in found.findings if f.rule not in ("scales", "class-integers")]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def as_result(path: Path, label: np.ndarray, doodles: np.ndarray, **other) -> Path:
    """A result of Doodler of one trial, which is as `ROW` says but for what is given."""
    arrays = {
        "image": np.zeros((*label.shape[:2], 3), np.uint8),
        "label": np.eye(3, dtype=np.uint8)[label] if label.ndim == 2 else label,
        "doodles": doodles.astype(np.uint8),
        "settings": np.array([3, 2, 4, 1, 1, 0.9, 2]),
        "classes": np.array(["water", "sand", "dev"]),
        **other,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


# Reading


def test_columns_are_found_by_name(tmp_path, rng):
    path = write(tmp_path / "K_dunes.csv", {}, columns=[*rng.permutation(list(ROW)), "remarks"])
    [row] = read_records(path)
    assert row["record_set"], row["line"] == ("K", 2)
    assert (row["image"], row["labeler"]) == ("dune_20180603", 3)
    assert row["classes_array"] == ("water", "sand", "dev")
    assert row["classes_present_integer"] == (0, 2)
    assert (row["epsg"], row["XMax"], row["CRS"]) == (26911, 300080, '"NAD83 / UTM zone 11N"')


@pytest.mark.parametrize("absent", ["", "NaN", "null", "n/a", "na", "None"])
def test_no_number_is_nan(tmp_path, absent):
    [row] = read_records(write(tmp_path / "K_x.csv", {"doodle_spatial_density": absent, "year": absent}))
    assert math.isnan(row["doodle_spatial_density"])
    assert math.isnan(row["year"])


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("epsg", "UTM", "a number"),
        ("epsg", "inf", "a number of an instrument"),
        ("ImageWidthPx", "8.5", "a whole number"),
        ("classes_array", "water, sand", "a list of names in quotes"),
        ("classes_array", "'water' 'sand'", "a list of names in quotes"),
        ("classes_array", "'water', 'sand", "a list of names in quotes"),
        ("classes_present_integer", "0, two", "a list of whole numbers"),
        ("classes_present_integer", "0,,1", "a list of whole numbers"),
        ("classes_present_integer", "-1", "a list of whole numbers"),
    ],
)
def test_bad_cells_are_named(tmp_path, column, cell, expected):
    path = write(tmp_path / "K_x.csv", {}, {column: cell})
    with pytest.raises(FormatError, match=f"{path}: line 3: {column}: expected {expected}"):
        read_records(path)


def test_columns_that_are_missing_or_twice(tmp_path):
    lacking = write(tmp_path / "a.csv", {}, columns=[name for name in ROW if name != "LatMin"])
    with pytest.raises(FormatError, match=r"line 1: expected a column 'LatMin'"):
        read_records(lacking)
    with pytest.raises(FormatError, match="expected one column 'CRS', found 2"):
        read_records(write(tmp_path / "b.csv", {}, columns=[*ROW, "CRS"]))


def test_names_with_either_quote_and_none(tmp_path):
    lists = {"classes_array": """"fool's gold", 'sand', ''""", "classes_present_array": ""}
    [row] = read_records(write(tmp_path / "x.csv", lists | {"classes_present_integer": ""}))
    assert row["classes_array"] == ("fool's gold", "sand", "")
    assert row["classes_present_array"] == row["classes_present_integer"] == ()


def test_a_folder_of_tables(tmp_path):
    write(tmp_path / "A_one.csv", {}, {})
    write(tmp_path / "B_two.csv", {})
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert read_records(tmp_path)["record_set"].tolist() == ["A", "A", "B"]
    write(tmp_path / "A_three.csv", {})
    assert read_records(tmp_path)["record_set"].tolist() == ["A_one", "A_one", "A_three", "B_two"]


def test_nothing_to_read(tmp_path):
    with pytest.raises(FormatError, match=r"expected record tables"):
        read_records(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_records(tmp_path / "none.csv")
    empty = write(tmp_path / "E_empty.csv")
    assert len(read_records(empty)) == 0
    assert lint(empty).findings == []


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(COLUMNS), st.text(max_size=12))
def test_any_cell_is_read_or_refused(tmp_path_factory, column, cell):
    path = tmp_path_factory.mktemp("cell") / "K_x.csv"
    try:
        write(path, {}, {column: cell})
        found = lint(path)
    except (FormatError, UnicodeEncodeError):
        return
    assert found.rows in ({"K": 2}, {})
    found.summary()


# Rules


def test_a_true_row_breaks_no_rule(tmp_path):
    assert broken(lint(write(tmp_path / "K_x.csv", {}))) == {}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("date", {"year": "2017"}),
        ("date-invalid", {"day": ""}),
        ("date-invalid", {"hour": "24"}),
        ("pixel-size", {"px_size_m": "10.6"}),
        ("pixel-square", {"YMax": "3700064"}),
        ("extent", {"LonMax": "-119.5"}),
        ("utm-zone", {"LonMin": "-121"}),
        ("crs-zone", {"CRS": "WGS 84 / UTM zone 10N"}),
        ("crs-missing", {"CRS": "n/a"}),
        ("probability", {"prob_of_unary_potential": "3"}),
        ("present", {"classes_present_array": "'water', 'sand'"}),
        ("class-count", {"num_classes": "4"}),
        (
            "superclass",
            {"classes_array": "'water', 'sand', 'gold'", "classes_present_array": "'water', 'gold'"},
        ),
        ("density-missing", {"doodle_spatial_density": ""}),
        ("density-range", {"doodle_spatial_density": "25"}),
        ("stems", {"image_filename": "images/dune_20180604_ID3.jpg"}),
        ("labeler", dict(zip(list(ROW)[:3], ["npz/a.npz", "a.jpg", "a_label.jpg"], strict=True))),
    ],
)
def test_each_rule_alone(tmp_path, rule, change):
    assert broken(lint(write(tmp_path / "K_x.csv", change))) == {rule: 1}


def test_rules_that_come_with_others(tmp_path):
    index = {"classes_present_integer": "0, 3", "classes_present_array": "'water'"}
    assert broken(lint(write(tmp_path / "K_x.csv", index))) == {"index": 1}
    assert broken(lint(write(tmp_path / "K_y.csv", {"ImageWidthPx": "0"})))["size"] == 1
    other = {"classes_array": "'water', 'dev', 'sand'", "classes_present_array": "'water', 'sand'"}
    assert broken(lint(write(tmp_path / "K_z.csv", {}, other))) == {"class-lists": 1, "repeated": 1}


def test_every_rule_is_tried_here():
    tried = {mark.args[1][i][0] for mark in test_each_rule_alone.pytestmark for i in range(17)}
    assert {rule.name for rule in RULES} - tried == {
        *("scales", "index", "class-integers", "class-lists", "size", "repeated"),
    }


REAL = {
    "date": {"A": 424, "C": 292, "J": 89},
    "pixel-size": {"A": 419, "B": 44, "C": 2, "D": 103, "E": 350, "F": 43},
    "pixel-square": {"A": 380, "D": 103, "E": 350},
    "utm-zone": {"C": 3},
    "crs-zone": {"A": 58, "C": 199, "J": 63},
    "crs-missing": {"B": 44, "D": 103, "I": 289, "F": 50, "G": 26, "H": 42},
    "probability": {"B": 44, "J": 104},
    "present": {"B": 22},
    "class-lists": {"A": 281, "C": 5, "I": 190, "J": 11},
    "superclass": {"J": 11},
    "density-missing": {"C": 1},
}
"""Rows of the published tables that break rules; notes are broken by all, the other rules by none."""


def test_real_tables_break_these_rules(data):
    found = lint(data / "coast_train")
    assert sum(found.rows.values()) == 1852
    counts = {rule: {s: n for s, n in hits.items() if n} for rule, hits in found.counts().items()}
    assert {rule: hits for rule, hits in counts.items() if hits and hits != found.rows} == REAL
    assert {rule for rule, hits in counts.items() if hits == found.rows} == {"scales", "class-integers"}
    dated = found.checked["date"]
    assert {s: n for s, n in dated.items() if n} == {
        "A": 493,
        "C": 340,
        "D": 103,
        "E": 350,
        "F": 50,
        "G": 26,
        "I": 289,
        "J": 115,
    }
    assert title("A") == "A NAIP"


# Files of labels


@pytest.fixture
def served(tmp_path):
    """A table of one row, and its file."""
    label = np.zeros((6, 8), int)
    label[:, 5:] = 2
    doodles = np.zeros((6, 8), int)
    doodles[:, :2] = 1
    table = write(tmp_path / "K_x.csv", {})
    return table, tmp_path / "files" / "npz" / "dune_20180603_ID3.npz", label, doodles


def test_files_as_the_rows_say(served):
    table, path, label, doodles = served
    as_result(path, label, doodles)
    assert broken(lint(table, path.parents[1])) == {}
    assert broken(lint(table, path.parent)) == {}  # elsewhere, by its name


def test_what_files_and_rows_disagree_about(served):
    table, path, label, doodles = served
    stack = np.eye(3, dtype=np.uint8)[label]
    stack[0, 0] = 0
    for rule, change in {
        "file-bands": {"image": np.zeros((6, 8), np.uint8)},
        "file-classes": {"classes": np.array(["water", "land", "dev"])},
        "file-present": {"label": label // 2},
        "file-doodled": {"doodles": np.ones((6, 8), np.uint8)},
        "file-settings": {"settings": np.array([3, 2, 4, 1, 1, 0.9, 3])},
        "file-unlabelled": {"label": stack},
    }.items():
        as_result(path, **{"label": label, "doodles": doodles} | change)
        assert broken(lint(table, path.parents[1])) == {rule: 1}
    as_result(path, label[:5], doodles[:5])
    assert broken(lint(table, path.parents[1])) == {"file-size": 1}


def test_files_that_are_missing_extra_damaged_or_twice(served):
    table, path, label, doodles = served
    as_result(path, label, doodles)
    extra = as_result(path.with_name("other_ID1.npz"), label, doodles)
    found = lint(table, path.parents[1])
    assert broken(found) == {"file-extra": 1}
    assert found.counts()["file-extra"] == {"K": 0, "": 1}
    assert "no row 1" in found.summary()
    path.unlink()
    assert broken(lint(table, path.parents[1])) == {"file-missing": 1, "file-extra": 1}
    path.write_bytes(b"PK\x03\x04 no archive")
    extra.unlink()
    assert broken(lint(table, path.parents[1])) == {"file-unreadable": 1}
    path.unlink()
    for folder in "ab":
        as_result(path.parents[1] / folder / path.name, label, doodles)
    assert broken(lint(table, path.parents[1])) == {"file-ambiguous": 1}


def test_lint_verb(served, tmp_path, capsys):
    table, path, label, doodles = served
    as_result(path, label, doodles, image=np.zeros((6, 8), np.uint8))
    out = tmp_path / "wrong"
    where = ["--files", str(path.parents[1]), "--table", f"{out}.csv", "--json", f"{out}.json"]
    assert main(["coast", "lint", str(table), *where, "--rows", "--quiet"]) == 3
    assert "K_x.csv:2: npz/dune_20180603_ID3.npz: 1, in the row 3" in capsys.readouterr().out
    with open(f"{out}.csv", encoding="utf-8-sig", newline="") as file:
        assert [row["rule"] for row in csv.DictReader(file)] == ["class-integers", "file-bands"]
    told = json.loads(out.with_suffix(".json").read_bytes())
    assert {rule["name"]: rule["hits"]["K"] for rule in told["rules"]}["file-bands"] == 1
    assert main(["coast", "lint", str(table), "--only", "date"]) == 0
    assert main(["coast", "lint", str(table), "--only", "class-integers"]) == 0
    assert main(["coast", "lint", str(table), "--only", "class-integers", "--fail-on", "note"]) == 3
    assert main(["coast", "lint", str(table), "--only", "dates"]) == 2
    assert "rules must be among" in capsys.readouterr().err
