"""Training and validation: the published rule, strata, groups, leaks."""

from __future__ import annotations

import csv
import json
from collections import Counter
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskmill import FormatError
from maskmill.cli import main
from maskmill.studies.zircon import clip, sample, split
from maskmill.studies.zircon.splits import apportion
from zircon_projects import picture, project


def published(data):
    with open(data / "zircon/split_table.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        row["Sample"]: (int(row["Training set images"]), int(row["Validation set images"])) for row in rows
    }


def test_the_published_split(data):
    """All 39 samples of czd_large."""
    table = published(data)
    assert len(table) == 39
    found = {name: tuple(apportion(sum(counts), [85, 15])) for name, counts in table.items()}
    assert found == table
    assert [sum(column) for column in zip(*found.values(), strict=True)] == [1324, 234]


def test_the_published_split_by_the_verb(data, tmp_path):
    table = published(data)
    lines = [f"{name},Spot {i}" for name, counts in table.items() for i in range(sum(counts))]
    (tmp_path / "t.csv").write_text("Sample,Shot\n" + "\n".join(lines) + "\n")
    done = split(tmp_path / "t.csv", tmp_path / "s.csv", seed=5)
    assert {name: (n["train"], n["val"]) for name, n in done.counts().items()} == table


@given(st.integers(0, 500), st.fractions(0, 1))
def test_two_parts_round_half_to_even(n, share):
    assert apportion(n, [1 - share, share])[1] == round(share * n)


