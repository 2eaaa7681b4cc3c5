"""`Shapes`: the geometry of instances as their source had it, and how it becomes masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host
from maskmill.masks import Masks
from maskmill.polygons import RULES, Polygons, ellipses

__all__ = ["KINDS", "Shapes", "ShapesBuilder"]

KINDS = (
    "none",
    "box",
    "mask",
    "polygon",
    "rectangle",
    "circle",
    "ellipse",
    "point",
    "line",
    "polyline",
)
"""What an instance can be; `Shapes.kind` counts from 0 in this order."""

NONE, BOX, MASK, POLYGON, RECTANGLE, CIRCLE, ELLIPSE, POINT, LINE, POLYLINE = range(len(KINDS))
RULE_NAMES = tuple(sorted(RULES, key=lambda rule: RULES[rule]))


@dataclass(frozen=True, eq=False)
class Shapes:
    """The geometry of N instances.

    Attributes
    ----------
    kind : (N,) uint8, into `KINDS`
        "box": only the bounding box is known; "mask": run-length encoded, in `rles`; the others have points.
    rule : (N,) uint8, into maskmill.polygons.RULES
        How polygons are to be filled.
    points : Polygons of N
        Rings of polygons; control points of the others, as one ring: rectangle: two opposite corners; circle: centre
        and a point upon it; ellipse: centre, (rx, ry), (theta in radians, 0); point; line: two points; polyline.
    rles : Masks
        Of the instances of kind "mask", in order.
    """

    kind: NDArray[np.uint8]
    rule: NDArray[np.uint8]
    points: Polygons
    rles: Masks

    def __post_init__(self) -> None:
        for shapes, name in ((self.rles, "masks"), (self.points, "polygons")):
            if shapes.device != "cpu":
                raise TypeError(
                    f"{name} must be on the host, not on a GPU; {name}.to('cpu') brings them there"
                )
        n = len(self.kind)
        if len(self.rule) != n or len(self.points) != n:
            raise ValueError(
                f"kind, rule and points must be of {n}, not {len(self.rule)}, {len(self.points)}"
            )
        expected = int(np.count_nonzero(self.kind == MASK))
        if len(self.rles) != expected:
            raise ValueError(f"rles must be {expected} masks, not {len(self.rles)}")

    def __len__(self) -> int:
        return len(self.kind)

    def __repr__(self) -> str:
        kinds, counts = np.unique(self.kind, return_counts=True)
        said = ", ".join(f"{n:,} {KINDS[kind]}" for kind, n in zip(kinds, counts, strict=True))
        return f"Shapes({said or 'none'})"

    @classmethod
    def of_masks(cls, masks: Masks) -> Shapes:
        """Instances that are masks."""
        n = len(masks)
        return cls(np.full(n, MASK, np.uint8), np.zeros(n, np.uint8), empty_polygons(n), masks)

    @classmethod
    def of_polygons(cls, polygons: Polygons, rule: str) -> Shapes:
        """Instances that are polygons, to be filled by one rule."""
        n = len(polygons)
        return cls(np.full(n, POLYGON, np.uint8), np.full(n, RULES[rule], np.uint8), polygons, Masks.empty())

    @classmethod
    def of_boxes(cls, n: int) -> Shapes:
        """Instances of which only the bounding box is known."""
        return cls(np.full(n, BOX, np.uint8), np.zeros(n, np.uint8), empty_polygons(n), Masks.empty())

    def take(self, rows: ArrayLike) -> Shapes:
        """These instances, by numbers or by a boolean array."""
        index = on_host(rows, "rows")
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64).ravel()
        kind = self.kind[index]
        among_masks = np.cumsum(self.kind == MASK) - 1
        rles = self.rles[among_masks[index[kind == MASK]]]
        return Shapes(kind, self.rule[index], take_polygons(self.points, index), rles)

    @classmethod
    def concatenate(cls, parts: Iterable[Shapes]) -> Shapes:
        """All instances of all parts, in order."""
        whole = list(parts)
        if not whole:
            return cls.of_boxes(0)
        return cls(
            np.concatenate([part.kind for part in whole]),
            np.concatenate([part.rule for part in whole]),
            concatenate_polygons([part.points for part in whole]),
            Masks.concatenate([part.rles for part in whole]),
        )

    def same_as(self, other: Shapes) -> NDArray[np.bool_]:
        """(N,) which instances have the same kind, rule and numbers in `other`, which has as many."""
        same: NDArray[np.bool_] = (self.kind == other.kind) & (
            (self.kind != POLYGON) | (self.rule == other.rule)
        )
        mine, theirs = self.points, other.points
        same &= np.diff(mine.masks) == np.diff(theirs.masks)
        same &= np.diff(mine.rings[mine.masks]) == np.diff(theirs.rings[theirs.masks])
        rows = np.flatnonzero(same)
        a, b = take_polygons(mine, rows), take_polygons(theirs, rows)
        rings = np.repeat(np.arange(len(rows)), np.diff(a.masks))
        points = np.repeat(rings, np.diff(a.rings)) if len(a.rings) > 1 else rings
        same[rows[points[(a.points != b.points).any(1)]]] = False
        same[rows[rings[np.diff(a.rings) != np.diff(b.rings)]]] = False
        masks = np.flatnonzero(same & (self.kind == MASK))
        if len(masks):
            p, q = self.take(masks).rles, other.take(masks).rles
            fits = (p.sizes == q.sizes).all(1)
            same[masks[~fits]] = False
            same[masks[fits]] = (p[fits] ^ q[fits]).area == 0
        return same

    def with_masks(self, rows: ArrayLike, masks: Masks) -> Shapes:
        """The same with the instances `rows` (rising) made masks."""
        index = on_host(rows, "rows", np.int64)
        kind = self.kind.copy()
        kind[index] = MASK
        kept = np.flatnonzero(self.kind == MASK)
        stays = ~np.isin(kept, index)
        both = Masks.concatenate([self.rles[stays], masks])
        order = np.argsort(np.concatenate([kept[stays], index]), kind="stable")
        cleared = keep_polygons(self.points, kind != MASK)
        return Shapes(kind, self.rule, cleared, both[order])

    def bounds(self) -> NDArray[np.float64]:
        """(N, 4) bounding boxes x, y, width, height: of vertices, of curves, of the pixels of masks; NaN where there is
        nothing to go by."""
        boxes = np.full((len(self), 4), np.nan)
        boxes[self.kind == MASK] = self.rles.bbox
        first, last = self.points.rings[self.points.masks[:-1]], self.points.rings[self.points.masks[1:]]
        has = (last > first) & np.isin(self.kind, (POLYGON, RECTANGLE, POINT, LINE, POLYLINE))
        if has.any():
            low, high = _extremes(self.points.points, first[has], last[has])
            boxes[has] = np.concatenate([low, high - low], 1)
        for kind in (CIRCLE, ELLIPSE):
            rows = np.flatnonzero((self.kind == kind) & (last > first))
            if len(rows):
                centre, half, _ = self.ellipses(rows)
                boxes[rows] = np.concatenate([centre - half, 2 * half], 1)
        return boxes

    def ellipses(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Of circles and ellipses: centres (K, 2), half width and height of their bounding boxes (K, 2), and rx, ry,
        theta (K, 3)."""
        start = self.points.rings[self.points.masks[rows]]
        p = self.points.points
        centre, second = p[start], p[start + 1]
        radius = np.hypot(*(second - centre).T)
        circle = self.kind[rows] == CIRCLE
        third = np.minimum(start + 2, len(p) - 1)
        theta = np.where(circle, 0.0, p[third, 0])
        rx, ry = np.where(circle, radius, second[:, 0]), np.where(circle, radius, second[:, 1])
        cos, sin = np.cos(theta), np.sin(theta)
        half = np.stack([np.hypot(rx * cos, ry * sin), np.hypot(rx * sin, ry * cos)], 1)
        return centre, half, np.stack([rx, ry, theta], 1)

    def masks(self, sizes: NDArray[np.int64]) -> Masks:
        """All as masks: polygons, rectangles, circles and ellipses filled; the others, but masks, empty.

        Parameters
        ----------
        sizes : (N, 2) int64
            (height, width) of each instance's image.
        """
        if len(self) and (self.kind == MASK).all():
            return self.rles
        parts: list[Masks] = [self.rles]
        rows: list[NDArray[np.int64]] = [np.flatnonzero(self.kind == MASK)]

        def add(which: NDArray[np.int64], made: Masks) -> None:
            rows.append(which)
            parts.append(made)

        fillable = self.kind == POLYGON
        for rule in np.unique(self.rule[fillable]).tolist():
            which = np.flatnonzero(fillable & (self.rule == rule))
            add(
                which,
                Masks.from_polygons(take_polygons(self.points, which), sizes[which], rule=RULE_NAMES[rule]),
            )
        corners = np.flatnonzero(self.kind == RECTANGLE)
        if len(corners):
            add(corners, Masks.from_polygons(self._rectangles(corners), sizes[corners], rule="even-odd"))
        curves = np.flatnonzero((self.kind == CIRCLE) | (self.kind == ELLIPSE))
        if len(curves):
            centre, _, axes = self.ellipses(curves)
            add(curves, Masks(*ellipses(centre, np.abs(axes[:, :2]), axes[:, 2], sizes[curves])))
        empty = np.flatnonzero(np.isin(self.kind, (NONE, BOX, POINT, LINE, POLYLINE)))
        add(empty, Masks.empty(sizes[empty]))
        order = np.argsort(np.concatenate(rows), kind="stable")
        return Masks.concatenate(parts)[order]

    def _rectangles(self, rows: NDArray[np.int64]) -> Polygons:
        start = self.points.rings[self.points.masks[rows]]
        a, b = self.points.points[start], self.points.points[start + 1]
        x0, y0 = np.minimum(a, b).T
        x1, y1 = np.maximum(a, b).T
        rings = np.stack([x0, y0, x1, y0, x1, y1, x0, y1], 1).reshape(-1, 4, 2)
        return Polygons.from_lists([[ring] for ring in rings])


