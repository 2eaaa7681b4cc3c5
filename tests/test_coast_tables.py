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
from maskmill.io.doodler import read_trials
from maskmill.io.images import read_image
from maskmill.studies.coast.audit import lint
from maskmill.studies.coast.figures import PICTURES
from maskmill.studies.coast.geography import places
from maskmill.studies.coast.maps import geojson, svg_map
from maskmill.studies.coast.montage import montage
from maskmill.studies.coast.plotting import montages, plots
from maskmill.studies.coast.records import COLUMNS, read_records, title
from maskmill.studies.coast.repeats import read_splits
from maskmill.studies.coast.rules import RULES
from maskmill.studies.coast.statistics import stats

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
        ("classes_present_integer", ", ".join(["1"] * 256), "up to 255 numbers"),
        ("classes_present_array", ", ".join(["'a'"] * 256), "up to 255 names"),
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


# Numbers


@pytest.fixture(scope="module")
def real(data):
    return stats(data / "coast_train")


PUBLISHED_CLASSES = {
    "A": [394, 380, 414, 388, 414, 406, 336, 91, 53, 7, 3],
    "B": [44, 44, 43, 41, 40, 24, 22],
    "C": [266, 239, 237, 215, 249, 155, 158, 77, 9, 8, 10],
    "D": [103, 103, 103, 103],
    "E": [350, 332, 350, 162, 350, 165, 298, 42, 258, 7, 1],
    "F": [50, 38, 50, 10, 0, 50, 0, 0, 0, 47, 3, 0],
    "G": [18, 21, 21, 21, 26, 26, 26, 26, 26, 26, 23, 24],
    "H": [39, 39, 42, 40, 40, 38, 39, 36, 39],
    "I-8": [66, 94, 92, 91, 94, 35, 30, 1],
    "I-11": [53, 50, 45, 91, 85, 75, 69, 86, 82, 63, 102],
    "J": [81, 69, 82, 99, 63, 21],
}
SUPERCLASSES = ["water", "whitewater", "sediment", "developed", "vegetation", "natural_terrain", "other"]


def column(table, name, **where):
    return [row[name] for row in table if all(row[key] == value for key, value in where.items())]


def test_real_class_counts(real):
    table = real.tables["classes"]
    for name, counts in PUBLISHED_CLASSES.items():
        published = column(table, "published", list=name)
        assert [int(n) for n in published if not math.isnan(n)] == counts
    of_a = dict(zip(column(table, "class", list="A"), column(table, "images", list="A"), strict=True))
    assert of_a == {
        "water": 394,
        "whitewater": 380,
        "sediment": 414,
        "other_natural_terrain": 178,
        "vegetated_surface": 204,
        "agricultural": 337,
        "development": 219,
        "cloud": 23,
        "nodata": 53,
        "unusual": 7,
        "unknown": 3,
        "other_bare_natural_terrain": 210,
        "marsh_vegetation": 210,
        "terrestrial_vegetation": 254,
    }
    assert len({name for names in real.records["classes_array"] for name in names}) == 41


def test_real_superclass_counts(real):
    table = real.tables["superclasses"]
    assert column(table, "superclass", record_set="all") == SUPERCLASSES
    for name, counts in {
        "published": [1474, 1274, 1832, 1243, 1531, 1723, 1020],
        "occurrences": [1474, 1274, 1832, 1124, 1790, 1651, 952],
        "images": [1464, 1274, 1402, 1023, 1512, 1118, 719],
    }.items():
        assert column(table, name, record_set="all") == counts
    for record_set, counts in {
        "A": [394, 380, 414, 219, 473, 453, 58],
        "C": [266, 239, 237, 156, 253, 226, 82],
        "E": [350, 332, 350, 298, 350, 247, 259],
        "I": [119, 50, 185, 98, 176, 69, 187],
    }.items():
        assert column(table, "images", record_set=record_set) == counts


