"""Splitting into parts: random, by groups, or so that every category is shared out in proportion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset.dataset import Dataset
from maskmill.dataset.operations import category_counts

__all__ = ["largest_remainder", "split"]


def largest_remainder(n: int, fractions: NDArray[np.float64]) -> NDArray[np.int64]:
    """n as whole numbers in proportion to fractions: the integer parts, the rest to the largest remainders.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.dataset.split import largest_remainder
    >>> largest_remainder(10, np.array([0.85, 0.15])).tolist()
    [9, 1]
    """
    exact = n * fractions / fractions.sum()
    whole: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    rest = np.argsort(-(exact - whole), kind="stable")[: n - int(whole.sum())]
    whole[rest] += 1
    return whole


def split(
    dataset: Dataset,
    parts: Mapping[str, float],
    seed: int,
    stratify: bool,
    group: str | Callable[[dict[str, Any]], Any] | None,
) -> dict[str, Dataset]:
    """See `Dataset.split`."""
    fractions = np.array(list(parts.values()), float)
    if (
        len(fractions) == 0
        or not np.isfinite(fractions).all()
        or (fractions < 0).any()
        or fractions.sum() <= 0
    ):
        raise ValueError(f"parts must be shares of at least 0, not {dict(parts)}")
    groups = _groups(dataset, group)
    sizes = np.bincount(groups, minlength=groups.max(initial=-1) + 1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sizes))
    if stratify:
        counts = np.zeros((len(sizes), len(dataset.categories)), np.int64)
        np.add.at(counts, groups, category_counts(dataset))
        of_group = _stratified(order, sizes, counts, fractions / fractions.sum())
    else:
        of_group = _random(order, sizes, fractions)
    made = {}
    for k, name in enumerate(parts):
        rows = np.flatnonzero(of_group[groups] == k)
        made[name] = dataset.take(rows).note(
            step="split", part=name, parts=dict(parts), seed=seed, stratify=stratify
        )
    return made


def _groups(dataset: Dataset, group: str | Callable[[dict[str, Any]], Any] | None) -> NDArray[np.int64]:
    """A number for each image; images of one group stay together."""
    if group is None:
        return np.arange(len(dataset))
    if callable(group):
        keys = [group(image) for image in dataset.images]
    elif group in dataset.images:
        keys = dataset.images[group].tolist()
    else:
        attributes = dataset.images["attributes"]
        lacking = [i for i, row in enumerate(attributes) if not row or group not in row]
        if lacking:
            name = dataset.images["file_name"][lacking[0]]
            raise ValueError(f"group must be a column or attribute of every image; {name!r} has no {group!r}")
        keys = [row[group] for row in attributes]
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(repr(key), len(numbers)) for key in keys], np.int64)


def _random(
    order: NDArray[np.int64], sizes: NDArray[np.int64], fractions: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Groups in random order, each to the part that lacks most images of its due."""
    due = largest_remainder(int(sizes.sum()), fractions).astype(float)
    if (sizes == 1).all():
        of_group = np.empty(len(sizes), np.int64)
        of_group[order] = np.repeat(np.arange(len(due)), due.astype(np.int64))
        return of_group
    return _greedy(order[np.argsort(-sizes[order], kind="stable")], sizes, due)


def _greedy(
    order: NDArray[np.int64], sizes: NDArray[np.int64], due: NDArray[np.float64]
) -> NDArray[np.int64]:
    of_group = np.empty(len(sizes), np.int64)
    for g in order.tolist():
        k = int(np.argmax(due))
        of_group[g] = k
        due[k] -= sizes[g]
    return of_group


def _stratified(
    order: NDArray[np.int64],
    sizes: NDArray[np.int64],
    counts: NDArray[np.int64],
    fractions: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Iterative stratification (Sechidis et al., ECML PKDD 2011, doi:10.1007/978-3-642-23808-6_10): the rarest category
    first, each of its groups to the part that lacks it most for its
    share; ties to the part that lacks most images."""
    due = counts.sum(0) * fractions[:, None]
    room = largest_remainder(int(sizes.sum()), fractions).astype(float)
    of_group = np.full(len(sizes), -1)
    waiting = np.zeros(len(sizes), bool)
    waiting[order] = True
    left = counts.sum(0).astype(float)
    while waiting.any():
        present = np.where(left > 0, left, np.inf)
        if len(left) == 0 or not np.isfinite(present).any():
            rest = order[waiting[order]]
            of_group[rest] = _greedy(np.arange(len(rest)), sizes[rest], room.copy())
            break
        category = int(np.argmin(present))
        chosen = order[waiting[order] & (counts[order, category] > 0)]
        for g in chosen[np.argsort(-counts[chosen, category], kind="stable")].tolist():
            # In proportion to its share: by absolute numbers, the largest part would get all large groups.
            lack = np.where(room > 0, due[:, category] / np.maximum(fractions, 1e-300), -np.inf)
            best = np.flatnonzero(lack == lack.max())
            k = int(best[np.argmax(room[best])])
            of_group[g], waiting[g] = k, False
            due[k] -= counts[g]
            room[k] -= sizes[g]
            left -= counts[g]
    return of_group
