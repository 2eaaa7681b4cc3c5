"""Near-duplicates among items: who is kept, who is dropped, by whom and how far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import hamming
from maskmill._device import on_host
from maskmill.dedupe.order import processing_order

Codes: TypeAlias = NDArray[np.uint64]
Int64s: TypeAlias = NDArray[np.int64]

FLAT = ("code", "one")
_FEW = 1024  # items that are settled whatever number of pairs they have
_NEAR = 16  # neighbours of an item, on average, up to which one search for all pairs is quickest
_MOST_PAIRS = 1 << 24  # at once


@dataclass(frozen=True)
class Items:
    """What is compared: patches, files, photos.

    Parameters
    ----------
    ids : identifiers of the items, such as file names
    codes : (N, words) uint64, as of `maskmill.hashes`
    profile : str
        What the codes mean, such as `str(hashes.Profile("dhash"))`. Only items of the same profile are compared.
    views : (N, V, words) uint64, optional
        More codes of each item, such as of the picture turned and mirrored: an item is as far from another as the
        nearest of its codes is from the other's own.
    confirm : (N, words) uint64, optional
        Longer codes, which must be near as well.
    quality : (N,) float64, optional
    flat : (N,) bool, optional
        Pictures without content, whose codes mean nothing.
    """

    ids: Sequence[str]
    codes: Codes
    profile: str = ""
    views: Codes | None = None
    confirm: Codes | None = None
    quality: NDArray[np.float64] | None = None
    flat: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        codes = on_host(self.codes, "codes")
        object.__setattr__(self, "codes", codes.reshape(-1, 1) if codes.ndim == 1 else codes)
        for name in ("codes", "views", "confirm", "quality", "flat"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.ids):
                raise ValueError(f"{name} must be of {len(self.ids)} items, not {len(column)}")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: ArrayLike) -> Items:
        """Some of the items."""
        rows = np.asarray(index)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        optional = {name: getattr(self, name) for name in ("views", "confirm", "quality", "flat")}
        taken: dict[str, Any] = {
            name: column[rows] for name, column in optional.items() if column is not None
        }
        return Items([self.ids[i] for i in rows.tolist()], self.codes[rows], self.profile, **taken)


@dataclass(frozen=True)
class Duplicates:
    """The answer of `find`; all arrays count the items as they were given.

    Parameters
    ----------
    order : (N,) int64
        Items as they were processed.
    kept : (K,) int64
        Those kept, as they were processed.
    exemplar, distance : (N,) int64
        By whom each was dropped, and how far it is from it in bits; itself and 0 if kept. -1 - e is exemplar e of the
        finished set.
    """

    items: Items
    radius: int
    order: Int64s
    kept: Int64s
    exemplar: Int64s
    distance: Int64s
    exemplars: Items | None = None
    settings: dict[str, str | int] = field(default_factory=dict)
    flat: str = "code"

    def reason(self, item: int) -> str:
        """Why an item was dropped: "duplicate" of its exemplar, or "flat" like it; nothing if it was kept."""
        if self.exemplar[item] == item:
            return ""
        flat = self.flat == "one" and self.items.flat is not None and self.items.flat[item]
        return "flat" if flat else "duplicate"

    @property
    def dropped(self) -> Int64s:
        """Those dropped, as they were processed."""
        dropped: Int64s = self.order[self.exemplar[self.order] != self.order]
        return dropped

    def name(self, exemplar: int) -> str:
        """The identifier of an item, or, of a negative number, of an exemplar of the finished set."""
        if exemplar >= 0:
            return self.items.ids[exemplar]
        assert self.exemplars is not None
        return self.exemplars.ids[-1 - exemplar]

    def clusters(self) -> list[tuple[int, Int64s]]:
        """Exemplars that dropped others, and whom, nearest first; greatest clusters first."""
        dropped = self.dropped
        by = self.exemplar[dropped]
        rank = np.lexsort([self.distance[dropped], by])
        dropped, by = dropped[rank], by[rank]
        starts = np.flatnonzero(np.diff(by, prepend=by[:1] - 1)) if len(by) else np.zeros(0, np.int64)
        groups = [(int(by[a]), part) for a, part in zip(starts, np.split(dropped, starts[1:]), strict=False)]
        return sorted(groups, key=lambda group: (-len(group[1]), self.name(group[0])))


def find(
    items: Items,
    radius: int,
    *,
    order: str | ArrayLike = "stable",
    seed: int = 0,
    groups: ArrayLike | None = None,
    exemplars: Items | None = None,
    confirm_radius: int | None = None,
    flat: str = "code",
) -> Duplicates:
    """Keep one of each bunch of near-duplicates: an item is kept unless a kept one is within the radius.

    Parameters
    ----------
    items : Items
    radius : int
        Greatest distance at which an item is dropped, in bits.
    order : {"stable", "natural", "name", "quality"} or (N,) permutation
        Who comes first, see `processing_order`.
    seed : int
        Of the order "stable".
    groups : (N,) int, optional
        Only items of the same group are compared.
    exemplars : Items, optional
        A finished set, which comes before all: what is near to it is dropped, and it is not changed.
    confirm_radius : int, optional
        Where items have longer codes to confirm: the greatest distance of those; four times the radius unless given.
    flat : {"code", "one"}
        "code": flat pictures are compared by their codes like all others. "one": they are duplicates of each other
        and of nothing else.

    Raises
    ------
    ValueError
        If the codes of items and exemplars have different profiles.

    Examples
    --------
    >>> from maskmill import dedupe
    >>> photos = dedupe.Items(["a", "b", "c"], [0b0000, 0b1111, 0b0001])
    >>> found = dedupe.find(photos, 1, order="name")
    >>> found.kept, [(found.name(i), found.name(found.exemplar[i])) for i in found.dropped]
    (array([0, 1]), [('c', 'a')])
    """
    if flat not in FLAT:
        raise ValueError(f"flat must be 'code' or 'one', not {flat!r}")
    if exemplars is not None:
        _same_profile(items, exemplars)
        if groups is not None:
            raise ValueError("exemplars and groups cannot be given together")
    if isinstance(order, str):
        ranks = processing_order(items.ids, order, seed=seed, quality=items.quality)
    else:
        ranks = hamming._permutation(order, len(items))
    classes = _classes(items, groups, flat)
    reach = 4 * radius if confirm_radius is None else confirm_radius
    exemplar, distance = np.arange(len(items)), np.zeros(len(items), np.int64)
    for members in _by_class(ranks, classes):
        some = items.take(members)
        if flat == "one" and items.flat is not None and items.flat[members[0]]:
            first, far = np.full(len(some), _first_flat(exemplars)), np.zeros(len(some), np.int64)
        elif items.views is None and items.confirm is None:
            before = None if exemplars is None else exemplars.codes
            _, first, far = hamming.greedy(some.codes, radius, exemplars=before)
        else:
            first, far = _greedy_by_views(some, radius, reach, exemplars)
        exemplar[members] = np.where(first < 0, first, members[np.maximum(first, 0)])
        distance[members] = far
    kept = ranks[exemplar[ranks] == ranks]
    settings: dict[str, str | int] = {
        "radius": radius,
        "order": order if isinstance(order, str) else "given",
        "seed": seed,
        "profile": items.profile,
    }
    return Duplicates(items, radius, ranks, kept, exemplar, distance, exemplars, settings, flat)


def _same_profile(a: Items, b: Items) -> None:
    if a.profile != b.profile:
        raise ValueError(f"codes of profile {a.profile!r} cannot be compared with those of {b.profile!r}")


def _classes(items: Items, groups: ArrayLike | None, flat: str) -> Int64s:
    """Items of different classes are not compared."""
    classes = np.zeros(len(items), np.int64)
    if groups is not None:
        given = on_host(groups, "groups")
        if given.shape != (len(items),):
            raise ValueError(f"groups must have shape ({len(items)},), not {given.shape}")
        classes = np.unique(given, return_inverse=True)[1].astype(np.int64).reshape(-1)
    if flat == "one" and items.flat is not None:
        classes = 2 * classes + items.flat
    return classes


def _first_flat(exemplars: Items | None) -> int:
    """Who leads all flat pictures: the first flat exemplar, or the first item of them."""
    if exemplars is None or exemplars.flat is None or not exemplars.flat.any():
        return 0
    return -1 - int(exemplars.flat.argmax())


def _by_class(order: Int64s, classes: Int64s) -> list[Int64s]:
    if len(order) == 0:
        return []
    sorted_ = order[np.argsort(classes[order], kind="stable")]
    return np.split(sorted_, np.flatnonzero(np.diff(classes[sorted_])) + 1)


def _greedy_by_views(items: Items, radius: int, reach: int, before: Items | None) -> tuple[Int64s, Int64s]:
    """The greedy rule where hits are more than two codes that are near."""
    n = len(items)
    exemplar, distance = np.arange(n), np.zeros(n, np.int64)

    def drop(block: Int64s, by: Items, names: Int64s) -> Int64s:
        """Of a block, those that nobody is near to."""
        hit, first, far = _first_hits(items.take(block), by, radius, reach)
        exemplar[block[hit]], distance[block[hit]] = names[first], far
        return np.delete(block, hit)

    def settle(block: Int64s) -> Int64s:
        """Those of a block that are kept; no item of it is near to any kept before."""
        some = items.take(block)
        try:
            i, j, d = _hits(
                some, some, radius, reach, _MOST_PAIRS if len(block) <= _FEW else _NEAR * len(block)
            )
        except hamming.TooManyPairs:
            # Many are near each other: what the first half keeps drops most of the second.
            first = settle(block[: len(block) // 2])
            rest = drop(block[len(block) // 2 :], items.take(first), first)
            return np.concatenate([first, settle(rest)])
        earlier = j < i
        is_kept = np.ones(len(block), bool)
        for a, b, far in zip(*(column[earlier].tolist() for column in (i, j, d)), strict=True):
            if is_kept[a] and is_kept[b]:
                is_kept[a] = False
                exemplar[block[a]], distance[block[a]] = block[b], far
        return block[is_kept]

    block = np.arange(n)
    if before is not None and len(before):
        block = drop(block, before, -1 - np.arange(len(before)))
    settle(block)
    return exemplar, distance


def _first_hits(items: Items, others: Items, radius: int, reach: int) -> tuple[Int64s, Int64s, Int64s]:
    """Items that are near to others, the first of these for each, and the distance."""
    try:
        i, j, d = _hits(items, others, radius, reach, max(_MOST_PAIRS, len(others)))
    except hamming.TooManyPairs:
        half = len(items) // 2
        parts = [np.arange(half), np.arange(half, len(items))]
        found = [_first_hits(items.take(part), others, radius, reach) for part in parts]
        i, j, d = (np.concatenate([a, b]) for a, b in zip(*found, strict=True))
        i[len(found[0][0]) :] += half
    hit, where = np.unique(i, return_index=True)
    return hit, j[where], d[where]


def _hits(
    items: Items, others: Items, radius: int, reach: int, limit: int = hamming.MOST_PAIRS
) -> tuple[Int64s, Int64s, Int64s]:
    """(i, j, distance), by (i, j), of all items near to others by any of their codes, and confirmed."""
    own = items.codes[:, None] if items.views is None else items.views
    parts = [hamming.pairs(own[:, v], radius, other=others.codes, limit=limit) for v in range(own.shape[1])]
    i, j, d = (np.concatenate([part[k] for part in parts]) for k in range(3))
    rank = np.lexsort([d, j, i])
    i, j, d = i[rank], j[rank], d[rank]
    nearest = np.diff(i, prepend=-1).astype(bool) | np.diff(j, prepend=-1).astype(bool)
    i, j, d = i[nearest], j[nearest], d[nearest]
    if items.confirm is not None and others.confirm is not None:
        sure = _bits(items.confirm[i] ^ others.confirm[j]) <= reach
        i, j, d = i[sure], j[sure], d[sure]
    return i, j, d


def _bits(words: Codes) -> Int64s:
    """Set bits of each row."""
    octets = np.ascontiguousarray(words).view(np.uint8)
    return np.asarray(_OCTET[octets].sum(axis=1, dtype=np.int64))


_OCTET = np.array([bin(value).count("1") for value in range(256)], np.uint8)


def sweep(items: Items, radii: Sequence[int], **how: Any) -> list[tuple[int, int]]:
    """How many items each radius would keep: (radius, kept). Options as of `find`."""
    return [(int(radius), len(find(items, radius, **how).kept)) for radius in radii]


def leaks(
    train: Items, test: Items, radius: int, *, confirm_radius: int | None = None
) -> tuple[Int64s, Int64s, Int64s]:
    """Training items within the radius of test items.

    Returns
    -------
    train, test, distance : (P,) int64
        Of all pairs, by the test item and then the training item.

    Examples
    --------
    >>> from maskmill import dedupe
    >>> train, test = dedupe.Items(["a", "b"], [0b0000, 0b1111]), dedupe.Items(["c"], [0b1110])
    >>> dedupe.leaks(train, test, 1)
    (array([1]), array([0]), array([1]))
    """
    _same_profile(train, test)
    reach = 4 * radius if confirm_radius is None else confirm_radius
    i, j, distance = _hits(test, train, radius, reach)
    return j, i, distance


def chance(n: int, radius: int, bits: int = 64, others: int | None = None) -> float:
    """How many pairs of n unrelated items lie within the radius if bits are thrown like coins.

    Real codes are not: expect several times as many.

    Examples
    --------
    >>> from maskmill import dedupe
    >>> round(dedupe.chance(1_000_000, 12)), round(dedupe.chance(1_000_000, 48, bits=256))
    (114165, 0)
    """
    pairs = n * (n - 1) / 2 if others is None else n * others
    near = sum(math.comb(bits, k) for k in range(min(radius, bits) + 1))
    return float(pairs * (near / 2**bits))
