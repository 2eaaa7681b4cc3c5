"""`relabel`: what Doodler is for, without what it did wrong.

Doodler exchanged height and width in its CRF, took ids of classes for numbers and averaged them, lost classes when they
were not doodled one after the other, and could change doodles. Here rows stay rows, classes are names, and doodles are
kept. The parts are the same: filter banks, a perceptron, a dense CRF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import densify, features, perceptron
from maskmill._device import on_host

UNLABELLED = 255
"""Label of pixels that are not valid."""

_SIGMAS = (1.0, 2.0)
"""Doodler goes up to 16. Of doodles of five published trials that lie in squares that were not trained with, 97.3 % are
right with these and 96.8 % with 1, 4 and 16; borders are where they are seen."""
_PER_CLASS = 20_000
_FEWEST_OF_CLASS, _FEWEST = 20, 2000
"""Rows that a class, and all classes, are repeated up to, for the classifier to hold some out and to take steps."""


@dataclass(frozen=True, eq=False)
class Relabelled:
    """Dense labels.

    Attributes
    ----------
    labels : (H, W) uint8
        Classes from 0; `UNLABELLED` where the image is not valid.
    probabilities : (H, W, N) float32
        0 for classes that were not doodled.
    classes : tuple of str
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]


def relabel(
    image: ArrayLike,
    doodles: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    seed: int = 1,
    pin: bool = True,
    crf: Mapping[str, Any] | None = {},
    valid: ArrayLike | None = None,
) -> Relabelled:
    """Label every pixel of an image from doodles.

    Parameters
    ----------
    image : (H, W) or (H, W, bands) numbers
        Stretched from its least to its greatest value.
    doodles : (H, W) integers
        0 for none, otherwise the class + 1. One class is enough, and one pixel of each.
    classes : sequence of str, optional
        Names; numbers from 1 by default, up to the highest that is doodled.
    seed : int
        Of the classifier.
    pin : bool
        Doodled pixels keep their class.
    crf : mapping or None
        Arguments of `maskmill.crf.refine`, for the image stretched to 0 .. 255; {} for those of `maskmill.densify`,
        None for no CRF.
    valid : (H, W) bool, optional
        Pixels to label: others, such as those without data, are `UNLABELLED`, and describe no neighbours.

    Returns
    -------
    Relabelled

    Raises
    ------
    ValueError
        If nothing is doodled, a class has no name, shapes do not fit, or valid pixels are not finite.

    Examples
    --------
    >>> image = np.full((40, 60, 3), (200, 180, 140), np.uint8)
    >>> image[:, 30:] = 60, 70, 160
    >>> doodles = np.zeros((40, 60), np.uint8)
    >>> doodles[5, 5:15], doodles[30, 40:55] = 3, 1
    >>> made = relabel(image, doodles, classes=["water", "surf", "sand"])
    >>> made.labels[::39, ::59].tolist(), UNLABELLED
    ([[2, 0], [2, 0]], 255)
    """
    picture, marks = on_host(image, "image"), on_host(doodles, "doodles")
    _check(picture, marks)
    good = np.full(marks.shape, True) if valid is None else on_host(valid, "valid")
    if good.dtype != np.bool_ or good.shape != marks.shape:
        raise ValueError(f"valid must be bool of {marks.shape}, not {good.dtype} of {good.shape}")
    marks = np.where(good, marks, 0)
    doodled = np.unique(marks[marks > 0])
    if not len(doodled):
        raise ValueError("doodles must have a class above 0 on a valid pixel")
    names = tuple(classes) if classes is not None else tuple(str(k + 1) for k in range(doodled[-1]))
    if doodled[-1] > len(names) or len(names) >= UNLABELLED:
        raise ValueError(
            f"classes must be up to 254 names, one for each doodled class ({doodled[-1]}), not {len(names)}"
        )
    if len(doodled) == 1:
        labels = np.full(marks.shape, doodled[0], np.uint8)
        found = np.ones((*marks.shape, 1), np.float32)
    else:
        bands = _stretched(picture, good)
        model = densify.fit(
            bands,
            marks,
            features=[_columns, "location"],
            classifier=_Classifier(seed),
            per_class=_PER_CLASS,
            seed=seed,
        )
        result = densify.predict(model, bands, crf=crf, pinned=marks if pin else None)
        labels, found = result.labels, np.asarray(result.probabilities)
    probabilities = np.zeros((*marks.shape, len(names)), np.float32)
    probabilities[..., doodled - 1] = found
    probabilities[~good] = 0
    return Relabelled(np.where(good, labels - 1, UNLABELLED).astype(np.uint8), probabilities, names)


def _check(image: NDArray[Any], doodles: NDArray[Any]) -> None:
    if image.ndim not in (2, 3) or 0 in image.shape or image.dtype.kind not in "buif":
        raise ValueError(f"image must be (H, W) or (H, W, bands) numbers, not {image.dtype} of {image.shape}")
    if doodles.shape != image.shape[:2] or doodles.dtype.kind not in "bui":
        raise ValueError(
            f"doodles must be integers of {image.shape[:2]}, not {doodles.dtype} of {doodles.shape}"
        )
    if doodles.min() < 0 or doodles.max() >= UNLABELLED:
        raise ValueError(f"doodles must be 0 to 254, not {doodles.min()} to {doodles.max()}")


def _stretched(image: NDArray[Any], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W, bands) of 0 to 255; what is not valid has the mean of the rest."""
    bands = image.reshape(*good.shape, -1).astype(np.float64)
    bands[~good] = bands[good].mean(axis=0)
    low, high = bands.min(), bands.max()
    if not np.isfinite(high - low):
        raise ValueError("image must be finite where it is valid")
    out: NDArray[np.float32] = ((bands - low) * (255 / (high - low) if high > low else 0)).astype(np.float32)
    return out


def _columns(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, F) for a classifier."""
    values = bands / np.float32(255)
    return np.concatenate([values, features.bank(values, _SIGMAS)], axis=2)


_columns.halo = int(4 * _SIGMAS[-1] + 0.5) + 3  # type: ignore[attr-defined]
"""How far the columns look, for `densify` to go tile by tile."""


class _Classifier:
    """A perceptron as `densify` takes classifiers."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, table: NDArray[Any], target: NDArray[Any]) -> None:
        counts = np.bincount(target)
        times = -(-_FEWEST_OF_CLASS // counts)
        times *= -(-_FEWEST // int((times * counts).sum()))
        rows = np.repeat(np.arange(len(target)), times[target])
        snapshots = perceptron.fit(table[rows], target[rows], seed=self.seed).snapshots
        # Of those that are equally good, the last is the surest.
        self.model = max(snapshots, key=lambda one: (one.accuracy, one.epoch))

    def predict_proba(self, table: NDArray[Any]) -> NDArray[np.float64]:
        return self.model.probabilities(table)
