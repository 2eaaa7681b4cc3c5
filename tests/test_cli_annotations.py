"""maskmill convert, info, check, stats, split, tile, show: from the command line, with files that are good and bad."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import maskmill.io
from maskmill import Dataset, Masks
from maskmill.cli import main


@pytest.fixture
def folder(tmp_path):
    """Six pictures, and instances.json with two categories; one instance has a hole."""
    rng = np.random.default_rng(5)
    masks, image, category = [], [], []
    (tmp_path / "photos").mkdir()
    names = []
    for i in range(6):
        names.append(f"photo {i}.png")
        cv2.imwrite(str(tmp_path / "photos" / names[-1]), rng.integers(0, 255, (40, 60, 3), np.uint8))
        for k in range(3):
            mask = np.zeros((40, 60), bool)
            mask[10 * k + 1 : 10 * k + 9, 5 + i : 30 + i] = True
            mask[10 * k + 3 : 10 * k + 5, 12:15] = k != 0
            masks.append(mask)
            image.append(i)
            category.append(k % 2)
    dataset = Dataset(
        {"file_name": names, "height": [40] * 6, "width": [60] * 6},
        {"name": ["grain", "void"]},
        {"image": image, "category": category},
        Masks.encode(np.array(masks)),
    )
    maskmill.io.write(dataset, tmp_path / "instances.json")
    return tmp_path


def run(*argv):
    return main([str(word) for word in argv])


def test_convert_there_and_back(folder, capsys):
    assert run("convert", folder / "instances.json", folder / "via.json", "--to", "via", "--quiet") == 0
    assert "nothing lost" not in capsys.readouterr().err
    assert (
        run(
            "convert",
            folder / "via.json",
            folder / "again.json",
            "--to",
            "coco",
            "--images",
            folder / "photos",
        )
        == 0
    )
    a, b = (maskmill.io.read(folder / name) for name in ("instances.json", "again.json"))
    assert a.masks == b.masks
    assert a.category_names == b.category_names


def test_convert_says_what_is_lost(folder, capsys):
    whole = maskmill.io.read(folder / "instances.json")
    twice = whole.merge(whole)
    maskmill.io.write(twice, folder / "twice.json")
    argv = ("convert", folder / "twice.json", folder / "labels", "--to", "label_images", "--quiet")
    assert run(*argv, "--report", folder / "loss.json") == 0
    assert "instances lost: 18" in capsys.readouterr().out
    report = json.loads((folder / "loss.json").read_text())
    assert report["pixels_lost"] == int(whole.masks.area.sum())
    assert not report["lossless"]
    assert run(*argv, "--strict") == 1


def test_convert_with_pictures(folder):
    argv = (
        "convert",
        folder / "instances.json",
        folder / "out.json",
        "--images",
        folder / "photos",
        "--quiet",
    )
    assert run(*argv, "--copy-images", folder / "copies") == 0
    for name in ("photo 0.png", "photo 5.png"):
        assert (folder / "copies" / name).read_bytes() == (folder / "photos" / name).read_bytes()
    assert run(*argv, "--copy-images", folder / "copies", "--link") == 0


def test_info(folder, capsys):
    assert run("info", folder / "instances.json", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["format"], said["images"], said["instances"]) == ("coco", 6, 18)
    assert run("info", "--formats") == 0
    listed = capsys.readouterr().out
    for format in maskmill.io.formats():
        assert f"{format.name}: {format.title}" in listed


def test_check(folder, capsys):
    argv = ("check", folder / "instances.json")
    assert run(*argv, "--images", folder / "photos") == 0
    assert capsys.readouterr().out == "0 errors, 0 warnings\n"
    assert run(*argv, "--error", "missing_image", "--most", 2) == 1
    out = capsys.readouterr().out
    assert "error: photo 0.png: the picture was not found [missing_image]" in out
    assert "... and 4 more of missing_image" in out
    assert run(*argv, "--error", "missing_image", "--json") == 1
    assert len(json.loads(capsys.readouterr().out)) == 6
    cv2.imwrite(str(folder / "photos" / "photo 0.png"), np.zeros((9, 9), np.uint8))
    assert run(*argv, "--images", folder / "photos") == 1
    assert "is said to be 40 x 60, the picture is 9 x 9 [wrong_size]" in capsys.readouterr().out


def test_stats(folder, capsys):
    assert run("stats", folder / "instances.json") == 0
    assert "6 images, 0 without instances; 18 instances" in capsys.readouterr().out
    assert run("stats", folder / "instances.json", "--json") == 0
    assert json.loads(capsys.readouterr().out)["per_category"][1]["name"] == "void"


def test_stats_plot(folder):
    pytest.importorskip("matplotlib")
    assert run("stats", folder / "instances.json", "--plot", folder / "plot.png") == 0
    assert cv2.imread(str(folder / "plot.png")).std() > 10


def test_split(folder, capsys):
    argv = ("split", folder / "instances.json", folder / "out", "train=.7", "val=.3", "--seed", 3)
    assert run(*argv, "--images", folder / "photos", "--copy-images", "--quiet") == 0
    train, val = (maskmill.io.read(folder / "out" / f"{name}.json") for name in ("train", "val"))
    assert (len(train), len(val)) == (4, 2)
    said = json.loads((folder / "out" / "split.json").read_text())
    assert sorted(said["images"]["train"] + said["images"]["val"]) == [f"photo {i}.png" for i in range(6)]
    assert {path.name for path in (folder / "out" / "val").iterdir()} == set(said["images"]["val"])


def test_tile(folder):
    argv = ("tile", folder / "instances.json", folder / "out", "--size", 20, 30, "--quiet")
    assert run(*argv, "--images", folder / "photos") == 0
    tiled = maskmill.io.read(folder / "out" / "annotations.json", images=folder / "out" / "images")
    assert len(tiled) == 24
    whole = maskmill.io.read(folder / "instances.json")
    assert tiled.masks.area.sum() == whole.masks.area.sum()
    original = cv2.imread(str(folder / "photos" / "photo 0.png"))[..., ::-1]
    assert np.array_equal(tiled[3][0], original[20:, 30:])


def test_show(folder, capsys):
    argv = ("show", folder / "instances.json")
    assert run(*argv, folder / "sheet.png", "--images", folder / "photos", "--columns", 3) == 0
    sheet = cv2.imread(str(folder / "sheet.png"))
    assert sheet.shape[1] == 3 * 248 + 8
    assert run(*argv, folder / "one.png", "--images", folder / "photos", "--image", "*2.png") == 0
    one = cv2.imread(str(folder / "one.png"))
    assert one.shape == (40, 60, 3)
    photo = cv2.imread(str(folder / "photos" / "photo 2.png"))
    assert np.array_equal(one[39], photo[39])
    assert not np.array_equal(one[4], photo[4])
    assert run(*argv, folder / "gray.png") == 0


VERBS = {
    "convert": ("{}", "out.json"),
    "info": ("{}",),
    "check": ("{}",),
    "stats": ("{}",),
    "split": ("{}", "out", "train=1"),
    "tile": ("{}", "out", "--size", "8"),
    "show": ("{}", "out.png"),
}
FAULTS = {
    "missing": (None, "no such file or folder"),
    "empty": (b"", "expected annotations in a known format"),
    "cut short": (b'{"images": [{"id": 1, "file_na', "expected"),
    "no text": (b'{"images": [\xff\xfe\x00]}', "expected"),
    "deep": (b'{"images": [' + b"[" * 100_000, "expected"),
    "other": (b"\x89PNG nothing of the kind", "expected annotations in a known format"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_verb_on_bad_files(verb, fault, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content, message = FAULTS[fault]
    if content is not None:
        (tmp_path / "in.json").write_bytes(content)
    assert run(verb, *(word.format("in.json") for word in VERBS[verb])) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"maskmill {verb}: in.json")
    assert message in said
    assert "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} <= {"in.json"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("convert", "{}", "out.xyz"), "format must be named"),
        (("convert", "{}", "out.json", "--to", "nonsense"), "format must be one of"),
        (("convert", "{}", "out.json", "--read", "nonsense=1"), "has no option 'nonsense'"),
        (("convert", "{}", "out.json", "--write", "nonsense"), "must be NAME=VALUE"),
        (("info",), "IN must be given"),
        (("check", "{}", "--error", "nonsense"), "rules must be of"),
        (("split", "{}", "out", "train=many"), "parts must be NAME=SHARE"),
        (("split", "{}", "out", "train=-1"), "shares of at least 0"),
        (("tile", "{}", "out", "--size", "0"), "--size must be one or two lengths"),
        (("tile", "{}", "out", "--size", "4", "--min-visible", "2"), "--min-visible must be from 0 to 1"),
        (("show", "{}", "out.gif"), "OUT must end with .png or .jpg"),
        (("show", "{}", "out.png", "--image", "zebra"), "none is 'zebra'"),
        (("stats", "{}", "--images", "nowhere"), "no such folder"),
    ],
)
def test_wrong_usage(argv, message, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert run(*(word.format(folder / "instances.json") for word in argv)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"maskmill {verb} " in capsys.readouterr().out


def test_pictures_stay_in_their_folder(folder):
    from maskmill.io.pictures import write_pictures

    dataset = maskmill.io.read(folder / "instances.json", images=folder / "photos")
    names = dataset.images["file_name"].copy()
    names[0] = "../escaped.png"
    with pytest.raises(maskmill.FormatError, match="the name of a file below its folder"):
        write_pictures(dataset.replace(images=dataset.images.with_columns(file_name=names)), folder / "out")
    assert not (folder / "escaped.png").exists()
    names[0] = names[1]
    with pytest.raises(maskmill.FormatError, match="expected names that differ"):
        write_pictures(dataset.replace(images=dataset.images.with_columns(file_name=names)), folder / "out")
