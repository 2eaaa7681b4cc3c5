"""Patches of images and volumes: grids of boxes, extraction, planes of all three axes, statistics.

Arrays on a GPU are cut and stitched there. What says where, boxes, tiles and slices, is best left on the host, as
`grid` makes it: from a GPU it is brought there.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check, geometry, rle
from maskmill._backend import BackendError, kernels
from maskmill._device import as_array, as_output, is_on_gpu, library, to_host

__all__ = ["MaskTiles", "Stats", "crop_masks", "extract", "grid", "planes", "stats", "stitch"]

EDGES = {"ragged": 0, "drop": 1, "shift": 2, "pad": 3, "cem": 4}
BLENDS = {"mean": 0, "linear": 0, "hann": 0, "gaussian": 0, "max": 1, "last": 2}
PADS = {"constant": 0, "edge": 1, "reflect": 2}
_MOST = 1 << 62
"""Of lengths: sums of two then fit in 64 bits."""


def grid(
    shape: Sequence[int],
    size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    *,
    edge: str = "ragged",
    min_size: int | Sequence[int] = 1,
) -> NDArray[np.int64]:
    """Boxes that cover an image or a volume.

    Parameters
    ----------
    shape : (H, W) or (D, H, W)
    size : one for all axes, or one for each, at least 1
    stride : from box to box; the size by default
    edge : {"ragged", "drop", "shift", "pad", "cem"}
        The last box of an axis: "ragged", cut off where the array ends; "drop", only whole boxes; "shift", moved back
        so that it is whole; "pad", reaching beyond the array; "cem", as CEM500K has it:
        ``max(1, round(length / size))`` boxes, halves to even, so that a remainder of more than half a box becomes a
        smaller one, and a lesser one is dropped.
    min_size : boxes with a shorter side are left out

    Returns
    -------
    (N, 4) or (N, 6) int64
        Half-open ranges, [z0, z1,] y0, y1, x0, x1; row by row, the last axis fastest. None where the array is empty.

    Raises
    ------
    ValueError
        If a size is not positive, if "shift" finds less than one box, or if "cem" is given a stride.

    Examples
    --------
    >>> from maskmill import patches
    >>> patches.grid((5, 7), 4).tolist()
    [[0, 4, 0, 4], [0, 4, 4, 7], [4, 5, 0, 4], [4, 5, 4, 7]]
    >>> patches.grid((5, 7), 4, edge="cem").tolist()
    [[0, 4, 0, 4], [0, 4, 4, 7]]
    """
    lengths = _per_axis(shape, "shape", 0)
    if len(lengths) not in (2, 3):
        raise ValueError(f"shape must have 2 or 3 lengths, not {len(lengths)}")
    _check.choice(edge, "edge", EDGES)
    sizes = _per_axis(size, "size", 1, len(lengths))
    strides = sizes if stride is None else _per_axis(stride, "stride", 1, len(lengths))
    least = _per_axis(min_size, "min_size", 1, len(lengths))
    if edge == "cem" and strides != sizes:
        raise ValueError('stride must not be given with edge="cem"')
    if 0 in lengths:
        return np.empty((0, 2 * len(lengths)), np.int64)
    every = [_ranges(*axis, edge) for axis in zip(lengths, sizes, strides, strict=True)]
    every = [axis[axis[:, 1] - axis[:, 0] >= low] for axis, low in zip(every, least, strict=True)]
    index = np.indices([len(axis) for axis in every]).reshape(len(every), -1)
    return np.concatenate([axis[i] for axis, i in zip(every, index, strict=True)], axis=1)


def _per_axis(value: int | Sequence[int], name: str, low: int, axes: int | None = None) -> list[int]:
    """One integer for each axis."""
    try:
        if axes is not None and np.ndim(value) == 0:
            numbers = [operator.index(value)] * axes  # type: ignore[arg-type]
        else:
            numbers = [operator.index(v) for v in value]  # type: ignore[union-attr]
    except TypeError:
        raise TypeError(f"{name} must be integers, not {value!r}") from None
    if axes is not None and len(numbers) != axes:
        raise ValueError(f"{name} must be one integer or {axes}, not {len(numbers)}")
    if min(numbers, default=low) < low:
        raise ValueError(f"{name} must be at least {low}, not {min(numbers)}")
    if max(numbers, default=low) > _MOST:
        raise ValueError(f"{name} must be at most {_MOST}, not {max(numbers)}")
    return numbers


def _ranges(length: int, size: int, stride: int, edge: str) -> NDArray[np.int64]:
    """(n, 2) ranges along one axis."""
    if edge == "cem":
        n = max(1, round(length / size))
    elif edge == "drop":
        n = max(0, (length - size) // stride + 1)
    else:
        n = max(0, -(-(length - size) // stride)) + 1
    starts = np.arange(n, dtype=np.int64) * stride
    starts = starts[starts < length]
    if edge == "shift":
        if size > length:
            raise ValueError(
                f'size must be at most {length}, the length of the axis, with edge="shift", not {size}'
            )
        starts = np.minimum(starts, length - size)
    ends = starts + size
    return np.stack([starts, ends if edge == "pad" else np.minimum(ends, length)], 1)


def extract(
    array: ArrayLike,
    boxes: ArrayLike,
    *,
    out: NDArray[Any] | None = None,
    mode: str = "constant",
    fill: ArrayLike = 0,
    backend: str | None = None,
) -> NDArray[Any] | list[NDArray[Any]]:
    """Copy boxes out of an image or a volume.

    Parameters
    ----------
    array : (H, W), (H, W, C), (D, H, W) or (D, H, W, C)
        Of any dtype and strides.
    boxes : (N, 4) or (N, 6) integers
        As `grid` gives them; may reach beyond the array.
    out : C-contiguous array of the array's dtype, optional
        Filled; any shape with as many elements as all patches. Fresh memory costs more than the copy: give one for
        batch after batch.
    mode : {"constant", "edge", "reflect"}
        What lies outside: `fill`, the nearest element, or the array mirrored about its first and last elements.
    fill : one value, or one for each channel

    Returns
    -------
    (N, h, w[, C]) or (N, d, h, w[, C]), or a list of N arrays where boxes have several sizes
        Views of `out`, if that was given.

    Raises
    ------
    ValueError
        If a box ends before it begins; names the box.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import patches
    >>> image = np.arange(12).reshape(3, 4)
    >>> patches.extract(image, [[0, 2, 0, 2], [2, 4, 3, 5]], fill=-1).tolist()
    [[[0, 1], [4, 5]], [[11, -1], [-1, -1]]]
    """
    source, box = as_array(array), _boxes(boxes)
    pad = _check.choice(mode, "mode", PADS)
    axes = box.shape[1] // 2
    if source.ndim - axes not in (0, 1):
        raise ValueError(
            f"array must have {axes} axes, or {axes + 1} with channels, for boxes of shape {box.shape}, "
            f"not shape {source.shape}"
        )
    channels = source.shape[axes:]
    shapes = np.maximum(box[:, 1::2] - box[:, ::2], 0)
    size = _one_size(shapes)
    if out is None:
        out = library(source).empty(_elements(shapes, size, channels), source.dtype)
    out = _output(out, source.dtype)
    kernels(backend, source, out).patches_extract(source, box, out, pad, _fill(fill, source, channels))
    if size is not None:
        return out.reshape(len(box), *size, *channels)
    return _apart(out.reshape(-1), shapes, channels)


def _boxes(boxes: ArrayLike) -> NDArray[np.int64]:
    box = _check.integers(to_host(boxes), _check.INT64, "boxes")
    if box.ndim != 2 or box.shape[1] not in (4, 6):
        raise ValueError(f"boxes must have shape (N, 4) or (N, 6), not {box.shape}")
    return box


def _one_size(shapes: NDArray[np.int64]) -> list[int] | None:
    """The size of all boxes, None where they have several. For a few, Python is quicker than NumPy."""
    if len(shapes) == 0:
        return [0] * shapes.shape[1]
    if len(shapes) > 64:
        return shapes[0].tolist() if (shapes == shapes[0]).all() else None
    every: list[list[int]] = shapes.tolist()
    return every[0] if every.count(every[0]) == len(every) else None


def _elements(shapes: NDArray[np.int64], size: list[int] | None, channels: tuple[int, ...]) -> int:
    """Of all patches together, in Python's integers, which do not overflow."""
    cells = len(shapes) * math.prod(size) if size is not None else sum(map(math.prod, shapes.tolist()))
    return cells * math.prod(channels)


