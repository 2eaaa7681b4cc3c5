"""em filter: scores of all, informative patches written, resumed, whatever the input is and however broken."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from maskmill import FormatError
from maskmill.cli import main
from maskmill.studies.em import filter as filter_module
from maskmill.studies.em.filter import filter_patches, load_model
from maskmill.studies.em.pickles import write_pickle
from maskmill.studies.em.sources import find_parts
from maskmill.studies.em.store import write_patch
from maskmill.studies.em.tables import find_table, read_table


class Brightness:
    """A model that is easy to follow: the mean grey value over 255."""

    digest = "0123456789abcdef"

    def __init__(self):
        self.seen = 0

    def scores(self, patches):
        self.seen += len(patches)
        return np.array([patch.mean() / 255 for patch in patches])


def patches(*values):
    return [np.full((6 + i, 9), value, np.uint8) for i, value in enumerate(values)]


def names(exp, n):
    return [f"{exp}-LOC-0_{i}_0-{6 + i}_0-9" for i in range(n)]


@pytest.fixture
def pickles(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for exp in ("cell-ROI-x0-9_y0-9_z0-9", "cell-ROI-x9-18_y0-9_z0-9", "other"):
        write_pickle(folder / f"{exp}.pkl", names(exp, 3), patches(0, 128, 255))
    return folder


@pytest.fixture
def tree(tmp_path):
    for dataset in ("a", "b"):
        for name, patch in zip(names(dataset, 3), patches(10, 100, 200), strict=True):
            write_patch(tmp_path / "tree", dataset, name, patch)
    return tmp_path / "tree"


def written(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("*.tiff"))


def scores(out):
    return read_table(find_table(out / "scores"))


def test_pickles(pickles, tmp_path):
    """Every pickle of a data set is processed, not the first alone, and into one folder."""
    out = tmp_path / "out"
    summary = filter_patches([pickles], out, model=Brightness(), batch_size=2, workers=2)
    assert (summary.good, summary.bad, summary.failed) == (6, 3, [])
    assert summary.by_dataset == {"cell": (4, 2), "other": (2, 1)}
    assert written(out) == sorted(
        f"{exp.partition('-ROI-')[0]}/{name}.tiff"
        for exp in ("cell-ROI-x0-9_y0-9_z0-9", "cell-ROI-x9-18_y0-9_z0-9", "other")
        for name in names(exp, 3)[1:]
    )
    table = scores(out)
    assert table["name"].tolist()[:3] == names("cell-ROI-x0-9_y0-9_z0-9", 3)
    assert np.allclose(table["score"][:3].astype(float), [0, 128 / 255, 1])
    assert table["label"].tolist()[:3] == ["bad", "good", "good"]
    assert set(table["model"]) == {"0123456789abcdef"}


def test_pixels(tree, tmp_path):
    import cv2

    filter_patches([tree], tmp_path / "out", model=Brightness(), threshold=0.3)
    for path in written(tmp_path / "out"):
        assert np.array_equal(cv2.imread(str(tmp_path / "out" / path), -1), cv2.imread(str(tree / path), -1))


def test_resume(pickles, tmp_path):
    out, model = tmp_path / "out", Brightness()
    assert filter_patches([pickles], out, model=model).resumed == 0
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert filter_patches([pickles], out, model=model).resumed == 3
    assert model.seen == 9
    assert files == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    # A pickle that changed is done again, and it alone.
    write_pickle(pickles / "other.pkl", names("other", 2), patches(255, 0))
    summary = filter_patches([pickles], out, model=model)
    assert (summary.resumed, model.seen) == (2, 11)
    assert [path for path in written(out) if path.startswith("other")] == [
        f"other/{names('other', 1)[0]}.tiff"
    ]


def test_other_threshold_leaves_nothing_behind(pickles, tmp_path):
    out = tmp_path / "out"
    for threshold, good in ((0.0, 6), (0.6, 3), (1.0, 0), (0.4, 6)):
        assert filter_patches([pickles], out, model=Brightness(), threshold=threshold).good == good
        assert len(written(out)) == good
    filter_patches([pickles], out, model=Brightness(), layout="scores")
    assert written(out) == []
    assert len(scores(out)["name"]) == 9


def test_stopped_and_resumed(pickles, tmp_path, monkeypatch):
    """Stopped at any patch, the next run gives what an undisturbed one would."""
    filter_patches([pickles], tmp_path / "whole", model=Brightness())
    real = filter_module.write_patch
    for stop in range(6):
        out, left = tmp_path / f"out{stop}", [stop]

        def write(*args, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            real(*args)

        monkeypatch.setattr(filter_module, "write_patch", write)
        with pytest.raises(KeyboardInterrupt):
            filter_patches([pickles], out, model=Brightness())
        monkeypatch.setattr(filter_module, "write_patch", real)
        filter_patches([pickles], out, model=Brightness())
        assert written(out) == written(tmp_path / "whole")
        assert (
            find_table(out / "scores").read_bytes() == find_table(tmp_path / "whole" / "scores").read_bytes()
        )


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 128])
def test_same_output(pickles, tmp_path, workers, batch_size):
    filter_patches([pickles], tmp_path / "one", model="default", threshold=0.01)
    out = tmp_path / "out"
    filter_patches([pickles], out, threshold=0.01, workers=workers, batch_size=batch_size)
    assert find_table(out / "scores").read_bytes() == find_table(tmp_path / "one" / "scores").read_bytes()


def test_store(tmp_path, rng):
    """A store in, a store out."""
    from maskmill.studies.em import store as stores
    from maskmill.studies.em.shards import write_shard
    from maskmill.studies.em.tables import write_table

    folder = tmp_path / "store"
    (folder / "patches").mkdir(parents=True)
    pixels = np.array([0, 250, 100, 200], np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    write_shard(folder / "patches" / "a.tiff", 4, 8, 8, [pixels])
    columns = {name: np.zeros(4, object if kind == "str" else kind) for name, kind in stores.MANIFEST.items()}
    for name, kind in stores.MANIFEST.items():
        if kind == "str":
            columns[name][:] = ""
    columns |= {
        "dataset": ["a", "a", "b", "b"],
        "name": [f"p{i}" for i in range(4)],
        "shard": ["patches/a.tiff"] * 4,
        "page": [3, 1, 2, 0],
        "y1": [8] * 4,
        "x1": [8] * 4,
    }
    write_table(folder / "manifest", columns, stores.MANIFEST)
    (folder / "run.json").write_text(json.dumps({"state": "complete"}))
    out = tmp_path / "out"
    summary = filter_patches([folder], out, model=Brightness())
    assert written(out) == ["a/p0.tiff", "a/p1.tiff"]  # pages 3 and 1
    assert summary.by_dataset == {"a": (2, 0), "b": (0, 2)}
    again = stores.open_store(out)
    assert sorted(again.manifest["name"]) == ["p0", "p1"]
    assert {int(patch.max()) for patch in again.patches()} == {200, 250}
    assert sorted(again.audit["name"]) == ["p2", "p3"]
    assert set(again.audit["reason"]) == {"classifier"}


def test_killed(pickles, tmp_path):
    """By a signal that leaves no time to tidy up, at any moment: the next run gives the same files and no others."""
    command = [sys.executable, "-m", "maskmill", "em", "filter", str(pickles), "--quiet", "--threshold", "0"]
    for i in range(40):
        write_pickle(pickles / f"more{i}.pkl", names(f"more{i}", 3), patches(0, 128, 255))
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    for n in (1, 6, 25):
        out = tmp_path / f"out{n}"
        process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(out.glob("scores/*.json"))) < n:
            time.sleep(0.001)
        process.kill()
        process.wait()
        (out / "other").mkdir(exist_ok=True)
        (out / "other" / ".half.tiff.0123.part").write_bytes(b"half a patch")
        subprocess.run([*command, str(out)], check=True, capture_output=True)
        found, expected = (
            {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            for folder in (out, tmp_path / "whole")
        )
        assert found == expected


# Bad input


def run(*args):
    return main(["em", "filter", *map(str, args), "--quiet"])


def test_command(tree, tmp_path, capsys):
    assert run(tree, tmp_path / "out") == 0
    assert "6 informative in all" in capsys.readouterr().out
    assert run(tree, tmp_path / "out") == 0
    assert "2 of its parts were done before" in capsys.readouterr().out


def test_help(capsys):
    with pytest.raises(SystemExit):
        main(["em", "filter", "--help"])
    assert "--threshold" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none: no such file or folder"),
        (["TREE", "--threshold", "1.5"], "--threshold must be within 0 and 1, not 1.5"),
        (["TREE", "--threshold", "-1"], "--threshold must be within 0 and 1, not -1"),
        (["TREE", "-p", "-2"], "--processes must be 1 or more, not -2"),
        (["TREE", "--batch-size", "0"], "--batch-size must be 1 or more, not 0"),
        (["TREE", "--model", "none.npz"], "none.npz: no such file"),
        (["TREE", "--model", "TREE/a"], "a filter must be 'default' or end with"),
    ],
)
def test_usage(tree, tmp_path, capsys, arguments, message):
    first, *rest = [text.replace("TREE", str(tree)) for text in arguments]
    assert run(first, tmp_path / "out", *rest) == 2
    error = capsys.readouterr().err
    assert error.startswith("maskmill em filter: ")
    assert message in error
    assert error.count("\n") == 1


def test_not_patches(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("x")
    assert run(tmp_path / "a.txt", tmp_path / "out") == 2
    assert "must be a folder of patches or a pickle" in capsys.readouterr().err


def test_empty_folder(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    assert run(tmp_path / "in", tmp_path / "out") == 0
    assert "the inputs hold no patches" in capsys.readouterr().err
    assert len(scores(tmp_path / "out")["name"]) == 0


def test_empty_pickle(tmp_path):
    write_pickle(tmp_path / "cell.pkl", [], [])
    out = tmp_path / "out"
    assert filter_patches([tmp_path / "cell.pkl"], out).by_dataset == {"cell": (0, 0)}
    assert (out / "cell").is_dir()
    assert filter_patches([tmp_path / "cell.pkl"], out).resumed == 1


def test_one_bad_pickle_of_many(pickles, tmp_path, capsys):
    """Cut short, or with code in it: listed, and the rest is done. Mended, it is done next time."""
    good = (pickles / "other.pkl").read_bytes()
    (pickles / "other.pkl").write_bytes(good[:-30])
    evil = tmp_path / "evil"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(evil),)

    (pickles / "evil.pkl").write_bytes(pickle.dumps({"names": ["a"], "patches": [Evil()]}))
    assert run(pickles, tmp_path / "out") == 3
    error = capsys.readouterr().err
    assert "other.pkl: not a readable pickle" in error
    assert "evil.pkl" in error
    assert not evil.exists()
    lines = (tmp_path / "out" / "failed.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert set(json.loads(lines[0])) == {"input", "reason"}
    (pickles / "other.pkl").write_bytes(good)
    (pickles / "evil.pkl").unlink()
    assert run(pickles, tmp_path / "out") == 0
    assert not (tmp_path / "out" / "failed.jsonl").exists()
    assert len(scores(tmp_path / "out")["name"]) == 9


def test_bad_pictures(tree, tmp_path, capsys):
    """Cut short, of 16 bits, coloured, or no picture: each is listed."""
    tifffile = pytest.importorskip("tifffile")

    path = tree / "a" / f"{names('a', 1)[0]}.tiff"
    path.write_bytes(path.read_bytes()[:40])
    tifffile.imwrite(str(tree / "a" / "deep.tiff"), np.zeros((9, 9), np.uint16))
    tifffile.imwrite(str(tree / "a" / "colour.tiff"), np.zeros((9, 9, 3), np.uint8))
    (tree / "a" / "text.tiff").write_text("no picture")
    (tree / "a" / "empty.tiff").write_bytes(b"")
    assert run(tree, tmp_path / "out") == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 5
    assert "deep.tiff: must be a grey picture of 8 bits, not (9, 9) of uint16" in error
    assert len(scores(tmp_path / "out")["name"]) == 5


def test_two_inputs_of_one_name(pickles, tmp_path, capsys):
    other = tmp_path / "more"
    other.mkdir()
    write_pickle(other / "other.pkl", [], [])
    assert run(pickles, other, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "two inputs are called 'other'" in error
    assert str(other / "other.pkl") in error


def test_same_patch_in_two_pickles(tmp_path):
    for roi in ("cell-ROI-x0-1_y0-1_z0-1", "cell-ROI-x1-2_y0-1_z0-1"):
        write_pickle(tmp_path / f"{roi}.pkl", ["same"], patches(255))
    summary = filter_patches([tmp_path], tmp_path / "out", model=Brightness())
    assert (summary.good, len(summary.failed)) == (1, 1)
    assert "'same' has the name of one of" in summary.failed[0].reason


@pytest.mark.parametrize("name", ["../../escaped", "a/b", "", "."])
def test_names_that_are_no_files(tmp_path, name):
    write_pickle(tmp_path / "cell.pkl", [name], patches(255))
    summary = filter_patches([tmp_path / "cell.pkl"], tmp_path / "out", model=Brightness())
    assert "cannot be the name of a file" in summary.failed[0].reason
    assert written(tmp_path) == []


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_out_is_a_file(tree, tmp_path, capsys, out):
    (tmp_path / "file").write_text("")
    assert run(tree, tmp_path / out) == 2
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "fault", [OSError(28, "No space left on device"), OSError(30, "Read-only file system")]
)
def test_out_cannot_be_written(tree, tmp_path, monkeypatch, capsys, fault):
    """It ends the run, as all that follows would fail too; nothing half-written remains."""

    def write(out, *_):
        raise OSError(*fault.args, str(out))

    monkeypatch.setattr(filter_module, "write_patch", write)
    monkeypatch.setattr(filter_module, "load_model", lambda *_, **__: Brightness())
    assert run(tree, tmp_path / "out", "--threshold", "0") == 2
    assert f"out: {fault.strerror}" in capsys.readouterr().err
    assert written(tmp_path / "out") == []


def test_find_parts_of_one_folder(tree):
    (part,) = find_parts([tree / "a"])
    assert (part.key, part.dataset) == ("a", "a")
    assert [item.name for item in part.items([])] == names("a", 3)


def test_load_model_refuses(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"x")
    with pytest.raises(FormatError, match="not a readable .npz"):
        load_model(tmp_path / "a.npz")
