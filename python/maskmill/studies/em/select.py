"""Which patches are kept, and for every other one why not, and for whom."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskmill import hamming
from maskmill.studies.em import names
from maskmill.studies.em.store import REASONS

ORDERS = ("stable", "natural", "name", "quality", "legacy-seed")
SCOPES = ("file", "dataset", "all")
FLATS = ("same", "one", "drop")

Columns = dict[str, NDArray[Any]]


class Texts(Protocol):
    """Texts that need not all be in memory, such as the names of patches; an array of objects is one."""

    def take(self, places: NDArray[np.int64], /) -> NDArray[np.object_]: ...


@dataclass(frozen=True)
class Rule:
    """What is kept.

    Attributes
    ----------
    radius : int
        Codes that differ in at most so many bits are near-duplicates; -1 keeps them all.
    order : str
        Who comes first, and so is kept: "stable" as good as random and the same everywhere, "natural" as cut, "name",
        "quality" by a table of scores, "legacy-seed" as cem-dataset after a seed.
    seed : int
        Of the stable and the legacy order.
    scope : str
        Only patches of the same "file" or "dataset" are compared, or "all".
    max_overlap : float
        Of two patches of one slice whose boxes' IoU is this or more, the later is dropped; 1 drops none.
    flat : str
        Patches of one value: "same" as others, "one" stands for all of a scope, "drop" none is kept.
    max_padding, max_saturated : float
        Patches with a greater share of padding, or of 0 and 255, are dropped.
    min_size : int
        Patches with a shorter side are dropped.
    """

    radius: int = 12
    order: str = "stable"
    seed: int = 0
    scope: str = "dataset"
    max_overlap: float = 0.5
    flat: str = "same"
    max_padding: float = 1.0
    max_saturated: float = 1.0
    min_size: int = 1

    def __post_init__(self) -> None:
        for name, known in (("order", ORDERS), ("scope", SCOPES), ("flat", FLATS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("max_overlap", "max_padding", "max_saturated"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0 and 1, not {getattr(self, name)}")
        if self.max_overlap == 0:
            raise ValueError("max_overlap must be above 0")
        if self.radius < -1 or self.min_size < 1:
            raise ValueError("radius must be 0 or more, and min_size 1 or more")
        if self.order == "legacy-seed" and not 0 <= self.seed < 2**32:
            raise ValueError(f"a legacy seed must be within 0 and 2**32 - 1, not {self.seed}")

    @property
    def described(self) -> bool:
        """Whether the rule needs to know what the grey values of patches are like."""
        return self.flat != "same" or self.max_padding < 1 or self.max_saturated < 1


@dataclass(frozen=True)
class Selection:
    """kept: (K,) rows in order of rank; reason: (N,) -1 for kept ones, else the place in `REASONS`; leader (N,) row
    that dropped a row, or -1; distance (N,) to it, or -1."""

    kept: NDArray[np.int64]
    reason: NDArray[np.int8]
    leader: NDArray[np.int64]
    distance: NDArray[np.int16]


@dataclass(frozen=True)
class Origin:
    """What the orders need to know of a source: its group in the scope, its name in the stable order, and where it lies
    in a greater volume: that volume's name, and its first voxel (z, y, x)."""

    group: int
    key: str
    image: bool
    volume: str
    offset: tuple[int, int, int] = (0, 0, 0)


def origin(group: int, name: str, key: str, image: bool) -> Origin:
    """Of a source of this name."""
    roi = None if image else names.parse_roi(name)
    if roi is None:
        return Origin(group, key, image, key)
    return Origin(group, key, image, roi.volume, (roi.z0, roi.y0, roi.x0))


