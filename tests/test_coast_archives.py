"""Archives of Doodler's results are small, and become the same results again; manifests let runs go on."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doodled import SETTINGS, ladder, same_arrays, trial, write_result
from maskmill import FormatError
from maskmill.cli import main
from maskmill.io.doodler import read_arrays, write_arrays
from maskmill.studies.coast import archive, find, name_of, read, restore, unpack
from maskmill.studies.coast.archives import read_archive, unpacked

CLASSES = ["water", "sand", "dev"]


@pytest.fixture
def results(tmp_path, rng):
    """A folder of sessions, one with six trials."""
    for era, numbers in SETTINGS.items():
        one = {**trial(rng, CLASSES), "settings": np.array(numbers, float)}
        write_result(tmp_path / "results" / "results2021-10-11-08-28" / f"{era}_ann.npz", one)
    first = trial(rng, CLASSES)
    six = [{**trial(rng, CLASSES, depth=2 + i % 2), "image": first["image"]} for i in range(6)]
    write_result(tmp_path / "results" / "results2022-05-04-14-34" / "many_ann.npz", *six)
    return tmp_path / "results"


class TestTrials:
    def test_newest_last(self, results):
        trials = read(results / "results2022-05-04-14-34")
        assert [t.prefix for t in trials] == ["00000", "0000", "000", "00", "0", ""]
        assert len(read(results)) == 6 + len(SETTINGS)

    def test_others_are_passed_over(self, results, tmp_path):
        for name in ("a_labelgen.npz", "a_3classes_4zoo.npz", "a.archive.npz", "a.txt"):
            (results / name).write_bytes(b"rubbish")
        assert len(find(results)) == 6
        with pytest.raises(FileNotFoundError):
            find(tmp_path / "nowhere")
        (tmp_path / "empty").mkdir()
        with pytest.raises(FormatError, match="expected results of Doodler"):
            find(tmp_path / "empty")

    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("a_b_ID3.npz", ("a_b", "ID3", None)),
            ("plain.npz", ("plain", "", None)),
            ("results2021-99-11-08-28/a_db.npz", ("a", "db", None)),
            ("results2021-10-11-08-28/a_db.npz", ("a", "db", 2021)),
            ("results__results2021-10-11-08-28__a_db.npz", ("a", "db", 2021)),
        ],
    )
    def test_names(self, tmp_path, name, found):
        said = name_of(tmp_path / name)
        assert (said.stem, said.user, said.date and said.date.year) == found


class TestArchives:
    def test_back_and_forth(self, results, tmp_path):
        report = archive(results, tmp_path / "archives")
        assert (report.done, report.failed) == (6, [])
        assert all(row["archive_bytes"] < row["bytes"] for row in report.rows)
        assert restore(tmp_path / "archives", tmp_path / "back").done == 6
        for path in find(results):
            assert same_arrays(path, tmp_path / "back" / path.name)

    def test_odd_arrays_stay_as_they_are(self, tmp_path, rng):
        """What has no smaller form, or would not come back from it."""
        one = trial(rng, CLASSES)
        several = one["label"].copy()
        several[3, 4] = 1
        odd = {
            **one,
            "label": several,
            "color_doodles": np.flip(one["color_doodles"], 0),
            "color_label": np.zeros((0, 3)),
            "doodles": np.asfortranarray(one["doodles"]),
            "notes": np.array(["ä", "", "x" * 100]),
            "nothing": np.array([np.nan, -0.0, np.inf]),
            "when": np.array(["2021-10-11"], "datetime64[D]"),
            "pairs": np.zeros(3, [("a", ">i4"), ("b", "S3")]),
        }
        raster = {**one, "label": one["label"].argmax(-1), "orig_image": np.rot90(one["image"])}
        unlabelled = {**one, "label": np.zeros((20, 30, 1), bool)}
        path = write_result(tmp_path / "odd_ann.npz", odd, raster, unlabelled)
        assert archive(path, tmp_path / "archives").failed == []
        assert restore(tmp_path / "archives" / "odd_ann.archive.npz", tmp_path / "back").done == 1
        for (name, a), (other, b) in zip(
            read_arrays(path), read_arrays(tmp_path / "back" / path.name), strict=True
        ):
            assert (name, a.dtype, a.shape) == (other, b.dtype, b.shape)
            assert a.tobytes("A") == b.tobytes("A")
            assert a.flags.f_contiguous == b.flags.f_contiguous

    def test_read_as_results(self, results, tmp_path):
        """Archives are read as the results that they were made of, by every verb."""
        archive(results, tmp_path / "archives")
        old, new = read(results), read(tmp_path / "archives")
        assert len(new) == len(old)
        by_name = {(name_of(t.path), t.prefix): t for t in new}
        for t in old:
            other = by_name[replace(name_of(t.path), date=None), t.prefix]
            assert (other.size, other.classes, other.era, other.settings) == (
                t.size,
                t.classes,
                t.era,
                t.settings,
            )
            assert [*other.arrays] == [*t.arrays]
            for name in t.arrays:
                assert np.array_equal(other.array(name), t.array(name))
                assert (other.arrays[name].shape, other.arrays[name].dtype) == (
                    t.arrays[name].shape,
                    t.arrays[name].dtype,
                )
        a, b = (
            unpack(p, tmp_path / str(k), trials="all", datasets=["coco"])
            for k, p in enumerate([results, tmp_path / "archives"])
        )
        assert [row["files"] for row in sorted(b.rows, key=lambda row: row["name"])] == [
            row["files"] for row in sorted(a.rows, key=lambda row: row["name"])
        ]
        for row in a.rows:
            for name in row["files"]:
                assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()

    def test_real_files(self, data, tmp_path):
        """Every array comes back, and six trials take a tenth of the room."""
        report = archive(data / "doodler", tmp_path / "archives")
        assert restore(tmp_path / "archives", tmp_path / "back").done == report.done == 8
        for path in find(data / "doodler"):
            assert same_arrays(path, tmp_path / "back" / path.name)
        six = next(row for row in report.rows if row["arrays"] == 42)
        assert six["bytes"] == 986313
        assert six["archive_bytes"] < 104_000

    def test_verbs(self, results, tmp_path, capsys):
        assert main(["coast", "archive", str(results), str(tmp_path / "a"), "--quiet"]) == 0
        assert "6 files: " in capsys.readouterr().out
        assert main(["coast", "restore", str(tmp_path / "a"), str(tmp_path / "b"), "--quiet", "-p", "1"]) == 0
        (results / "bad_ann.npz").write_bytes(b"PK\x03\x04")
        assert main(["coast", "archive", str(results), str(tmp_path / "a"), "--quiet"]) == 3
        told = capsys.readouterr()
        assert "bad_ann.npz: not a readable zip archive" in told.err
        assert "0 files, 6 were done before, 1 failed" in told.out
        assert main(["coast", "archive", str(results), str(tmp_path / "b"), "--quiet"]) == 2
        assert 'was begun with verb "restore"' in capsys.readouterr().err


class TestLedger:
    def test_goes_on(self, results, tmp_path):
        """Only what changed, or is not there any more, is made again."""
        folder = tmp_path / "archives"
        archive(results, folder)
        before = json.loads((folder / "manifest.json").read_text())
        assert archive(results, folder).unchanged == 6
        assert json.loads((folder / "manifest.json").read_text()) == before
        (folder / "many_ann.archive.npz").unlink()
        changed = results / "results2021-10-11-08-28" / "many_ann.npz"
        changed.write_bytes((results / "results2021-10-11-08-28" / "forest_ann.npz").read_bytes())
        report = archive(results, folder)  # two files of one name: both get new ones
        assert (report.done, report.unchanged) == (2, 5)
        assert {path.name for path in folder.glob("*many_ann.archive.npz")} == {
            "results2021-10-11-08-28__many_ann.archive.npz",
            "results2022-05-04-14-34__many_ann.archive.npz",
        }

    def test_after_a_kill(self, results, tmp_path):
        """The log of an unfinished run counts, but for a line that was cut short."""
        folder = tmp_path / "archives"
        archive(results, folder)
        content = json.loads((folder / "manifest.json").read_text())
        lines = [{"verb": "archive", "settings": content["settings"]}, *content["sources"]]
        log = "\n".join(map(json.dumps, lines))
        (folder / ".unfinished.jsonl").write_text(log[:-9])
        (folder / "manifest.json").unlink()
        report = archive(results, folder)
        assert (report.done, report.unchanged) == (1, 5)
        assert not (folder / ".unfinished.jsonl").exists()

    def test_nothing_outside_is_deleted(self, results, tmp_path):
        folder, victim = tmp_path / "archives", tmp_path / "victim"
        archive(results, folder)
        victim.write_text("mine")
        content = json.loads((folder / "manifest.json").read_text())
        content["sources"][0]["rows"][0]["files"] = ["../victim"]
        content["sources"][0]["sha256"] = "0"
        (folder / "manifest.json").write_text(json.dumps(content))
        with pytest.raises(FormatError, match=r"below its folder.*victim"):
            archive(results, folder)
        assert victim.exists()


def hostile(path, **changes):
    """An archive whose contents, or arrays, are others."""
    arrays = dict(read_arrays(path))
    content = json.loads(arrays["contents"].tobytes())
    content["arrays"][2].update(changes.pop("entry", {}))
    content.update(changes.pop("content", {}))
    arrays |= {"contents": np.frombuffer(json.dumps(content).encode(), np.uint8), **changes}
    write_arrays(path, arrays.items())


class TestHostile:
    @pytest.fixture
    def archived(self, tmp_path, rng):
        path = write_result(tmp_path / "a_ann.npz", trial(rng, CLASSES))
        archive(path, tmp_path / "archives")
        return tmp_path / "archives" / "a_ann.archive.npz"

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"entry": {"name": "../../evil"}}, "below its folder"),
            ({"entry": {"name": 3}}, "expected text"),
            ({"entry": {"of": "nowhere"}}, "the name of an array of the archive"),
            ({"entry": {"depth": 1 << 40}}, "depth: expected a whole number"),
            ({"entry": {"dtype": "O"}}, "a type of whole numbers"),
            ({"entry": {"as": "exec"}}, "one-hot or coloured"),
            ({"entry": {"crc32": 1}}, "other bytes"),
            ({"entry": {"of": "classes_0"}}, "expected .H, W. of uint8"),
            ({"content": {"arrays": [{}] * 10_001}}, "up to 10000 arrays"),
            ({"content": {"version": 2}}, "expected the format"),
            ({"label_0": np.array([None, 1])}, "pickled objects, which are never loaded"),
            ({"contents": np.zeros(3)}, "expected an archive"),
        ],
    )
    def test_refused_by_name(self, archived, tmp_path, changes, said):
        hostile_path = archived
        if any(isinstance(a, np.ndarray) and a.dtype.hasobject for a in changes.values()):
            arrays = {**dict(read_arrays(archived)), **changes}
            np.savez(archived, **arrays)
        else:
            hostile(archived, **changes)
        with pytest.raises(FormatError, match=said) as caught:
            list(unpacked(hostile_path))
        assert str(archived) in str(caught.value)
        with suppress(FormatError):
            for found in read_archive(archived):
                for name in found.arrays:
                    with suppress(FormatError):
                        found.array(name)
        report = restore(archived, tmp_path / "back")
        assert len(report.failed) == 1
        assert not (tmp_path / "back" / "a_ann.npz").exists()

    def test_pickles_are_not_archived(self, tmp_path, rng):
        path = tmp_path / "a_ann.npz"
        np.savez(path, **trial(rng, CLASSES), extra=np.array([None, {}], object))
        report = archive(path, tmp_path / "archives")
        assert "extra.npy': expected numbers or text, found pickled objects" in report.failed[0].reason
        assert not list((tmp_path / "archives").glob("*.npz"))

    def test_other_members(self, tmp_path, rng):
        path = write_result(tmp_path / "a_ann.npz", trial(rng, CLASSES))
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("readme.txt", "no array")
        assert "expected arrays (.npy)" in archive(path, tmp_path / "archives").failed[0].reason

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_damaged(self, archived, tmp_path_factory, data):
        """Some bytes changed, or an end cut off."""
        whole, blob = dict(unpacked(archived)), bytearray(archived.read_bytes())
        for _ in range(data.draw(st.integers(0, 3))):
            blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
        path = tmp_path_factory.mktemp("damaged") / "a.archive.npz"
        path.write_bytes(blob[: data.draw(st.integers(0, len(blob)))] if data.draw(st.booleans()) else blob)
        found = {}
        with suppress(FormatError):
            found = dict(unpacked(path))
        with suppress(FormatError):
            assert [t.labels().shape for t in read_archive(path)] == [(20, 30)]
        assert all(np.array_equal(array, whole[name]) for name, array in found.items())


def test_names_of_arrays_in_archives(tmp_path, rng):
    """Arrays that no version of Doodler writes, with names like those that the archive gives."""
    one = {**trial(rng, CLASSES), "label_0": np.arange(3), "array": np.arange(4), "0": np.arange(5)}
    file = io.BytesIO()
    np.savez(file, **ladder(one, one))
    (tmp_path / "a_ann.npz").write_bytes(file.getvalue())
    assert archive(tmp_path, tmp_path / "archives").failed == []
    restore(tmp_path / "archives", tmp_path / "back")
    assert same_arrays(tmp_path / "a_ann.npz", tmp_path / "back" / "a_ann.npz")
