"""maskmill flakes: every verb from the command line, and a clear message for what does not work."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskmill.cli import main
from maskmill.cli.flakes import VERBS
from maskmill.studies.flakes.annotations import read_annotations
from test_flakes_layout import project, squares


def run(*arguments, capsys):
    code = main(["flakes", *map(str, arguments)])
    return code, *capsys.readouterr()


@pytest.fixture
def masks(tmp_path):
    return project(tmp_path / "raw", a=squares(20, 15, 10), b=squares(10), c=np.zeros((30, 40), np.uint8))


@pytest.mark.parametrize("verb", VERBS)
def test_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["flakes", verb, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"maskmill flakes {verb}" in text
    assert "examples:" in text


def test_build_and_semantic(masks, tmp_path, capsys):
    code, out, err = run(
        "build", masks, tmp_path / "G", "--quiet", "--palette", "--report", tmp_path / "r.json", capsys=capsys
    )
    assert (code, err) == (0, "")
    assert "3 images, 4 flakes" in out
    assert "200: 2 flakes (flake 2), 2 dropped, 1 images emptied" in out
    assert json.loads((tmp_path / "r.json").read_bytes())["variants"]["300"]["dropped"] == [2, 3, 4]
    annotations = tmp_path / "G/RLE_annotations/train_annotations_with_class_full.json"
    code, out, _ = run("semantic", annotations, tmp_path / "s", "--min-area", 0, "--quiet", capsys=capsys)
    assert (code, len(list((tmp_path / "s").iterdir()))) == (0, 3)
    back = [
        "semantic",
        "--inverse",
        tmp_path / "s",
        tmp_path / "b.json",
        "--images",
        tmp_path / "G/train_images",
    ]
    code, out, _ = run(*back, "--quiet", capsys=capsys)
    assert (code, "3 images, 4 flakes" in out) == (0, True)
    before, after = read_annotations(annotations), read_annotations(tmp_path / "b.json")
    assert sorted(before.images["file_name"]) == after.images["file_name"].tolist()
    assert sorted(before.masks.area) == sorted(after.masks.area)


def test_what_is_left_out(masks, tmp_path, capsys):
    (masks / "b.png").unlink()
    code, _, err = run("build", masks, tmp_path / "G", "--quiet", capsys=capsys)
    assert (code, err) == (3, "maskmill flakes build: b.jpg: has no mask\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "missing", "OUT"], "missing: no such file"),
        (["build", "MASKS", "OUT", "--images", "nowhere"], "nowhere: must be the folder of the photos"),
        (["build", "MASKS", "OUT", "--scale", "0"], "--scale must be above 0, not 0.0"),
        (["build", "MASKS", "OUT", "--class", "other=1"], "'flake' has none"),
        (["build", "MASKS", "OUT", "--format", "nothing"], "format must be one of"),
        (["semantic", "missing.json", "OUT"], "missing.json: No such file"),
        (["semantic", "MASKS", "OUT", "--min-area", "-1"], "--min-area must be 0 or more, not -1"),
    ],
)
def test_wrong_usage(masks, tmp_path, capsys, arguments, message):
    places = {"MASKS": masks, "OUT": tmp_path / "out"}
    code, _, err = run(*(places.get(a, a) for a in arguments), "--quiet", capsys=capsys)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()
