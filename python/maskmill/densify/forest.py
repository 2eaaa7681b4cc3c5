"""Decision trees as plain arrays: kept without pickles, asked by Numba where it is installed, else by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trees:
    """Trees whose nodes lie one after another, and which are summed.

    Attributes
    ----------
    root : (T,) int32
        First node of each tree.
    feature : (M,) int16
        Which column a node looks at; -1 in leaves.
    threshold : (M,) float64
        Values up to it go left.
    left, right : (M,) int32
        Where to go on. Of a leaf, left is its row of `value`.
    value : (K, V) float32 or float64
        What leaves give.
    column : (T,) int32
        Where a tree's V values are added to the sum: 0 for trees that give all classes.
    """

    root: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[Any]
    column: NDArray[np.int32]

    def sums(self, table: NDArray[np.float32], columns: int) -> NDArray[np.float64]:
        """(N, columns): what the leaves that a row of the table (N, F) falls into give, summed tree by tree."""
        out = np.zeros((len(table), columns), np.float64)
        table = np.ascontiguousarray(table, np.float32)
        parts = (self.root, self.feature, self.threshold, self.left, self.right, self.value, self.column)
        (_compiled() or _sum_by_levels)(table, *parts, out)
        return out

    def check(self, features: int, columns: int) -> None:
        """Refuse what would lead out of the arrays, or round in circles: ValueError."""
        n, nodes = len(self.feature), np.arange(len(self.feature))
        if any(array.shape != (n,) for array in (self.threshold, self.left, self.right)):
            raise ValueError("its arrays differ in length")
        if self.root.ndim != 1 or not len(self.root) or not ((self.root >= 0) & (self.root < n)).all():
            raise ValueError("a root lies outside")
        if not ((self.feature >= -1) & (self.feature < features)).all():
            raise ValueError("a feature lies outside")
        inner = self.feature >= 0
        for child in (self.left, self.right):
            if not ((child[inner] > nodes[inner]) & (child[inner] < n)).all():
                raise ValueError("a branch goes back or outside")
        if self.value.ndim != 2 or not np.isfinite(self.value).all() or np.isnan(self.threshold).any():
            raise ValueError("a value of a leaf is not a number")
        if not ((self.left[~inner] >= 0) & (self.left[~inner] < len(self.value))).all():
            raise ValueError("a leaf has no value")
        if (
            self.column.shape != self.root.shape
            or not ((self.column >= 0) & (self.column + self.value.shape[1] <= columns)).all()
        ):
            raise ValueError("a tree adds to a class that there is not")


def _sum(
    table: NDArray[np.float32],
    root: NDArray[np.int32],
    feature: NDArray[np.int16],
    threshold: NDArray[np.float64],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    value: NDArray[Any],
    column: NDArray[np.int32],
    out: NDArray[np.float64],
) -> None:
    """Each row goes down each tree. Tree by tree, so that its nodes stay in cache."""
    for tree in range(len(root)):
        first = column[tree]
        for row in range(len(table)):
            node = root[tree]
            while feature[node] >= 0:
                # As scikit-learn: float32 against float64.
                if np.float64(table[row, feature[node]]) <= threshold[node]:
                    node = left[node]
                else:
                    node = right[node]
            for k in range(value.shape[1]):
                out[row, first + k] += value[left[node], k]


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., None] | None:
    if find_spec("numba") is None:
        return None
    import numba

    compiled: Callable[..., None] = numba.njit(nogil=True, cache=True)(_sum)
    return compiled


def _sum_by_levels(
    table: NDArray[np.float32],
    root: NDArray[np.int32],
    feature: NDArray[np.int16],
    threshold: NDArray[np.float64],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    value: NDArray[Any],
    column: NDArray[np.int32],
    out: NDArray[np.float64],
) -> None:
    """The same bits without a compiler: all rows of a tree at once, level by level, until all are in leaves."""
    for tree in range(len(root)):
        node = np.full(len(table), root[tree], np.int32)
        rows = np.flatnonzero(feature[node] >= 0)
        while len(rows):
            at = node[rows]
            below = table[rows, feature[at]] <= threshold[at]
            at = np.where(below, left[at], right[at])
            node[rows] = at
            rows = rows[feature[at] >= 0]
        out[:, column[tree] : column[tree] + value.shape[1]] += value[left[node]]
