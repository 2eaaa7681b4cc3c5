"""The classifier of Doodler, against the one of scikit-learn that it takes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from maskmill.studies.coast import mlp


def rows_of(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that overlap, of unequally many classes, in columns of unlike scales."""
    y = np.minimum(rng.geometric(0.5, n) - 1, classes - 1)
    centres = rng.normal(size=(classes, 6)) * 1.5
    rows = (centres[y] + rng.normal(size=(n, 6))) * [1, 100, 0.01, 1, 1, 1] + [0, 300, 0.5, 0, 0, 0]
    return np.hstack([rows, np.full((n, 1), 7.0)]), y


@pytest.mark.parametrize(("n", "classes"), [(803, 2), (750, 4), (31, 2), (45, 3)])
def test_same_as_scikit_learn(rng, n, classes):
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
    ours = mlp.fit(rows, y)
    np.testing.assert_allclose(ours.accuracies, theirs.validation_scores_, rtol=0, atol=1e-12)
    first = ours.snapshots[0]
    assert first.epoch == np.argmax(theirs.validation_scores_) + 1
    for layer, weights, biases in zip(first.weights, theirs.coefs_, theirs.intercepts_, strict=True):
        np.testing.assert_allclose(layer[:-1], weights, rtol=0, atol=1e-9)
        np.testing.assert_allclose(layer[-1], biases, rtol=0, atol=1e-9)
    asked = rows_of(rng, 300, classes)[0]
    np.testing.assert_array_equal(first.predict(asked), theirs.predict(scaler.transform(asked)))
    expected = theirs.predict_proba(scaler.transform(asked))
    np.testing.assert_allclose(first.probabilities(asked), expected, rtol=0, atol=1e-9)


def test_snapshots_that_come_near(rng):
    training = mlp.fit(*rows_of(rng, 900, 3), near=2)
    accuracies, best = np.array(training.accuracies), max(training.accuracies)
    near = np.flatnonzero(accuracies > best - 2.5 / training.held_out) + 1
    assert sorted(one.epoch for one in training.snapshots) == near.tolist()
    assert [one.accuracy for one in training.snapshots] == sorted(accuracies[near - 1], reverse=True)
    assert training.snapshots[0].epoch == accuracies.argmax() + 1


def test_other_layers(rng):
    rows, y = rows_of(rng, 300, 3)
    shapes = [layer.shape for layer in mlp.fit(rows, y, hidden=(100, 100)).snapshots[0].weights]
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
        mlp.fit(rows, np.array(classes, int))