@given(st.integers(0, 300), st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_apportion(total, weights):
    counts = apportion(total, weights)
    assert sum(counts) == total
    assert all(abs(n - Fraction(total * w, sum(weights))) < 1 for n, w in zip(counts, weights, strict=True))


def table(folder, rows, columns="sample,shot,standard"):
    path = folder / "t.csv"
    path.write_text(columns + "\n" + "".join(f"{row}\n" for row in rows))
    return path


@given(
    st.integers(1, 80), st.integers(0, 80), st.sampled_from(["0.15", "0.5", "0.3", "1/3"]), st.integers(0, 9)
)
def test_strata(tmp_path_factory, grains, standards, share, seed):
    folder = tmp_path_factory.getbasetemp()
    rows = [f"A,{i},{int(i >= grains)}" for i in range(grains + standards)]
    parts = {"train": 1 - Fraction(share), "val": Fraction(share)}
    done = split(table(folder, rows), folder / "s.csv", parts=parts, seed=seed)
    n, k = grains + standards, standards
    val = round(Fraction(share) * n)
    assert done.counts()["A"]["val"] == val
    found = done.counts("stratum").get("standard", {"val": 0})["val"]
    assert abs(found - Fraction(val * k, n)) <= Fraction(1, 2)
    least, most = max(0, val - (n - k)), min(k, val)
    assert found == min(max(round(Fraction(val * k, n)), least), most)


def test_seeds(tmp_path):
    path = table(tmp_path, [f"{name},{i},{int(i > 20)}" for name in "AB" for i in range(30)])
    first = split(path, tmp_path / "a.csv", seed=1).rows
    assert split(path, tmp_path / "b.csv", seed=1).rows == first
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert split(path, tmp_path / "b.csv", seed=2).rows != first
    # A sample's draw does not depend on the others.
    alone = split(
        table(tmp_path, [f"A,{i},{int(i > 20)}" for i in range(30)]), tmp_path / "b.csv", seed=1
    ).rows
    assert alone == [row for row in first if row["sample"] == "A"]


def test_more_parts(tmp_path):
    path = table(tmp_path, [f"A,{i},{int(i >= 15)}" for i in range(20)])
    parts = {"train": 0.6, "val": 0.2, "test": 0.2}
    done = split(path, tmp_path / "s.csv", parts=parts)
    assert done.counts("stratum") == {
        "grain": {"train": 9, "val": 3, "test": 3},
        "standard": {"train": 3, "val": 1, "test": 1},
    }


def test_other_strata_and_none(tmp_path):
    path = table(tmp_path, [f"A,{i},{'xyz'[i % 3]}" for i in range(60)], "sample,shot,kind")
    done = split(path, tmp_path / "s.csv", strata="kind")
    assert {name: n["val"] for name, n in done.counts("stratum").items()} == {"x": 3, "y": 3, "z": 3}
    assert set(split(path, tmp_path / "s.csv").counts("stratum")) == {""}
    with pytest.raises(FormatError, match="t.csv: line 1: expected a column 'colour'"):
        split(path, tmp_path / "s.csv", strata="colour")


def test_groups(tmp_path):
    sizes = dict(zip("ABCDEFG", (50, 7, 30, 8, 21, 3, 1), strict=True))
    rows = [f"{name},{i},0" for name, n in sizes.items() for i in range(n)]
    done = split(table(tmp_path, rows), tmp_path / "s.csv", group="sample")
    assert Counter(row["part"] for row in done.rows) == {"train": 102, "val": 18}
    parts = {"train": "0.7", "val": "0.15", "test": "0.15"}
    done = split(table(tmp_path, rows), tmp_path / "s.csv", group="sample", parts=parts)
    assert all(sorted(counts.values())[:2] == [0, 0] for counts in done.counts().values())
    found = Counter(row["part"] for row in done.rows)
    assert (found["test"], abs(found["val"] - 18) <= 3) == (18, True)
    many = table(tmp_path, [f"{i},1,0" for i in range(40)])
    first, other = (split(many, tmp_path / "s.csv", group="sample", seed=seed).rows for seed in (1, 2))
    assert first != other
    with pytest.raises(ValueError, match="more groups than 1: no whole one is left for val"):
        split(table(tmp_path, rows[:50]), tmp_path / "s.csv", group="sample")


def test_what_was_chosen_counts(tmp_path):
    path = table(
        tmp_path, ["A,1,selected", "A,2,conflict", "A,3,clipped", "A,4,outside"], "sample,shot,status"
    )
    assert [row["shot"] for row in split(path, tmp_path / "s.csv").rows] == ["1", "3"]


def test_empty(tmp_path):
    assert split(table(tmp_path, []), tmp_path / "s.csv").rows == []
    assert (tmp_path / "s.csv").read_text() == "sample,shot,stratum,part\n"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"parts": {"train": 0.8, "val": 0.1}}, "add up to 1, not to 0.9"),
        ({"parts": {"train": 1}}, "must be within 0 and 1, not 1"),
        ({"parts": {"a": "x", "b": "0.5"}}, "fraction of a must be as 0.15 or 3/20, not 'x'"),
        ({"parts": {"a": "1e999999999", "b": "0.5"}}, "fraction of a must be as"),
        ({"parts": {"../a": "0.5", "b": "0.5"}}, "parts must have names of letters"),
        ({"parts": {}}, "add up to 1, not to 0"),
    ],
)
def test_bad_parts(tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        split(table(tmp_path, []), tmp_path / "s.csv", **more)
    with pytest.raises(ValueError, match="out must be a .csv file"):
        split(table(tmp_path, []), tmp_path / "s.json")


def test_a_shot_twice(tmp_path):
    with pytest.raises(
        FormatError, match="line 3: shot: expected a shot that is not there already, found '1'"
    ):
        split(table(tmp_path, ["A,1,0", "A,1,0"]), tmp_path / "s.csv")


# Leaks


def windows(folder, *places):
    rows = [f"A,{i},m.bmp,{left},{top},10,10" for i, (left, top) in enumerate(places)]
    return table(folder, rows, "sample,shot,mosaic,left,top,columns,rows")


def test_overlapping_windows(tmp_path):
    half = {"train": "1/2", "val": "1/2"}
    touching = split(windows(tmp_path, (0, 0), (10, 0)), tmp_path / "s.csv", parts=half)
    assert touching.leaks == []
    done = split(windows(tmp_path, (0, 0), (9, -9)), tmp_path / "s.csv", parts=half)
    ((leak),) = done.leaks
    assert leak.kind == "overlap"
    assert {leak.first[0], leak.second[0]} == {"train", "val"}
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["leaks"] == [{"kind": "overlap", "first": list(leak.first), "second": list(leak.second)}]
    bad = table(tmp_path, ["A,1,m,x,0,1,1"], "sample,shot,mosaic,left,top,columns,rows")
    with pytest.raises(FormatError, match="A 1: left: expected a whole number of pixels, found 'x'"):
        split(bad, tmp_path / "s.csv")


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()), max_size=12))
def test_overlaps_are_those_of_pixels(places):
    from maskmill.studies.zircon.leaks import overlapping_windows

    rows = []
    for i, (left, top, val) in enumerate(places):
        row = {"sample": "A", "shot": str(i), "part": "val" if val else "train", "mosaic": "m"}
        rows.append(row | {"left": str(left), "top": str(top), "columns": "7", "rows": "5"})
    expected = set()
    for i, (x, y, val) in enumerate(places):
        for j, (u, v, other) in enumerate(places[:i]):
            if val != other and abs(x - u) < 7 and abs(y - v) < 5:
                expected.add((str(j), str(i)))
    assert {(leak.first[2], leak.second[2]) for leak in overlapping_windows(rows)} == expected