def _output(out: Any, dtype: np.dtype[Any]) -> Any:
    if not isinstance(out, np.ndarray) and not is_on_gpu(out):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    out = as_output(out)
    if out.dtype != dtype:
        raise TypeError(f"out must be {dtype}, not {out.dtype}")
    return out


def _fill(value: Any, source: NDArray[Any], channels: tuple[int, ...]) -> NDArray[Any]:
    """One element, or one for each channel, of the array's dtype."""
    if type(value) is int and value == 0:
        return _zero(source.dtype, channels)
    given = to_host(value)
    if source.dtype.kind in "ui" and given.size:
        limits = np.iinfo(source.dtype)
        if given.dtype.kind not in "bui" or int(given.min()) < limits.min or int(given.max()) > limits.max:
            raise ValueError(f"fill must fit {source.dtype}, not {value!r}")
    try:
        return np.ascontiguousarray(np.broadcast_to(given.astype(source.dtype), channels))
    except ValueError:
        raise ValueError(
            f"fill must be one value, or one for each channel, not of shape {given.shape}"
        ) from None


@lru_cache(maxsize=64)
def _zero(dtype: np.dtype[Any], channels: tuple[int, ...]) -> NDArray[Any]:
    zero: NDArray[Any] = np.zeros(channels, dtype)
    zero.flags.writeable = False
    return zero


