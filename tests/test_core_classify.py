"""From a photo and painted clasts to a class map, on a core that is drawn and on core 72-2."""

from __future__ import annotations

import json

import numpy as np
import pytest

import cores
from maskmill import densify
from maskmill.cli import main
from maskmill.densify.classmaps import read_class_map, write_class_map
from maskmill.densify.labels import read_labels
from maskmill.densify.legend import Legend
from maskmill.studies.core import classify, evaluate, shapes
from maskmill.studies.core.columns import Textures
from maskmill.studies.core.profiles import Profile, has_network, profile
from maskmill.studies.core.report import write_page
from maskmill.studies.core.scale import Scale

NAMES = Legend({1: "light", 2: "dark", 3: "matrix"}, {1: (205, 180, 145), 2: (60, 70, 75), 3: (252, 102, 33)})


@pytest.fixture(scope="module")
def plain() -> Profile:
    """The default without the network: quick, and installed everywhere."""
    return profile(network=False)


@pytest.fixture(scope="module")
def classified(plain):
    return classify(cores.photo(), cores.strokes(), profile=plain, legend=NAMES, crf=False)


def test_the_drawn_core(classified):
    assert (classified.values == cores.truth()).mean() > 0.98
    assert classified.values.dtype == np.uint8
    assert np.allclose(classified.probabilities.sum(2), 1, atol=1e-4)
    assert classified.classes.tolist() == [1, 2, 3]
    assert classified.legend == NAMES
    assert classified.report["training"]["classes"]["2"]["blobs"] == 3


def test_the_crf_makes_it_better(classified, plain):
    smooth = classify(cores.photo(), cores.strokes(), profile=plain, legend=NAMES)
    right = (smooth.values == cores.truth()).mean()
    assert right > (classified.values == cores.truth()).mean()
    found = shapes(smooth.values, Scale.of(120, cores.SIZE), only=[1, 2], min_pixels=300).table
    assert len(found) == len(cores.CLASTS)
    area = sum(np.pi * clast.long * clast.short for clast in cores.CLASTS) * (120 / cores.SIZE[0]) ** 2
    assert found["area"].sum() == pytest.approx(area, rel=0.15)


def test_same_seed_same_map_and_models_for_other_sections(classified, plain, tmp_path):
    again = classify(cores.photo(), cores.strokes(), profile=plain, legend=NAMES, crf=False)
    assert np.array_equal(again.probabilities, classified.probabilities)
    classified.save(tmp_path / "out")
    other = classify(cores.photo(seed=5), model=tmp_path / "out" / "model.npz", crf=False)
    assert (other.values == cores.truth()).mean() > 0.9
    assert other.legend.names == NAMES.names
    pinned = classify(cores.photo(), cores.strokes(), profile=plain, crf=False, pin=True)
    painted = cores.strokes() > 0
    assert np.array_equal(pinned.values[painted], cores.strokes()[painted])


def test_what_is_saved(classified, tmp_path):
    pytest.importorskip("h5py")
    classified.save(tmp_path, probabilities=".h5")
    for kind in (".png", ".tif", ".h5"):
        found = read_class_map(tmp_path / f"classes{kind}")
        assert np.array_equal(found.values, classified.values)
        assert found.legend.names == NAMES.names
    assert np.array_equal(read_class_map(tmp_path / "painted.png").values, cores.strokes())
    best = read_labels(tmp_path / "probabilities.h5").values
    assert (best == classified.values).mean() > 0.999  # half precision
    about = json.loads((tmp_path / "report.json").read_text())
    assert about["model"] == densify.load(tmp_path / "model.npz", own=[Textures(network=False)]).digest