def select(
    rows: Columns,
    origins: Sequence[Origin],
    patch_names: Texts,
    rule: Rule,
    *,
    overlaps: bool = False,
    quality: NDArray[np.float64] | None = None,
) -> Selection:
    """Choose among rows in natural order.

    Parameters
    ----------
    rows : columns source, axis, index, y0, y1, x0, x1, code0...; low, high, at_low, at_high, padding if described
    origins : one for each source
    patch_names : one for each row
    rule : Rule
    overlaps : bool
        Whether tiles of one source can overlap; of several crops of one volume they always may.
    quality : (N,), for the order "quality"; NaN comes last
    """
    n = len(rows["source"])
    group = np.array([o.group for o in origins], np.int32)[rows["source"]] if n else np.empty(0, np.int32)
    reason = np.full(n, -1, np.int8)
    leader, distance = np.full(n, -1, np.int64), np.full(n, -1, np.int16)
    for name, dropped in _unfit(rows, rule):
        reason[dropped & (reason < 0)] = REASONS.index(name)
    order = processing_order(rows, group, origins, patch_names, rule, quality)
    volumes = [o.volume for o in origins if not o.image]
    if rule.max_overlap < 1 and (overlaps or len(set(volumes)) < len(volumes)):
        by = _overlapping(rows, origins, order[reason[order] < 0], rule.max_overlap)
        reason[by >= 0], leader[by >= 0] = REASONS.index("overlap"), by[by >= 0]
    left = order[reason[order] < 0]
    if rule.flat == "one":
        flat = left[rows["low"][left] == rows["high"][left]]
        groups, first = np.unique(group[flat], return_index=True)
        exemplar = flat[first][np.searchsorted(groups, group[flat])] if len(flat) else flat
        others = flat != exemplar
        reason[flat[others]], leader[flat[others]] = REASONS.index("flat"), exemplar[others]
        distance[flat[others]] = 0
        is_flat = np.zeros(n, bool)
        is_flat[flat] = True
        left = left[~is_flat[left]]
    if rule.radius >= 0 and len(left):
        codes = np.stack([rows[f"code{word}"][left] for word in range(_words(rows))], -1)
        one = group[left].min() == group[left].max()
        _, exemplar, far = hamming.greedy(codes, rule.radius, groups=None if one else group[left])
        others = exemplar != np.arange(len(left))
        dropped = left[others]
        reason[dropped] = REASONS.index("duplicate")
        leader[dropped], distance[dropped] = left[exemplar[others]], far[others]
    return Selection(order[reason[order] < 0], reason, leader, distance)


def _words(rows: Columns) -> int:
    return sum(name.startswith("code") for name in rows)


def _unfit(rows: Columns, rule: Rule) -> list[tuple[str, NDArray[np.bool_]]]:
    found: list[tuple[str, NDArray[np.bool_]]] = []
    if rule.min_size > 1:
        side = np.minimum(rows["y1"] - rows["y0"], rows["x1"] - rows["x0"])
        found.append(("small", side < rule.min_size))
    if rule.max_padding < 1:
        found.append(("padding", rows["padding"] > rule.max_padding))
    if rule.flat == "drop":
        found.append(("flat", rows["low"] == rows["high"]))
    if rule.max_saturated < 1:
        share = np.where(rows["low"] == 0, rows["at_low"], 0) + np.where(
            rows["high"] == 255, rows["at_high"], 0
        )
        found.append(("saturated", share > rule.max_saturated))
    return found


# Orders