def test_real_labelers_and_pixels(real):
    table = real.tables["labelers"]
    for record_set, counts in {
        "A": [67, 83, 333, 0, 0, 10],
        "C": [0, 50, 272, 0, 0, 18],
        "E": [55, 215, 40, 40, 0, 0],
        "I": [190, 99, 0, 0, 0, 0],
        "J": [0, 0, 113, 0, 0, 2],
        "all": [415, 497, 826, 40, 44, 30],
    }.items():
        assert column(table, "images", record_set=record_set) == counts
    assert column(table, "megapixels", record_set="all") == pytest.approx(
        [276.1778, 194.5954, 614.1671, 48.9168, 44.0720, 14.6374], abs=5e-5
    )
    table = real.tables["sets"]
    assert column(table, "images") == [493, 44, 340, 103, 350, 50, 26, 42, 289, 115]
    assert column(table, "megapixels") == pytest.approx(
        [380.2272, 44.0720, 67.0879, 44.2045, 108.5962, 1.1326, 27.2630, 174.9156, 286.6528, 58.4147],
        abs=5e-5,
    )
    published = [16.7585, 6.5626, 42.1097, 22.3115, 19.8648, 68.1122, 16.0332, 9.1383, 6.1733, 6.9109]
    assert column(table, "doodled_percent_published") == pytest.approx(published, abs=5e-5)
    published[2] = 42.2585  # one image has no density
    assert column(table, "doodled_percent") == pytest.approx(published, abs=5e-5)
    assert table["pixel_ratio"][[0, 1, 3, 4, 5]] == pytest.approx(
        [3.997, 0.147, 0.503, 0.774, 0.844], abs=6e-4
    )
    assert (real.as_dict()["images"], real.as_dict()["pixels"]) == (1852, 1192566534)


def test_real_places(real):
    lat, lon = real.tables["latitude"], real.tables["longitude"]
    assert lat["images"].tolist() == [
        *(50, 48, 186, 64, 0, 35, 54, 200, 186, 152, 140, 36, 68, 394, 20, 32, 6, 61, 120),
    ]
    assert lon["images"].tolist() == [
        *(520, 202, 35, 0, 0, 0, 0, 0, 0, 59, 93, 77, 75, 6, 26, 45, 85, 250, 379),
    ]
    assert [lat["low"][0], lat["high"][-1]] == pytest.approx([25.987618, 48.148107], abs=5e-7)
    assert [lon["low"][0], lon["high"][-1]] == pytest.approx([-124.092227, -69.952011], abs=5e-7)
    assert (len(real.tables["cells"]), real.tables["cells"]["images"].max()) == (48, 326)
    assert column(real.tables["places"], "places", record_set="E") == [6]
    assert column(real.tables["places"], "places", record_set="F") == [1]


def test_real_duplicates_and_what_was_published(real):
    kinds = real.tables["duplicates"]["kind"].tolist()
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"labelers": 120, "sets": 4, "doodles": 3}
    told = {(row["figure"], row["of"]): (row["published"], row["correct"]) for row in real.published}
    assert told["NumLabel_all_datarecords_per_superlabel", "developed"] == (1243, 1023)
    assert told["Num_images_per_datarecord_containing_class", "A cloud"] == (91, 23)
    assert all(row["published"] != row["correct"] and row["reason"] for row in real.published)


def test_classes_that_have_no_superclass(tmp_path):
    found = stats(write(tmp_path / "K_x.csv", {"classes_array": "'water', 'sand', 'gold'"}))
    table = found.tables["superclasses"]
    counts = dict(zip(column(table, "superclass"), column(table, "images"), strict=False))
    assert counts["(none)"] == counts["water"] == 1
    assert counts["sediment"] == 0
    pairs = {(row["first"], row["second"]): row["images"] for row in found.tables["class_pairs"]}
    assert pairs == {("gold", "water"): 1}


def test_numbers_of_no_rows_and_of_no_numbers(tmp_path):
    found = stats(write(tmp_path / "K_x.csv"))
    assert all(len(table) == 0 or name == "superclasses" for name, table in found.tables.items())
    blank = dict.fromkeys(
        [name for name, cell in ROW.items() if cell.replace(".", "").lstrip("-").isdigit()], ""
    )
    found = stats(write(tmp_path / "K_y.csv", {**blank, "classes_present_integer": "0"}))
    found.write(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "statistics.json").read_bytes())["sets"][0]["megapixels"] == 0
    assert "no place is known" in svg_map(found.records, {"K": "red"})
    assert geojson(found.records)["features"][0]["geometry"] is None


def boxes(path, *corners):
    names = ("LonMin", "LatMin", "LonMax", "LatMax")
    rows = [dict(zip(names, map(str, box), strict=True)) for box in corners]
    for i, row in enumerate(rows):
        row["annotation_image_filename"] = f"npz/p{i}_ID1.npz"
    return read_records(write(path, *rows))