class ShapesBuilder:
    """Collects instances one by one, as readers of nested files find them.

    Examples
    --------
    >>> from maskmill.dataset import ShapesBuilder
    >>> builder = ShapesBuilder(rule="even-odd")
    >>> builder.polygon([[(0, 0), (4, 0), (4, 3)]])
    >>> builder.add("circle", [(5, 5), (8, 5)])
    >>> builder.box()
    >>> builder.build()
    Shapes(1 box, 1 polygon, 1 circle)
    """

    def __init__(self, rule: str = "even-odd") -> None:
        self._rule = RULES[rule]
        self._kinds: list[int] = []
        self._rings: list[list[Any]] = []
        self._masks: list[Masks] = []

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, kind: str, points: Sequence[Any]) -> None:
        """An instance with control points, (K, 2); see `Shapes.points`."""
        self._kinds.append(KINDS.index(kind))
        self._rings.append([points])

    def polygon(self, rings: Sequence[Any]) -> None:
        """A polygon of one or more rings, each (K, 2) or flat."""
        self._kinds.append(POLYGON)
        self._rings.append(list(rings))

    def mask(self, mask: Masks) -> None:
        """A mask: `Masks` of one."""
        if len(mask) != 1:
            raise ValueError(f"mask must be one mask, not {len(mask)}")
        self._kinds.append(MASK)
        self._rings.append([])
        self._masks.append(mask)

    def box(self) -> None:
        """An instance of which only the bounding box is known."""
        self._kinds.append(BOX)
        self._rings.append([])

    def build(self) -> Shapes:
        n = len(self._kinds)
        rule = np.full(n, self._rule, np.uint8)
        kinds = np.asarray(self._kinds, np.uint8)
        return Shapes(kinds, rule, Polygons.from_lists(self._rings), Masks.concatenate(self._masks))