def _apart(flat: NDArray[Any], shapes: NDArray[np.int64], channels: tuple[int, ...]) -> list[NDArray[Any]]:
    """Patches of several sizes, that lie one behind the other."""
    each = shapes.prod(1) * math.prod(channels)
    ends = np.cumsum(each)
    return [
        flat[end - n : end].reshape(*shape, *channels)
        for end, n, shape in zip(ends.tolist(), each.tolist(), shapes.tolist(), strict=True)
    ]


def stitch(
    patches: ArrayLike | Sequence[ArrayLike],
    boxes: ArrayLike,
    shape: Sequence[int] | None = None,
    *,
    blend: str = "mean",
    out: NDArray[Any] | None = None,
    backend: str | None = None,
) -> NDArray[Any]:
    """Put patches back where they were, blended where they overlap: the inverse of `extract`.

    Parameters
    ----------
    patches : (N, h, w[, C]) or (N, d, h, w[, C]), or a list of N arrays
        bool, integers of at most 32 bits, float32 or float64.
    boxes : (N, 4) or (N, 6) integers
        What reaches beyond the array is ignored.
    shape : (H, W) or (D, H, W)
        Of the array to make; channels are those of the patches.
    blend : {"mean", "linear", "hann", "gaussian", "max", "last"}
        How much each patch counts where several meet. "mean": all the same; the next three: less towards the edges of
        the patch, as a triangle, a Hann window, or a Gaussian whose standard deviation is an eighth of the side.
        "max": the greatest value; "last": that of the last patch.
    out : C-contiguous array, optional
        Laid upon, instead of a new array of zeros.

    Returns
    -------
    (H, W[, C]) or (D, H, W[, C])
        Of the patches' dtype. Means are computed in float64, and rounded to the nearest integer, halves to even, for
        integers. Where patches agree, their value is given back exactly.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import patches
    >>> patches.stitch(np.uint8([[[1, 4, 4]], [[8, 9, 9]]]), [[0, 1, 0, 3], [0, 1, 2, 5]], (1, 6)).tolist()
    [[1, 4, 6, 9, 9, 0]]
    """
    box = _boxes(boxes)
    number = _check.choice(blend, "blend", BLENDS)
    axes = box.shape[1] // 2
    shapes = np.maximum(box[:, 1::2] - box[:, ::2], 0)
    flat, channels = _flat(patches, shapes)
    if out is None:
        if shape is None:
            raise ValueError("shape must be given, or out")
        lengths = _per_axis(shape, "shape", 0)
        if len(lengths) != axes:
            raise ValueError(
                f"shape must have {axes} lengths for boxes of shape {box.shape}, not {len(lengths)}"
            )
        out = library(flat).zeros((*lengths, *channels), flat.dtype)
    elif out.ndim != axes + len(channels) or out.shape[axes:] != channels:
        raise ValueError(f"out must have {axes} axes and channels {channels}, not shape {out.shape}")
    written = _output(out, flat.dtype)
    # Boxes of nothing may be long; they need no window.
    empty = (box[:, 1::2] == box[:, ::2]).any(1) & (box[:, 1::2] >= box[:, ::2]).all(1)
    box = np.where(empty[:, np.newaxis], 0, box)
    lengths_, index = np.unique(np.maximum(box[:, 1::2] - box[:, ::2], 0), return_inverse=True)
    ends = np.cumsum(lengths_)
    windows = np.concatenate([np.empty(0), *(_window(int(n), blend) for n in lengths_)])
    starts = np.ascontiguousarray((ends - lengths_)[index].reshape(shapes.shape))
    as_bytes = flat.dtype == bool
    values, target = (a.view(np.uint8) if as_bytes else a for a in (flat, written))
    kernels(backend, values, target).patches_stitch(values, box, windows, starts, number, target)
    return out