def test_places_are_of_boxes_that_overlap(tmp_path):
    records = boxes(
        tmp_path / "K_x.csv",
        *((0, 0, 1, 1), (5, 5, 6, 6), (0.5, 0.5, 1.5, 1.5), (1, 0, 2, 1), (1.3, 1.3, 2, 2), (5, 5, 6, 6)),
        *((5.93, 5, 7, 6), ("", 0, 1, 1), ("", 0, 1, 1)),
    )
    # 2 overlaps with 0, with 3 and, by 0.04 of 0.49, too little with 4; 6 by 7 % with 1.
    assert places(records).tolist() == [0, 1, 0, 0, 2, 1, 3, 4, 5]
    assert places(records, 0.05).tolist() == [0, 1, 0, 0, 0, 1, 1, 2, 3]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 6)] * 2, *[st.integers(1, 3)] * 2), max_size=12))
def test_places_by_brute_force(tmp_path_factory, corners):
    records = boxes(
        tmp_path_factory.mktemp("boxes") / "K_x.csv", *((x, y, x + w, y + h) for x, y, w, h in corners)
    )
    found = places(records, 0.3)
    near = [
        {
            j
            for j, (u, v, s, t) in enumerate(corners)
            if max(0, min(x + w, u + s) - max(x, u)) * max(0, min(y + h, v + t) - max(y, v))
            >= 0.3 * min(w * h, s * t)
        }
        for x, y, w, h in corners
    ]
    for i in range(len(corners)):
        reached = {i}
        while (more := set().union(*(near[j] for j in reached))) - reached:
            reached |= more
        assert reached == set(np.flatnonzero(found == found[i]).tolist())


def test_leaks_between_parts(tmp_path, capsys):
    rows = [
        {"annotation_image_filename": f"npz/{name}_ID{k}.npz", "LonMin": str(lon), "LonMax": str(lon + 0.1)}
        for name, k, lon in (("a", 1, 0), ("a", 2, 0), ("b", 1, 1), ("c", 1, 2), ("d", 1, 2))
    ]
    table = write(tmp_path / "K_x.csv", *rows)
    split = tmp_path / "split.csv"
    split.write_text(
        "file,split\na_ID1.npz,train\nimages/a_ID2.jpg,val\nb_ID1,train\nc_ID1,train\nd_ID1_label.jpg,val\n"
    )
    leaks = stats(table, splits=split).tables["leaks"]
    assert [tuple(row.values()) for row in leaks] == [
        ("image", "a", "train 1, val 1"),
        ("place", "a", "train 1, val 1"),
        ("place", "c", "train 1, val 1"),
    ]
    assert main(["coast", "stats", str(table), "--splits", str(split)]) == 3
    assert "leak: one image, a: train 1, val 1" in capsys.readouterr().out
    split.write_text("file,split\na_ID1,train\na_ID1.npz,val\n")
    with pytest.raises(
        FormatError, match="line 3: split: expected 'train' as before for 'a_ID1.npz', found 'val'"
    ):
        read_splits(split)
    split.write_text("file,fold\na_ID1,1\n")
    with pytest.raises(FormatError, match="line 1: expected a column split or part or set, found none"):
        read_splits(split)


def test_stats_verb(tmp_path, capsys):
    table = write(tmp_path / "A_x.csv", {}, {"annotation_image_filename": "npz/dune_20180603_ID1.npz"})
    assert main(["coast", "stats", str(table), str(tmp_path / "out")]) == 0
    assert "2 images, 0.0 megapixels" in capsys.readouterr().out
    with open(tmp_path / "out" / "duplicates.csv", encoding="utf-8-sig", newline="") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["labelers"]
    assert main(["coast", "stats", str(table)]) == 0


# Pictures


@pytest.fixture
def two_sets(tmp_path):
    other = {"classes_array": "'water', 'dev', 'sand'", "classes_present_array": "'water', 'sand'"}
    write(tmp_path / "A_one.csv", {}, {**other, "annotation_image_filename": "npz/spit_20180603_ID1.npz"})
    blank = dict.fromkeys(("doodle_spatial_density", "ImageWidthPx", "pen_width", "LatMax"), "")
    write(tmp_path / "K_<two>.csv", {"LonMin": "-100", "LonMax": "-99.9", **blank})
    return tmp_path