# Polygons


def empty_polygons(n: int) -> Polygons:
    """N masks without rings."""
    return Polygons(np.empty((0, 2)), np.zeros(1, np.int64), np.zeros(n + 1, np.int64), np.empty(0, np.int64))


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """starts[0], starts[0] + 1, ..., starts[1], ...: each as many as its length."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - lengths, lengths) + np.repeat(starts, lengths)


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    out = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=out[1:])
    return out


def take_polygons(p: Polygons, index: NDArray[np.int64]) -> Polygons:
    """The polygons of these masks."""
    per_mask = np.diff(p.masks)[index]
    rings = _ranges(p.masks[:-1][index], per_mask)
    per_ring = np.diff(p.rings)[rings]
    points = p.points[_ranges(p.rings[:-1][rings], per_ring)]
    return Polygons(points, _offsets(per_ring), _offsets(per_mask), p.parent[rings])


def keep_polygons(p: Polygons, keep: NDArray[np.bool_]) -> Polygons:
    """The same number of masks, without the rings of those that are not kept."""
    kept = take_polygons(p, np.flatnonzero(keep))
    per_mask = np.where(keep, np.diff(p.masks), 0)
    return Polygons(kept.points, kept.rings, _offsets(per_mask), kept.parent)


def concatenate_polygons(parts: Sequence[Polygons]) -> Polygons:
    """The polygons of all parts, in order."""
    return Polygons(
        np.concatenate([p.points for p in parts]),
        _offsets(np.concatenate([np.diff(p.rings) for p in parts])),
        _offsets(np.concatenate([np.diff(p.masks) for p in parts])),
        np.concatenate([p.parent for p in parts]),
    )


def _extremes(
    points: NDArray[np.float64], first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and largest x, y of points[first:last], none of which is empty."""
    chosen = points[_ranges(first, last - first)]
    starts = _offsets(last - first)[:-1]
    return np.minimum.reduceat(chosen, starts), np.maximum.reduceat(chosen, starts)
