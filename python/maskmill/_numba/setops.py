"""Union, intersection and what else two or more masks make: the twin of cpp/kernels/setops.hpp."""

from __future__ import annotations

import numpy as np

from maskmill._numba._runs import (
    AND,
    MINUS,
    OR,
    XOR,
    Counts,
    Int64s,
    Mask,
    Offsets,
    Runs,
    Sizes,
    check_array,
    check_masks,
    check_offsets,
    check_sizes,
    check_sum,
    combine,
    complement,
    fail_mask,
    intervals_of,
    pack,
    size_text,
    split,
    sums_of,
    unpack,
)

_FOLDS = (OR, AND, XOR, MINUS)


def setops_merge(
    counts: Counts, offsets: Offsets, sizes: Sizes, groups: Int64s, group_sizes: Sizes, op: int
) -> Runs:
    """Masks groups[g] .. groups[g + 1] as one: union, intersection, exclusive or, first without others."""
    check_array("groups", groups, np.int64)
    check_array("group_sizes", group_sizes, np.int64)
    check_masks(counts, offsets, sizes)
    check_offsets(groups, len(sizes))
    check_sizes(group_sizes, groups.size - 1)
    if not 0 <= op <= 3:
        raise ValueError(f"op must be 0 to 3, not {op}")
    sums = sums_of(counts, offsets)
    merged = []
    for g, size in enumerate(group_sizes):
        begin, end = groups[g : g + 2].tolist()
        for i in range(begin, end):
            if (sizes[i] != size).any():
                fail_mask(i, f"size {size_text(sizes[i])} differs from its group's {size_text(size)}")
            check_sum(i, sums[i], size)
        merged.append(_fold(split(counts, offsets[begin : end + 1]), size, _FOLDS[op]))
    return pack(merged)


def _fold(members: list[Counts], size: Int64s, op: int) -> Mask:
    """((a op b) op c) op d: all four operations may be had that way."""
    height, width = size.tolist()
    if not members:
        return Mask(np.empty((0, 2), np.int64), height, width)
    intervals = intervals_of(members[0])
    for member in members[1:]:
        intervals = combine(intervals, intervals_of(member), op, height * width)
    return Mask(intervals, height, width)


def setops_pairs(
    a_counts: Counts,
    a_offsets: Offsets,
    a_sizes: Sizes,
    b_counts: Counts,
    b_offsets: Offsets,
    b_sizes: Sizes,
    op: int,
) -> Runs:
    """Masks i of a and b as one, whose pixels are bit (a + 2 b) of op."""
    check_masks(a_counts, a_offsets, a_sizes)
    check_masks(b_counts, b_offsets, b_sizes)
    if not 0 <= op <= 15:
        raise ValueError(f"op must be 0 to 15, not {op}")
    if len(a_sizes) != len(b_sizes):
        raise ValueError(f"there must be as many masks on both sides, not {len(a_sizes)} and {len(b_sizes)}")
    a_sums = sums_of(a_counts, a_offsets)
    b_sums = sums_of(b_counts, b_offsets)
    for i, (a_size, b_size) in enumerate(zip(a_sizes, b_sizes, strict=True)):
        if (a_size != b_size).any():
            fail_mask(i, f"sizes {size_text(a_size)} and {size_text(b_size)} differ")
        check_sum(i, a_sums[i], a_size)
        check_sum(i, b_sums[i], b_size)
    pairs = zip(unpack(a_counts, a_offsets, a_sizes), unpack(b_counts, b_offsets, b_sizes), strict=True)
    return pack(a._replace(intervals=combine(a.intervals, b.intervals, op, a.pixels)) for a, b in pairs)


def setops_complement(counts: Counts, offsets: Offsets, sizes: Sizes) -> Runs:
    """Background as foreground."""
    return pack(complement(mask) for mask in unpack(counts, offsets, sizes))
