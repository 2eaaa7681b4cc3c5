"""`Masks`: many run-length masks in three flat arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import (
    _check,
    geometry,
    measures,
    morphology,
    outlines,
    overlap,
    patches,
    rle,
    setops,
    vectorize,
)
from maskmill import polygons as polygons_
from maskmill._device import is_on_gpu, library, on_host, to_gpu, to_host
from maskmill.polygons import Polygons

if TYPE_CHECKING:
    import os

    import pyarrow as pa

__all__ = ["Masks", "coco_rles"]


def _check_device(device: str) -> None:
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'cpu' or 'cuda', not {device!r}")


def _ends(bounds: NDArray[np.int64]) -> tuple[int, int]:
    """The first and the last, wherever they are."""
    few = to_host(bounds[:: max(len(bounds) - 1, 1)]).tolist()
    return few[0], few[-1]


def _check_one_device(first: Masks, *others: Masks) -> None:
    if any(other.device != first.device for other in others):
        raise ValueError("masks must be on one device; masks.to('cpu') and masks.to('cuda') move them")


class Masks:
    """N binary masks, each with an image size of its own, run-length encoded.

    Immutable. Indexing by an integer, slice, boolean or integer array gives `Masks` again (slices share memory). Those
    on a GPU (`to`) stay there when indexed, joined or copied; pickled and saved they are on the host.

    Parameters
    ----------
    counts : (R,) uint32
        Run lengths, mask by mask; runs go down the columns, background first, as in COCO.
    offsets : (N + 1,) int64, from 0 to R
        Mask i is ``counts[offsets[i]:offsets[i + 1]]``.
    sizes : (N, 2) int64, or one (height, width)

    Raises
    ------
    ValueError
        If runs do not sum to the pixels, or a run behind the first is zero (see `Masks.from_coco`, which repairs
        that); names the mask.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Masks
    >>> masks = Masks.encode(np.eye(4, dtype=bool))
    >>> masks
    Masks(1 mask, 4 x 4 pixels, 8 runs, 25 % foreground)
    >>> (masks | ~masks).area.tolist()
    [16]
    >>> masks.polygons(rule="coco").to_coco()[0][0][:6]
    [0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    """

    __slots__ = ("counts", "offsets", "sizes")
    __hash__ = None  # type: ignore[assignment]

    counts: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __init__(self, counts: ArrayLike, offsets: ArrayLike, sizes: ArrayLike) -> None:
        runs, bounds, size = _check.masks(counts, offsets, sizes)
        rle.check(runs, bounds, size)
        first, last = _ends(bounds)
        if first or last != len(runs):
            runs, bounds = runs[first:last], bounds - first
        # Views: the caller's own arrays stay writeable.
        self._set(runs.view(), bounds.view(), size.view())

    def _set(self, counts: NDArray[np.uint32], offsets: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        sizes.flags.writeable = False
        if type(counts) is np.ndarray:  # CuPy's arrays cannot be protected
            counts.flags.writeable = offsets.flags.writeable = False
        set_ = object.__setattr__
        set_(self, "counts", counts)
        set_(self, "offsets", offsets)
        set_(self, "sizes", sizes)

    @classmethod
    def _of(cls, counts: NDArray[np.uint32], offsets: NDArray[np.int64], sizes: NDArray[np.int64]) -> Masks:
        """From arrays that nobody else has, or that cannot be written to: nothing to check."""
        masks = object.__new__(cls)
        masks._set(counts, offsets, sizes)
        return masks

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Masks are immutable")

    # On the host, or on a GPU

    @property
    def device(self) -> str:
        """Where counts and offsets are: "cpu" or "cuda". Sizes are on the host, as shapes are."""
        return "cuda" if is_on_gpu(self.counts) else "cpu"

    def to(self, device: str) -> Masks:
        """The same masks on a "cuda" device (CuPy's current one) or on the "cpu"; themselves if they are there.

        Methods of masks on a GPU compute there and give CuPy arrays. Those without a twin there say so.
        """
        _check_device(device)
        if device == self.device:
            return self
        move = to_gpu if device == "cuda" else to_host
        return Masks._of(move(self.counts), move(self.offsets), self.sizes)

    # Making masks

    @classmethod
    def encode(cls, array: ArrayLike, *, order: str = "NHW") -> Masks:
        """Encode binary images: (H, W), (N, H, W), or (H, W, N) with order="HWN".

        bool or any integer type, nonzero is foreground; C or Fortran order or strided, without copies.
        """
        return cls._of(*rle.encode(array, order=order))

    @classmethod
    def from_labels(cls, label_image: ArrayLike) -> tuple[Masks, NDArray[np.int64]]:
        """The masks of all values but 0 of an (H, W) label image, and these values, rising."""
        counts, offsets, sizes, values = rle.from_labels(label_image)
        return cls._of(counts, offsets, sizes), values

    @classmethod
    def from_polygons(
        cls, polygons: Polygons | Sequence[Any], sizes: ArrayLike, *, rule: str = "coco"
    ) -> Masks:
        """Fill polygons: one list of rings per mask, a ring being flat (x, y, ...) or (K, 2).

        Parameters
        ----------
        sizes : one (height, width) or (N, 2)
        rule : {"coco", "even-odd", "non-zero", "skimage", "labelme", "coverage"}
            As in `maskmill.polygons.rasterize`.

        Polygons on a GPU (``polygons.to("cuda")``) give masks there.
        """
        counts, offsets, size = polygons_.rasterize(polygons, sizes, rule)
        return cls._of(counts, offsets, size.copy())

    @classmethod
    def from_coco(
        cls, rles: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, device: str = "cpu"
    ) -> Masks:
        """From COCO RLEs, ``{"size": [h, w], "counts": bytes, str or list of int}``, one or many.

        Zero runs behind the first are merged away; anything else that is wrong raises. With device="cuda" strings are
        sent to the GPU and read there.

        Raises
        ------
        ValueError
            If a string is malformed, or runs do not sum to the pixels; names the mask.
        """
        items: Sequence[Mapping[str, Any]] = [rles] if isinstance(rles, Mapping) else rles
        strings: list[bytes | str] = []
        plain: list[tuple[int, NDArray[np.uint32]]] = []
        sizes = np.empty((len(items), 2), np.int64)
        for i, item in enumerate(items):
            try:
                counts = item["counts"]
                h, w = item["size"]
                sizes[i] = operator.index(h), operator.index(w)
            except (TypeError, KeyError, ValueError, OverflowError) as error:
                raise ValueError(
                    f"mask {i}: must have 'counts' and 'size' [height, width] ({error!r})"
                ) from None
            if isinstance(counts, bytes | str):
                strings.append(counts)
            else:
                try:
                    plain.append((i, _check.integers(on_host(counts, "counts"), _check.UINT32, "counts")))
                except (TypeError, ValueError) as error:
                    raise ValueError(f"mask {i}: {error}") from None
                strings.append(b"")
        _check_device(device)
        counts, offsets = rle.from_strings(strings, backend=None if plain or device == "cpu" else "cuda")
        if plain:
            parts = [counts[a:b] for a, b in zip(offsets, offsets[1:], strict=False)]
            for i, own in plain:
                parts[i] = own
            offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
            counts = np.concatenate(parts)
            if device == "cuda":
                counts, offsets = to_gpu(counts), to_gpu(offsets)
        return cls._of(*rle.normalize(counts, offsets, sizes), sizes)

    @classmethod
    def concatenate(cls, parts: Iterable[Masks]) -> Masks:
        """All masks of all parts, in order."""
        whole = list(parts)
        if not whole:
            return cls.empty()
        _check_one_device(*whole)
        ends = list(accumulate((len(part.counts) for part in whole), initial=0))
        # The first offset is 0, and the last of each part is where the next one begins.
        offsets = [part.offsets[1:] + end for part, end in zip(whole, ends, strict=False)]
        xp = library(whole[0].counts)
        return cls._of(
            xp.concatenate(tuple(part.counts for part in whole)),
            xp.concatenate((whole[0].offsets[:1], *offsets)),
            np.concatenate([part.sizes for part in whole]),
        )

    @classmethod
    def empty(cls, sizes: ArrayLike = ()) -> Masks:
        """Masks without foreground, of sizes (N, 2); none by default."""
        size = _check.integers(on_host(sizes, "sizes"), _check.INT64, "sizes").reshape(-1, 2).copy()
        groups = np.zeros(len(size) + 1, np.int64)
        none = np.empty((0, 2), np.int64)
        return cls._of(*setops.merge(np.empty(0, np.uint32), np.zeros(1, np.int64), none, groups, size), size)

    # Giving masks back

    def decode(self, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """An (N, H, W) uint8 array of 0 and 1 (each image Fortran-ordered, as the runs are), or `out`, filled.

        `out` may be uint8, int8 or bool, of any strides. All masks must have one size.
        """
        return rle.decode(self.counts, self.offsets, self.sizes, out=out)

    def labels(self, values: ArrayLike | None = None, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """One (H, W) label image with 0 for background; where masks overlap, the later one wins.

        Parameters
        ----------
        values : (N,) integers, optional
            Label of each mask; 1 to N by default.
        out : (H, W) integer array, optional
            Painted upon; by default zeros of the smallest unsigned type that holds the values.
        """
        numbers = np.arange(1, len(self) + 1) if values is None else to_host(values)
        if out is None:
            if len(self) == 0:
                raise ValueError("out must be given when there are no masks: the image size is not known")
            low, high = (
                (0, len(self))
                if values is None
                else (int(numbers.min(initial=0)), int(numbers.max(initial=0)))
            )
            dtype = (
                np.min_scalar_type(high)
                if low >= 0
                else np.result_type(*map(np.min_scalar_type, (low, -1 - high)))
            )
            out = library(self.counts).zeros(tuple(self.sizes[0].tolist()), dtype)
        return rle.to_labels(self.counts, self.offsets, self.sizes, numbers, out)

    def to_coco(self, *, text: bool = False) -> list[dict[str, Any]]:
        """COCO RLEs, ``{"size": [h, w], "counts": bytes}``; str counts with text=True, as JSON needs.

        Of masks on a GPU only the strings travel, in one transfer: ``Masks.encode(images).to_coco()`` waits twice for
        the stream, for the number of runs and for the strings.
        """
        strings = rle.to_strings(self.counts, self.offsets)
        return [
            {"size": size, "counts": string.decode("ascii") if text else string}
            for size, string in zip(self.sizes.tolist(), strings, strict=True)
        ]

    def polygons(
        self,
        rule: str = "exact",
        connectivity: int = 8,
        *,
        max_distance: ArrayLike | None = None,
        max_area_change: float | None = None,
        min_iou: float | None = None,
    ) -> Polygons:
        """Outlines along pixel edges that give the masks back; see `maskmill.outlines.trace`.

        "exact": with holes, for even-odd and non-zero filling; "coco": for COCO's own rasteriser. With limits, to the
        distance in pixels, the share of the area, the IoU after filling again: with as few points as they allow; see
        `maskmill.vectorize.trace`, which also says what was lost.
        """
        if max_distance is max_area_change is min_iou is None:
            return outlines.trace(self.counts, self.offsets, self.sizes, rule, connectivity)
        return vectorize.trace(
            self.counts,
            self.offsets,
            self.sizes,
            rule,
            connectivity,
            max_distance=max_distance,
            max_area_change=max_area_change,
            min_iou=min_iou,
        ).polygons

    # What they are like

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def area(self) -> NDArray[np.uint64]:
        """Foreground pixels, (N,) uint64."""
        return rle.area(self.counts, self.offsets)

    @property
    def bbox(self) -> NDArray[np.float64]:
        """(N, 4) float64: x, y, width, height of the foreground in pixels; zeros for empty masks."""
        return rle.bbox(self.counts, self.offsets, self.sizes)

    @property
    def nbytes(self) -> int:
        return self.counts.nbytes + self.offsets.nbytes + self.sizes.nbytes

    def iou(self, other: Masks, iscrowd: ArrayLike | None = None) -> NDArray[np.float64]:
        """(len(self), len(other)) intersection over union; over the own area where `iscrowd[other]`."""
        _check_one_device(self, other)
        return overlap.iou(self._arrays, other._arrays, iscrowd)

    def intersection_area(self, other: Masks) -> NDArray[np.uint64]:
        """(len(self), len(other)) pixels in common."""
        _check_one_device(self, other)
        return overlap.intersection(self._arrays, other._arrays)

    def nms(self, threshold: float, scores: ArrayLike | None = None) -> NDArray[np.int64]:
        """Indices of the masks that stay, best first, when each removes later ones of IoU above `threshold`.

        The order is that of falling scores (stable), or as given.
        """
        order: Any = np.arange(len(self))
        if scores is not None:
            order = np.argsort(-np.asarray(to_host(scores), float), kind="stable")
        if len(order) != len(self):
            raise ValueError(f"scores must have {len(self)} elements, not {len(order)}")
        stay = overlap.nms(*self[order]._arrays, threshold)
        kept: NDArray[np.int64] = library(stay).asarray(order)[stay]
        return kept

    def measure(self, *, scale: ArrayLike = 1.0, largest: bool = False) -> dict[str, NDArray[Any]]:
        """Areas, axes, perimeters, rectangles, Feret diameters ... of each mask, as a dict of columns; see
        `maskmill.measures.measure`."""
        return measures.measure(self, scale=scale, largest=largest)

    # Set operations

    def _pairs(self, other: object, op: str) -> Masks:
        if not isinstance(other, Masks):
            return NotImplemented  # type: ignore[no-any-return]  # as Python's operators do
        _check_one_device(self, other)
        a, b = self, other
        if len(a) != len(b) and 1 in (len(a), len(b)):  # one mask with many
            a, b = (a[np.zeros(len(b), np.int64)], b) if len(a) == 1 else (a, b[np.zeros(len(a), np.int64)])
        return Masks._of(*setops.pairs(a._arrays, b._arrays, op), a.sizes)

    def __or__(self, other: Masks) -> Masks:
        return self._pairs(other, "union")

    def __and__(self, other: Masks) -> Masks:
        return self._pairs(other, "intersection")

    def __xor__(self, other: Masks) -> Masks:
        return self._pairs(other, "xor")

    def __sub__(self, other: Masks) -> Masks:
        return self._pairs(other, "difference")

    def __invert__(self) -> Masks:
        return Masks._of(*setops.complement(*self._arrays), self.sizes)

    def merge(self, groups: ArrayLike, op: str = "union") -> Masks:
        """Merge runs of consecutive masks: result g is ``op`` over masks ``groups[g]`` to ``groups[g + 1] - 1``.

        op : {"union", "intersection", "xor", "difference"}. Groups must not be empty here.
        """
        starts = _check.integers(on_host(groups, "groups"), _check.INT64, "groups")
        if np.any(starts[1:] <= starts[:-1]):
            raise ValueError("groups must rise: an empty group has no image size")
        sizes = np.ascontiguousarray(self.sizes[starts[:-1]])
        return Masks._of(*setops.merge(*self._arrays, starts, sizes, op), sizes)

    def _reduce(self, op: str) -> Masks:
        return self.merge([0, len(self)], op) if len(self) else self

    def union(self) -> Masks:
        """One mask: the union of all (none of none)."""
        return self._reduce("union")

    def intersection(self) -> Masks:
        """One mask: the intersection of all (none of none)."""
        return self._reduce("intersection")

    # Moving

    def crop(self, boxes: ArrayLike, *, fill: bool = False) -> Masks:
        """Each mask seen through a box (x, y, width, height), one for all or (N, 4), which may reach beyond the image
        into `fill`. The results have the size of the boxes."""
        return Masks._of(*geometry.window(*self._arrays, boxes, fill=fill))

    def tiles(
        self, boxes: ArrayLike, *, min_visible: float = 0.0
    ) -> tuple[Masks, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """All masks of one image seen through many boxes (y0, y1, x0, x1), as `maskmill.patches.grid` gives them.

        Returns the parts that are seen, and of each: its box, its mask, and the share of the mask that is visible;
        parts below `min_visible` are left out. See `maskmill.patches.crop_masks`.
        """
        found = patches.crop_masks(*self._arrays, boxes, min_visible=min_visible)
        return Masks._of(found.counts, found.offsets, found.sizes), found.box, found.mask, found.visible

    def pad(
        self, top: int = 0, bottom: int = 0, left: int = 0, right: int = 0, *, fill: bool = False
    ) -> Masks:
        """Add rows and columns (or remove, if negative)."""
        h, w = self.sizes[:, 0], self.sizes[:, 1]
        zero = np.zeros_like(h)
        return self.crop(
            np.stack([zero - left, zero - top, w + left + right, h + top + bottom], 1), fill=fill
        )

    def shift(self, dx: int = 0, dy: int = 0, *, fill: bool = False) -> Masks:
        """Move right by dx and down by dy within images of the same size."""
        h, w = self.sizes[:, 0], self.sizes[:, 1]
        zero = np.zeros_like(h)
        return self.crop(np.stack([zero - dx, zero - dy, w, h], 1), fill=fill)

    def flip(self, *, horizontal: bool = False, vertical: bool = False) -> Masks:
        """Mirror left-right, top-bottom, or both."""
        return Masks._of(*geometry.flip(*self._arrays, horizontal=horizontal, vertical=vertical))

    def transpose(self) -> Masks:
        """Exchange rows and columns."""
        return Masks._of(*geometry.transpose(*self._arrays))

    # Shape

    def components(self, connectivity: int = 8) -> tuple[Masks, NDArray[np.int64]]:
        """Connected components of all masks, and the mask each is of."""
        counts, offsets, parent = morphology.components(*self._arrays, connectivity)
        return Masks._of(counts, offsets, np.ascontiguousarray(self.sizes[parent])), parent

    def fill_holes(self, connectivity: int = 8) -> Masks:
        """Fill background that is not connected to the image border."""
        return Masks._of(*morphology.fill_holes(*self._arrays, connectivity), self.sizes)

    def remove_small(self, min_area: int, connectivity: int = 8) -> Masks:
        """Remove components of fewer than min_area pixels."""
        return Masks._of(*morphology.remove_small(*self._arrays, min_area, connectivity), self.sizes)

    def dilate(self, radius: float, shape: str = "disc") -> Masks:
        """All pixels within radius of the foreground ("disc": Euclidean, "square": Chebyshev)."""
        return Masks._of(*morphology.dilate(*self._arrays, radius, shape), self.sizes)

    def erode(self, radius: float, shape: str = "disc", border: bool = False) -> Masks:
        """Foreground farther than radius from the background (and from the image's outside if border)."""
        return Masks._of(*morphology.erode(*self._arrays, radius, shape, border), self.sizes)

    def boundary(self, radius: ArrayLike | None = None) -> Masks:
        """Foreground within radius (Chebyshev) of the background or the image's outside.

        By default as Boundary IoU takes it: 2 % of the image diagonal, rounded half to even, at least 1.
        """
        if radius is None:
            diagonal = np.sqrt(self.sizes[:, 0] ** 2 + self.sizes[:, 1] ** 2)
            radius = np.maximum(1, np.round(0.02 * diagonal)).astype(np.int64)
        return Masks._of(*morphology.boundary(*self._arrays, radius), self.sizes)

    # Selecting

    @property
    def _arrays(self) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
        return self.counts, self.offsets, self.sizes

    def __getitem__(self, key: Any) -> Masks:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._slice(start, max(start, stop))
            index = np.arange(start, stop, step)
        elif isinstance(key, int | np.integer):
            try:
                start = range(len(self))[key]
            except IndexError:
                raise IndexError(f"mask {key} of {len(self)}") from None
            return self._slice(start, start + 1)
        else:
            index = to_host(key)
            if index.dtype == bool:
                if index.shape != (len(self),):
                    raise IndexError(f"a boolean index must have shape ({len(self)},), not {index.shape}")
                index = np.flatnonzero(index)
            elif index.size == 0:
                index = index.astype(np.int64).ravel()
            elif index.dtype.kind not in "ui" or index.ndim != 1:
                raise IndexError(
                    f"an index must be integers in one dimension, not {index.dtype} in {index.ndim}"
                )
        bounds = to_host(self.offsets)
        lengths = np.diff(bounds)[index]
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        # Position k of the result is k - (its mask's new start) + (its mask's old start).
        shifts = bounds[:-1][index] - offsets[:-1]
        sizes = np.ascontiguousarray(self.sizes[index])
        if self.device == "cpu":
            return Masks._of(self.counts[np.arange(offsets[-1]) + np.repeat(shifts, lengths)], offsets, sizes)
        xp = library(self.counts)
        ends, place = xp.asarray(offsets), xp.arange(int(offsets[-1]))
        owner = xp.searchsorted(ends, place, side="right") - 1
        return Masks._of(self.counts[place + xp.asarray(shifts)[owner]], ends, sizes)

    def __iter__(self) -> Iterator[Masks]:
        bounds = to_host(self.offsets).tolist()
        return (self._part(i, i + 1, *bounds[i : i + 2]) for i in range(len(self)))

    def _slice(self, start: int, stop: int) -> Masks:
        return self._part(start, stop, *_ends(self.offsets[start : stop + 1]))

    def _part(self, start: int, stop: int, first: int, last: int) -> Masks:
        """Masks start to stop - 1, which are runs first to last - 1."""
        bounds = self.offsets[start : stop + 1]
        return Masks._of(self.counts[first:last], bounds - first if first else bounds, self.sizes[start:stop])

    def equals(self, other: Masks) -> bool:
        """Whether there are as many masks on both sides, with the same sizes and the same pixels."""
        _check_one_device(self, other)
        if len(self.counts) != len(other.counts) or not np.array_equal(self.sizes, other.sizes):
            return False
        if self.device == "cpu":
            return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.counts, other.counts)
        same = (self.offsets == other.offsets).all() & (self.counts == other.counts).all()
        return bool(to_host(same))

    def __eq__(self, other: object) -> bool:
        return self.equals(other) if isinstance(other, Masks) else NotImplemented

    def __copy__(self) -> Masks:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Masks:
        return Masks._of(self.counts.copy(), self.offsets.copy(), self.sizes.copy())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled on the host: who reads it may have no GPU."""
        return Masks._of, (
            np.array(to_host(self.counts)),
            np.array(to_host(self.offsets)),
            np.array(self.sizes),
        )

    # Files and frames

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an `.npz` file (uncompressed, so that `load` can map it), by way of a temporary name beside it."""
        from maskmill._files import write_npz, written_whole

        counts, offsets = to_host(self.counts), to_host(self.offsets)
        with written_whole(Path(path)) as file:
            write_npz(file, {"counts": counts, "offsets": offsets, "sizes": self.sizes})

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = False) -> Masks:
        """Read what `save` wrote; with mmap=True the arrays stay on disk and are read as needed.

        Raises
        ------
        FormatError
            If the file is not such an `.npz`, is cut short, or holds masks that are not valid.
        """
        from maskmill._files import FormatError, read_npz

        arrays = read_npz(Path(path), ("counts", "offsets", "sizes"), mmap=mmap)
        try:
            return cls(arrays["counts"], arrays["offsets"], arrays["sizes"])
        except (TypeError, ValueError) as error:
            raise FormatError(f"{path}: {error}") from None

    def to_arrow(self) -> pa.Table:
        """A table with columns height, width (int64) and counts (large_list<uint32>), sharing memory."""
        from maskmill._files import need

        pa = need("pyarrow", "arrow")
        counts = pa.LargeListArray.from_arrays(
            pa.array(to_host(self.offsets)), pa.array(to_host(self.counts))
        )
        columns = [pa.array(self.sizes[:, 0]), pa.array(self.sizes[:, 1]), counts]
        return pa.table(columns, names=["height", "width", "counts"])

    @classmethod
    def from_arrow(cls, table: Any) -> Masks:
        """From a table as `to_arrow` makes it (other columns are ignored)."""
        from maskmill._files import need

        pa = need("pyarrow", "arrow")
        missing = [name for name in ("height", "width", "counts") if name not in table.column_names]
        if missing:
            raise ValueError(
                f"the table has no column {', '.join(map(repr, missing))}, only {table.column_names}"
            )
        column = table["counts"].combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = (
                pa.concat_arrays(column.chunks)
                if column.num_chunks
                else pa.array([], pa.large_list(pa.uint32()))
            )
        if column.null_count:
            raise ValueError(f"counts must not be null, but {column.null_count} are")
        offsets = np.asarray(column.offsets).astype(np.int64)
        sizes = np.stack([np.asarray(table["height"]), np.asarray(table["width"])], 1)
        return cls(np.asarray(column.values), offsets, sizes)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write `to_arrow()` to a Parquet file, by way of a temporary name beside it."""
        from maskmill._files import need, written_whole

        parquet = need("pyarrow.parquet", "arrow")
        with written_whole(Path(path)) as file:
            parquet.write_table(self.to_arrow(), file)

    @classmethod
    def from_parquet(cls, path: str | os.PathLike[str]) -> Masks:
        """Read what `to_parquet` wrote."""
        from maskmill._files import FormatError, need

        parquet = need("pyarrow.parquet", "arrow")
        try:
            return cls.from_arrow(parquet.read_table(path))
        except FileNotFoundError:
            raise
        except (ValueError, TypeError, OSError) as error:
            raise FormatError(f"{path}: {error}") from None

    # Looking

    def __repr__(self) -> str:
        n = len(self)
        if n == 0:
            return "Masks(0 masks)"
        count = f"{n:,} mask{'' if n == 1 else 's'}"
        if np.all(self.sizes == self.sizes[0]):
            size = f"{self.sizes[0, 0]} x {self.sizes[0, 1]} pixels"
        else:
            low, high = self.sizes.min(0), self.sizes.max(0)
            size = f"{low[0]} x {low[1]} to {high[0]} x {high[1]} pixels"
        pixels = int((self.sizes[:, 0] * self.sizes[:, 1]).sum())
        share = 100 * float(to_host(self.area).sum()) / pixels if pixels else 0.0
        return f"Masks({count}, {size}, {len(self.counts):,} runs, {share:.3g} % foreground)"

    def _repr_png_(self) -> bytes | None:
        """What Jupyter shows: the first masks in colours, scaled down; only the `repr` where there is no OpenCV."""
        from maskmill._picture import contact_sheet

        try:
            return contact_sheet(self.to("cpu"))
        except ImportError:
            return None


def coco_rles(images: ArrayLike, *, order: str = "NHW", text: bool = False) -> list[dict[str, Any]]:
    """COCO RLEs of binary images: ``Masks.encode(images, order=order).to_coco(text=text)``.

    Of images on a GPU only the strings travel to the host.

    Parameters
    ----------
    images : (N, H, W) or (H, W) array of bool or integers; nonzero is foreground
    order : {"NHW", "HWN"}
        Which axis of a 3-D array counts images.
    text : bool
        Whether counts are str, as JSON needs, or bytes, as pycocotools gives them.

    Examples
    --------
    >>> import maskmill
    >>> maskmill.coco_rles([[[0, 1], [1, 1]], [[0, 0], [0, 0]]], text=True)
    [{'size': [2, 2], 'counts': '13'}, {'size': [2, 2], 'counts': '4'}]
    """
    return Masks.encode(images, order=order).to_coco(text=text)
