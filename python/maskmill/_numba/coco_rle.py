"""pycocotools' arithmetic on run-length masks, for any input: the twin of cpp/kernels/coco_rle.hpp.

Runs may sum to anything here, and any of them may be zero. Counts, positions and areas are numbers of 32 bits, without
sign, as they are in pycocotools: what is beyond is cut off.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import (
    Bytes,
    Counts,
    Float64s,
    Int64s,
    Offsets,
    Runs,
    Sizes,
    check_array,
    check_offsets,
    compiled,
    join,
    split,
)

WORD = 2**32 - 1
"""The bits that are kept."""

# Strings


def coco_rle_parse(chars: Bytes, offsets: Offsets) -> Runs:
    """The runs of every string, whatever its characters; a NUL ends it."""
    check_array("chars", chars, np.uint8)
    check_array("offsets", offsets, np.int64)
    check_offsets(offsets, chars.size)
    return join([_parse(_before_nul(string)) for string in split(chars, offsets)], np.uint32)


def _before_nul(string: Bytes) -> Bytes:
    return string[: np.append(np.flatnonzero(string == 0), string.size)[0]]


@compiled
def _parse(string: Bytes) -> Counts:
    counts = np.empty(len(string), np.uint32)
    m = 0
    p = 0
    while p < len(string):
        # Five bits a character, lowest first; bit 5 says that there is more, bit 4 of the last is the sign.
        x = 0
        k = 0
        more = True
        while more:
            # A string that is cut short goes on with the NUL that C keeps behind it.
            group = (int(string[p]) if p < len(string) else 0) - 48
            # No count has more than seven characters. pycocotools shifts others as the processor does, which looks
            # at the lowest five bits of the distance only.
            x |= (group & 0b11111) << (5 * k if k < 7 else 5 * k % 32)
            more = group & 0b100000 != 0
            p += 1
            k += 1
        # The sign of seven characters is bit 35, which is cut off.
        if group & 0b10000 and k != 7:
            x |= -1 << 5 * k % 32
        # From the fourth on, counts are differences to the one before the previous.
        if m > 2:
            x += counts[m - 2]
        counts[m] = x & WORD
        m += 1
    return counts[:m]


# One mask at a time


def coco_rle_decode(counts: Counts, offsets: Offsets, out: Bytes) -> bool:
    """Write the masks one behind the other, 0 and 1; what they leave of out is 0. False if they are longer than out."""
    check_array("counts", counts, np.uint32)
    check_array("offsets", offsets, np.int64)
    check_array("out", out, np.uint8)
    check_offsets(offsets, counts.size)
    if not out.flags.writeable:
        raise ValueError("array is not writeable")
    pixels = out.reshape(-1)
    at = 0
    for runs in split(counts, offsets):
        at = _write(runs, pixels, at)
        if at < 0:
            return False
    pixels[at:] = 0
    return True


@compiled
def _write(runs: Counts, pixels: Bytes, at: int) -> int:
    """Write one mask from `at` on. -> where it ends, or -1 if it does not fit."""
    for j in range(len(runs)):
        if at + runs[j] > len(pixels):
            return -1
        pixels[at : at + runs[j]] = j & 1
        at += runs[j]
    return at


def coco_rle_area(counts: Counts, offsets: Offsets) -> NDArray[np.uint32]:
    """(N,) pixels of foreground."""
    check_array("counts", counts, np.uint32)
    check_array("offsets", offsets, np.int64)
    check_offsets(offsets, counts.size)
    return np.array([_area(runs) for runs in split(counts, offsets)], np.uint32)


def _area(runs: Counts) -> int:
    return int(runs[1::2].sum(dtype=np.uint32))


def coco_rle_bbox(counts: Counts, offsets: Offsets, sizes: Sizes) -> Float64s:
    """(N, 4) x, y, width, height; zeros for masks of no foreground run at all, be it a zero run."""
    _check_masks(counts, offsets, sizes)
    boxes = np.zeros((len(sizes), 4))
    for i, (runs, size) in enumerate(zip(split(counts, offsets), sizes, strict=True)):
        height, width = (size & WORD).tolist()
        if height == 0 and runs[1::2].any():
            _fail_rle(i, "has foreground, but its height is 0")
        if len(runs) > 1:
            boxes[i] = _box(runs, height, width)
    return boxes


def _box(runs: Counts, height: int, width: int) -> list[int]:
    end = runs.cumsum(dtype=np.uint32)
    foreground = runs[1::2] > 0
    first, last = end[:-1:2][foreground], end[1::2][foreground] - np.uint32(1)
    (x_first, y_first), (x_last, y_last) = (
        np.divmod(first, np.uint32(height)),
        np.divmod(last, np.uint32(height)),
    )
    # What goes on in the next column touches the lower border of its first column, and the upper of the next.
    crossing = x_first < x_last
    # With nothing but zero runs, the left upper corner is that of the outside, the right lower that of the first pixel.
    x0 = int(x_first.min(initial=np.uint32(width)))
    y0 = int(np.where(crossing, 0, y_first).min(initial=height))
    x1 = int(x_last.max(initial=0))
    y1 = int(np.where(crossing, height - 1, y_last).max(initial=0))
    return [x0, y0, (x1 - x0 + 1) & WORD, (y1 - y0 + 1) & WORD]


# Two masks: the walk


@compiled
def _walk(a: Counts, b: Counts) -> tuple[Int64s, bool]:
    """Stretches on which neither mask changes, as (length, in a, in b); and whether the walk came to an end.

    It ends where both masks stand at a run of which nothing is left: behind their last pixel, or wherever two zero runs
    meet, after which pycocotools has no eyes for the rest. If one mask is shorter than the other, pycocotools walks for
    ever.
    """
    stretches = np.empty((len(a) + len(b) + 1, 3), np.int64)
    k = 0
    i = j = 0  # runs; the odd ones are foreground
    a_left = np.int64(a[0])
    b_left = np.int64(b[0])
    while True:
        length = min(a_left, b_left)
        stretches[k, 0] = length
        stretches[k, 1] = i & 1
        stretches[k, 2] = j & 1
        k += 1
        a_left -= length
        b_left -= length
        if a_left == 0 and i + 1 < len(a):
            i += 1
            a_left = np.int64(a[i])
        if b_left == 0 and j + 1 < len(b):
            j += 1
            b_left = np.int64(b[j])
        # Their sum is cut off as well: two runs of 2^31 are as good as none.
        if (a_left + b_left) & WORD == 0:
            return stretches[:k], True
        if length == 0 and ((a_left == 0 and i + 1 == len(a)) or (b_left == 0 and j + 1 == len(b))):
            return stretches[:k], False


def coco_rle_merge(
    counts: Counts, offsets: Offsets, sizes: Sizes, intersect: bool
) -> tuple[Counts, int, int]:
    """Counts, height and width of the union or intersection of all; of different sizes, no counts and 0 x 0."""
    _check_masks(counts, offsets, sizes)
    masks = split(counts, offsets)
    nothing = np.empty(0, np.uint32), 0, 0
    if not masks:
        return nothing
    merged = masks[0].copy()
    for i, mask in enumerate(masks[1:], 1):
        if (sizes[i] != sizes[0]).any():
            return nothing
        if len(merged) == 0 or len(mask) == 0:
            _fail_rle(i, "has no counts to merge")
        stretches, ended = _walk(merged, mask)
        if not ended:
            _fail_rle(i, "its counts and those before it have different sums")
        length, in_merged, in_mask = stretches.T
        merged = _runs_of_stretches(length, in_merged & in_mask if intersect else in_merged | in_mask)
    height, width = sizes[0].tolist()
    return merged, height, width


def _runs_of_stretches(length: Int64s, value: Int64s) -> Counts:
    """Neighbours of one value become one run. The first stretch is background, as both masks begin with it."""
    starts = np.append(0, np.flatnonzero(np.diff(value)) + 1)
    return (np.add.reduceat(length, starts) & WORD).astype(np.uint32)


def coco_rle_iou(
    a_counts: Counts,
    a_offsets: Offsets,
    a_sizes: Sizes,
    b_counts: Counts,
    b_offsets: Offsets,
    b_sizes: Sizes,
    iscrowd: Bytes,
) -> Float64s:
    """(len(a), len(b)), in Fortran order: that of the boxes, and where it is above 0, that of the masks."""
    check_array("iscrowd", iscrowd, np.uint8)
    _check_masks(a_counts, a_offsets, a_sizes)
    _check_masks(b_counts, b_offsets, b_sizes)
    if iscrowd.size != len(b_sizes):
        raise ValueError("iscrowd must have one element per mask of b")
    a_boxes, b_boxes = (
        coco_rle_bbox(a_counts, a_offsets, a_sizes),
        coco_rle_bbox(b_counts, b_offsets, b_sizes),
    )
    iou = coco_rle_box_iou(a_boxes, b_boxes, iscrowd)
    a, b = split(a_counts, a_offsets), split(b_counts, b_offsets)
    for j, i in np.argwhere(iou.T > 0).tolist():
        if (a_sizes[i] != b_sizes[j]).any():
            iou[i, j] = -1
            continue
        stretches, ended = _walk(a[i], b[j])
        if not ended:
            _fail_rle(i, f"its counts and those of RLE {j} have different sums")
        length, in_a, in_b = stretches.T
        common = length[in_a & in_b == 1].sum() & WORD
        whole = _area(a[i]) if iscrowd[j] else length[in_a | in_b == 1].sum() & WORD
        iou[i, j] = 0 if common == 0 else common / np.float64(whole)
    return iou


def coco_rle_box_iou(a: Float64s, b: Float64s, iscrowd: Bytes) -> Float64s:
    """(len(a), len(b)), in Fortran order, of boxes (x, y, width, height)."""
    check_array("a", a, np.float64)
    check_array("b", b, np.float64)
    check_array("iscrowd", iscrowd, np.uint8)
    if a.ndim != 2 or a.shape[1] != 4 or b.ndim != 2 or b.shape[1] != 4:
        raise ValueError("boxes must have shape (N, 4)")
    if iscrowd.size != len(b):
        raise ValueError("iscrowd must have one element per box of b")
    a_x, a_y, a_w, a_h = a.T[:, :, np.newaxis]
    b_x, b_y, b_w, b_h = b.T
    with np.errstate(all="ignore"):
        # fmin and fmax take the other number where one is NaN, and a NaN that remains is not "<= 0".
        width = np.fmin(a_w + a_x, b_w + b_x) - np.fmax(a_x, b_x)
        height = np.fmin(a_h + a_y, b_h + b_y) - np.fmax(a_y, b_y)
        common = width * height
        a_area = a_w * a_h
        whole = np.where(iscrowd != 0, a_area, a_area + b_w * b_h - common)
        return np.asfortranarray(np.where((width <= 0) | (height <= 0), 0.0, common / whole))


# Checks


def _check_masks(counts: Counts, offsets: Offsets, sizes: Sizes) -> None:
    """Sizes may be any numbers: here they are no limits of anything."""
    check_array("counts", counts, np.uint32)
    check_array("offsets", offsets, np.int64)
    check_array("sizes", sizes, np.int64)
    check_offsets(offsets, counts.size)
    if sizes.shape != (offsets.size - 1, 2):
        raise ValueError("sizes must have shape (N, 2), N being the number of masks")


def _fail_rle(i: int, what: str) -> NoReturn:
    raise ValueError(f"RLE {i}: {what}")
