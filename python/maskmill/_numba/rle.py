"""Dense <-> runs <-> strings, area and box: the twin of cpp/kernels/rle.hpp."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import (
    LONGEST_RUN,
    LONGEST_SIDE,
    Bytes,
    Counts,
    Float64s,
    Int64s,
    Mask,
    Offsets,
    Runs,
    Sizes,
    check_array,
    check_masks,
    check_offsets,
    check_sum,
    compiled,
    fail_mask,
    grouped,
    join,
    pack,
    segments_of,
    size_text,
    split,
    sums_of,
    unpack,
)

# Images


def rle_encode(images: NDArray[Any]) -> Runs:
    """One mask per image; nonzero is foreground."""
    stack = _stack_of(images)
    _, height, width = stack.shape
    masks = []
    for image in stack:
        pixels = (image != 0).ravel(order="F")
        stretches = _stretches(pixels)
        masks.append(Mask(stretches[pixels[stretches[:, 0]]], height, width))
    return pack(masks)


def rle_decode(counts: Counts, offsets: Offsets, sizes: Sizes, out: NDArray[Any], value: int = 1) -> None:
    """Write value to foreground and 0 to background of out."""
    check_masks(counts, offsets, sizes)
    stack = _output_of(out)
    if stack.itemsize != 1:
        raise ValueError("out must have one byte per pixel")
    if len(stack) != len(sizes):
        raise ValueError("out must have one image per mask")
    if not 0 <= value <= 255:
        raise TypeError(f"value must be 0 to 255, not {value}")
    for i, size in enumerate(sizes):
        _check_size(i, size, stack)
    # As bytes, because a bool array is to hold the value, too. Mask by mask goes through a column-major copy.
    for mask, image in zip(unpack(counts, offsets, sizes), stack.view(np.uint8), strict=True):
        pixels = np.zeros(mask.pixels, np.uint8)
        _paint(mask.intervals, value, pixels)
        image[...] = pixels.reshape(image.shape, order="F")


def rle_from_labels(labels: NDArray[Any]) -> tuple[Counts, Offsets, Int64s]:
    """The masks of all values but 0 in one label image, and these values, rising."""
    stack = _stack_of(labels)
    if len(stack) != 1:
        raise ValueError("labels must be one image")
    _, height, width = stack.shape
    pixels = stack[0].ravel(order="F")
    if pixels.dtype.kind == "u" and pixels.itemsize == 8:
        too_large = pixels > np.iinfo(np.int64).max
        if too_large.any():
            raise ValueError(f"label {pixels[too_large.argmax()]} is larger than 2^63 - 1")
    pixels = pixels.astype(np.int64)
    stretches = _stretches(pixels)
    stretches = stretches[pixels[stretches[:, 0]] != 0]
    by_label = grouped(pixels[stretches[:, 0]], stretches)
    runs = pack(Mask(intervals, height, width) for _, intervals in by_label)
    return *runs, np.array([label for label, _ in by_label], np.int64)


def rle_to_labels(counts: Counts, offsets: Offsets, sizes: Sizes, values: Int64s, out: NDArray[Any]) -> None:
    """Write values[i], cut to the item size of out, to the foreground of mask i; later masks win."""
    check_array("values", values, np.int64)
    check_masks(counts, offsets, sizes)
    stack = _output_of(out)
    if len(stack) != 1:
        raise ValueError("out must be one image")
    if values.size != len(sizes):
        raise ValueError("values must have one element per mask")
    for i, (found, size) in enumerate(zip(sums_of(counts, offsets), sizes, strict=True)):
        _check_size(i, size, stack)
        check_sum(i, found, size)
    # As in rle_decode, a bool array is to hold any byte.
    image = stack[0].view(np.uint8) if stack.dtype == np.bool_ else stack[0]
    owner = np.full(image.size, -1, np.int64)  # the last mask of every pixel
    for i, mask in enumerate(unpack(counts, offsets, sizes)):
        _paint(mask.intervals, i, owner)
    owner = owner.reshape(image.shape, order="F")
    image[owner >= 0] = values.astype(image.dtype)[owner[owner >= 0]]


def _stack_of(array: NDArray[Any]) -> NDArray[Any]:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"array must be a NumPy array, not {type(array).__name__}")
    if array.ndim not in (2, 3):
        raise ValueError("array must have shape (N, H, W) or (H, W)")
    if array.dtype.kind not in "bui":
        raise TypeError(f"array must be bool or integer, not {array.dtype}")
    if max(array.shape[-2:]) > LONGEST_SIDE:
        raise ValueError(f"image sides must be at most {LONGEST_SIDE}")
    return array if array.ndim == 3 else array[np.newaxis]


def _output_of(array: NDArray[Any]) -> NDArray[Any]:
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise ValueError("out must be writeable")
    return _stack_of(array)


def _check_size(mask: int, size: Int64s, stack: NDArray[Any]) -> None:
    if tuple(size) != stack.shape[1:]:
        fail_mask(mask, f"size {size_text(size)} differs from the output's {size_text(stack.shape[1:])}")


@compiled
def _stretches(pixels: NDArray[Any]) -> Int64s:
    """Longest intervals of equal pixels, which together are all pixels; (K, 2)."""
    total = min(1, len(pixels))
    for at in range(1, len(pixels)):
        if pixels[at] != pixels[at - 1]:
            total += 1
    stretches = np.empty((total, 2), np.int64)
    k = 0
    for at in range(len(pixels)):
        if at == 0 or pixels[at] != pixels[at - 1]:
            stretches[k, 0] = at
            k += 1
        stretches[k - 1, 1] = at + 1
    return stretches


@compiled
def _paint(intervals: Int64s, value: int, pixels: NDArray[Any]) -> None:
    for j in range(len(intervals)):
        pixels[intervals[j, 0] : intervals[j, 1]] = value


# Strings


def rle_to_string(counts: Counts, offsets: Offsets) -> tuple[Bytes, Offsets]:
    """COCO's string code of the runs of every mask."""
    check_array("counts", counts, np.uint32)
    check_array("offsets", offsets, np.int64)
    check_offsets(offsets, counts.size)
    return join([_string_of(runs) for runs in split(counts, offsets)], np.uint8)