def test_hostile_photos_and_labels(plain):
    photo, strokes = cores.photo(), cores.strokes()
    for image, labels, error, said in (
        (photo[:100], strokes, ValueError, "must have the size of the photo, 100 x 200, not 480 x 200"),
        (photo, np.zeros(cores.SIZE, np.uint8), ValueError, "must have painted pixels"),
        (photo, (strokes == 1) * np.uint8(4), ValueError, "two classes or more"),
        (photo / 255.0, strokes, TypeError, "8 or 16 bits, not float64"),
        (photo[..., :2], strokes, ValueError, "1, 3 or 4 bands, not 2"),
        (photo[:0], strokes[:0], ValueError, "and have pixels"),
        (photo, None, ValueError, "labels must be given"),
    ):
        with pytest.raises(error, match=said):
            classify(image, labels, profile=plain, crf=False)
    with pytest.raises(ValueError, match="profile must be one of default, original, not 'best'"):
        classify(photo, strokes, profile="best")


@pytest.mark.parametrize("kind", ["gray", "alpha", "16 bits", "constant", "tiny"])
def test_odd_photos(plain, kind):
    photo, strokes = cores.photo()[:96], cores.truth()[:96]
    odd = {
        "gray": photo[..., 0],
        "alpha": np.dstack([photo, photo[..., 0]]),
        "16 bits": photo.astype(np.uint16) * 257,
        "constant": np.full_like(photo, 90),
        "tiny": photo[:2, :3],
    }[kind]
    marks = strokes[: odd.shape[0], : odd.shape[1]].copy()
    marks[0, 0] = 2
    found = classify(odd, marks, profile=plain, crf=False)
    assert found.values.shape == odd.shape[:2]
    assert np.isfinite(found.probabilities).all()


def test_textures_of_points_are_those_of_rows(rng):
    image = rng.integers(0, 256, (37, 41, 3), np.uint8)
    textures = Textures(network=False)
    whole = textures.columns(image)
    at = np.argwhere(rng.random((37, 41)) < 0.1)
    assert np.array_equal(textures.sample(image, at), whole[at[:, 0], at[:, 1]])
    assert np.array_equal(textures.columns(image, box=(9, 20, 3, 40)), whole[9:20, 3:40])
    assert textures.sample(image, np.empty((0, 2), int)).shape == (0, 22)
    gray = np.repeat(image[..., :1], 3, axis=2)
    assert np.array_equal(textures.columns(image[..., 0]), textures.columns(gray))


def test_scores(plain):
    found = evaluate(cores.photo(), cores.strokes(), sets=["LAB", "filters", "default"], legend=NAMES, splits=2,
                     network=False, leaking=False)  # fmt: skip
    rows = {row["set"]: row for row in found.rows()}
    assert list(rows) == ["LAB", "filters", "default"]
    assert all(0.5 < row["accuracy"] <= 1 for row in rows.values())
    assert rows["default"]["columns"] == 55
    assert "held out: blobs, 2 splits" in str(found)
    with pytest.raises(ValueError, match="sets must be of LAB, .* not 'VGG'"):
        evaluate(cores.photo(), cores.strokes(), sets=["VGG"])


def test_one_page(classified, tmp_path):
    pytest.importorskip("matplotlib")
    classified.save(tmp_path, probabilities=None)
    page = write_page(tmp_path).read_text()
    assert page.count("<img") == 1  # no scale, so no clasts
    assert not (tmp_path / "clasts.csv").exists()
    score = {
        "set": "<b>",
        "columns": 3,
        "accuracy": 0.5,
        "accuracy_sd": 0.1,
        "with_crf": None,
        "random_pixels": 0.9,
    }
    content = {"scores": [score], "leaking": {"accuracy": 0.89}, "settings": {"splits": 5}}
    (tmp_path / "scores.json").write_text(json.dumps(content))
    page = write_page(tmp_path, scale=Scale.of(120, cores.SIZE, top=10), shapes={"only": [1, 2]}).read_text()
    assert page.count("<img") == 3
    assert "gives 0.890: it measures memory" in page
    assert "&lt;b&gt; (3)" in page
    assert "10.120 m" in page
    assert (tmp_path / "clasts.csv").exists()


# The verbs


@pytest.fixture
def files(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "core.png"), cores.photo()[..., ::-1])
    write_class_map(tmp_path / "strokes.png", cores.strokes(), NAMES)
    return tmp_path


