"""What Doodler does with labels besides classifying, against the slow way with SciPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maskmill.studies.coast import cleaning

ndimage = pytest.importorskip("scipy.ndimage")


def blobs(rng: np.random.Generator, classes: int) -> np.ndarray:
    """Ids from 1: patches of all sizes, with specks."""
    height, width = rng.integers(8, 60, 2).tolist()
    coarse = rng.random(rng.integers(3, 12, 2))
    level = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + rng.normal(
        0, 0.05, (height, width)
    )
    return (np.clip(level, 0, 0.999) * classes).astype(np.uint8) + 1


def slowly_filled(labels: np.ndarray) -> np.ndarray:
    layers = []
    for k in range(1, labels.max() + 1):
        parts, _ = ndimage.label(labels != k)
        small = np.bincount(parts.ravel()) < 2 * len(labels)
        small[0] = False
        layers.append((labels == k) | small[parts])
    return np.argmax(layers, axis=0) + 1


def slowly_without_edges(labels: np.ndarray) -> np.ndarray:
    depths = np.array([ndimage.distance_transform_edt(labels == k) for k in range(1, labels.max() + 1)])
    out = np.argmax(np.where(depths < 2, 0, depths), axis=0) + 1
    out[(depths <= 2).sum(axis=0) == out.max()] = 0
    return out


def slowly_inpainted(labels: np.ndarray) -> np.ndarray:
    signal = pytest.importorskip("scipy.signal")
    values, around = labels.astype(float), np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    while (unknown := values == 0).any():
        known = signal.convolve2d(~unknown, around, mode="same", boundary="symm")
        total = signal.convolve2d(values, around, mode="same", boundary="symm")
        mean = np.divide(total, known, out=np.zeros_like(values), where=known > 0)
        values = np.where(unknown, mean, values)
    return values.astype(np.uint8)


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_cleaning_of_labels(rng, classes):
    for _ in range(15):
        labels = blobs(rng, classes)
        filled = cleaning.filled(labels)
        np.testing.assert_array_equal(filled, slowly_filled(labels))
        if len(np.unique(filled)) > 1:
            edged = cleaning.without_edges(filled)
            np.testing.assert_array_equal(edged, slowly_without_edges(filled))
            holes = np.where(rng.random(labels.shape) < 0.3, 0, labels).astype(np.uint8)
            np.testing.assert_array_equal(cleaning.inpainted(holes), slowly_inpainted(holes))
            if edged.any():
                np.testing.assert_array_equal(cleaning.inpainted(edged), slowly_inpainted(edged))


def test_where_nothing_is_to_be_done():
    whole = np.full((20, 30), 3, np.uint8)
    np.testing.assert_array_equal(cleaning.without_edges(whole), whole)
    np.testing.assert_array_equal(cleaning.inpainted(whole), whole)
    np.testing.assert_array_equal(cleaning.inpainted(np.zeros((2, 3), np.uint8)), np.zeros((2, 3)))


def test_stretched(rng):
    image = rng.integers(18, 250, (13, 17, 3)).astype(np.uint8)
    low, high = int(image.min()), int(image.max())
    np.testing.assert_allclose(cleaning.stretched(image), (image - low) / (high - low), atol=1e-15)
    grey = cleaning.stretched(image[..., 0])
    assert grey.shape == (13, 17, 3)
    assert (grey[..., 0] == grey[..., 2]).all()
    with pytest.raises(ValueError, match="more than one value"):
        cleaning.stretched(np.full((4, 5, 3), 9, np.uint8))


def test_resized_takes_the_nearest():
    small = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert cleaning.resized(small, (4, 5)).tolist() == [[0, 0, 1, 2, 2]] * 2 + [[3, 3, 4, 5, 5]] * 2
    np.testing.assert_array_equal(cleaning.resized(small, (2, 3)), small)


@pytest.mark.parametrize(
    ("n", "merged"),
    [(8, {8: 7}), (12, {4: 3, 7: 6}), (15, {8: 7, 15: 14}), (16, {4: 3, 7: 6, 13: 12}), (4, {})],
)
def test_ids_that_merge_when_spread(n, merged):
    """Where all classes are there, ids should stay: through float they do not, up to scikit-image 0.18."""
    ids = np.arange(1, n + 1, dtype=np.uint8)[None]
    expected = [merged.get(k, k) for k in range(1, n + 1)]
    assert cleaning.spread(ids, 1, n, "sk016")[0].tolist() == expected
    assert cleaning.spread(ids, 1, n, "modern")[0].tolist() == list(range(1, n + 1))


def test_ids_that_shift_when_spread():
    assert cleaning.spread(np.array([[1, 2, 3]], np.uint8), 1, 4, "sk017").tolist() == [[1, 2, 4]]
    assert not cleaning.spread(np.full((2, 2), 3, np.uint8), 1, 4, "sk017").any()
    many = np.arange(1, 18, dtype=np.uint8)[None]
    assert cleaning.spread(many, 1, 17, "modern")[0, -2:].tolist() == [16, 1]  # 16 * 16 runs over


def test_ranked_and_claimed():
    labels = np.array([[1, 2, 2, 5]], np.uint8)
    assert cleaning.ranked(labels, np.array([2, 3, 7], np.uint8)).tolist() == [[2, 3, 3, 7]]
    doodles = np.array([[0, 3, 0, 1]], np.uint8)
    assert cleaning.claimed(labels, doodles).tolist() == [[0, 3, 3, 1]]
