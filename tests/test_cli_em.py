"""The command line of patchify, dedupe and run: what works, and a clear message for each thing that does not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from maskmill.cli import main
from maskmill.io.volumes import write_volume
from maskmill.studies.em.run import read_config, steps
from maskmill.studies.em.store import open_store
from test_em_patchify import images, smooth, tree

pytest.importorskip("nrrd")
pytest.importorskip("pyarrow")

SMALL = ["-cs", "32", "--quiet"]


@pytest.fixture
def volume(tmp_path):
    write_volume(tmp_path / "v.nrrd", smooth((40, 70, 90), 1), spacing=(8, 8, 8))
    return tmp_path / "v.nrrd"


def run(*arguments, capsys):
    code = main(["em", *map(str, arguments)])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("verb", ["patchify", "dedupe", "run"])
def test_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["em", verb, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"maskmill em {verb}" in text
    assert "exit codes" in text


def test_patchify_and_dedupe(volume, tmp_path, capsys):
    code, out, err = run("patchify", volume, tmp_path / "a", *SMALL, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.split()[:4] == ["input", "patches", "kept", "duplicate"]
    assert "v.nrrd" in out
    code, again, err = run("patchify", volume, tmp_path / "a", "-cs", "32", capsys=capsys)
    assert code == 0
    assert again == out
    assert "complete already" in err
    code, out, _ = run("dedupe", tmp_path / "a", tmp_path / "b", *SMALL, "-d", "20", capsys=capsys)
    assert code == 0
    assert 0 < len(open_store(tmp_path / "b")) < len(open_store(tmp_path / "a"))


def test_original_option_names(volume, tmp_path, capsys):
    command = [
        "-a",
        0,
        2,
        "-s",
        2,
        "--crop_size",
        32,
        "--hash_size",
        16,
        "--min_distance",
        30,
        "--quiet",
        "--legacy",
    ]
    code, _, err = run("patchify", volume, tmp_path / "a", *command, "--seed", 3, capsys=capsys)
    assert code == 0, err
    assert (tmp_path / "a/v.pkl").exists()


def test_processes(volume, tmp_path):
    """Started afresh, as on macOS and Windows."""
    for out, more in (("a", []), ("b", ["-p", "2"])):
        command = [sys.executable, "-m", "maskmill", "em", "patchify", volume, tmp_path / out, *SMALL, *more]
        done = subprocess.run([str(a) for a in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_dry_run(volume, tmp_path, capsys):
    code, out, _ = run("patchify", volume, tmp_path / "a", *SMALL, "--dry-run", capsys=capsys)
    assert code == 0
    assert "40 x 70 x 90 uint8, axes 0 1 2: 630 patches" in out
    assert not (tmp_path / "a").exists()


def test_exit_code_of_partial_failure(volume, tmp_path, capsys):
    (tmp_path / "bad.nrrd").write_bytes(volume.read_bytes()[:-100])
    code, out, err = run("patchify", volume, tmp_path / "bad.nrrd", tmp_path / "a", *SMALL, capsys=capsys)
    assert code == 3
    assert "failed: " in err
    assert "bad.nrrd" in err
    assert "v.nrrd" in out
    assert "bad.nrrd" in (tmp_path / "a/failed.jsonl").read_text()


def negative(folder):
    write_volume(folder / "n.nrrd", smooth((40, 40, 40), 1).astype(np.int16) - 9, spacing=(8, 8, 8))
    return folder / "n.nrrd"


def floats(folder):
    write_volume(folder / "f.nrrd", smooth((40, 40, 40), 1).astype(np.float32), spacing=(8, 8, 8))
    return folder / "f.nrrd"


def complex_(folder):
    np.save(folder / "c.npy", np.zeros((3, 3), complex))
    (folder / "c.npy").rename(folder / "c.mrc")
    return folder / "c.mrc"


@pytest.mark.parametrize(
    ("make", "more", "message"),
    [
        (negative, ["--legacy"], "negative"),
        (floats, [], "0 to 1"),
        (complex_, [], "c.mrc"),
        (lambda folder: folder / "v.nrrd", ["--channel", "3"], "channel must be 0 to 0, not 3"),
    ],
)
def test_inputs_that_fail(volume, tmp_path, capsys, make, more, message):
    """They are listed with a reason; the run ends with 3, or with 2 if the file is of no kind that is known."""
    code, _, err = run("patchify", make(tmp_path), tmp_path / "a", *SMALL, *more, capsys=capsys)
    assert code in (2, 3)
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.nrrd", "OUT"], "missing.nrrd: no such file"),
        (["VOLUME", "FILE"], "notes.txt"),
        (["VOLUME", "OUT", "-cs", "0"], "--crop-size must be 1 or more, not 0"),
        (["VOLUME", "OUT", "-s", "-1"], "--spacing must be 1 or more, not -1"),
        (["VOLUME", "OUT", "-d", "-1"], "--min-distance must be 0 or more, not -1"),
        (["VOLUME", "OUT", "-hs", "99"], "--hash-size must be within 2 and 16, not 99"),
        (["VOLUME", "OUT", "--tolerance", "-1"], "tolerance must be 0 or more"),
        (["VOLUME", "OUT", "--voxel-size", "8,8"], "a voxel size must be"),
        (["VOLUME", "OUT", "--to-uint8", "magic"], "policy must be one of"),
        (["VOLUME", "OUT", "--scope", "all", "-hs", "8"], "--accept-chance"),
        (["VOLUME", "OUT", "--order", "quality"], "needs --scores"),
        (["VOLUME", "OUT", "--channel", "red"], "--channel must be a number"),
        (["VOLUME", "OUT", "-p", "0"], "--processes must be 1 or more, not 0"),
        (["FILE", "OUT"], "notes.txt: expected a volume or an image"),
    ],
)
def test_wrong_usage(volume, tmp_path, capsys, arguments, message):
    (tmp_path / "notes.txt").write_text("no volume")
    places = {"VOLUME": volume, "OUT": tmp_path / "out", "FILE": tmp_path / "notes.txt"}
    code, _, err = run("patchify", *(places.get(a, a) for a in arguments), "--quiet", capsys=capsys)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out/manifest.parquet").exists()


def test_empty_folder(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    code, out, _ = run("patchify", tmp_path / "in", tmp_path / "out", *SMALL, capsys=capsys)
    assert code == 0
    assert "all, in" in out


def test_two_inputs_of_one_stem(volume, tmp_path, capsys):
    write_volume(tmp_path / "v.mrc", smooth((40, 40, 40), 2), spacing=(8, 8, 8))
    code, _, _ = run("patchify", volume, tmp_path / "v.mrc", tmp_path / "out", *SMALL, capsys=capsys)
    assert code == 0
    assert set(open_store(tmp_path / "out").manifest["dataset"].tolist()) == {"v_nrrd", "v_mrc"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other/v.nrrd").write_bytes(volume.read_bytes())
    code, _, err = run(
        "patchify", volume, tmp_path / "other/v.nrrd", tmp_path / "out2", *SMALL, capsys=capsys
    )
    assert code == 2
    assert "would share the name" in err


@pytest.mark.parametrize("layout", ["store", "files"])
def test_output_that_cannot_be_written(volume, tmp_path, capsys, layout, monkeypatch):
    from maskmill.studies.em import writing

    def refused(path, **_):
        raise PermissionError(30, "Read-only file system", str(path))

    monkeypatch.setattr(writing, "written_whole", refused)
    code, _, err = run("patchify", volume, tmp_path / "out", *SMALL, "--layout", layout, capsys=capsys)
    assert code == 2
    assert "Read-only file system" in err


# The whole line


def test_run(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    write_volume(tmp_path / "raw/v.nrrd", smooth((40, 70, 90), 1), spacing=(8, 8, 8))
    images(tmp_path / "raw/mito", [(64, 64), (70, 40)])
    (tmp_path / "line.toml").write_text(
        f'inputs = ["{tmp_path.as_posix()}/raw"]\nout = "{tmp_path.as_posix()}/out"\nfilter = false\n'
        "[patchify]\ncrop-size = 32\naxes = [0, 1]\n"
    )
    command = ["run", "--config", tmp_path / "line.toml", "--quiet"]
    code, out, err = run(*command, capsys=capsys)
    assert code == 0, err
    assert out.startswith("maskmill em patchify")
    files = {path.parent.name for path in (tmp_path / "out/training").glob("*/*.tiff")}
    assert files == {"v", "mito"}
    code, _, _ = run(*command, capsys=capsys)
    assert code == 0


def test_run_with_filter(tmp_path, capsys):
    pytest.importorskip("sklearn")
    (tmp_path / "raw").mkdir()
    write_volume(tmp_path / "raw/v.nrrd", smooth((30, 70, 90), 1), spacing=(8, 8, 8))
    (tmp_path / "line.toml").write_text("[patchify]\ncrop-size = 32\n[filter]\nthreshold = 0.0\n")
    code, _, err = run(
        "run",
        tmp_path / "raw",
        tmp_path / "out",
        "--config",
        tmp_path / "line.toml",
        "--quiet",
        capsys=capsys,
    )
    assert code == 0, err
    assert len(list((tmp_path / "out/training/v").glob("*.tiff"))) > 0


def test_steps(tmp_path):
    found = steps([], "out", {"patchify": {"legacy": True, "digest": False}, "filter": {"threshold": 0.7}})
    assert [(step.verb, *step.arguments) for step in found] == [
        ("patchify", "out/patches", "--legacy"),
        ("filter", "out/patches", "out/training", "--threshold", "0.7"),
    ]
    with pytest.raises(ValueError, match="clean must have one folder"):
        steps(["a", "b"], "out", {"clean": True})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inputs = [", "not TOML"),
        ("inputs = 3", "inputs must be a list"),
        ("out = 3", "out must be a path"),
        ("patchify = 3", "patchify must be a table"),
        ("[patchfy]", "not 'patchfy'"),
    ],
)
def test_broken_config(tmp_path, capsys, text, message):
    (tmp_path / "line.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path / "line.toml")
    code, _, err = run("run", "--config", tmp_path / "line.toml", capsys=capsys)
    assert code == 2
    assert message in err
    code, _, err = run("run", capsys=capsys)
    assert code == 2
    assert "INPUT... and OUT" in err
