"""Features of patches and the forest on them: equal to scikit-image's and scikit-learn's, safe from bad files."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from maskmill import FormatError
from maskmill.studies.em import features as F
from maskmill.studies.em.forest import Forest, fit

ANY_PATCH = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


def pictures(rng):
    """Flat, noisy, two-valued, shaded and tiny ones."""
    yield from (np.full((50, 60), value, np.uint8) for value in (0, 7, 255))
    yield from (rng.integers(0, 256, s, dtype=np.uint8) for s in ((1, 1), (3, 3), (2, 9), (5, 30), (64, 31)))
    yield (rng.random((64, 64)) > 0.5).astype(np.uint8) * 255
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    yield ramp
    yield ramp.T
    smooth = np.add.outer(np.sin(np.arange(90) / 7), np.cos(np.arange(70) / 5))
    yield (smooth * 50 + 120 + rng.normal(0, 3, smooth.shape)).astype(np.uint8)


def compare(patch):
    rank = pytest.importorskip("skimage.filters.rank")
    feature = pytest.importorskip("skimage.feature")
    assert np.array_equal(F.lbp(patch), feature.local_binary_pattern(patch, 8, 8).astype(np.uint8))
    square = np.ones((11, 11), np.uint8)
    assert np.array_equal(F.geometric_mean(patch), rank.geometric_mean(patch, square))
    assert np.allclose(F.entropy(patch), rank.entropy(patch, square[:7, :7]), atol=1e-12)
    if min(patch.shape) >= 3:
        assert np.array_equal(F.canny(patch), feature.canny(patch, 1))


def test_equals_scikit_image(rng):
    for patch in pictures(rng):
        compare(patch)


def test_equals_scikit_image_on_real_patches(data):
    import cv2

    files = sorted((data / "em" / "cem_example" / "example_data" / "occlusion").glob("*.tiff"))
    if not files:
        pytest.skip("no cem_example")
    for file in files:
        compare(cv2.imread(str(file), -1))


@settings(max_examples=50, deadline=None)
@given(ANY_PATCH)
def test_features_are_numbers(patch):
    every = list(F.FEATURES)
    table = F.features([patch, patch], every)
    assert np.isfinite(table).all()
    assert np.array_equal(table[0], table[1])
    # One at a time, they are what they are together.
    assert np.array_equal(table[0], [F.features([patch], [name])[0, 0] for name in every])


def test_strided_patches(rng):
    whole = rng.integers(0, 256, (60, 80), dtype=np.uint8)
    view = whole[5:50:2, ::-1]
    assert np.array_equal(F.features([view], list(F.FEATURES)), F.features([view.copy()], list(F.FEATURES)))


def test_no_patches():
    assert F.features([]).shape == (0, len(F.QUICK))


@pytest.mark.parametrize(
    ("patch", "error", "text"),
    [
        (np.zeros((4, 4)), TypeError, "must be uint8 arrays, not float64"),
        (np.zeros((4, 4), np.uint16), TypeError, "not uint16"),
        ([[1]], TypeError, "not list"),
        (np.zeros((4, 4, 3), np.uint8), ValueError, r"must have shape \(H, W\) .* not \(4, 4, 3\)"),
        (np.zeros((0, 4), np.uint8), ValueError, r"not \(0, 4\)"),
    ],
)
def test_refused(patch, error, text):
    with pytest.raises(error, match=text):
        F.features([patch])


def test_unknown_feature():
    with pytest.raises(ValueError, match="features must be among lbp_std, .*, not 'colour'"):
        F.features([], ["colour"])


# The forest


@pytest.fixture
def forest(rng):
    pytest.importorskip("sklearn")
    table = rng.normal(size=(200, 3))
    return fit(
        table,
        table[:, 0] + 0.3 * table[:, 1] > 0,
        ["mean", "std", "commonest"],
        about={"trained on": "noise"},
    )


def test_equals_scikit_learn(rng):
    ensemble = pytest.importorskip("sklearn.ensemble")
    table, labels = rng.normal(size=(300, 4)), rng.random(300) < 0.3
    table[:, 3] = np.round(table[:, 3], 1)  # ties with thresholds
    model = ensemble.RandomForestClassifier(
        n_estimators=100, max_depth=8, min_samples_split=8, class_weight="balanced", random_state=5
    ).fit(table, labels)
    forest = fit(table, labels, ["mean", "std", "commonest", "clipped"], seed=5)
    new = np.concatenate([table, rng.normal(size=(50, 4)) * 100])
    assert np.allclose(forest(new), model.predict_proba(new)[:, 1], atol=1e-12)
    assert forest(new[:0]).shape == (0,)


def test_save_and_load(forest, tmp_path, rng):
    forest.save(tmp_path / "f.npz")
    again = Forest.load(tmp_path / "f.npz")
    assert again.digest == forest.digest
    assert (again.names, again.about) == (forest.names, {"trained on": "noise"})
    table = rng.normal(size=(20, 3))
    assert np.array_equal(again(table), forest(table))


def test_same_seed_same_forest(rng):
    pytest.importorskip("sklearn")
    table = rng.normal(size=(80, 2))
    one, two, other = (fit(table, table[:, 0] > 0, ["mean", "std"], seed=s).digest for s in (1, 1, 2))
    assert one == two != other


def test_one_kind_of_labels():
    with pytest.raises(ValueError, match="of both kinds"):
        fit(np.zeros((9, 1)), np.ones(9, bool), ["mean"])


def change(forest, path, **arrays):
    forest.save(path)
    with np.load(path) as found:
        np.savez(path, **{**found, **arrays})
    return path


def test_damaged_files(forest, tmp_path):
    path = tmp_path / "f.npz"
    inner = np.flatnonzero(forest.feature >= 0)
    back = forest.left.copy()
    back[inner[3]] = inner[3]
    outside = forest.feature.copy()
    outside[0] = 3
    for arrays, text in (
        ({"left": back}, "goes back or outside"),
        ({"feature": outside}, "a feature lies outside"),
        ({"root": forest.root + len(forest.left)}, "a root lies outside"),
        ({"right": forest.right[:-1]}, "differ in length"),
        ({"value": forest.value + 2}, "not within 0..1"),
        ({"about": np.zeros(3, np.uint8)}, "not a filter"),
    ):
        with pytest.raises(FormatError, match=text):
            Forest.load(change(forest, path, **arrays))
    forest.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FormatError, match="not a readable"):
        Forest.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"")
    with pytest.raises(FormatError, match="expected arrays root"):
        Forest.load(path)
    with pytest.raises(FileNotFoundError):
        Forest.load(tmp_path / "none.npz")
