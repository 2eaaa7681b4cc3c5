"""What the twins share: checking the arguments, and masks as intervals, segments and runs.

A mask goes through three shapes here:

runs
    Lengths, background first: (5, 3, 4). What goes in and comes out; cpp/kernels/rle.hpp has the rules.
intervals
    The foreground as positions begin .. end, rising, none empty, none touching another: (5, 8). (K, 2) int64.
    Pixel (y, x) has the position x * height + y.
segments
    Intervals cut at the column borders, as (x, top, bottom), rows top .. bottom - 1. (K, 3) int64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.uint32]
Offsets: TypeAlias = NDArray[np.int64]
Sizes: TypeAlias = NDArray[np.int64]
Int64s: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.uint8]
Float64s: TypeAlias = NDArray[np.float64]
Runs: TypeAlias = tuple[Counts, Offsets]

LONGEST_SIDE = 2**31 - 1
"""Products of two sides then fit in 64 bits."""
LONGEST_RUN = 2**32 - 1

OR, AND, XOR, MINUS, NOT_A = 0b1110, 0b1000, 0b0110, 0b0010, 0b0101
"""Truth tables for `combine`."""

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """numba.njit, compiled once per machine; declared here once as what it is, because numba has no types."""
    return cast(Function, numba.njit(cache=True)(function))


class Mask(NamedTuple):
    """One mask while a twin works on it."""

    intervals: Int64s
    height: int
    width: int

    @property
    def pixels(self) -> int:
        return self.height * self.width


# Checks: the same as in the bindings of the C++ kernels, with the same words.


def check_array(name: str, array: Any, dtype: type[np.generic]) -> None:
    """Refuse what is not a C-contiguous array of exactly this dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)}, not {array.dtype}")
    if not array.flags.c_contiguous:
        raise TypeError(f"{name} must be C-contiguous")


def check_offsets(offsets: Offsets, values: int) -> None:
    """Offsets must start at 0 or later, never fall, and end within the values."""
    if offsets.ndim != 1 or offsets.size == 0:
        raise ValueError("offsets must be a vector of at least one element")
    if offsets[0] < 0 or offsets[-1] > values or (offsets[:-1] > offsets[1:]).any():
        raise ValueError("offsets must rise from 0 or more to the number of values or less")


def check_sizes(sizes: Sizes, n: int) -> None:
    """There must be n sizes, whose sides are in range."""
    if sizes.shape != (n, 2):
        raise ValueError("sizes must have shape (N, 2), N being the number of masks")
    check_sides("mask", sizes)


def check_sides(item: str, sizes: Sizes) -> None:
    """Refuse sizes out of range, naming the first."""
    bad = ((sizes < 0) | (sizes > LONGEST_SIDE)).any(axis=1)
    if bad.any():
        i = int(bad.argmax())
        raise ValueError(f"{item} {i}: size {size_text(sizes[i])} must be within 0 and {LONGEST_SIDE}")


def check_masks(counts: Counts, offsets: Offsets, sizes: Sizes) -> None:
    """Refuse masks that no kernel takes. What the runs sum to is a matter of `check_sums`."""
    check_array("counts", counts, np.uint32)
    check_array("offsets", offsets, np.int64)
    check_array("sizes", sizes, np.int64)
    check_offsets(offsets, counts.size)
    check_sizes(sizes, offsets.size - 1)


def check_sums(counts: Counts, offsets: Offsets, sizes: Sizes) -> None:
    """Refuse masks whose runs do not sum to their pixels, naming the lowest."""
    for i, (found, size) in enumerate(zip(sums_of(counts, offsets), sizes, strict=True)):
        check_sum(i, found, size)


def check_sum(mask: int, found: int, size: Int64s) -> None:
    """The same for one mask."""
    pixels = size[0] * size[1]
    if found != pixels:
        fail_mask(mask, f"runs sum to {found}, image has {pixels} pixels")


def fail_mask(mask: int, what: str) -> NoReturn:
    """Raise for one mask."""
    raise ValueError(f"mask {mask}: {what}")


def size_text(size: Iterable[int]) -> str:
    """(480, 640), as C++ writes it, too."""
    height, width = size
    return f"({height}, {width})"


@compiled
def sums_of(counts: Counts, offsets: Offsets) -> Int64s:
    """(N,) sum of the runs of every mask."""
    sums = np.zeros(len(offsets) - 1, np.int64)
    for i in range(len(sums)):
        for j in range(offsets[i], offsets[i + 1]):
            sums[i] += counts[j]
    return sums


# From runs to masks and back.


def split(values: NDArray[Any], offsets: Offsets) -> list[NDArray[Any]]:
    """The items of flat values."""
    return [values[begin:end] for begin, end in pairwise(offsets.tolist())]


def join(parts: list[NDArray[Any]], dtype: type[np.generic]) -> tuple[NDArray[Any], Offsets]:
    """Flat values and their offsets."""
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.concatenate([np.empty(0, dtype), *parts], dtype=dtype), offsets


def unpack(counts: Counts, offsets: Offsets, sizes: Sizes) -> list[Mask]:
    """Every mask by itself, checked."""
    check_masks(counts, offsets, sizes)
    check_sums(counts, offsets, sizes)
    parts = zip(split(counts, offsets), sizes.tolist(), strict=True)
    return [Mask(intervals_of(runs), height, width) for runs, (height, width) in parts]


