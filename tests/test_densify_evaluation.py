"""Scores on strokes that were held out: splits as stated, figures as published, untestable classes named."""

import json
import os

import numpy as np
import pytest

from maskmill import densify
from maskmill.densify.blobs import blobs, capped, held_blobs, painted, splits, splittable
from test_densify import fields

pytest.importorskip("sklearn")


def test_blobs_equal_scikit_image(rng):
    measure = pytest.importorskip("skimage.measure")
    labels = rng.integers(0, 3, (60, 80)).astype(np.uint8)
    assert np.array_equal(blobs(labels), measure.label(labels, connectivity=1, background=0))
    assert blobs(np.zeros((4, 5), np.uint8)).tolist() == [[0] * 5] * 4


def test_blobs_of_images_have_numbers_of_their_own():
    marks = np.array([[1, 0, 1], [0, 2, 0]])
    pixels = painted([marks, marks])
    assert pixels.blob.tolist() == [1, 2, 3, 4, 5, 6]
    assert splittable(pixels) == [0, 1]


def test_held_out(rng):
    """Never all blobs of a class, at least one of each that has two; no blob is on both sides."""
    _, strokes, _ = fields(rng)
    strokes[140, 100] = 99
    pixels = capped(painted([strokes]), 100, 0)
    for share in (0.01, 0.3, 0.99):
        held = held_blobs(pixels, share, np.random.default_rng(1))
        for k in splittable(pixels):
            mine = np.isin(pixels.blobs_of(k), held)
            assert 0 < mine.sum() < len(mine)
        assert not np.isin(pixels.blobs_of(3), held).any()
    how = {"count": 4, "seed": 3, "share": 0.3, "gap": 15, "sizes": [strokes.shape]}
    for blocks in ("blobs", "spatial", "leave-one-out"):
        for split in splits(pixels, blocks, **how):
            assert not np.intersect1d(pixels.blob[split.training], pixels.blob[split.held_out]).size
    x = pixels.at[:, 1]
    (_, second, *_) = splits(pixels, "spatial", **how)
    assert ((x[second.held_out] >= 50) & (x[second.held_out] < 100)).all()
    assert ((x[second.training] < 35) | (x[second.training] >= 115)).all()


@pytest.mark.parametrize("blocks", ["blobs", "spatial", "leave-one-out", "pixels"])
def test_scores(rng, blocks):
    image, strokes, _ = fields(rng)
    strokes[140:143, 100:104] = 99  # one blob
    if blocks == "spatial":  # along the longer axis, across the stripes
        image, strokes = image[:, :120].swapaxes(0, 1), strokes[:, :120].T
        image, strokes = (np.ascontiguousarray(a.swapaxes(0, 1)) for a in (image, strokes))
    report = densify.evaluate(image, strokes, features="lab", blocks=blocks, splits=3, names={3: "sand"})
    assert report.mean("accuracy") > 0.8
    assert report.untestable == (() if blocks == "pixels" else (99,))
    assert len(report.scores) == (24 if blocks == "leave-one-out" else 3)
    assert (report.random_pixels is None) == (blocks == "pixels")
    assert report.names[0] == "sand"
    told = json.loads(report.to_json())
    assert told["classes"][0]["blobs"] == 8
    assert "sand" in str(report)