def _flat(
    patches: ArrayLike | Sequence[ArrayLike], shapes: NDArray[np.int64]
) -> tuple[NDArray[Any], tuple[int, ...]]:
    """All patches one behind the other, and their channels."""
    whole = isinstance(patches, np.ndarray) or is_on_gpu(patches)
    parts: list[Any] = [as_array(patch) for patch in ([patches] if whole else patches)]  # type: ignore[union-attr]
    axes = shapes.shape[1]
    found: list[tuple[int, ...]]
    if whole:
        found = [parts[0].shape[1:]] * len(parts[0])
    else:
        found = [part.shape for part in parts]
    if len(found) != len(shapes):
        raise ValueError(f"there must be as many patches as boxes, {len(shapes)}, not {len(found)}")
    channels = found[0][axes:] if found else ()
    if len(channels) > 1:
        raise ValueError(f"patches must have {axes} axes, or {axes + 1} with channels, not shape {found[0]}")
    for i, (got, expected) in enumerate(zip(found, shapes.tolist(), strict=True)):
        if got != (*expected, *channels):
            raise ValueError(
                f"patch {i}: must have the shape of its box, {(*expected, *channels)}, not {got}"
            )
    if len({part.dtype for part in parts}) > 1:
        raise TypeError("patches must all have one dtype")
    if not parts:
        return np.empty(0), ()
    there = library(parts[0])
    flat = [there.ascontiguousarray(part).reshape(-1) for part in parts]
    return flat[0] if len(flat) == 1 else there.concatenate(flat), channels


def _window(n: int, blend: str) -> NDArray[np.float64]:
    """Weights along one side, all above 0."""
    i = np.arange(n, dtype=np.float64)
    if blend == "linear":
        return np.minimum(i + 1, n - i)
    if blend == "hann":
        return np.sin(np.pi * (i + 0.5) / n) ** 2
    if blend == "gaussian":
        return np.exp(-0.5 * ((i - (n - 1) / 2) / (n / 8)) ** 2)
    return np.ones(n)


def planes(
    volume: ArrayLike,
    axis: int,
    tiles: ArrayLike,
    slices: ArrayLike,
    *,
    out: NDArray[Any] | None = None,
    backend: str | None = None,
) -> NDArray[Any]:
    """Copy tiles of many planes across one axis of a volume.

    For all three axes, read a block of the volume once and call this three times: the block stays in the cache.

    Parameters
    ----------
    volume : (D, H, W)
        Of any dtype and strides.
    axis : {0, 1, 2}
        0: xy planes, rows are y and columns x; 1: xz, rows are z; 2: yz, rows are z and columns y.
    tiles : (T, 4) integers
        r0, r1, c0, c1 within the plane, all of one size.
    slices : (S,) integers
        Where along the axis. Neighbours are copied together: give them in rising order.
    out : C-contiguous array of T * S * h * w elements of the volume's dtype, optional

    Returns
    -------
    (T, S, h, w)

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import patches
    >>> volume = np.arange(24).reshape(2, 3, 4)
    >>> patches.planes(volume, 2, [[0, 2, 0, 3]], [1, 3])[0].tolist()
    [[[1, 5, 9], [13, 17, 21]], [[3, 7, 11], [15, 19, 23]]]
    """
    source, tile, index = _planes(volume, axis, tiles, slices)
    shape = (
        len(tile),
        len(index),
        *(np.maximum(tile[0, 1::2] - tile[0, ::2], 0).tolist() if len(tile) else (0, 0)),
    )
    if out is None:
        out = library(source).empty(shape, source.dtype)
    out = _output(out, source.dtype)
    kernels(backend, source, out).patches_planes(source, int(axis), tile, index, out)
    return out.reshape(shape)