def pack(masks: Iterable[Mask]) -> Runs:
    """The canonical runs of all masks."""
    return join([_run_lengths(mask.intervals, mask.pixels) for mask in masks], np.uint32)


def _run_lengths(intervals: Int64s, pixels: int) -> Counts:
    lengths = runs_of(intervals, pixels)
    if lengths.max() > LONGEST_RUN:
        raise ValueError("a run is longer than 2^32 - 1 pixels")
    return lengths.astype(np.uint32)


@compiled
def intervals_of(runs: Counts) -> Int64s:
    """The foreground of runs. Runs of length 0 may be among them: what they separate is joined."""
    intervals = np.empty((len(runs) // 2, 2), np.int64)
    k = 0
    at = 0
    for j in range(0, len(runs) - 1, 2):
        begin = at + runs[j]
        at = begin + runs[j + 1]
        if begin == at:
            continue
        if k > 0 and intervals[k - 1, 1] == begin:
            intervals[k - 1, 1] = at
        else:
            intervals[k, 0] = begin
            intervals[k, 1] = at
            k += 1
    return intervals[:k]


@compiled
def runs_of(intervals: Int64s, pixels: int) -> Int64s:
    """Canonical runs, in 64 bits, of rising intervals; touching ones become one run."""
    runs = np.empty(2 * len(intervals) + 1, np.int64)
    k = 0
    at = 0
    for j in range(len(intervals)):
        begin, end = intervals[j]
        if begin == at and k > 0:
            runs[k - 1] += end - begin
        else:
            runs[k] = begin - at
            runs[k + 1] = end - begin
            k += 2
        at = end
    # Only a mask without any run is closed by a 0.
    if at < pixels or k == 0:
        runs[k] = pixels - at
        k += 1
    return runs[:k]


# Intervals and segments.


@compiled
def combine(a: Int64s, b: Int64s, op: int, pixels: int) -> Int64s:
    """Intervals of the pixels for which bit (a + 2 b) of op is set."""
    a_edges = a.ravel()  # begin, end, begin, end: after an odd number of edges one is in the foreground
    b_edges = b.ravel()
    out = np.empty((len(a) + len(b) + 1, 2), np.int64)
    k = 0
    i = j = 0  # edges of a and b that are passed
    at = 0
    while at < pixels:
        # Up to the next edge of either mask nothing changes.
        end = pixels
        if i < len(a_edges):
            end = min(end, a_edges[i])
        if j < len(b_edges):
            end = min(end, b_edges[j])
        if at < end:
            if op >> ((i & 1) + 2 * (j & 1)) & 1:
                if k > 0 and out[k - 1, 1] == at:
                    out[k - 1, 1] = end
                else:
                    out[k, 0] = at
                    out[k, 1] = end
                    k += 1
            at = end
        if i < len(a_edges) and a_edges[i] == end:
            i += 1
        if j < len(b_edges) and b_edges[j] == end:
            j += 1
    return out[:k]


def complement(mask: Mask) -> Mask:
    """Background as foreground."""
    return mask._replace(intervals=combine(mask.intervals, mask.intervals[:0], NOT_A, mask.pixels))


def union_of(intervals: Int64s) -> Int64s:
    """Intervals in any order, overlapping or empty, as a mask has them."""
    return _join_sorted(intervals[np.argsort(intervals[:, 0], kind="stable")])


@compiled
def _join_sorted(intervals: Int64s) -> Int64s:
    out = np.empty((len(intervals), 2), np.int64)
    k = 0
    for j in range(len(intervals)):
        begin, end = intervals[j]
        if begin == end:
            continue
        if k > 0 and begin <= out[k - 1, 1]:
            out[k - 1, 1] = max(end, out[k - 1, 1])
        else:
            out[k, 0] = begin
            out[k, 1] = end
            k += 1
    return out[:k]


@compiled
def segments_of(intervals: Int64s, height: int) -> Int64s:
    """Intervals cut at the column borders."""
    total = 0
    for j in range(len(intervals)):
        total += (intervals[j, 1] - 1) // height - intervals[j, 0] // height + 1
    segments = np.empty((total, 3), np.int64)
    k = 0
    for j in range(len(intervals)):
        begin, end = intervals[j]
        while begin < end:
            x = begin // height
            stop = min(end, (x + 1) * height)
            segments[k, 0] = x
            segments[k, 1] = begin - x * height
            segments[k, 2] = stop - x * height
            k += 1
            begin = stop
    return segments


def from_segments(x: Int64s, top: Int64s, bottom: Int64s, height: int) -> Int64s:
    """Intervals of segments in any order, which may overlap."""
    return union_of(np.stack([x * height + top, x * height + bottom], axis=1))


def grouped(keys: Int64s, items: Int64s) -> list[tuple[int, Int64s]]:
    """(key, its items in the order given), keys rising."""
    order = np.argsort(keys, kind="stable")
    values, first = np.unique(keys[order], return_index=True)
    groups = np.split(items[order], first[1:])
    # Of nothing np.split makes one empty group, of which zip takes no notice.
    return list(zip(values.tolist(), groups, strict=False))