def test_scores_equal_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    confusion = rng.integers(0, 9, (4, 4))
    confusion[2] = 0
    score = densify.Score("x", confusion, (1, 1, 0, 1))
    truth = np.repeat(np.arange(16) // 4, confusion.ravel())
    given = np.repeat(np.arange(16) % 4, confusion.ravel())
    assert score.accuracy == pytest.approx(metrics.accuracy_score(truth, given))
    means = {"labels": [0, 1, 3], "average": "macro"}
    assert score.balanced_accuracy == pytest.approx(metrics.recall_score(truth, given, **means))
    assert score.macro_f1 == pytest.approx(metrics.f1_score(truth, given, **means))


def test_curve(rng):
    image, strokes, _ = fields(rng)
    report = densify.evaluate(image, strokes, features="lab", splits=2)
    assert sorted(report.curve) == [1, 2, 4, 6]  # of 8 blobs 2 are held out
    assert [len(scores) for scores in report.curve.values()] == [2] * 4
    last = [score.accuracy for score in report.curve[6]]
    assert last == [score.accuracy for score in report.scores]


def test_refused(rng):
    image, strokes, _ = fields(rng)
    single = np.zeros_like(strokes)
    single[3, 3:9], single[20, 3:9] = 1, 2
    with pytest.raises(ValueError, match="none is both in training and held out"):
        densify.evaluate(image, single)
    for how, text in (
        ({"blocks": "random"}, "one of blobs"),
        ({"splits": 0}, "1 or more"),
        ({"blocks": "spatial", "splits": 1}, "2 or more"),
        ({"held_out": 1}, "below 1"),
        ({"gap": -1}, "0 or more"),
    ):
        with pytest.raises(ValueError, match=text):
            densify.evaluate(image, strokes, **how)


def core(data):
    """Photo and labels of the published core."""
    from maskmill.io import read
    from maskmill.io.images import read_image

    labels = read(data / "cores" / "72_2.h5").images["semantic"][0].read()
    return read_image(data / "cores" / "364_77_A_072_R_002_scanA67.jpg"), labels


def test_splits_of_the_core(data):
    """Pixels of the blobs held out by the published seeds."""
    _, labels = core(data)
    whole = painted([labels])
    rows = capped(whole, 2000, 0)
    held = [
        np.isin(whole.blob, held_blobs(rows, 0.3, np.random.default_rng(100 + i))).sum() for i in range(3)
    ]
    assert held == [81357, 102922, 105744]
    assert len(np.unique(whole.blob)) == 95


def test_crf_is_scored_and_chosen_on_training_blobs(rng):
    image, strokes, _ = fields(rng, 90, 120)
    report = densify.evaluate(image, strokes, features="lab", splits=2, curve=False, crf={"iterations": 3})
    for plain, smooth, chosen in report.crf:
        assert smooth.accuracy >= plain.accuracy
        assert plain.confusion.sum() == smooth.confusion.sum()
        assert chosen == {"iterations": 3}
    assert "with the CRF" in str(report)
    assert json.loads(report.to_json())["crf"][0]["with"]["accuracy"] > 0.9
    with pytest.raises(ValueError, match="'search', not 'best'"):
        densify.evaluate(image, strokes, crf="best")
    searched = densify.evaluate(image, strokes, features="lab", splits=1, curve=False, crf="search")
    ((plain, smooth, _),) = searched.crf
    assert smooth.accuracy >= plain.accuracy - 0.01


def test_doodles_are_strokes(data):
    """Of a result of Doodler, the picture, and what was drawn, not what came of it."""
    from maskmill.densify.files import read_strokes

    path = sorted((data / "doodler").glob("*.npz"))[0]
    found = read_strokes([path], [path])
    assert found.images[0].shape[:2] == found.labels[0].shape
    assert 0 < (found.labels[0] > 0).mean() < 0.2


@pytest.mark.skipif(
    "MASKMILL_SCORES" not in os.environ,
    reason="takes minutes: MASKMILL_SCORES=1, or benchmarks/densify_scores.py",
)
@pytest.mark.parametrize(
    ("features", "classifier", "accuracy", "spread", "f1", "balanced"),
    [
        ("lab", "trees", 0.547, 0.058, 0.564, 0.601),
        (("lab", "filters"), "trees", 0.555, 0.074, 0.585, 0.652),
        (("lab", "filters"), "logistic", 0.566, 0.062, 0.569, 0.619),
        (("lab", "filters", "cnn"), "logistic", 0.595, 0.055, 0.610, 0.664),
    ],
)
def test_scores_of_the_core(data, features, classifier, accuracy, spread, f1, balanced):
    """Those that were found before with scikit-image, SciPy and scikit-learn, in ten splits."""
    report = densify.evaluate(*core(data), features=features, classifier=classifier, splits=10, curve=False)
    found = [report.mean(m) for m in ("accuracy", "macro_f1", "balanced_accuracy")] + [
        report.spread("accuracy")
    ]
    assert found == pytest.approx([accuracy, f1, balanced, spread], abs=0.0025)
    assert report.untestable == (9, 11)


@pytest.mark.skipif("MASKMILL_SCORES" not in os.environ, reason="takes minutes: MASKMILL_SCORES=1")
def test_crf_on_the_core(data):
    """The first three splits, on all pixels of the blobs held out."""
    how = {"features": ("lab", "filters", "cnn"), "splits": 3, "curve": False}
    report = densify.evaluate(*core(data), **how, crf={})
    pairs = [(round(plain.accuracy, 3), round(smooth.accuracy, 3)) for plain, smooth, _ in report.crf]
    assert pairs == [(0.545, 0.565), (0.597, 0.659), (0.611, 0.633)]
