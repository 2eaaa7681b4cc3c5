"""Polygons of many masks in three flat arrays; rasterising and simplifying them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._backend import BackendError, kernels
from maskmill._device import as_array, is_on_gpu, on_host, refuse_gpu, to_gpu, to_host

__all__ = ["Polygons", "ellipses", "rasterize", "simplify", "tangles"]

RULES = {"coco": 0, "even-odd": 1, "non-zero": 2, "skimage": 3, "labelme": 4, "coverage": 5}
_ON_GPU = ("coco", "even-odd", "non-zero")
"""Others go along rows, from span to span, and by what a row before has left."""


@dataclass(frozen=True, eq=False)
class Polygons:
    """The rings of N masks.

    Attributes
    ----------
    points : (K, 2) float64, x first; pixel (y, x) covers x to x + 1 and y to y + 1
    rings : (R + 1,) int64; ring r is ``points[rings[r]:rings[r + 1]]``, closed by itself
    masks : (N + 1,) int64; mask i has rings ``masks[i]`` to ``masks[i + 1] - 1``
    parent : (R,) int64
        -1 for an outer ring, else the ring (counted within its mask) that has this one as a hole. All -1 where the
        source did not say.
    """

    points: NDArray[np.float64]
    rings: NDArray[np.int64]
    masks: NDArray[np.int64]
    parent: NDArray[np.int64]

    @classmethod
    def from_lists(cls, polygons: Sequence[Any]) -> Polygons:
        """From one list of rings per mask, a ring being flat (x, y, x, y, ...) or (K, 2).

        Raises
        ------
        ValueError
            If a ring has an odd number of coordinates or is no list of numbers; names mask and ring.

        Examples
        --------
        >>> from maskmill.polygons import Polygons
        >>> Polygons.from_lists([[[0, 0, 4, 0, 4, 3]], []])
        Polygons(2 masks, 1 ring, 3 points)
        """
        points: list[NDArray[np.float64]] = []
        masks = [0]
        for i, rings in enumerate(polygons):
            if isinstance(rings, dict):
                raise ValueError(f"mask {i}: must be a list of rings, not a dict; RLEs go to Masks.from_coco")
            for k, ring in enumerate(rings):
                refuse_gpu(ring, f"mask {i}, ring {k}")
                try:
                    array = np.asarray(ring, dtype=np.float64)
                except (TypeError, ValueError) as error:
                    raise ValueError(f"mask {i}, ring {k}: must be numbers ({error})") from None
                if array.ndim == 0:
                    raise ValueError(f"mask {i}: must be a list of rings, not of numbers")
                if array.ndim > 2 or (array.ndim == 2 and array.shape[1] != 2) or array.size % 2:
                    raise ValueError(
                        f"mask {i}, ring {k}: must be x, y, x, y, ... or have shape (K, 2), not {array.shape}"
                    )
                points.append(array.reshape(-1, 2))
            masks.append(len(points))
        ends = np.cumsum([0, *map(len, points)], dtype=np.int64)
        flat = np.concatenate(points) if points else np.empty((0, 2))
        return cls(
            np.ascontiguousarray(flat), ends, np.asarray(masks, np.int64), np.full(len(points), -1, np.int64)
        )

    def __len__(self) -> int:
        return len(self.masks) - 1

    def __getitem__(self, i: int) -> list[NDArray[np.float64]]:
        """The rings of mask i, as views (K, 2)."""
        i = range(len(self))[i]
        first, last = to_host(self.masks[i : i + 2]).tolist()
        ends = to_host(self.rings[first : last + 1]).tolist()
        return [self.points[begin:end] for begin, end in pairwise(ends)]

    def __iter__(self) -> Iterator[list[NDArray[np.float64]]]:
        ends = to_host(self.rings).tolist()
        for first, last in pairwise(to_host(self.masks).tolist()):
            yield [self.points[begin:end] for begin, end in pairwise(ends[first : last + 1])]

    def __copy__(self) -> Polygons:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Polygons:
        return Polygons(self.points.copy(), self.rings.copy(), self.masks.copy(), self.parent.copy())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled on the host: who reads it may have no GPU."""
        there = self.to("cpu")
        return Polygons, (there.points, there.rings, there.masks, there.parent)

    def __repr__(self) -> str:
        def plural(n: int, word: str) -> str:
            return f"{n:,} {word}{'' if n == 1 else 's'}"

        rings, points = len(self.rings) - 1, len(self.points)
        return f"Polygons({plural(len(self), 'mask')}, {plural(rings, 'ring')}, {plural(points, 'point')})"

    @property
    def device(self) -> str:
        """Where the points are: "cpu" or "cuda"."""
        return "cuda" if is_on_gpu(self.points) else "cpu"

    def to(self, device: str) -> Polygons:
        """The same polygons on a "cuda" device (CuPy's current one) or on the "cpu"; themselves if they are there."""
        if device not in ("cpu", "cuda"):
            raise ValueError(f"device must be 'cpu' or 'cuda', not {device!r}")
        if device == self.device:
            return self
        move = to_gpu if device == "cuda" else to_host
        return Polygons(move(self.points), move(self.rings), move(self.masks), move(self.parent))

    def to_coco(self) -> list[list[list[float]]]:
        """COCO's ``segmentation`` of each mask: a list of flat rings. Holes become rings like any other: trace with
        ``Masks.polygons("coco")`` when there may be some."""
        return [[ring.ravel().tolist() for ring in rings] for rings in self.to("cpu")]

    def simplify(
        self, tolerance: ArrayLike, method: str = "douglas-peucker", *, backend: str | None = None
    ) -> Polygons:
        """`maskmill.polygons.simplify` on all rings."""
        points, rings = simplify(self.points, self.rings, tolerance, method, backend=backend)
        return Polygons(points, rings, self.masks, self.parent)