def _planes(
    volume: ArrayLike, axis: int, tiles: ArrayLike, slices: ArrayLike
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    source = as_array(volume)
    if source.ndim != 3:
        raise ValueError(f"volume must have shape (D, H, W), not {source.shape}")
    if axis not in (0, 1, 2):
        raise ValueError(f"axis must be 0, 1 or 2, not {axis!r}")
    tile = _check.integers(to_host(tiles), _check.INT64, "tiles")
    if tile.size == 0:
        tile = tile.reshape(0, 4)
    if tile.ndim != 2 or tile.shape[1] != 4:
        raise ValueError(f"tiles must have shape (T, 4), not {tile.shape}")
    index = _check.integers(to_host(slices), _check.INT64, "slices")
    if index.ndim != 1:
        raise ValueError(f"slices must be a vector, not of shape {index.shape}")
    return source, tile, index


class Stats(NamedTuple):
    """What `stats` finds, a column each; patches in the order of `planes`, tile by tile."""

    min: NDArray[Any]
    """(T * S,) least value, of the volume's dtype."""
    max: NDArray[Any]
    """Greatest value."""
    mean: NDArray[np.float64]
    at_min: NDArray[np.float64]
    """Share of pixels that equal the least value of their patch."""
    at_max: NDArray[np.float64]
    padding: NDArray[np.float64]
    """Share of pixels that equal `padding`; zeros where none was given."""


def stats(
    volume: ArrayLike,
    axis: int,
    tiles: ArrayLike,
    slices: ArrayLike,
    *,
    padding: float | None = None,
    backend: str | None = None,
) -> Stats:
    """Describe tiles of many planes, without copying them: which are flat, saturated or mostly padding.

    Parameters
    ----------
    volume, axis, tiles, slices : as in `planes`
        Integers of at most 32 bits, bool, float32 or float64. NaN is neither least nor greatest, and makes
        the mean NaN.
    padding : value that stands for no data

    Returns
    -------
    Stats
        Columns min, max, mean, at_min, at_max, padding; the last three are shares of the pixels, 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import patches
    >>> volume = np.array([[[0, 0, 0, 8]]], np.uint8)
    >>> found = patches.stats(volume, 0, [[0, 1, 0, 4]], [0], padding=0)
    >>> found.mean.tolist(), found.padding.tolist()
    ([2.0], [0.75])
    """
    source, tile, index = _planes(volume, axis, tiles, slices)
    numbers = source.view(np.uint8) if source.dtype == bool else source
    value = np.nan if padding is None else float(padding)
    columns = kernels(backend, numbers).patches_stats(numbers, int(axis), tile, index, value)
    return Stats(columns[0].astype(source.dtype), columns[1].astype(source.dtype), *columns[2:])


class MaskTiles(NamedTuple):
    """What `crop_masks` finds: the parts of masks that boxes show, by box, then by mask."""

    counts: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    """(K, 2) height and width of the boxes."""
    box: NDArray[np.int64]
    """(K,) which box a part is seen in."""
    mask: NDArray[np.int64]
    """(K,) which mask it is of."""
    visible: NDArray[np.float64]
    """(K,) share of the mask's pixels that the box shows, above 0 and at most 1."""


def crop_masks(
    counts: ArrayLike,
    offsets: ArrayLike,
    sizes: ArrayLike,
    boxes: ArrayLike,
    *,
    min_visible: float = 0.0,
    backend: str | None = None,
) -> MaskTiles:
    """See all masks of one image through many boxes; what a box does not show of a mask at all is left out.

    Parameters
    ----------
    counts, offsets, sizes : masks as in `maskmill.rle`, of one image size
    boxes : (N, 4) integers
        y0, y1, x0, x1, as `grid` gives them; may reach beyond the image.
    min_visible : parts that are a lesser share of their mask are left out

    Returns
    -------
    MaskTiles
        counts, offsets, sizes, box, mask, visible. Areas and bounding boxes are those of the parts: `rle.area`,
        `rle.bbox`. Only masks whose bounding box touches a box are looked at.

    Examples
    --------
    >>> from maskmill import patches, rle
    >>> tiles = patches.crop_masks(*rle.encode([[0, 1, 1, 1]]), patches.grid((1, 4), 2))
    >>> tiles.box.tolist(), tiles.mask.tolist(), rle.area(tiles.counts, tiles.offsets).tolist()
    ([0, 1], [0, 0], [1, 2])
    """
    if is_on_gpu(counts):
        raise BackendError(
            "crop_masks has no twin on the GPU; bring the masks to the host first: masks.to('cpu')"
        )
    runs = _check.masks(counts, offsets, sizes)
    box = _boxes(boxes)
    if box.shape[1] != 4:
        raise ValueError(f"boxes must have shape (N, 4), not {box.shape}")
    for i in np.flatnonzero((box[:, 1::2] < box[:, ::2]).any(1))[:1]:
        raise ValueError(f"box {i}: must end where it begins or behind, not {box[i].tolist()}")
    if len(runs[2]) and (runs[2] != runs[2][0]).any():
        raise ValueError("masks must all have one size: they are of one image")
    if not 0 <= min_visible <= 1:
        raise ValueError(f"min_visible must be within 0 and 1, not {min_visible}")
    seen, which = _touching(rle.bbox(*runs, backend=backend).astype(np.int64), box)
    strips, strip, left = _strips(*runs, which, box[seen, 2:])
    y0, y1, x0, x1 = box[seen].T
    xywh = np.stack([x0 - left, y0, x1 - x0, y1 - y0], 1)
    parts = geometry.window(*_taken(*strips, strip), xywh, backend=backend)
    shown = rle.area(*parts[:2], backend=backend)
    visible = shown / np.maximum(rle.area(*runs[:2], backend=backend)[which], 1)
    keep = np.flatnonzero((shown > 0) & (visible >= min_visible))
    return MaskTiles(*_taken(*parts, keep), seen[keep], which[keep], visible[keep])


def _touching(
    bbox: NDArray[np.int64], boxes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of boxes and masks whose bounding boxes meet, by box, then by mask."""
    x0, y0 = bbox[:, 0], bbox[:, 1]
    x1, y1 = x0 + bbox[:, 2], y0 + bbox[:, 3]
    pairs: list[NDArray[Any]] = [np.empty((0, 2), np.int64)]
    step = max(1, (1 << 22) // max(len(bbox), 1))  # a few MB at a time
    for first in range(0, len(boxes), step):
        top, bottom, left, right = boxes[first : first + step, :, np.newaxis].swapaxes(0, 1)
        meet = np.maximum(y0, top) < np.minimum(y1, bottom)
        meet &= np.maximum(x0, left) < np.minimum(x1, right)
        pairs.append(np.argwhere(meet) + [first, 0])
    found = np.concatenate(pairs)
    return np.ascontiguousarray(found[:, 0]), np.ascontiguousarray(found[:, 1])


def _strips(
    counts: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    sizes: NDArray[np.int64],
    which: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> tuple[_check.Masks, NDArray[np.int64], NDArray[np.int64]]:
    """The columns (P, 2) of masks `which` (P,), each strip of each mask once; the strip of every pair; where it begins.

    Runs go down the columns, so a strip is a piece of them: boxes above one another share it, and a mask with many runs
    is not copied for every box.
    """
    if len(which) == 0:
        return (counts[:0], np.zeros(1, np.int64), sizes[:0]), which, which
    h, w = sizes[0].tolist()
    x = np.clip(columns, 0, w)
    _, first, strip = np.unique(
        (which * (w + 1) + x[:, 0]) * (w + 1) + x[:, 1], return_index=True, return_inverse=True
    )
    mask, (x0, x1) = which[first], x[first].T
    ends = np.cumsum(counts, dtype=np.int64)  # all masks one behind the other
    begin, end = mask * (h * w) + x0 * h, mask * (h * w) + x1 * h
    low, high = np.searchsorted(ends, begin, "right"), np.searchsorted(ends, end, "left") + 1
    odd = (low - offsets[mask]) % 2  # begins with foreground: a run of zero pixels comes before it
    length = high - low + odd
    bounds = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    made = counts[np.maximum(np.arange(bounds[-1]) + np.repeat(low - odd - bounds[:-1], length), 0)]
    made[bounds[1:] - 1] -= (ends[high - 1] - end).astype(np.uint32)
    head = bounds[:-1] + odd
    made[head] -= (begin - (ends[low] - counts[low])).astype(np.uint32)
    made[bounds[:-1][odd == 1]] = 0
    size = np.stack([np.full_like(x0, h), x1 - x0], 1)
    return (made, bounds, size), strip, np.ascontiguousarray(x[:, 0])


def _taken(
    counts: NDArray[np.uint32], offsets: NDArray[np.int64], sizes: NDArray[np.int64], index: NDArray[np.int64]
) -> _check.Masks:
    """Some of the masks, in any order."""
    lengths = np.diff(offsets)[index]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    source = np.arange(ends[-1]) + np.repeat(offsets[:-1][index] - ends[:-1], lengths)
    return counts[source], ends, np.ascontiguousarray(sizes[index])
