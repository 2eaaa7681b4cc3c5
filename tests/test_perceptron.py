"""Training of perceptrons, against scikit-learn, and the twins against each other."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from maskmill import perceptron


def rows_of(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that overlap, of unequally many classes, in columns of unlike scales."""
    y = np.minimum(rng.geometric(0.5, n) - 1, classes - 1)
    centres = rng.normal(size=(classes, 6)) * 1.5
    rows = (centres[y] + rng.normal(size=(n, 6))) * [1, 100, 0.01, 1, 1, 1] + [0, 300, 0.5, 0, 0, 0]
    return np.hstack([rows, np.full((n, 1), 7.0)]), y


@pytest.mark.parametrize(("n", "classes"), [(403, 2), (350, 4), (31, 2), (45, 3)])
def test_same_as_scikit_learn(rng, n, classes, backend):
    neural_network = pytest.importorskip("sklearn.neural_network")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    rows, y = rows_of(rng, n, classes)
    scaler = preprocessing.StandardScaler().fit(rows)
    theirs = neural_network.MLPClassifier(
        hidden_layer_sizes=[100, 60],
        solver="adam",
        alpha=1,
        random_state=1,
        max_iter=2000,
        early_stopping=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(scaler.transform(rows), y)
    ours = perceptron.fit(rows, y, backend=backend)
    np.testing.assert_allclose(ours.accuracies, theirs.validation_scores_, rtol=0, atol=1e-12)
    first = ours.snapshots[0]
    assert first.epoch == np.argmax(theirs.validation_scores_) + 1
    for layer, weights, biases in zip(first.layers(), theirs.coefs_, theirs.intercepts_, strict=True):
        np.testing.assert_allclose(layer[:-1], weights, rtol=0, atol=1e-9)
        np.testing.assert_allclose(layer[-1], biases, rtol=0, atol=1e-9)
    asked = rows_of(rng, 300, classes)[0]
    np.testing.assert_array_equal(first.predict(asked), theirs.predict(scaler.transform(asked)))
    expected = theirs.predict_proba(scaler.transform(asked))
    np.testing.assert_allclose(first.probabilities(asked), expected, rtol=0, atol=1e-9)


def test_snapshots_that_come_near(rng):
    training = perceptron.fit(*rows_of(rng, 900, 3), near=2)
    accuracies, best = np.array(training.accuracies), max(training.accuracies)
    near = np.flatnonzero(accuracies > best - 2.5 / training.held_out) + 1
    assert sorted(one.epoch for one in training.snapshots) == near.tolist()
    assert [one.accuracy for one in training.snapshots] == sorted(accuracies[near - 1], reverse=True)
    assert training.snapshots[0].epoch == accuracies.argmax() + 1


def test_other_layers(rng):
    rows, y = rows_of(rng, 300, 3)
    shapes = [layer.shape for layer in perceptron.fit(rows, y, hidden=(100, 100)).snapshots[0].layers()]
    assert shapes == [(8, 100), (101, 100), (101, 3)]


@pytest.mark.parametrize(
    ("rows", "classes", "said"),
    [
        (np.zeros((3, 2)), [0, 0, 0], "two classes"),
        (np.zeros((0, 2)), [], "two classes"),
        (np.zeros((10, 1)), [0, 1] * 5, "11 rows"),
        (np.zeros((12, 1)), [0] * 11 + [1], "two rows"),
        (np.array([[np.nan], [1.0]]), [0, 1], "finite"),
        (np.zeros(3), [0, 1, 0], r"\(M, F\)"),
        (np.zeros((3, 1)), [0, 1], r"\(M, F\)"),
    ],
)
def test_refused(rows, classes, said):
    with pytest.raises(ValueError, match=said):
        perceptron.fit(rows, np.array(classes, int))


UNITS = [(3, 1), (3, 2), (7, 8, 1), (8, 7, 9, 5), (31, 100, 60, 1), (1, 1, 17)]


def state_of(rng: np.random.Generator, units: tuple[int, ...], n: int) -> dict[str, np.ndarray]:
    size = sum((a + 1) * b for a, b in zip(units, units[1:], strict=False))
    return {
        "rows": rng.normal(size=(n, units[0])),
        "targets": np.eye(units[-1])[rng.integers(0, units[-1], n)] * rng.integers(0, 2, (n, 1)),
        "order": rng.permutation(n),
        "parameters": rng.normal(size=size),
        "first": rng.normal(size=size) * 0.1,
        "second": rng.random(size),
    }


def trained(kernels, units, state, batch: int) -> list[np.ndarray]:
    updated = [state[name].copy() for name in ("parameters", "first", "second")]
    given = np.array(units, np.int64), state["rows"], state["targets"], state["order"]
    kernels.perceptron_epoch(*given, batch, 0.7, 0.01, 5, *updated)
    return updated


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(("n", "batch"), [(0, 200), (1, 1), (57, 200), (301, 120), (113, 56)])
def test_twins_agree(rng, both, units, n, batch):
    state = state_of(rng, units, n)
    for ours, theirs in zip(*(trained(kernels, units, state, batch) for kernels in both), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
    mean, scale = rng.normal(size=units[0]), rng.random(units[0]) + 0.5
    for dtype in (np.float32, np.float64):
        asked = np.array(units, np.int64), state["rows"].astype(dtype), mean, scale, state["parameters"]
        ours, theirs = (kernels.perceptron_scores(*asked) for kernels in both)
        np.testing.assert_array_equal(ours, theirs)


def test_same_bits_whoever_computes(rng, compiled):
    """For any number of threads and any instruction set."""
    units, state = (31, 100, 60, 4), state_of(rng, (31, 100, 60, 4), 700)
    expected, best, threads = (
        trained(compiled, units, state, 200),
        compiled.best_simd_level(),
        compiled.thread_count(),
    )
    levels = ("baseline", "avx2", "avx512")
    try:
        for level in levels[: levels.index(best) + 1]:
            for n in (1, 3):
                compiled.set_simd_level(level)
                compiled.set_thread_count(n)
                for ours, theirs in zip(trained(compiled, units, state, 200), expected, strict=True):
                    np.testing.assert_array_equal(ours, theirs)
    finally:
        compiled.set_simd_level(best)
        compiled.set_thread_count(threads)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"units": np.array([3])}, "units must be inputs"),
        ({"units": np.array([3, 0, 2])}, "1 to 65536"),
        ({"rows": np.zeros((9, 2))}, "column for each input"),
        ({"targets": np.zeros((9, 3))}, "column for each output"),
        ({"targets": np.zeros((8, 2))}, "as many rows"),
        ({"order": np.array([0, 9])}, "indices of rows"),
        ({"order": np.array([-1])}, "indices of rows"),
        ({"order": np.zeros((2, 2), int)}, "vector"),
        ({"batch": 0}, "batch"),
        ({"second": np.zeros(9)}, "flat"),
    ],
)
def test_kernel_refuses(kernels, rng, changed, said):
    given = {"units": np.array([3, 4, 2]), **state_of(rng, (3, 4, 2), 9), "batch": 200, **changed}
    names = [
        "units",
        "rows",
        "targets",
        "order",
        "batch",
        "alpha",
        "rate",
        "steps",
        "parameters",
        "first",
        "second",
    ]
    given = {**given, "alpha": 1.0, "rate": 0.1, "steps": 0}
    with pytest.raises(ValueError, match=said):
        kernels.perceptron_epoch(*(given[name] for name in names))