SHOTS = [(f"Spot {i}" if i % 4 else "FC", 1030 + 60 * (i % 5), 2030 + 60 * (i // 5)) for i in range(20)]


@pytest.fixture
def clips(tmp_path):
    made = project(tmp_path / "p", picture(320, 270), SHOTS, field=40)
    clip(made, tmp_path / "c")
    return tmp_path / "c"


def test_from_clips(clips, tmp_path):
    done = split(clips / "clips.csv", tmp_path / "s.csv", folders=tmp_path / "d")
    assert done.leaks == []
    assert done.counts() == {"A": {"train": 17, "val": 3}}
    assert done.counts("stratum") == {"standard": {"train": 4, "val": 1}, "grain": {"train": 13, "val": 2}}
    for row in done.rows:
        name = row["image"].partition("/")[2]
        assert (tmp_path / "d" / row["part"] / name).read_bytes() == (clips / row["image"]).read_bytes()
        assert (tmp_path / "d" / row["part"] / name.replace(".png", ".json")).exists()
    assert len(list(tmp_path.glob("d/*/*.png"))) == 20
    again = split(clips / "clips.csv", tmp_path / "s.csv", folders=tmp_path / "d")
    assert again.rows == done.rows
    with pytest.raises(ValueError, match="must not be there, as it is in"):
        split(clips / "clips.csv", tmp_path / "s.csv", folders=tmp_path / "d", seed=1)


def test_equal_pictures(clips, tmp_path, capsys):
    names = sorted((clips / "A").glob("*.png"))
    for name in names[1:]:
        cv2.imwrite(str(name), np.zeros((5, 5), np.uint8))
    command = ["zircon", "split", str(clips / "clips.csv"), str(tmp_path / "s.csv"), "--quiet"]
    assert main(command) == 3
    told = capsys.readouterr()
    assert "maskmill zircon split: equal: " in told.err
    assert "sample A: train 17, val 3" in told.out
    assert main([*command, "--no-compare"]) == 0
    names[0].unlink()
    assert main(command) == 2
    assert names[0].name in capsys.readouterr().err


def test_pictures_stay_within_their_folder(tmp_path):
    path = table(tmp_path, ["A,1,../x.png", "A,2,/x.png"], "sample,shot,image")
    with pytest.raises(FormatError, match="A 1: image: expected the name of a file below its folder"):
        split(path, tmp_path / "s.csv")


def test_image_per_shot(tmp_path):
    (tmp_path / "p/scans").mkdir(parents=True)
    for i in range(20):
        cv2.imwrite(str(tmp_path / f"p/scans/NV01_{i}.png"), np.full((4, 4), i, np.uint8))
    done = split(tmp_path / "p", tmp_path / "s.csv", folders=tmp_path / "d")
    assert (done.counts(), done.leaks) == ({"NV01": {"train": 17, "val": 3}}, [])
    assert len(list((tmp_path / "d/val").iterdir())) == 3
    for name in "AB":
        (tmp_path / "b/scans" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / f"b/scans/{name}/Spot 1.png"), np.full((4, 4), ord(name), np.uint8))
    split(tmp_path / "b", tmp_path / "s.csv", folders=tmp_path / "e")
    assert sorted(path.name for path in (tmp_path / "e/train").iterdir()) == ["A_Spot 1.png", "B_Spot 1.png"]
    with pytest.raises(ValueError, match=r"group must be a column \(sample, shot, image, stratum\), not 'x'"):
        split(tmp_path / "p", tmp_path / "s.csv", group="x")


def test_the_line(tmp_path):
    """Sample, clip what was selected, split: nothing leaks."""
    rng = np.random.default_rng(0)
    shots = [
        (f"Spot {i}", 1000 + float(rng.integers(320)), 2000 + float(rng.integers(270))) for i in range(60)
    ]
    made = project(tmp_path / "p", picture(320, 270), shots, field=40)
    (chosen,) = sample(made, tmp_path / "sel.csv", edges="drop")
    done = clip(made, tmp_path / "c", only=tmp_path / "sel.csv", edges="reject")
    assert done.counts["clipped"] == len(chosen.selected) == chosen.bound
    assert split(tmp_path / "c/clips.csv", tmp_path / "s.csv").leaks == []
    assert split(tmp_path / "sel.csv", tmp_path / "s.csv", seed=4).leaks == []


def test_cli(tmp_path, capsys):
    path = table(tmp_path, [f"A,{i},0" for i in range(20)])
    out = str(tmp_path / "s.csv")
    parts = ["--parts", "train=0.5", "val=0.25", "test=0.25"]
    assert main(["zircon", "split", str(path), out, "--quiet", *parts]) == 0
    assert "train 10, val 5, test 5 in all" in capsys.readouterr().out
    for bad, message in [(["train"], "--parts must be NAME=SHARE"), (["a=0.5", "a=0.5"], "different names")]:
        assert main(["zircon", "split", str(path), out, "--quiet", "--parts", *bad]) == 2
        assert message in capsys.readouterr().err
    assert main(["zircon", "split", str(tmp_path / "none.csv"), out, "--quiet"]) == 2


@given(st.data())
def test_mutated_tables(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    columns = "sample,shot,status,standard,mosaic,left,top,columns,rows"
    rows = [f"A,{i},selected,{i % 2},m,{10 * i},0,10,10" for i in range(4)]
    text = bytearray(table(folder, rows, columns).read_bytes())
    at = data.draw(st.integers(0, len(text)))
    text[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=6))
    (folder / "t.csv").write_bytes(text)
    try:
        done = split(folder / "t.csv", folder / "s.csv")
        fine = len({(row["sample"], row["shot"]) for row in done.rows}) == len(done.rows)
    except FormatError:
        fine = True
    assert fine
