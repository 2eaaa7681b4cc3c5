"""Components, holes, dilation, erosion: the twin of cpp/kernels/morphology.hpp."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from maskmill._numba._runs import (
    AND,
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
    fail_mask,
    from_segments,
    grouped,
    pack,
    segments_of,
    unpack,
)

# Connected components


def morphology_components(
    counts: Counts, offsets: Offsets, sizes: Sizes, connectivity: int
) -> tuple[Counts, Offsets, Int64s]:
    """Components of all masks, by mask, then by first pixel in column order; and the mask each came from."""
    check_masks(counts, offsets, sizes)
    _check_connectivity(connectivity)
    components = []
    source = []
    for i, mask in enumerate(unpack(counts, offsets, sizes)):
        segments = segments_of(mask.intervals, mask.height)
        # A component is called by its first segment, so that rising names are the order asked for.
        for _, members in grouped(_label(segments, connectivity), segments):
            components.append(_mask_of(members, mask))
            source.append(i)
    return *pack(components), np.array(source, np.int64)


def morphology_fill_holes(counts: Counts, offsets: Offsets, sizes: Sizes, connectivity: int) -> Runs:
    """Background that is not connected to the border becomes foreground."""
    check_masks(counts, offsets, sizes)
    _check_connectivity(connectivity)
    return pack(_fill_holes(mask, connectivity) for mask in unpack(counts, offsets, sizes))


def _fill_holes(mask: Mask, connectivity: int) -> Mask:
    # Where foreground is connected over corners, background is not: else the two could cross each other.
    background = segments_of(complement(mask).intervals, mask.height)
    name = _label(background, 4 if connectivity == 8 else 8)
    x, top, bottom = background.T
    at_border = (x == 0) | (x == mask.width - 1) | (top == 0) | (bottom == mask.height)
    is_outside = np.zeros(len(background), np.bool_)
    is_outside[name[at_border]] = True
    return complement(_mask_of(background[is_outside[name]], mask))


def morphology_remove_small(
    counts: Counts, offsets: Offsets, sizes: Sizes, min_area: int, connectivity: int
) -> Runs:
    """Components of min_area pixels or more."""
    check_masks(counts, offsets, sizes)
    _check_connectivity(connectivity)
    return pack(_remove_small(mask, min_area, connectivity) for mask in unpack(counts, offsets, sizes))


def _remove_small(mask: Mask, min_area: int, connectivity: int) -> Mask:
    segments = segments_of(mask.intervals, mask.height)
    name = _label(segments, connectivity)
    area = np.zeros(len(segments), np.int64)
    np.add.at(area, name, segments[:, 2] - segments[:, 1])
    return _mask_of(segments[area[name] >= min_area], mask)


def _check_connectivity(connectivity: int) -> None:
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8, not {connectivity}")


def _mask_of(segments: Int64s, like: Mask) -> Mask:
    x, top, bottom = segments.T
    return like._replace(intervals=from_segments(x, top, bottom, like.height))


@compiled
def _label(segments: Int64s, connectivity: int) -> Int64s:
    """(K,) for every segment the first segment of its component.

    Union-find: parent[k] <= k is a segment of the same component, and k itself if k is its first.
    """
    parent = np.arange(len(segments))
    reach = 1 if connectivity == 8 else 0  # rows by which neighbours may miss each other
    k = 0  # the first segment that may touch the current one from the left
    for j in range(len(segments)):
        x, top, bottom = segments[j]
        # Segments rise by column and row: what is too far to the left or above is so for all that follow.
        while segments[k, 0] < x - 1 or (segments[k, 0] == x - 1 and segments[k, 2] + reach <= top):
            k += 1
        i = k
        while segments[i, 0] == x - 1 and segments[i, 1] < bottom + reach:
            a, b = i, j
            while parent[a] != a:
                a = parent[a]
            while parent[b] != b:
                b = parent[b]
            parent[max(a, b)] = min(a, b)
            # Later searches from here need not walk that way again.
            parent[i] = parent[j] = min(a, b)
            i += 1
    for j in range(len(segments)):
        parent[j] = parent[parent[j]]  # parents come first: theirs is final
    return parent


# Dilation and erosion


def morphology_dilate(counts: Counts, offsets: Offsets, sizes: Sizes, radius: float, disc: bool) -> Runs:
    """Pixels within `radius` of the foreground: Chebyshev distance, or Euclidean if disc."""
    check_masks(counts, offsets, sizes)
    _check_radius(radius)
    return pack(_dilate(mask, radius, disc) for mask in unpack(counts, offsets, sizes))


def morphology_erode(
    counts: Counts, offsets: Offsets, sizes: Sizes, radius: float, disc: bool, border: bool
) -> Runs:
    """Pixels farther than `radius` from the background; outside of the image counts as it if border."""
    check_masks(counts, offsets, sizes)
    _check_radius(radius)
    return pack(_erode(mask, radius, disc, border) for mask in unpack(counts, offsets, sizes))


def morphology_boundary(counts: Counts, offsets: Offsets, sizes: Sizes, radius: Int64s) -> Runs:
    """Foreground within Chebyshev distance radius[i] of the background or of the outside of the image."""
    check_array("radius", radius, np.int64)
    check_masks(counts, offsets, sizes)
    if radius.shape != (len(sizes),):
        raise ValueError("radius must have one element per mask")
    if (radius < 0).any():
        i = int((radius < 0).argmax())
        fail_mask(i, f"radius must be 0 or more, not {radius[i]}")
    boundaries = []
    for mask, r in zip(unpack(counts, offsets, sizes), radius.tolist(), strict=True):
        inside = _erode(mask, r, disc=False, border=True)
        boundary = combine(mask.intervals, inside.intervals, MINUS, mask.pixels)
        boundaries.append(mask._replace(intervals=boundary))
    return pack(boundaries)


def _check_radius(radius: float) -> None:
    if not radius >= 0:  # NaN, too
        raise ValueError(f"radius must be 0 or more, not {radius:g}")


def _dilate(mask: Mask, radius: float, disc: bool) -> Mask:
    # The union of what every segment reaches: reach[d] rows up and down, d columns to its left and right.
    reach = _reach(mask, radius, disc)
    x, top, bottom = _spread(segments_of(mask.intervals, mask.height), reach, mask.width).T
    top = np.maximum(top, 0)
    bottom = np.minimum(bottom, mask.height)
    return mask._replace(intervals=from_segments(x, top, bottom, mask.height))


def _erode(mask: Mask, radius: float, disc: bool, border: bool) -> Mask:
    eroded = complement(_dilate(complement(mask), radius, disc))
    if not border:
        return eroded
    # The nearest pixel outside lies straight across the border: square and disc cut off the same frame.
    frame = _whole(mask, radius)
    x = np.arange(frame, max(frame, mask.width - frame))
    top = np.full(len(x), frame)
    bottom = np.full(len(x), max(frame, mask.height - frame))
    inner = from_segments(x, top, bottom, mask.height)
    return eroded._replace(intervals=combine(eroded.intervals, inner, AND, mask.pixels))


def _whole(mask: Mask, radius: float) -> int:
    """Whole pixels within the radius; more than the longer side makes no difference."""
    return math.floor(min(radius, max(mask.height, mask.width)))


def _reach(mask: Mask, radius: float, disc: bool) -> Int64s:
    """reach[dx]: the largest dy such that a pixel dx columns and dy rows away is within the radius."""
    whole = _whole(mask, radius)
    if not disc:
        return np.full(whole + 1, whole)
    return np.array([_half_chord(dx, radius, mask.height) for dx in range(whole + 1)], np.int64)


def _half_chord(dx: int, radius: float, longest: int) -> int:
    # In float64, as the radius is. A root may be rounded to the wrong side: comparing squares decides.
    square = float(radius) * float(radius)
    dy = math.floor(min(math.sqrt(square - float(dx) * float(dx)), longest))
    while dy > 0 and float(dx) * float(dx) + float(dy) * float(dy) > square:
        dy -= 1
    while dy < longest and float(dx) * float(dx) + float(dy + 1) * float(dy + 1) <= square:
        dy += 1
    return dy


@compiled
def _spread(segments: Int64s, reach: NDArray[np.int64], width: int) -> Int64s:
    """Every segment in every column within its reach, longer by the reach there at both ends."""
    total = 0
    for j in range(len(segments)):
        total += min(segments[j, 0] + len(reach), width) - max(segments[j, 0] - len(reach) + 1, 0)
    spread = np.empty((total, 3), np.int64)
    k = 0
    for j in range(len(segments)):
        x, top, bottom = segments[j]
        for column in range(max(x - len(reach) + 1, 0), min(x + len(reach), width)):
            dy = reach[abs(column - x)]
            spread[k, 0] = column
            spread[k, 1] = top - dy
            spread[k, 2] = bottom + dy
            k += 1
    return spread