def test_plots_of_tables(two_sets, tmp_path, served):
    pytest.importorskip("matplotlib")
    _, path, label, doodles = served
    (tmp_path / "K_x.csv").unlink()
    as_result(path, label, doodles, image=np.full((6, 8, 4), 200, np.uint8))
    out = tmp_path / "plots"
    written = plots(two_sets, out, files=path.parent)
    assert {p.name for p in out.iterdir()} == {p.name for p in written} == {
        *(f"{name}.png" for name in PICTURES), "map.svg", "locations.geojson", "report.html",
    }  # fmt: skip
    assert all(read_image(p).ndim == 3 for p in written if p.suffix == ".png")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<two>" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert page.count("data:image/png;base64,") == len(PICTURES)
    assert page.count("data:image/jpeg;base64,") == 2  # the image is in both tables
    assert page.count("<circle") == 2
    collection = json.loads((out / "locations.geojson").read_bytes())
    assert [f["properties"]["date"] for f in collection["features"]] == ["2018-06-03"] * 3
    assert collection["features"][0]["geometry"]["coordinates"][0][0] == [-119.5, 34]


def test_pictures_of_nothing(tmp_path):
    pytest.importorskip("matplotlib")
    found = stats(write(tmp_path / "K_x.csv"))
    for name, draw in PICTURES.items():
        draw(found, tmp_path / f"{name}.png")
    first = (tmp_path / "Settings.png").read_bytes()
    PICTURES["Settings"](found, tmp_path / "Settings.png")
    assert first == (tmp_path / "Settings.png").read_bytes()
    with pytest.raises(ValueError, match=r"a plot must be .png, .svg or .pdf, not .gif"):
        PICTURES["Settings"](found, tmp_path / "Settings.gif")


@pytest.mark.parametrize("bands", [0, 1, 3, 4])
def test_montage(tmp_path, bands):
    label = np.zeros((30, 40), int)
    label[:, 20:] = 2
    stack = np.eye(3, dtype=np.uint8)[label]
    stack[0, 0] = 0
    image = np.full((30, 40, bands) if bands else (30, 40), 100, np.uint8)
    path = as_result(tmp_path / "dune_ID1.npz", stack, np.ones((30, 40)), image=image)
    made = montage(read_trials(path)[0], side=80)
    assert made.shape[:1] == (70,)  # three lines of names
    assert made[10, 10].tolist() == [100, 100, 100]
    assert made[10, 88 + 10].tolist() == [0x33, 0x66, 0xCC]
    assert made[10, 88 + 50].tolist() == [0xFF, 0x99, 0x00]
    assert made[0, 88].tolist() == [0, 0, 0]
    assert made[10, 176 + 10].tolist() == [76, 101, 152]


def test_montages_of_a_folder(tmp_path, capsys):
    for folder in "ab":
        as_result(tmp_path / "npz" / folder / "dune_ID1.npz", np.zeros((6, 8), int), np.ones((6, 8)))
    as_result(tmp_path / "npz" / "none_ID1.npz", np.zeros((6, 8), int), np.ones((6, 8)), image=None)
    written, failed = montages(tmp_path / "npz", tmp_path / "out")
    assert [p.name for p in written] == ["a__dune_ID1.png", "b__dune_ID1.png"]
    assert [p.name for p, _ in failed] == ["none_ID1.npz"]
    assert "image: expected an array, found none" in failed[0][1]
    args = [
        "coast",
        "plots",
        str(tmp_path / "out"),
        "--files",
        str(tmp_path / "npz"),
        "--montages",
        "--quiet",
    ]
    assert main(args) == 3
    assert "2 montages" in capsys.readouterr().out
    assert main(["coast", "plots", str(tmp_path / "out")]) == 2
    assert main(["coast", "plots", str(tmp_path / "x.csv"), str(tmp_path / "out"), "--montages"]) == 2


def test_maps_of_places_on_a_line(tmp_path):
    rows = [{"LonMin": str(lon), "LatMin": "0"} for lon in (-1, 0, 0, 1)]
    text = svg_map(read_records(write(tmp_path / "K_x.csv", *rows)), {"K": "red"}, heading="<all>")
    assert text.count("<circle") == 3
    assert "&lt;all&gt;" in text
    assert ">1°W<" in text
    assert ">0°<" in text
