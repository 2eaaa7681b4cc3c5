"""What several labelers together say: agreement of more than two, majority, and the truth that explains them best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.studies.coast.comparison import Labels, same_size, share

_MOST_ROUNDS = 1000  # it takes some seventy
_MOST_WORK = 4e8  # and labels of noise would take hours: a pattern for each pixel
_SETTLED = 1e-7


@dataclass(frozen=True)
class Votes:
    """The opinions that occur, and where: pixels of one pattern are treated as one.

    Attributes
    ----------
    patterns : (P, R) int64
        Class + 1 by each of R labelers, 0 for none.
    weights : (P,) int64
        How many pixels have it.
    where : (H, W) int64
        The pattern of each pixel.
    n : int
        Number of classes.
    """

    patterns: NDArray[np.int64]
    weights: NDArray[np.int64]
    where: NDArray[np.int64]
    n: int

    @property
    def known(self) -> NDArray[np.bool_]:
        """(P,) patterns without a pixel that has no class: only they count."""
        found: NDArray[np.bool_] = np.all(self.patterns > 0, axis=1)
        return found

    @property
    def left_out(self) -> int:
        """Pixels that some labeler gave no class."""
        return int(self.weights[~self.known].sum())

    def counts(self) -> NDArray[np.int64]:
        """(P, n) votes for each class; none where a labeler has none."""
        made = np.zeros((len(self.patterns), self.n + 1), np.int64)
        for said in self.patterns.T:
            made[np.arange(len(made)), said] += 1
        return np.where(self.known[:, None], made[:, 1:], 0)

    def image(self, values: NDArray[Any]) -> NDArray[Any]:
        """(H, W) of a value for each pattern."""
        return values[self.where]


def vote(labels: Sequence[Labels], n: int) -> Votes:
    """Gather the opinions of labelers about one image.

    Parameters
    ----------
    labels : sequence of (H, W) integers
        Class + 1, up to n, and 0 for none.
    n : int
        Number of classes.

    Examples
    --------
    >>> votes = vote([np.array([[1, 1, 2]]), np.array([[1, 2, 2]])], 2)
    >>> votes.patterns.tolist(), votes.weights.tolist()
    ([[1, 1], [1, 2], [2, 2]], [1, 1, 1])
    """
    if not labels:
        raise ValueError("there must be labels of one labeler or more")
    rows = np.zeros((1, 0), np.int64)
    where = np.zeros(labels[0].size, np.int64)
    for label in labels:
        same_size(labels[0], label)
        if int(label.max(initial=0)) > n:
            raise ValueError(f"labels must be 0 to {n}, not {label.max()}")
        key = where * (n + 1) + label.ravel()
        found = np.flatnonzero(np.bincount(key, minlength=1))
        number = np.zeros(len(rows) * (n + 1), np.int64)
        number[found] = np.arange(len(found))
        where = number[key]
        rows = np.column_stack([rows[found // (n + 1)], found % (n + 1)])
    return Votes(rows, np.bincount(where, minlength=len(rows)), where.reshape(labels[0].shape), n)


def fleiss_kappa(votes: Votes) -> float:
    """Agreement of two or more labelers beyond that by chance (Fleiss 1971, doi:10.1037/h0031619).

    NaN with fewer labelers, without pixels, and where all of them gave one class alone.

    Examples
    --------
    >>> a = np.array([[1, 1, 1, 2, 2, 2]])
    >>> round(fleiss_kappa(vote([a, a, np.array([[1, 1, 2, 2, 2, 2]])], 2)), 4)
    0.775
    """
    raters = votes.patterns.shape[1]
    weights = np.where(votes.known, votes.weights, 0).astype(float)
    if raters < 2 or not weights.sum():
        return math.nan
    counts = votes.counts()
    agreed = ((counts**2).sum(1) - raters) / (raters * (raters - 1))
    shares = weights @ counts / (raters * weights.sum())
    chance = float((shares**2).sum())
    return float(share(weights @ agreed / weights.sum() - chance, 1 - chance))


@dataclass(frozen=True)
class Truth:
    """The classes that explain best what the labelers said, and how reliable each of them then is.

    Attributes
    ----------
    labels : (P,) uint8
        Class + 1 of each pattern, 0 where a labeler gave none.
    probabilities : (P, n) float64
    reliability : (R, n, n) float64
        Of each labeler: with true class a, the probability to say b. Rows of classes that are nowhere true are NaN.
    rounds : int
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float64]
    reliability: NDArray[np.float64]
    rounds: int


def majority(votes: Votes) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(P,) the class + 1 that most labelers gave, the lowest of several, and whether there are several."""
    counts = votes.counts()
    first = np.where(votes.known, counts.argmax(1) + 1, 0).astype(np.uint8)
    tied = (counts == counts.max(1, keepdims=True)).sum(1) > 1
    return first, tied & votes.known


def estimate_truth(votes: Votes) -> Truth:
    """The truth behind several opinions, by expectation and maximisation.

    Begins with the share of votes; the prior stays their mean; ends when no probability changes by 1e-7, or after 1000
    rounds (fewer, down to 20, where every pixel has opinions of its own, as in noise).

    Source: Dawid and Skene 1979, doi:10.2307/2346806; STAPLE is the same for images (Warfield et al. 2004,
    doi:10.1109/TMI.2004.828354).
    """
    known = votes.known
    patterns, weights = votes.patterns[known] - 1, votes.weights[known].astype(float)
    p = votes.counts()[known] / max(votes.patterns.shape[1], 1)
    prior = share(weights @ p, weights.sum())
    rounds = 0
    most = min(_MOST_ROUNDS, max(20, int(_MOST_WORK / max(patterns.size * votes.n, 1))))
    while len(p) and rounds < most:
        rounds += 1
        with np.errstate(divide="ignore"):
            likely = np.log(prior)[None]
            for said, reliable in zip(patterns.T, _reliability(p, patterns, weights), strict=True):
                likely = likely + np.log(np.nan_to_num(reliable)).T[said]
        updated = np.exp(likely - likely.max(1, keepdims=True))
        updated /= updated.sum(1, keepdims=True)
        change = float(np.abs(updated - p).max())
        p = updated
        if change < _SETTLED:
            break
    labels = np.zeros(len(known), np.uint8)
    labels[known] = p.argmax(1) + 1
    probabilities = np.zeros((len(known), votes.n))
    probabilities[known] = p
    return Truth(labels, probabilities, _reliability(p, patterns, weights), rounds)


def _reliability(
    p: NDArray[np.float64], patterns: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(R, n, n): of the pixels that are a by `p`, the share that each labeler calls b."""
    n = p.shape[1]
    each = (p * weights[:, None]).T
    together = np.array([[np.bincount(said, of_a, n) for of_a in each] for said in patterns.T])
    made: NDArray[np.float64] = share(together, together.sum(-1, keepdims=True))
    return made
