"""maskmill densify: from files to files."""

import json

import numpy as np
import pytest

from maskmill import densify
from maskmill.cli import main
from maskmill.densify import files
from maskmill.io._palette import write_indexed
from maskmill.io.images import read_image
from maskmill.io.pictures import write_picture
from test_densify import fields

pytest.importorskip("sklearn")


@pytest.fixture
def folder(tmp_path, rng):
    """Two photos, strokes on each, a legend."""
    (tmp_path / "strokes").mkdir()
    for name in ("a", "b"):
        image, strokes, _ = fields(rng, 90, 140)
        write_picture(tmp_path / f"{name}.png", image)
        with open(tmp_path / "strokes" / f"{name}.png", "wb") as file:
            write_indexed(file, strokes)
    legend = [
        {"id": 3, "name": "sand", "color": "#c2b280"},
        {"id": 8, "name": "water"},
        {"id": 21, "name": "reed"},
    ]
    (tmp_path / "legend.json").write_text(json.dumps(legend))
    return tmp_path


def run(*words):
    return main(["densify", *map(str, words)])


def trained(folder, *more):
    photos = [folder / "a.png", folder / "b.png"]
    assert run("train", *photos, "--labels", folder / "strokes", "--out", folder / "m.npz", "--quiet",
               "--legend", folder / "legend.json", "--sigmas", 1, 2, *more) == 0  # fmt: skip
    return folder / "m.npz"


def test_train_and_apply(folder, capsys):
    model = trained(folder)
    assert "8 water: 8 strokes, 216 pixels" in capsys.readouterr().out
    out = folder / "labels"
    command = ("apply", model, folder / "a.png", folder / "b.png", "--out", out, "--quiet")
    assert run(*command, "--probabilities", "npz", "--overlay") == 0
    result = densify.predict(densify.load(model), read_image(folder / "a.png"))
    found = densify.read_class_map(out / "a.png")
    assert np.array_equal(found.values, result.labels)
    assert (found.legend.name(21), found.legend.colour(3)) == ("reed", (0xC2, 0xB2, 0x80))
    with np.load(out / "a_probabilities.npz") as arrays:
        assert np.abs(arrays["probabilities"] - result.probabilities).max() < 1e-3
        assert arrays["classes"].tolist() == [3, 8, 21]
    assert read_image(out / "a_overlay.jpg").shape == (90, 140, 3)
    report = json.loads((out / "a_report.json").read_text())
    assert sum(row["pixels"] for row in report["classes"]) == 90 * 140
    assert "sand" in capsys.readouterr().out


def test_what_is_done_is_not_done_again(folder, capsys):
    model, out = trained(folder), folder / "labels"
    command = ("apply", model, folder / "a.png", "--out", out, "--quiet")
    assert run(*command) == 0
    before = (out / "a.png").stat().st_mtime_ns
    assert run(*command) == 0
    assert (out / "a.png").stat().st_mtime_ns == before
    assert "done before" in capsys.readouterr().out
    for more in (["--crf", "iterations=1"], ["--again"]):
        assert run(*command, *more) == 0
        assert "done before" not in capsys.readouterr().out
    (out / "a_report.json").write_text("{")  # damaged: done again
    assert run(*command) == 0
    assert "done before" not in capsys.readouterr().out


def test_pinned_and_for_ilastik(folder):
    pytest.importorskip("h5py")
    model, out = trained(folder), folder / "labels"
    strokes = densify.read_labels(str(folder / "strokes" / "b.png")).values
    assert run("apply", model, folder / "b.png", "--out", out, "--quiet", "--format", "h5", "--probabilities", "h5",
               "--pin", folder / "strokes", "--crf", "gaussian=2,3", "bilateral=none") == 0  # fmt: skip
    found = densify.read_class_map(out / "b.h5").values
    assert np.array_equal(found[strokes > 0], strokes[strokes > 0])
    assert json.loads((out / "b_report.json").read_text())["painted"]["pixels"] == (strokes > 0).sum()


