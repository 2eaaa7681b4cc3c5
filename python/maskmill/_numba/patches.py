"""Patches of images and volumes: the twin of cpp/kernels/patches.hpp.

An array is seen as (z, y, x, channels) here: an image is one plane, and what has no channels has one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import Float64s, Int64s, check_array, compiled, size_text

Any4: TypeAlias = NDArray[Any]

FARTHEST = 2**31 - 1
MOST_ELEMENTS = 2**48
CONSTANT, EDGE, REFLECT = range(3)
MEAN, MAX, LAST = range(3)
NUMBERS = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")


# Extract


def patches_extract(array: Any4, boxes: Int64s, out: Any4, pad: int, fill: Any4) -> None:
    """Every box of the array, one behind the other; what lies outside is `fill`, or copied from within."""
    axes = _check_boxes(boxes)
    _check_plain("array", array)
    if array.ndim - axes not in (0, 1):
        raise ValueError("array must have the axes of the boxes, and channels behind them or not")
    if pad not in (CONSTANT, EDGE, REFLECT):
        raise ValueError("pad must be 0, 1 or 2")
    source = array if array.ndim > axes else array[..., np.newaxis]
    source = source if axes == 3 else source[np.newaxis]
    channels = source.shape[3]
    total = _elements(boxes)
    _check_out(out, array, total * channels)
    if fill.nbytes != array.itemsize * channels or not fill.flags.c_contiguous:
        raise ValueError("fill must be one element with its channels")
    _check_plain("fill", fill)
    flat = out.reshape(-1)
    cell = fill.reshape(-1)
    begin = 0
    for i, (low, high) in enumerate(_ranges(boxes)):
        size = high - low
        if 0 in size:
            continue
        if 0 in source.shape[:3] and pad != CONSTANT:
            raise ValueError(f"box {i}: there is nothing to pad with in an empty array")
        end = begin + int(size.prod()) * channels
        patch = flat[begin:end].reshape(*size, channels)
        # Along each axis: where the elements of the patch come from, -1 for nowhere.
        z, y, x = (_sources(low[axis], high[axis], source.shape[axis], pad) for axis in range(3))
        patch[...] = cell
        inside = np.ix_(z >= 0, y >= 0, x >= 0)
        patch[inside] = source[np.ix_(z[z >= 0], y[y >= 0], x[x >= 0])]
        begin = end


def _check_boxes(boxes: Int64s) -> int:
    """Refuse what are no boxes; how many axes they have."""
    check_array("boxes", boxes, np.int64)
    if boxes.ndim != 2 or boxes.shape[1] not in (4, 6):
        raise ValueError("boxes must have shape (N, 4) or (N, 6)")
    return int(boxes.shape[1]) // 2


def _check_plain(name: str, array: Any4) -> None:
    if array.dtype.hasobject:
        raise TypeError(f"{name} must not hold Python objects")


def _check_out(out: Any4, array: Any4, elements: int) -> None:
    _check_plain("out", out)
    if not out.flags.writeable:
        raise ValueError("out must be writeable")
    if out.dtype != array.dtype:
        raise TypeError("out must have the dtype of what is copied")
    if not out.flags.c_contiguous:
        raise ValueError("out must be C-contiguous")
    if out.size != elements:
        raise ValueError("out must have as many elements as the patches")


def _elements(boxes: Int64s) -> int:
    """Elements of all patches; refuses boxes that are out of order, or too large."""
    total = 0
    for i, box in enumerate(boxes.tolist()):
        elements = 1
        for low, high in zip(box[::2], box[1::2], strict=True):
            if not -FARTHEST <= low <= high <= FARTHEST:
                raise ValueError(
                    f"box {i}: must be a range within -{FARTHEST} and {FARTHEST}, not {low} to {high}"
                )
        for low, high in zip(box[::2], box[1::2], strict=True):
            elements *= high - low
        if elements > MOST_ELEMENTS:
            raise ValueError(f"box {i}: has more than 2^48 elements")
        total += elements
        if total > MOST_ELEMENTS:
            raise ValueError("patches have more than 2^48 elements")
    return total


def _ranges(boxes: Int64s) -> Iterator[tuple[Int64s, Int64s]]:
    """Low and high ends of every box in three axes."""
    for box in boxes:
        whole = np.concatenate([np.array([0, 1]), box])[-6:]
        yield whole[::2], whole[1::2]


def _sources(low: int, high: int, length: int, pad: int) -> Int64s:
    i = np.arange(low, high)
    if pad == EDGE:
        return np.clip(i, 0, length - 1)
    if pad == REFLECT:
        period = max(2 * length - 2, 1)
        return np.minimum(i % period, period - i % period)
    return np.where((i >= 0) & (i < length), i, -1)


# Planes across an axis of a volume


def patches_planes(volume: Any4, axis: int, tiles: Int64s, slices: Int64s, out: Any4) -> None:
    """(T, S, h, w): every tile of every slice."""
    planes = _planes_of(volume, axis, tiles, slices)
    r0, r1, c0, c1 = tiles[0].tolist() if len(tiles) else [0] * 4
    shape = len(tiles), len(slices), r1 - r0, c1 - c0
    _check_out(out, volume, math.prod(shape))
    patches = out.reshape(shape)
    for t, (r0, r1, c0, c1) in enumerate(tiles.tolist()):
        patches[t] = planes[slices, r0:r1, c0:c1]


def _planes_of(volume: Any4, axis: int, tiles: Int64s, slices: Int64s) -> Any4:
    """The volume with its planes first, once tiles and slices are known to lie within them."""
    check_array("tiles", tiles, np.int64)
    check_array("slices", slices, np.int64)
    if volume.ndim != 3:
        raise ValueError("volume must have shape (D, H, W)")
    _check_plain("array", volume)
    if axis not in (0, 1, 2):
        raise ValueError("axis must be 0, 1 or 2")
    if tiles.ndim != 2 or tiles.shape[1] != 4:
        raise ValueError("tiles must have shape (T, 4)")
    if slices.ndim != 1:
        raise ValueError("slices must be a vector")
    planes = np.moveaxis(volume, axis, 0)
    count, height, width = planes.shape
    for t, (r0, r1, c0, c1) in enumerate(tiles.tolist()):
        if not (0 <= r0 <= r1 <= height and 0 <= c0 <= c1 <= width):
            raise ValueError(
                f"tile {t}: must be ranges within the plane of {size_text((height, width))}, "
                f"not {r0} to {r1} and {c0} to {c1}"
            )
        first = tiles[0, 1] - tiles[0, 0], tiles[0, 3] - tiles[0, 2]
        if (r1 - r0, c1 - c0) != first:
            raise ValueError(
                f"tile {t}: must have the size of the first, {size_text(first)}, "
                f"not {size_text((r1 - r0, c1 - c0))}"
            )
    for s, index in enumerate(slices.tolist()):
        if not 0 <= index < count:
            raise ValueError(f"slice {s}: must be within 0 and {count - 1}, not {index}")
    return planes


def patches_stats(volume: Any4, axis: int, tiles: Int64s, slices: Int64s, padding: float) -> Float64s:
    """(6, T * S): least, greatest, mean; shares equal to the least, the greatest and the padding."""
    if volume.ndim == 3:
        _check_plain("array", volume)
        _check_numbers(volume)
    planes = _planes_of(volume, axis, tiles, slices)
    out = np.empty((6, len(tiles) * len(slices)))
    if out.size and (tiles[0, 0] == tiles[0, 1] or tiles[0, 2] == tiles[0, 3]):
        raise ValueError("tile 0: there is nothing to describe in no pixels")
    floats = volume.dtype.kind == "f"
    k = 0
    for r0, r1, c0, c1 in tiles.tolist():
        for s in slices.tolist():
            patch = np.ascontiguousarray(planes[s, r0:r1, c0:c1]).reshape(-1)
            # What is no number is neither least nor greatest.
            seen = patch[patch == patch] if floats else patch
            low = float(seen.min(initial=np.inf)) if floats else float(patch.min())
            high = float(seen.max(initial=-np.inf)) if floats else float(patch.max())
            total = _sum_in_order(patch) if floats else float(patch.sum(dtype=np.int64))
            exact = patch.astype(np.float64)  # no value is rounded to a type that has it not
            same = [np.count_nonzero(exact == value) for value in (low, high, padding)]
            # No zero is negative: which one NumPy finds depends on the machine.
            out[:, k] = low + 0.0, high + 0.0, total / patch.size, *(count / patch.size for count in same)
            k += 1
    return out


@compiled
def _sum_in_order(values: Any4) -> float:
    """NumPy adds in another order, and floats care."""
    total = 0.0
    for value in values:
        total += np.float64(value)
    return total


def _check_numbers(array: Any4) -> None:
    """Refuse types whose values float64 cannot hold."""
    if array.dtype.str[1:] not in NUMBERS or not array.dtype.isnative:
        raise TypeError(
            "values must be integers of at most 32 bits, float32 or float64, in native byte order, "
            f"not {array.dtype}"
        )


# Stitch


def patches_stitch(
    patches: Any4, boxes: Int64s, windows: Float64s, starts: Int64s, blend: int, out: Any4
) -> None:
    """Patches laid into `out`; what no patch covers stays as it is."""
    axes = _check_boxes(boxes)
    _check_numbers(patches)
    _check_plain("array", out)
    if out.ndim - axes not in (0, 1):
        raise ValueError("array must have the axes of the boxes, and channels behind them or not")
    elements = _elements(boxes)
    if blend not in (MEAN, MAX, LAST):
        raise ValueError("blend must be 0, 1 or 2")
    if not patches.flags.c_contiguous:
        raise ValueError("patches must be C-contiguous")
    target = out if out.ndim > axes else out[..., np.newaxis]
    target = target if axes == 3 else target[np.newaxis]
    if patches.size != elements * target.shape[3]:
        raise ValueError("patches must have as many elements as the boxes")
    if starts.shape != (len(boxes), axes):
        raise ValueError("starts must have one element for each axis of each box")
    if (starts < 0).any() or (starts + boxes[:, 1::2] - boxes[:, ::2] > len(windows)).any():
        raise ValueError("windows must be as long as the boxes")
    _check_out(out, patches, out.size)

    values = np.zeros(target.shape)
    weights = np.zeros((*target.shape[:3], 1))
    flat = patches.reshape(-1)
    begin = 0
    for (low, high), first in zip(_ranges(boxes), starts, strict=True):
        size = high - low
        end = begin + int(size.prod()) * target.shape[3]
        patch = flat[begin:end].reshape(*size, target.shape[3]).astype(np.float64)
        begin = end
        along = [windows[a : a + n] for a, n in zip(first, size[3 - axes :], strict=True)]
        z, y, x = [np.ones(1)] * (3 - axes) + along
        weight = (z[:, np.newaxis] * y)[:, :, np.newaxis] * x
        # Only what lies within the array.
        inside = [
            (np.arange(a, b) >= 0) & (np.arange(a, b) < n)
            for a, b, n in zip(low, high, target.shape, strict=False)
        ]
        patch = patch[np.ix_(*inside)]
        _blend(patch, weight[np.ix_(*inside)], values, weights, np.maximum(low, 0), blend)
    covered = np.broadcast_to(weights > 0, target.shape)
    if out.dtype.kind != "f":
        limits = np.iinfo(out.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    with np.errstate(over="ignore"):
        target[covered] = values[covered].astype(out.dtype)


def _blend(patch: Any4, weight: Any4, values: Any4, weights: Any4, low: Int64s, blend: int) -> None:
    """One patch more, whose first element lies at `low`."""
    where = tuple(slice(a, a + n) for a, n in zip(low, patch.shape[:3], strict=True))
    before, so_far = values[where], weights[where]
    first = so_far == 0
    so_far += weight[..., np.newaxis]
    if blend == LAST:
        after = patch
    elif blend == MAX:
        after = np.where(first | (patch > before) | np.isnan(before), patch, before)
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            moved = before + (patch - before) * (weight[..., np.newaxis] / so_far)
        after = np.where(first | (patch == before), patch, moved)
    values[where] = after