def test_verbs(files, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("maskmill.studies.core.profiles.has_network", lambda: False)
    monkeypatch.setattr("maskmill.studies.core.scores.has_network", lambda: False)
    out, given = files / "out", [str(files / "core.png"), "--labels", str(files / "strokes.png")]
    more = ["--legend", str(files / "strokes_classes.json"), "--quiet"]
    assert (
        main(["core", "classify", *given, *more, "--out", str(out), "--length-mm", "120", "--not", "matrix"])
        == 0
    )
    said = capsys.readouterr()
    assert "matrix" in said.out
    assert said.err == ""
    assert {"classes.png", "classes.h5", "model.npz", "report.html", "clasts.csv"} <= {
        p.name for p in out.iterdir()
    }
    assert main(["core", "evaluate", *given, *more, "--out", str(out / "scores.json"), "--sets", "default",
                 "--splits", "2"]) == 0  # fmt: skip
    assert "random pixels (leaks)" in capsys.readouterr().out
    assert main(["core", "report", str(out), "--length-mm", "120"]) == 0
    assert "<h2>Scores</h2>" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["classify", "core.png"], "--labels must be given, or --model"),
        (["classify", "nowhere.png", "--labels", "strokes.png"], "nowhere.png: No such file"),
        (["classify", "core.png", "--labels", "core.png"], "core.png"),
        (
            ["classify", "core.png", "--labels", "small.png"],
            "must have the size of the photo, 480 x 200, not 9 x 9",
        ),
        (["classify", "core.png", "--model", "core.png"], "core.png"),
        (["classify", "core.png", "--labels", "strokes.png", "--merge", "basalt=matrix"], "not 'basalt'"),
        (["evaluate", "core.png", "--labels", "strokes.png", "--splits", "0"], "--splits must be 1 or more"),
        (["report", "."], "expected a class map"),
    ],
)
def test_verbs_refuse(files, monkeypatch, capsys, arguments, said):
    write_class_map(files / "small.png", np.ones((9, 9), np.uint8), NAMES)
    monkeypatch.chdir(files)
    more = ["--out", "out"] if arguments[0] == "classify" else []
    quiet = [] if arguments[0] == "report" else ["--quiet"]
    legend = ["--legend", "strokes_classes.json"] if "--merge" in arguments else []
    assert main(["core", *arguments, *more, *quiet, *legend]) == 2
    assert said in capsys.readouterr().err
    assert not (files / "out").exists()


# Core 72-2


def test_core_72_2(data):
    """Without the CRF, on a stretch of the core: the whole takes seconds, see maskmill core evaluate."""
    pytest.importorskip("h5py")
    folder = data / "cores"
    found = evaluate(
        folder / "364_77_A_072_R_002_scanA67.jpg",
        folder / "72_2.h5",
        sets=["LAB", "default"],
        legend="chicxulub",
        splits=10,
        leaking=False,
        network=False,
    )
    rows = {row["set"]: row for row in found.rows()}
    assert rows["default"]["accuracy"] == pytest.approx(0.706, abs=0.01)  # the best known before: 0.595
    assert rows["LAB"]["accuracy"] < 0.6 < rows["default"]["accuracy"] < rows["default"]["random_pixels"]
    report = found.reports["default"]
    assert [report.names[report.classes.index(k)] for k in report.untestable] == ["Chert", "Basement-Felsic"]


@pytest.mark.skipif(not has_network(), reason="needs the extra cnn")
def test_core_72_2_with_the_network(data):
    pytest.importorskip("h5py")
    folder = data / "cores"
    found = evaluate(folder / "364_77_A_072_R_002_scanA67.jpg", folder / "72_2.h5", sets=["default"], splits=10,
                     leaking=False)  # fmt: skip
    (row,) = found.rows()
    assert row["columns"] == 105
    assert row["accuracy"] == pytest.approx(0.752, abs=0.01)
    assert row["macro_f1"] > 0.70