def test_larger_than_memory(folder, monkeypatch):
    """A tiled TIFF is read part by part, and labels go into a TIFF on disk: the same as in memory."""
    tifffile = pytest.importorskip("tifffile")
    model = trained(folder)
    image = read_image(folder / "a.png")
    tifffile.imwrite(folder / "t.tif", image, tile=(64, 64), photometric="rgb")
    monkeypatch.setattr(files, "LARGE", 0)
    monkeypatch.setattr("maskmill.densify.pictures.LARGE", 0)
    out = folder / "labels"
    assert (
        run("apply", model, folder / "t.tif", "--out", out, "--format", "tif", "--tile", 64, "--quiet") == 0
    )
    assert np.array_equal(tifffile.imread(out / "t.tif"), densify.predict(densify.load(model), image).labels)
    assert not list(out.glob(".*"))
    assert run("apply", model, folder / "t.tif", "--out", out, "--quiet") == 2


def test_evaluate(folder, capsys):
    pytest.importorskip("matplotlib")
    reports = [folder / f"r.{kind}" for kind in ("html", "json", "txt")]
    assert run("evaluate", folder / "a.png", "--labels", folder / "strokes" / "a.png", "--splits", 2, "--sigmas", 1,
               "--legend", folder / "legend.json", "--crf", "iterations=1", "--quiet",
               *(word for path in reports for word in ("--report", path))) == 0  # fmt: skip
    text = capsys.readouterr().out
    assert "balanced accuracy" in text
    assert "21 reed" in text
    page = reports[0].read_text()
    assert page.count("data:image/png;base64") == 2
    assert "Do not quote it" in page
    assert json.loads(reports[1].read_text())["settings"]["blocks"] == "blobs"
    assert reports[2].read_text() == text


def test_wrong_usage(folder, capsys):
    model, photo = trained(folder), folder / "a.png"
    damaged = folder / "damaged.npz"
    damaged.write_bytes(model.read_bytes()[:-300])
    strokes = folder / "strokes" / "a.png"
    for words, text in (
        (("train", photo, "--labels", strokes, "--out", folder / "m.pkl"), ".npz"),
        (("train", photo, "--labels", strokes, "--out", folder / "n.npz", "--classifier", "svm"), "logistic"),
        (("train", photo, "--labels", strokes, "--out", folder / "n.npz", "--option", "C"), "NAME=VALUE"),
        (("train", photo, photo, photo, "--labels", strokes, strokes, "--out", folder / "n.npz"), "3 photos"),
        (("train", folder / "c.png", "--labels", strokes, "--out", folder / "n.npz"), "c.png"),
        (("apply", damaged, photo, "--out", folder / "x"), "damaged.npz"),
        (("apply", model, photo, photo, "--out", folder / "x"), "different names"),
        (("apply", model, photo, "--out", folder / "x", "--crf", "gaussian=3"), "gaussian=SIGMA"),
        (("apply", model, photo, "--out", folder / "x", "--tile", 0), "--tile"),
        (("evaluate", photo, "--labels", strokes, "--report", folder / "r.pdf"), ".html"),
    ):
        assert run(*words, *(["--quiet"] if "--quiet" not in words else [])) == 2
        assert text in capsys.readouterr().err


def test_one_photo_that_fails_does_not_stop_the_others(folder, capsys):
    model = trained(folder)
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run("apply", model, folder / "bad.png", folder / "b.png", "--out", folder / "x", "--quiet") == 3
    assert (folder / "x" / "b.png").exists()
    assert "bad.png" in capsys.readouterr().err


def test_polygons_as_strokes(folder):
    """One file of polygons for all photos."""
    shapes = {3: (4, 4, 30, 20), 8: (55, 4, 85, 20), 21: (100, 4, 130, 20)}
    images = [{"id": i, "file_name": f"{n}.png", "height": 90, "width": 140} for i, n in enumerate("ab", 1)]
    rows = [
        {"id": 10 * i + c, "image_id": i, "category_id": c, "iscrowd": 0, "area": 1.0,
         "bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}
        for i in (1, 2) for c, (x0, y0, x1, y1) in shapes.items()
    ]  # fmt: skip
    categories = [{"id": c, "name": n} for c, n in ((3, "sand"), (8, "water"), (21, "reed"))]
    (folder / "coco.json").write_text(
        json.dumps({"images": images, "annotations": rows, "categories": categories})
    )
    found = files.read_strokes([folder / "a.png", folder / "b.png"], [folder / "coco.json"])
    assert found.legend.name(21) == "reed"
    assert [np.unique(array).tolist() for array in found.labels] == [[0, 3, 8, 21]] * 2
    assert (found.labels[1][4:20, 4:30] == 3).all()
