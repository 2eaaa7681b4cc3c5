"""Intersections, IoU and what follows from them: the twin of cpp/kernels/overlap.hpp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import (
    Bytes,
    Counts,
    Float64s,
    Offsets,
    Sizes,
    check_array,
    check_masks,
    check_sums,
    compiled,
    fail_mask,
    size_text,
)
from maskmill._numba.rle import rle_area


def overlap_iou(
    a_counts: Counts,
    a_offsets: Offsets,
    a_sizes: Sizes,
    b_counts: Counts,
    b_offsets: Offsets,
    b_sizes: Sizes,
    iscrowd: Bytes,
) -> Float64s:
    """(len(a), len(b)): |a & b| / |a | b|, or / |a| where iscrowd[b]; 0 where nothing is in common."""
    check_array("iscrowd", iscrowd, np.uint8)
    _check_sides(a_counts, a_offsets, a_sizes, b_counts, b_offsets, b_sizes)
    if iscrowd.size != len(b_sizes):
        raise ValueError("iscrowd must have one element per mask of b")
    _check_pairs(a_counts, a_offsets, a_sizes, b_counts, b_offsets, b_sizes)
    return iou_of_runs(a_counts, a_offsets, b_counts, b_offsets, iscrowd != 0)


def overlap_intersection(
    a_counts: Counts, a_offsets: Offsets, a_sizes: Sizes, b_counts: Counts, b_offsets: Offsets, b_sizes: Sizes
) -> NDArray[np.uint64]:
    """(len(a), len(b)) pixels in common."""
    _check_sides(a_counts, a_offsets, a_sizes, b_counts, b_offsets, b_sizes)
    _check_pairs(a_counts, a_offsets, a_sizes, b_counts, b_offsets, b_sizes)
    return _intersections(a_counts, a_offsets, b_counts, b_offsets)


def overlap_nms(counts: Counts, offsets: Offsets, sizes: Sizes, threshold: float) -> NDArray[np.bool_]:
    """Which masks stay: one is dropped if its IoU with one before it that stays is above the threshold."""
    check_masks(counts, offsets, sizes)
    differ = (sizes != sizes[:1]).any(axis=1)
    if differ.any():
        i = int(differ.argmax())
        fail_mask(i, f"size {size_text(sizes[i])} differs from {size_text(sizes[0])} of mask 0")
    check_sums(counts, offsets, sizes)
    keep = np.ones(len(sizes), np.bool_)
    for i in range(len(sizes)):
        if keep[i]:
            later = offsets[i + 1 :]
            iou = iou_of_runs(counts, offsets[i : i + 2], counts, later, np.zeros(len(later) - 1, np.bool_))
            keep[i + 1 :] &= ~(iou[0] > threshold)
    return keep


def _check_sides(
    a_counts: Counts, a_offsets: Offsets, a_sizes: Sizes, b_counts: Counts, b_offsets: Offsets, b_sizes: Sizes
) -> None:
    check_masks(a_counts, a_offsets, a_sizes)
    check_masks(b_counts, b_offsets, b_sizes)


def _check_pairs(
    a_counts: Counts, a_offsets: Offsets, a_sizes: Sizes, b_counts: Counts, b_offsets: Offsets, b_sizes: Sizes
) -> None:
    differ = (a_sizes[:, np.newaxis] != b_sizes).any(axis=2)
    if differ.any():
        i, j = np.argwhere(differ)[0].tolist()
        ours, theirs = size_text(a_sizes[i]), size_text(b_sizes[j])
        raise ValueError(f"mask {i} of a: size {ours} differs from {theirs} of mask {j} of b")
    check_sums(a_counts, a_offsets, a_sizes)
    check_sums(b_counts, b_offsets, b_sizes)


def iou_of_runs(
    a_counts: Counts, a_offsets: Offsets, b_counts: Counts, b_offsets: Offsets, iscrowd: NDArray[np.bool_]
) -> Float64s:
    common = _intersections(a_counts, a_offsets, b_counts, b_offsets)
    a_area = rle_area(a_counts, a_offsets)[:, np.newaxis]
    b_area = rle_area(b_counts, b_offsets)
    whole = np.where(iscrowd, a_area, a_area + b_area - common)
    iou = np.zeros(common.shape)
    np.divide(common, whole, out=iou, where=common > 0)
    return iou


@compiled
def _intersections(
    a_counts: Counts, a_offsets: Offsets, b_counts: Counts, b_offsets: Offsets
) -> NDArray[np.uint64]:
    common = np.empty((len(a_offsets) - 1, len(b_offsets) - 1), np.uint64)
    for i in range(common.shape[0]):
        for j in range(common.shape[1]):
            a = a_counts[a_offsets[i] : a_offsets[i + 1]]
            b = b_counts[b_offsets[j] : b_offsets[j + 1]]
            common[i, j] = _common_pixels(a, b)
    return common


@compiled
def _common_pixels(a: Counts, b: Counts) -> int:
    """Walks both run by run, always to the nearer end of a run; odd runs are foreground."""
    common = 0
    at = a_end = b_end = 0
    i = j = -1
    while True:
        while a_end == at:
            i += 1
            if i == len(a):
                return common
            a_end += a[i]
        while b_end == at:
            j += 1
            if j == len(b):
                return common
            b_end += b[j]
        end = min(a_end, b_end)
        if i & 1 and j & 1:
            common += end - at
        at = end
