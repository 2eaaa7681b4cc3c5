"""Crop, pad, flip, transpose: the twin of cpp/kernels/geometry.hpp."""

from __future__ import annotations

import numpy as np

from maskmill._numba._runs import (
    LONGEST_SIDE,
    MINUS,
    Counts,
    Int64s,
    Mask,
    Offsets,
    Runs,
    Sizes,
    check_array,
    check_masks,
    combine,
    compiled,
    complement,
    from_segments,
    pack,
    segments_of,
    unpack,
)


def geometry_window(
    counts: Counts, offsets: Offsets, sizes: Sizes, boxes: Int64s, fill: bool = False
) -> Runs:
    """Mask i seen through box i (x, y, width, height); what lies outside of the image is `fill`."""
    check_array("boxes", boxes, np.int64)
    check_masks(counts, offsets, sizes)
    if boxes.shape != (len(sizes), 4):
        raise ValueError("boxes must have shape (N, 4), N being the number of masks")
    for i, box in enumerate(boxes.tolist()):
        _, _, width, height = box
        if min(box) < -LONGEST_SIDE or max(box) > LONGEST_SIDE:
            raise ValueError(f"box {i}: values must be within {-LONGEST_SIDE} and {LONGEST_SIDE}")
        if min(width, height) < 0:
            raise ValueError(f"box {i}: width and height must be 0 or more, not {width} and {height}")
    windows = []
    for mask, box in zip(unpack(counts, offsets, sizes), boxes.tolist(), strict=True):
        # Outside is background to _window, so that for the other colour one looks at the complement.
        windows.append(complement(_window(complement(mask), box)) if fill else _window(mask, box))
    return pack(windows)


def _window(mask: Mask, box: list[int]) -> Mask:
    left, upper, width, height = box
    x, top, bottom = segments_of(mask.intervals, mask.height).T
    x = x - left
    top = np.clip(top - upper, 0, height)
    bottom = np.clip(bottom - upper, 0, height)
    seen = (x >= 0) & (x < width) & (top < bottom)
    return Mask(from_segments(x[seen], top[seen], bottom[seen], height), height, width)


def geometry_flip(counts: Counts, offsets: Offsets, sizes: Sizes, horizontal: bool, vertical: bool) -> Runs:
    """Left for right (horizontal), top for bottom (vertical), or both."""
    return pack(_flip(mask, horizontal, vertical) for mask in unpack(counts, offsets, sizes))


def _flip(mask: Mask, horizontal: bool, vertical: bool) -> Mask:
    x, top, bottom = segments_of(mask.intervals, mask.height).T
    if horizontal:
        x = mask.width - 1 - x
    if vertical:
        top, bottom = mask.height - bottom, mask.height - top
    return mask._replace(intervals=from_segments(x, top, bottom, mask.height))


def geometry_transpose(counts: Counts, offsets: Offsets, sizes: Sizes) -> Runs:
    """Rows as columns."""
    return pack(_transpose(mask) for mask in unpack(counts, offsets, sizes))


def _transpose(mask: Mask) -> Mask:
    # The new columns are the old rows. A stretch of a row begins at a pixel whose left neighbour is
    # background and ends at one whose right neighbour is. Neighbours lie one height apart, so that a mask of
    # all neighbours is the mask itself, moved; beyond the border it is empty.
    right = np.clip(mask.intervals + mask.height, 0, mask.pixels)
    left = np.clip(mask.intervals - mask.height, 0, mask.pixels)
    first = _positions(combine(mask.intervals, right, MINUS, mask.pixels))
    last = _positions(combine(mask.intervals, left, MINUS, mask.pixels))
    if len(first) == 0:
        return Mask(mask.intervals, mask.width, mask.height)
    # In row-major order stretch k begins at the k-th first pixel and ends at the k-th last one.
    begin = np.sort(first % mask.height * mask.width + first // mask.height)
    end = np.sort(last % mask.height * mask.width + last // mask.height) + 1
    return Mask(np.stack([begin, end], axis=1), mask.width, mask.height)


@compiled
def _positions(intervals: Int64s) -> Int64s:
    """Every pixel of the intervals."""
    total = 0
    for j in range(len(intervals)):
        total += intervals[j, 1] - intervals[j, 0]
    positions = np.empty(total, np.int64)
    k = 0
    for j in range(len(intervals)):
        for position in range(intervals[j, 0], intervals[j, 1]):
            positions[k] = position
            k += 1
    return positions