def processing_order(
    rows: Columns,
    group: NDArray[np.int32],
    origins: Sequence[Origin],
    patch_names: Texts,
    rule: Rule,
    quality: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """(N,) rows in the order in which they are processed, one group behind the other."""
    if rule.order == "natural":
        return np.argsort(group, kind="stable")
    if rule.order == "legacy-seed":
        members = np.argsort(group, kind="stable")
        ends = np.flatnonzero(np.diff(group[members])) + 1
        return np.concatenate(
            [part[names.permutation(len(part), rule.seed)] for part in np.split(members, ends)]
        ).astype(np.int64)
    if rule.order == "name":
        order = np.argsort(patch_names.take(np.arange(len(group))), kind="stable")
        return order[np.argsort(group[order], kind="stable")]
    keys = _stable_keys(rows, origins, rule.seed)
    columns: list[NDArray[Any]] = [keys, group]
    if rule.order == "quality":
        if quality is None:
            raise ValueError("the order quality needs a table of scores")
        columns.insert(1, np.where(np.isnan(quality), np.inf, -quality))
    order = np.lexsort(columns)
    return _ties_by_name(order, columns, patch_names)


def _stable_keys(rows: Columns, origins: Sequence[Origin], seed: int) -> NDArray[np.uint64]:
    keys = np.empty(len(rows["source"]), np.uint64)
    starts = np.searchsorted(rows["source"], np.arange(len(origins) + 1))
    for place, source in enumerate(origins):
        start, stop = int(starts[place]), int(starts[place + 1])
        for a in range(start, stop, _ROWS):
            mine = slice(a, min(a + _ROWS, stop))
            axis, index, y0, x0 = (rows[name][mine] for name in ("axis", "index", "y0", "x0"))
            if source.image:
                axis, index = np.full(len(y0), 255), np.zeros(len(y0), np.int64)
            keys[mine] = names.stable_keys(source.key, axis, index, y0, x0, seed=seed)
    return keys


_ROWS = 1 << 16
"""At once, where a row takes much more memory in between than before and after."""


def _ties_by_name(
    order: NDArray[np.int64], columns: Sequence[NDArray[Any]], patch_names: Texts
) -> NDArray[np.int64]:
    tied = np.ones(max(len(order) - 1, 0), bool)
    for column in columns:
        tied &= column[order[1:]] == column[order[:-1]]
    place = 0
    for start in np.flatnonzero(tied & ~np.r_[False, tied[:-1]]).tolist():
        place = start + 1
        while place < len(tied) and tied[place]:
            place += 1
        alike = order[start : place + 1]
        order[start : place + 1] = alike[np.argsort(patch_names.take(alike), kind="stable")]
    return order


# Overlap


def _overlapping(
    rows: Columns, origins: Sequence[Origin], order: NDArray[np.int64], most: float
) -> NDArray[np.int64]:
    """(N,) for each row the first kept one of its volume, axis and slice with an IoU of `most` or more; else -1."""
    by = np.full(len(rows["source"]), -1, np.int64)
    if not len(order):
        return by
    volumes = {name: place for place, name in enumerate(dict.fromkeys(o.volume for o in origins))}
    places = [rows[name][order].tolist() for name in ("source", "axis", "index", "y0", "y1", "x0", "x1")]
    tall = max(1, int((rows["y1"] - rows["y0"])[order].max()))
    wide = max(1, int((rows["x1"] - rows["x0"])[order].max()))
    # Bins as large as the largest patch: what overlaps lies in the same bin or beside it.
    bins: dict[tuple[int, ...], list[tuple[int, int, int, int, int]]] = defaultdict(list)
    for rank, (source, axis, index, y0, y1, x0, x1) in enumerate(zip(*places, strict=True)):
        from_ = origins[source].offset
        down, right = (from_[a] for a in (0, 1, 2) if a != max(axis, 0))
        here = (
            origins[source].group,
            volumes[origins[source].volume],
            axis,
            index + (from_[axis] if axis >= 0 else 0),
        )
        box = (y0 + down, y1 + down, x0 + right, x1 + right)
        b, c = box[0] // tall, box[2] // wide
        near = (kept for i in (-1, 0, 1) for j in (-1, 0, 1) for kept in bins.get((*here, b + i, c + j), ()))
        found = min((kept[0] for kept in near if _iou(kept[1:], box) >= most), default=None)
        if found is None:
            bins[(*here, b, c)].append((rank, *box))
        else:
            by[order[rank]] = order[found]
    return by


def _iou(a: Sequence[int], b: Sequence[int]) -> float:
    both: int = max(0, min(a[1], b[1]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[2], b[2]))
    return both / ((a[1] - a[0]) * (a[3] - a[2]) + (b[1] - b[0]) * (b[3] - b[2]) - both)


def chance_hits(counts: Sequence[int], bits: int, radius: int) -> float:
    """How many pairs of unrelated patches of different sources are expected within a radius, were codes uniform.

    Real codes crowd: of unrelated electron micrographs about seven times as many were seen.

    Examples
    --------
    >>> round(chance_hits([100_000, 100_000], 64, 12))
    2283
    """
    share: float = sum(math.comb(bits, k) for k in range(min(radius, bits) + 1)) / 2**bits
    total = sum(counts)
    return (total**2 - sum(count**2 for count in counts)) / 2 * share