def rle_from_string(chars: Bytes, offsets: Offsets) -> Runs:
    """The runs that COCO's string code stands for."""
    check_array("chars", chars, np.uint8)
    check_array("offsets", offsets, np.int64)
    check_offsets(offsets, chars.size)
    masks = []
    for i, string in enumerate(split(chars, offsets)):
        runs, fault, where, found = _parse(string)
        if fault:
            fail_mask(i, _FAULTS[fault].format(where=where, found=found))
        masks.append(runs.astype(np.uint32))
    return join(masks, np.uint32)


@compiled
def _string_of(runs: Counts) -> Bytes:
    chars = np.empty(7 * len(runs), np.uint8)  # a difference of two counts has 33 bits
    k = 0
    for j in range(len(runs)):
        # From the fourth on, a run is written as its difference to the run of the same colour before it.
        # (From the third on would be possible, too, but nobody else could read the string.)
        x = np.int64(runs[j])
        if j > 2:
            x -= np.int64(runs[j - 2])
        # Five bits a character, lowest first. The highest bit of the last five is the sign, so that a number
        # may only end where the rest of it is nothing but sign.
        more = True
        while more:
            group = x & 0b11111
            x >>= 5
            more = x != (-1 if group & 0b10000 else 0)
            chars[k] = ord("0") + group + (0b100000 if more else 0)
            k += 1
    return chars[:k]


_CUT_SHORT, _BAD_CHARACTER, _TOO_LONG, _OUT_OF_RANGE = 1, 2, 3, 4
_FAULTS = {
    _CUT_SHORT: "its string ends in the middle of a count",
    _BAD_CHARACTER: "character {where} of its string has code {found}, not 48 to 111",
    _TOO_LONG: "a count in its string is longer than 7 characters",
    _OUT_OF_RANGE: f"count {{where}} of its string is {{found}}, not 0 to {LONGEST_RUN}",
}


@compiled
def _parse(chars: Bytes) -> tuple[Int64s, int, int, np.int64 | int]:
    """-> runs, fault (0: none), and where it is and what was found there."""
    runs = np.empty(len(chars), np.int64)
    m = 0
    k = 0
    while k < len(chars):
        x = np.int64(0)
        shift = 0
        more = True
        while more:
            if k == len(chars):
                return runs[:m], _CUT_SHORT, k, 0
            code = np.int64(chars[k])
            if code < 48 or code > 111:
                return runs[:m], _BAD_CHARACTER, k, code
            if shift > 30:
                return runs[:m], _TOO_LONG, k, code
            group = code - 48
            x |= (group & 0b11111) << shift
            shift += 5
            more = group & 0b100000 != 0
            k += 1
        if group & 0b10000:
            x -= 1 << shift
        if m > 2:
            x += runs[m - 2]
        if x < 0 or x > LONGEST_RUN:
            return runs[:m], _OUT_OF_RANGE, m, x
        runs[m] = x
        m += 1
    return runs[:m], 0, 0, 0


# Measures and checks


def rle_area(counts: Counts, offsets: Offsets) -> NDArray[np.uint64]:
    """(N,) pixels of foreground."""
    check_array("counts", counts, np.uint32)
    check_array("offsets", offsets, np.int64)
    check_offsets(offsets, counts.size)
    return _areas(counts, offsets)


def rle_bbox(counts: Counts, offsets: Offsets, sizes: Sizes) -> Float64s:
    """(N, 4) x, y, width, height of the foreground; zeros where there is none."""
    masks = unpack(counts, offsets, sizes)
    boxes = np.zeros((len(masks), 4))
    for box, mask in zip(boxes, masks, strict=True):
        if len(mask.intervals) > 0:
            x, top, bottom = segments_of(mask.intervals, mask.height).T
            box[:] = x[0], top.min(), x[-1] + 1 - x[0], bottom.max() - top.min()
    return boxes


def rle_check(counts: Counts, offsets: Offsets, sizes: Sizes) -> None:
    """Raise for the first mask that breaks a rule of rle.hpp."""
    check_masks(counts, offsets, sizes)
    sums = sums_of(counts, offsets)
    for i, runs in enumerate(split(counts, offsets)):
        check_sum(i, sums[i], sizes[i])
        if len(runs) == 0:
            fail_mask(i, "has no runs")
        if (runs[1:] == 0).any():
            fail_mask(i, "has a zero run behind the first")


def rle_normalize(counts: Counts, offsets: Offsets, sizes: Sizes) -> Runs:
    """The same pixels without zero runs but for the first."""
    return pack(unpack(counts, offsets, sizes))


@compiled
def _areas(counts: Counts, offsets: Offsets) -> NDArray[np.uint64]:
    areas = np.zeros(len(offsets) - 1, np.uint64)
    for i in range(len(areas)):
        for j in range(offsets[i] + 1, offsets[i + 1], 2):
            areas[i] += counts[j]
    return areas