def rasterize(
    polygons: Polygons | Sequence[Any], sizes: ArrayLike, rule: str = "coco", *, backend: str | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Fill polygons.

    Parameters
    ----------
    polygons : Polygons, or what `Polygons.from_lists` takes
        Those on a GPU (`Polygons.to`, or made of arrays there: float64 points, int64 offsets) give masks there.
    sizes : one (height, width) or (N, 2)
        On the host, as shapes are.
    rule : {"coco", "even-odd", "non-zero", "skimage", "labelme", "coverage"}
        - "coco": every ring by itself as pycocotools' frPyObjects does, bit for bit, then their union.
        - "even-odd", "non-zero": pixel (y, x) is sampled at (x + 0.5, y + 0.5), of all rings of a mask together, so
          that holes are holes.
        - "skimage": pixel (y, x) is tested as the point (x, y), corners and edges included: the same pixels as
          skimage.draw.polygon2mask (0.26). Holes are holes, and their edges are in the mask.
        - "labelme": every ring by itself as Pillow 13 draws it for labelme, ``ImageDraw.polygon(fill=1, outline=1)``,
          then their union. Coordinates are cut off to integers; outlines are inside. Other versions of Pillow differ
          by a few pixels at corners.
        - "coverage": pixels of which the rings, together by even-odd, cover at least half.

    Returns
    -------
    counts, offsets, sizes : masks as in `maskmill.rle`

    Raises
    ------
    ValueError
        On coordinates that are not finite or larger than 4e8; names mask and point.
    BackendError
        On a GPU, of rules "skimage", "labelme" and "coverage", which it does not know.
    """
    p = polygons if isinstance(polygons, Polygons) else Polygons.from_lists(polygons)
    size = _check.sizes(sizes, len(p))
    number = _check.choice(rule, "rule", RULES)
    compute = kernels(backend, p.points, p.rings, p.masks).polygons_rasterize
    if is_on_gpu(p.points) and rule not in _ON_GPU:
        raise BackendError(
            f"rule {rule!r} has no twin on the GPU; bring the polygons to the host first: polygons.to('cpu')"
        )
    counts, offsets = compute(as_array(p.points), as_array(p.rings), as_array(p.masks), size, number)
    return counts, offsets, size


def ellipses(
    centres: ArrayLike, radii: ArrayLike, angles: ArrayLike, sizes: ArrayLike, *, backend: str | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Fill ellipses: the pixels (y, x) with (x + 0.5, y + 0.5) inside or on the ellipse.

    Parameters
    ----------
    centres : (N, 2), x first, in pixels; pixel (y, x) covers x to x + 1 and y to y + 1
    radii : (N,) for circles, or (N, 2): half the axis along the angle, half the other one. A radius of 0 gives nothing.
    angles : (N,) or one number
        Of the first axis, in radians, from x towards y (clockwise as seen).
    sizes : one (height, width) or (N, 2)

    Returns
    -------
    counts, offsets, sizes : masks as in `maskmill.rle`

    Raises
    ------
    ValueError
        On numbers that are not finite or larger than 4e8, and on negative radii; names the mask.

    Examples
    --------
    >>> from maskmill import Masks, polygons
    >>> masks = Masks(*polygons.ellipses([[5, 5], [5, 5]], [[4, 4], [4.5, 2]], [0, 1.5707963], (10, 10)))
    >>> masks.area.tolist(), masks.bbox.tolist()
    ([52, 28], [[1.0, 1.0, 8.0, 8.0], [3.0, 1.0, 4.0, 8.0]])
    """
    at = _check.floats(centres, 2, "centres")
    length = on_host(radii, "radii", np.float64)
    if length.ndim == 1 and len(length) == len(at):
        length = np.stack([length, length], axis=1)
    length = _check.floats(length, 2, "radii")
    angle = np.broadcast_to(on_host(angles, "angles", np.float64), (len(at),))
    if len(length) != len(at):
        raise ValueError(f"radii must be of {len(at)} ellipses, not of {len(length)}")
    size = _check.sizes(sizes, len(at))
    with np.errstate(invalid="ignore"):  # what is not finite is told by the kernel
        turned = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    counts, offsets = kernels(backend).polygons_ellipses(
        np.ascontiguousarray(np.concatenate([at, length, turned], axis=1)), size
    )
    return counts, offsets, size


def simplify(
    points: ArrayLike,
    rings: ArrayLike,
    tolerance: ArrayLike,
    method: str = "douglas-peucker",
    *,
    backend: str | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Closed rings with fewer points, never fewer than 3.

    Parameters
    ----------
    points : (K, 2), x first
    rings : (R + 1,) offsets into points
    tolerance : float or (R,)
        Of all rings or of each. In pixels ("douglas-peucker": no dropped point is farther from the result) or square
        pixels ("area": the symmetric difference of each ring and its result is at most this).
    method : {"douglas-peucker", "area"}

    Notes
    -----
    Douglas and Peucker, Cartographica 10 (1973) 112, doi:10.3138/FM57-6770-U75U-7727; triangles as in Visvalingam and
    Whyatt, The Cartographic Journal 30 (1993) 46, doi:10.1179/000870493786962263.
    """
    numbers = {"douglas-peucker": 0, "area": 1}
    compute = kernels(backend, points, rings).polygons_simplify
    ends = _check.integers(rings, _check.INT64, "rings")
    out, offsets = compute(
        _check.floats(points, 2, "points"),
        ends,
        np.broadcast_to(on_host(tolerance, "tolerance", np.float64), (max(ends.size - 1, 0),)).copy(),
        _check.choice(method, "method", numbers),
    )
    return out, offsets


def tangles(polygons: Polygons | Sequence[Any], *, backend: str | None = None) -> NDArray[np.uint8]:
    """Which polygons are no outlines of regions.

    Returns
    -------
    (N,) uint8
        - 1: edges of a mask cross, lie on each other, or touch elsewhere than at their ends.
        - 2: else, rings are not nested as their directions say: outer rings go clockwise as seen and lie in nothing, or
          in a hole; holes go the other way, in one outer ring. Where directions mean nothing, this is no fault.
        - 0: neither. Rings may touch at corners, as outlines of pixels do.

    Raises
    ------
    ValueError
        On coordinates that are not finite or larger than 4e8; names mask and point.

    Examples
    --------
    >>> from maskmill import polygons
    >>> bow, square = [[0, 0, 4, 4, 4, 0, 0, 4]], [[0, 0, 4, 0, 4, 4, 0, 4]]
    >>> polygons.tangles([bow, square, square + [[1, 1, 2, 1, 2, 2, 1, 2]]]).tolist()
    [1, 0, 2]
    """
    p = polygons if isinstance(polygons, Polygons) else Polygons.from_lists(polygons)
    found: NDArray[np.uint8] = kernels(backend, p.points).polygons_tangles(p.points, p.rings, p.masks)
    return found
