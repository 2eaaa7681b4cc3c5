"""Exact search by Hamming distance among packed binary codes, such as `maskmill.hashes` makes.

N codes are one array (N, words) of uint64, 1 to 4 words, so 64 to 256 bits; (N,) counts as one word each. A radius is
inclusive: codes "within 12" differ in at most 12 bits. Every answer is exact, and the same on any machine and for any
number of threads. Codes on a GPU give the same there.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import kernels
from maskmill._device import library, to_host

__all__ = ["TooManyPairs", "greedy", "nearest", "pairs"]

_Codes: TypeAlias = NDArray[np.uint64]
_Int64s: TypeAlias = NDArray[np.int64]

MOST_WORDS = 4
MOST_PAIRS = 1 << 28
"""As many pairs take 6 GB."""
_MOST = 2**63 - 1
"""More of anything cannot be."""


class TooManyPairs(ValueError):
    """More pairs are within the radius than were asked for."""


def pairs(
    codes: ArrayLike,
    radius: int,
    *,
    other: ArrayLike | None = None,
    limit: int = MOST_PAIRS,
    backend: str | None = None,
) -> tuple[_Int64s, _Int64s, _Int64s]:
    """All pairs of codes within a radius.

    Parameters
    ----------
    codes : (N, words) uint64
    radius : int
        Greatest distance, in bits.
    other : (M, words) uint64, optional
        Pairs are of one from `codes` and one from `other`; by default of two from `codes`, i < j.
    limit : int
        More pairs than this are refused: the near-duplicates of one scene alone may be more than memory holds.

    Returns
    -------
    i, j, distance : (P,) int64, sorted by i, then j

    Raises
    ------
    TooManyPairs
        If there are more than `limit` pairs; it is a ValueError.

    Examples
    --------
    >>> from maskmill import hamming
    >>> hamming.pairs([0b0000, 0b0111, 0b1111], 1)
    (array([1]), array([2]), array([1]))
    """
    a = _codes(codes, "codes")
    radius, limit = _radius(radius, a), min(_integer(limit, "limit"), _MOST)
    b = None if other is None else _like(a, other, "other")
    found: tuple[_Int64s, _Int64s, _Int64s]
    module = kernels(backend, a, a if b is None else b)
    try:
        if b is None:
            found = module.hamming_self_pairs(a, radius, limit)
        else:
            found = module.hamming_pairs(a, b, radius, limit)
    except ValueError as error:
        # All arguments are checked: it can be nothing else.
        raise TooManyPairs(str(error)) from None
    return found


def nearest(
    queries: ArrayLike, exemplars: ArrayLike, radius: int | None = None, *, backend: str | None = None
) -> tuple[_Int64s, _Int64s]:
    """For every query the nearest exemplar.

    Parameters
    ----------
    queries : (N, words) uint64
    exemplars : (M, words) uint64
    radius : int, optional
        What is farther away does not count; by default everything counts.

    Returns
    -------
    index : (N,) int64
        Of the nearest exemplar, the first of several; -1 where none is within the radius.
    distance : (N,) int64
        To it, in bits; -1 where none is within the radius.

    Examples
    --------
    >>> from maskmill import hamming
    >>> hamming.nearest([0b0001, 0b1111], [0b0000, 0b0111], radius=1)
    (array([0, 1]), array([1, 1]))
    """
    a = _codes(queries, "queries")
    b = _like(a, exemplars, "exemplars")
    radius = 64 * a.shape[1] if radius is None else _radius(radius, a)
    found: tuple[_Int64s, _Int64s] = kernels(backend, a, b).hamming_nearest(a, b, radius)
    return found


def greedy(
    codes: ArrayLike,
    radius: int,
    *,
    order: ArrayLike | None = None,
    exemplars: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    backend: str | None = None,
) -> tuple[_Int64s, _Int64s, _Int64s]:
    """Exemplars: an item is kept unless one that was kept before is within the radius.

    Kept codes are more than the radius apart from each other, and every dropped one is within the radius of its
    exemplar: the earliest one kept, whether or not a later one is nearer. It is what this loop gives, whatever the
    number of threads::

        for item in order:
            if no kept item is within radius: keep it

    Parameters
    ----------
    codes : (N, words) uint64
    radius : int
        Greatest distance at which an item is dropped, in bits.
    order : (N,) int, optional
        A permutation, in which items are processed; by default as they are.
    exemplars : (M, words) uint64, optional
        Codes of a finished set, which come before all items. So new items are added to what was kept before.
    groups : (N,) int, optional
        Only items of the same group are compared with each other, such as the patches of one file. Exemplars
        are of no group and cannot be given as well. Like `order`, checked on the host, wherever the codes are.

    Returns
    -------
    kept : (K,) int64
        Items that are kept, as they were processed.
    exemplar : (N,) int64
        By whom an item was dropped; for kept ones the item itself. ``-1 - e`` stands for exemplar e of `exemplars`.
    distance : (N,) int64
        To it, in bits; 0 for kept ones.

    Raises
    ------
    ValueError
        If `order` is no permutation of the items.

    Examples
    --------
    >>> from maskmill import hamming
    >>> kept, exemplar, distance = hamming.greedy([0b0000, 0b0001, 0b0011, 0b0111], 1)
    >>> kept, exemplar, distance
    (array([0, 2]), array([0, 0, 2, 2]), array([0, 1, 0, 1]))

    Adding to what was kept:

    >>> hamming.greedy([0b1000, 0b1111], 1, exemplars=[0b0000, 0b0011])
    (array([1]), array([-1,  1]), array([1, 0]))
    """
    a = _codes(codes, "codes")
    radius = _radius(radius, a)
    before = a[:0] if exemplars is None else _like(a, exemplars, "exemplars")
    ranks = None if order is None else _permutation(order, len(a))
    if groups is not None:
        if exemplars is not None:
            raise ValueError("exemplars and groups cannot be given together")
        return _greedy_in_groups(
            a, radius, ranks, _check.integers(to_host(groups), np.int64, "groups"), backend
        )
    return _greedy(a, radius, ranks, before, backend)


def _greedy(
    codes: _Codes, radius: int, order: _Int64s | None, exemplars: _Codes, backend: str | None
) -> tuple[_Int64s, _Int64s, _Int64s]:
    module = kernels(backend, codes, exemplars)
    if order is None:
        found: tuple[_Int64s, _Int64s, _Int64s] = module.hamming_greedy(codes, exemplars, radius)
        return found
    # The kernel counts items as they are processed.
    there = library(codes)
    order = there.asarray(order)
    kept, leader, far = module.hamming_greedy(codes[order], exemplars, radius)
    exemplar, distance = there.empty_like(leader), there.empty_like(far)
    exemplar[order] = there.where(leader < 0, leader, order[there.maximum(leader, 0)])
    distance[order] = far
    return order[kept], exemplar, distance


def _greedy_in_groups(
    codes: _Codes, radius: int, order: _Int64s | None, groups: _Int64s, backend: str | None
) -> tuple[_Int64s, _Int64s, _Int64s]:
    if groups.shape != (len(codes),):
        raise ValueError(f"groups must have shape ({len(codes)},), not {groups.shape}")
    order = np.arange(len(codes)) if order is None else order
    by_group = order[np.argsort(groups[order], kind="stable")]
    ends = np.flatnonzero(np.diff(groups[by_group])) + 1
    module, there = kernels(backend, codes), library(codes)
    exemplar, distance = there.empty(len(codes), np.int64), there.empty(len(codes), np.int64)
    is_kept = there.zeros(len(codes), bool)
    for items in map(there.asarray, np.split(by_group, ends)):
        kept, leader, far = module.hamming_greedy(codes[items], codes[:0], radius)
        exemplar[items], distance[items] = items[leader], far
        is_kept[items[kept]] = True
    order = there.asarray(order)
    return order[is_kept[order]], exemplar, distance


def _codes(value: ArrayLike, name: str) -> _Codes:
    codes: _Codes = _check.integers(value, np.uint64, name)
    if codes.ndim == 1:
        codes = codes.reshape(-1, 1)
    if codes.ndim != 2 or not 1 <= codes.shape[1] <= MOST_WORDS:
        raise ValueError(
            f"{name} must have shape (N, words) with 1 to {MOST_WORDS} words of 64 bits, not {codes.shape}"
        )
    return codes


def _like(codes: _Codes, value: ArrayLike, name: str) -> _Codes:
    """Codes that can be compared with `codes`; an empty list counts as none."""
    others = _codes(value, name)
    if len(others) == 0:
        return codes[:0]
    if others.shape[1] != codes.shape[1]:
        raise ValueError(
            f"{name} must have {codes.shape[1]} words of 64 bits like the codes they are compared with, "
            f"not {others.shape[1]}"
        )
    return others


def _integer(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    number = int(value)
    if number < 0:
        raise ValueError(f"{name} must be 0 or more, not {number}")
    return number


def _radius(value: int, codes: _Codes) -> int:
    """What is beyond all bits is as good as all bits."""
    bits: int = 64 * codes.shape[1]
    return min(_integer(value, "radius"), bits)


def _permutation(order: ArrayLike, n: int) -> _Int64s:
    ranks: _Int64s = _check.integers(to_host(order), np.int64, "order")
    seen = np.zeros(n, bool)
    if ranks.shape == (n,) and (n == 0 or (ranks.min() >= 0 and ranks.max() < n)):
        seen[ranks] = True
    if not seen.all() or ranks.shape != (n,):
        raise ValueError(f"order must have every number from 0 to {n - 1} once")
    return ranks
