"""How far two label images agree: confusion, kappa, IoU, Dice, and how far apart their borders are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._files import FormatError

Labels = NDArray[np.uint8]
"""(H, W): the class + 1, and 0 where there is none."""


def share(part: ArrayLike, whole: ArrayLike) -> Any:
    """part / whole; NaN where there is nothing to divide."""
    a, b = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, math.nan), where=b != 0)


def mean_of_known(values: NDArray[np.float64], axis: int | None = None) -> Any:
    """The mean of what is not NaN; NaN of nothing."""
    return share(np.nansum(values, axis), np.isfinite(values).sum(axis))


@dataclass(frozen=True)
class Comparison:
    """Measures of a confusion, or of (..., n, n) confusions at once.

    Attributes
    ----------
    confusion : (..., n, n) numbers of pixels
        Rows are the classes of the first labeler.

    Notes
    -----
    A class that neither has used has no IoU and no Dice (NaN), and is not in their means. Cohen's kappa is NaN where
    both used one class alone, as agreement by chance is then complete.

    Examples
    --------
    >>> found = Comparison(np.array([[40, 10, 0], [0, 50, 0], [0, 0, 0]]))
    >>> found.pixels.item(), found.agreement.item(), found.kappa.round(2).item(), found.iou.round(3).tolist()
    (100.0, 0.9, 0.8, [0.8, 0.833, nan])
    """

    confusion: NDArray[Any]

    @property
    def pixels(self) -> Any:
        """How many both have labelled."""
        return np.asarray(self.confusion, float).sum((-2, -1))

    @property
    def same(self) -> Any:
        """(..., n) pixels of each class that both gave it to."""
        return np.diagonal(self.confusion, axis1=-2, axis2=-1)

    @property
    def agreement(self) -> Any:
        """Share of pixels of one opinion: the observed agreement, which is also the Dice of all classes at once."""
        return share(self.same.sum(-1), self.pixels)

    @property
    def kappa(self) -> Any:
        """Agreement beyond that by chance (Cohen 1960, doi:10.1177/001316446002000104)."""
        first, second = (np.asarray(self.confusion.sum(axis), float) for axis in (-1, -2))
        chance = share((first * second).sum(-1), self.pixels**2)
        return share(self.agreement - chance, 1 - chance)

    @property
    def iou(self) -> Any:
        """(..., n)"""
        return share(self.same, self.confusion.sum(-1) + self.confusion.sum(-2) - self.same)

    @property
    def dice(self) -> Any:
        """(..., n)"""
        return share(2 * self.same, self.confusion.sum(-1) + self.confusion.sum(-2))

    @property
    def mean_iou(self) -> Any:
        return mean_of_known(self.iou, -1)

    @property
    def mean_dice(self) -> Any:
        return mean_of_known(self.dice, -1)


def same_size(first: Labels, second: Labels, where: str = "labels") -> None:
    if first.shape != second.shape or first.ndim != 2:
        raise FormatError(f"{where}: expected two (H, W) of one size, found {first.shape} and {second.shape}")


def confusion(first: Labels, second: Labels, n: int) -> tuple[NDArray[np.int64], int]:
    """Pixels by the class that each labeler gave them, and how many are left out as one has given none.

    Parameters
    ----------
    first, second : (H, W) integers
        The class + 1, up to n, and 0 for none.

    Returns
    -------
    (n, n) int64, int

    Examples
    --------
    >>> confusion(np.array([[1, 1, 2, 0]]), np.array([[1, 2, 2, 2]]), 2)
    (array([[1, 1],
           [0, 1]]), 1)
    """
    same_size(first, second)
    top = max(int(first.max(initial=0)), int(second.max(initial=0)))
    if top > n:
        raise ValueError(f"labels must be 0 to {n}, not {top}")
    key = first.astype(np.intp) * (n + 1) + second
    counts = np.bincount(key.ravel(), minlength=(n + 1) ** 2).reshape(n + 1, n + 1)
    made = counts[1:, 1:]
    return np.ascontiguousarray(made, np.int64), int(counts.sum() - made.sum())


def borders(labels: Labels) -> NDArray[np.bool_]:
    """(H, W): pixels with one of their 4 neighbours in another class; a neighbour without class makes none.

    >>> borders(np.array([[1, 1, 2, 2, 0]], np.uint8)).tolist()
    [[False, True, True, False, False]]
    """
    found = np.zeros(labels.shape, bool)
    for here, there in (((slice(1, None),), (slice(-1),)), ((..., slice(1, None)), (..., slice(-1)))):
        a, b = labels[here], labels[there]
        differ = (a != b) & (a != 0) & (b != 0)
        found[here] |= differ
        found[there] |= differ
    return found


def boundary_f(first: Labels, second: Labels, tolerance: float = 2.0) -> float:
    """F of the borders between classes: of each labeler's border, the share within `tolerance` pixels of the other's.

    Precision P is that of the first, recall R that of the second, and F = 2 P R / (P + R). Distances are Euclidean.
    Pixels that one has not labelled are left out. NaN where neither has a border, 0 where only one has.

    Source: Csurka et al. 2013, doi:10.5244/C.27.32.

    Examples
    --------
    >>> shore = np.repeat([[1] * 20 + [2] * 20], 9, axis=0).astype(np.uint8)
    >>> boundary_f(shore[:, 2:], shore[:, :-2]), boundary_f(shore[:, 3:], shore[:, :-3])
    (1.0, 0.5)
    """
    import cv2

    same_size(first, second)
    known = (first != 0) & (second != 0)
    both = [borders(np.where(known, labels, 0).astype(np.uint8)) for labels in (first, second)]
    if not both[0].any() or not both[1].any():
        return 0.0 if both[0].any() or both[1].any() else math.nan
    near = []
    for own, other in (both, both[::-1]):
        distance = cv2.distanceTransform((~other).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        near.append(float((distance[own] <= tolerance).mean()))
    precision, recall = near
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
