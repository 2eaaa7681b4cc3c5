"""Linear discriminants that know of blobs."""

from __future__ import annotations

import numpy as np
import pytest

from maskmill.densify.classifiers import softmax
from maskmill.densify.discriminant import discriminant


def drawn(rng, blobs=4, n=50, f=3):
    target = np.repeat(np.arange(3), blobs * n)
    blob = np.repeat(np.arange(3 * blobs), n)
    centres = rng.normal(size=(3, f))[target] + rng.normal(size=(3 * blobs, f))[blob]
    return centres + rng.normal(size=(len(target), f)), target, blob


def test_of_one_blob_each_it_is_scikit_learns(rng):
    lda = pytest.importorskip("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    table, target, _ = drawn(rng)
    for shrinkage in (0.1, 1.0):
        weights, biases = discriminant(table, target, target, between=0, shrinkage=shrinkage)
        # scikit-learn shrinks the covariance of each class; ours, the mean of them.
        covariance = np.mean([np.cov(table[target == k].T, bias=True) for k in range(3)], axis=0)
        shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 3 * np.eye(3)
        means = np.array([table[target == k].mean(0) for k in range(3)])
        wanted = np.linalg.solve(shrunk, means.T)
        assert np.allclose(weights, wanted, rtol=1e-5)
        assert np.allclose(biases, -0.5 * np.sum(means.T * wanted, axis=0), rtol=1e-5)
    weights, biases = discriminant(table, target, target, between=0, shrinkage=1e-9)
    theirs = lda(solver="lsqr", priors=[1 / 3] * 3).fit(table, target)
    assert np.allclose(softmax(table @ weights + biases), theirs.predict_proba(table), atol=1e-3)


def test_what_only_tells_blobs_apart_is_not_trusted(rng):
    """A column that is constant in every blob, and by chance separates the few that there are."""
    n = 100
    target, blob = np.repeat([0, 0, 1, 1], n), np.repeat([0, 1, 2, 3], n)
    chance = np.array([-1.0, -0.2, 0.2, 1.0])[blob] + rng.normal(scale=0.01, size=4 * n)
    honest = np.where(target == 0, -1, 1) + rng.normal(scale=0.8, size=4 * n)
    table = np.stack([chance, honest], axis=1)

    def trust(between):
        weights, _ = discriminant(table, target, blob, between=between, shrinkage=0.01)
        return abs(weights[0, 1] - weights[0, 0]) / abs(weights[1, 1] - weights[1, 0])

    assert trust(0.3) < trust(0) / 5


def test_constant_columns_and_single_rows():
    weights, biases = discriminant(np.zeros((2, 3)), np.array([0, 1]), np.array([1, 2]))
    assert np.isfinite(weights).all()
    assert np.isfinite(biases).all()
    for wrong in ({"between": 2}, {"between": float("nan")}, {"shrinkage": 0}, {"shrinkage": 1.5}):
        with pytest.raises(ValueError, match="must be"):
            discriminant(np.zeros((2, 3)), np.array([0, 1]), np.array([1, 2]), **wrong)
