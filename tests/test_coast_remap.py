"""Other classes for results: by the names that each file has, complete or an error, lossless."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doodled import ladder, same_arrays, trial, write_result
from maskmill import FormatError
from maskmill.cli import main
from maskmill.io.doodler import coloured
from maskmill.studies.coast import built_in, preview, read, read_records, read_remap, remap
from maskmill.studies.coast.mapping import Remap

CLASSES = ["water", "surf", "sand", "dev"]


def config(path: Path, text: str | None = None, **content) -> Path:
    path.write_text(text if text is not None else json.dumps(content), encoding="utf-8")
    return path


class TestConfigurations:
    def test_published(self, data):
        """All ten are read, and map all classes that they list to the same as the built-in one."""
        files = sorted((data / "coast_train").glob("remap_*.json"))
        assert len(files) == 10
        for path in files:
            found = read_remap(path)
            assert found.classes == built_in().classes
            listed = json.loads(path.read_text())["classes"]
            assert [found[name] for name in listed] == [built_in()[name] for name in listed]
            assert all(built_in()[name] == new for name, new in found.aliases.items())

    def test_built_in_is_complete(self, data):
        """Every class of the ten record tables has a superclass; two of them have none in what was published."""
        names = {name for row in read_records(data / "coast_train") for name in row["classes_array"]}
        assert len(names) == 41
        assert all(built_in()[name] for name in names)
        published = [read_remap(path) for path in (data / "coast_train").glob("remap_*.json")]
        lacking = {name for name in names if all(found[name] is None for found in published)}
        assert lacking == {"vegetated_ground", "no_data"}

    def test_forms(self, tmp_path):
        """Superclasses as a list or an object, names that are numbers, a key twice, a mark at the beginning."""
        path = config(
            tmp_path / "a.json",
            '\ufeff{"super_classes": {"water": [], "land": 2}, "direc": "/nowhere", "classes": [7],'
            ' "aliases": {"1": "water", "2": "land", "1": "water"}}',
        )
        found = read_remap(path)
        assert found.classes == ("water", "land")
        assert found.table(["2", "1", "land"], "here").tolist() == [0, 2, 1, 2]
        assert read_remap(config(tmp_path / "b.json", super_classes=[1, 2], aliases={"x": 1}))["x"] == "1"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{", "expected JSON"),
            ("[" * 100_000, "expected JSON"),
            ("[]", "an object"),
            ("{}", "super_classes: expected an array"),
            ('{"super_classes": []}', "1 to 255 names"),
            ('{"super_classes": ["a", "a"]}', "names that differ"),
            ('{"super_classes": [null]}', "expected a name"),
            ('{"super_classes": ["a"], "aliases": {"x": "b"}}', "'x' must become one of a, not 'b'"),
            ('{"super_classes": ["a", "b"], "aliases": {"x": "a", "x": "b"}}', "expected 'x' once"),
            ('{"super_classes": ["a"], "aliases": ["x"]}', "aliases: expected an object"),
            ("\udcff", "expected text"),
        ],
    )
    def test_wrong(self, tmp_path, text, said):
        path = tmp_path / "a.json"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(FormatError, match=said) as caught:
            read_remap(path)
        assert str(path) in str(caught.value)

    def test_unmapped(self, tmp_path):
        with pytest.raises(ValueError, match=r"a\.npz: classes must be mapped, not 'land', 'ufo'"):
            built_in().table(["water", "land", "ufo"], "a.npz")
        assert built_in("other").table(["water", "land"], "a.npz").tolist() == [0, 1, 7]
        with pytest.raises(ValueError, match="'unmapped' must become one of"):
            built_in("elsewhere")


class TestRemap:
    def test_all_trials(self, tmp_path, rng):
        made = [trial(rng, CLASSES), trial(rng, CLASSES, depth=2)]
        made[0]["label"][2:5, 3:9] = 0
        path = write_result(tmp_path / "in" / "a_ann.npz", *made)
        report = remap(tmp_path / "in", tmp_path / "out")
        assert report.rows[0]["from"] == CLASSES
        found = read(tmp_path / "out")
        table = np.array([0, 1, 2, 3, 4])  # water, whitewater, sediment, developed
        for old, new in zip(read(path), found, strict=True):
            assert new.classes == built_in().classes
            assert np.array_equal(new.labels(), table[old.labels()])
            assert np.array_equal(new.doodles(), table[old.doodles()])
            assert np.array_equal(new.array("image"), old.array("image"))
            assert new.settings == old.settings
            assert np.array_equal(
                new.array("color_doodles"), coloured(new.doodles(), new.array("image"), len(new.classes))
            )

    def test_merges(self, tmp_path, rng):
        one = trial(rng, CLASSES)
        write_result(tmp_path / "a_ann.npz", one)
        dry = Remap(("dry", "wet"), {"water": "wet", "surf": "wet", "sand": "dry", "dev": "dry"})
        remap(tmp_path / "a_ann.npz", tmp_path / "out", dry)
        labels = read(tmp_path / "out")[0].labels()
        assert np.array_equal(labels == 2, one["label"].argmax(-1) < 2)

    def test_the_files_own_classes_count(self, tmp_path, rng):
        """Files of one folder list them in any order."""
        a, b = trial(rng, CLASSES), trial(rng, CLASSES)
        b["classes"], b["label"] = b["classes"][::-1], a["label"][..., ::-1]
        b["doodles"] = np.where(a["doodles"], 5 - a["doodles"], 0).astype(np.uint8)
        b["image"] = a["image"]
        write_result(tmp_path / "in" / "a_ann.npz", a)
        write_result(tmp_path / "in" / "b_ann.npz", b)
        assert remap(tmp_path / "in", tmp_path / "out").done == 2
        first, second = read(tmp_path / "out")
        assert np.array_equal(first.labels(), second.labels())
        assert np.array_equal(first.doodles(), second.doodles())

    def test_same_classes_change_nothing(self, tmp_path, rng):
        path = write_result(tmp_path / "a_ann.npz", trial(rng, CLASSES), trial(rng, CLASSES))
        same = Remap(tuple(CLASSES), {})
        remap(path, tmp_path / "out", same)
        assert same_arrays(path, tmp_path / "out" / "a_ann.npz")

    def test_a_class_that_is_not_mapped(self, tmp_path, rng):
        write_result(tmp_path / "in" / "a_ann.npz", trial(rng, ["water", "land"]))
        write_result(tmp_path / "in" / "b_ann.npz", trial(rng, ["water", "sand"]))
        report = remap(tmp_path / "in", tmp_path / "out")
        assert report.done == 1
        assert "a_ann.npz: classes must be mapped, not 'land'" in report.failed[0].reason
        assert remap(tmp_path / "in", tmp_path / "all", built_in("other")).failed == []

    def test_preview(self, tmp_path, rng):
        write_result(tmp_path / "a_ann.npz", trial(rng, ["water", "land", "gravel"]))
        write_result(tmp_path / "b_ann.npz", trial(rng, ["water", "sand"]))
        (tmp_path / "c_ann.npz").write_bytes(b"")
        found = preview(tmp_path)
        assert (found.files, found.lists, len(found.failed)) == (2, 2, 1)
        assert found.merges == {"sediment": ["gravel", "sand"]}
        assert found.unmapped == ["land"]
        water = next(row for row in found.rows if row["class"] == "water")
        assert (water["files"], water["listed"]) == (2, 2)

    def test_real_files(self, data, tmp_path):
        [path] = (data / "doodler").glob("*2021-10-11-08-28*.npz")
        report = remap(path, tmp_path / "out")
        first = report.rows[2]["pixels"]
        assert [first[name] for name in ("water", "whitewater", "sediment", "developed")] == [
            *(431256, 17824, 15596, 125148)
        ]

    @given(st.lists(st.sampled_from([*built_in().aliases, "ufo"]), min_size=1, max_size=20))
    def test_table(self, names):
        found = built_in("other").table(names, "here")
        assert [built_in("other").classes[k - 1] for k in found[1:]] == [
            built_in("other")[name] for name in names
        ]


class TestVerb:
    def test_dry_run(self, tmp_path, rng, capsys):
        write_result(tmp_path / "in" / "a_ann.npz", trial(rng, ["water", "sand", "gravel"]))
        out = tmp_path / "out"
        assert main(["coast", "remap", str(tmp_path / "in"), str(out), "--dry-run", "--quiet"]) == 0
        assert "merged into sediment: gravel, sand" in capsys.readouterr().out
        assert not out.exists()
        write_result(tmp_path / "in" / "b_ann.npz", trial(rng, ["ufo"]))
        assert main(["coast", "remap", str(tmp_path / "in"), str(out), "--dry-run", "--quiet"]) == 3
        assert "not mapped: ufo" in capsys.readouterr().err

    def test_writes(self, tmp_path, rng, capsys):
        write_result(tmp_path / "in" / "a_ann.npz", *[trial(rng, ["1", "2"])] * 2)
        path = config(
            tmp_path / "c.json", super_classes=["water", "land"], aliases={"1": "water", "2": "land"}
        )
        args = ["coast", "remap", str(tmp_path / "in"), str(tmp_path / "out"), "--quiet"]
        assert main([*args, "--config", str(path)]) == 0
        assert "2 trials" in capsys.readouterr().out
        assert np.load(tmp_path / "out" / "a_ann.npz").files == [
            *ladder(trial(rng, ["1"]), trial(rng, ["1"]))
        ]
        assert main([*args, "--config", str(tmp_path / "none.json")]) == 2
        assert "none.json: No such file" in capsys.readouterr().err
        assert main([*args, "--unmapped", "nowhere"]) == 2
