"""The kernels as Python sees them: the contract of `_core` (C++) and `_numba` alike.

N masks are three arrays, as cpp/kernels/rle.hpp defines them:

counts : (R,) uint32, offsets : (N + 1,) int64, sizes : (N, 2) int64 (height, width)

Every function takes C-contiguous arrays of exactly the stated dtype (TypeError otherwise) and raises ValueError,
naming the item, for what only the data show.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.uint32]
Offsets: TypeAlias = NDArray[np.int64]
Sizes: TypeAlias = NDArray[np.int64]
Int64s: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.uint8]
Float64s: TypeAlias = NDArray[np.float64]
Runs: TypeAlias = tuple[Counts, Offsets]
"""Masks whose sizes the caller knows."""

__version__: str

# support
def thread_count() -> int: ...
def set_thread_count(n: int) -> None: ...
def simd_level() -> str: ...
def best_simd_level() -> str: ...
def set_simd_level(level: str) -> None: ...

# rle
def rle_encode(images: NDArray[Any]) -> Runs:
    """(N, H, W) or (H, W), bool or integer, any strides; nonzero is foreground."""

def rle_decode(counts: Counts, offsets: Offsets, sizes: Sizes, out: NDArray[Any], value: int = 1) -> None:
    """out: (N, H, W) of one-byte items, any strides, fully written with 0 and value."""

def rle_from_labels(labels: NDArray[Any]) -> tuple[Counts, Offsets, Int64s]:
    """(H, W) integers, any strides -> masks of every value but 0, and these values, rising."""

def rle_to_labels(counts: Counts, offsets: Offsets, sizes: Sizes, values: Int64s, out: NDArray[Any]) -> None:
    """out: (H, W) integers, any strides; only foreground is written, later masks over earlier ones."""

def rle_to_string(counts: Counts, offsets: Offsets) -> tuple[Bytes, Offsets]: ...
def rle_from_string(chars: Bytes, offsets: Offsets) -> Runs: ...
def rle_area(counts: Counts, offsets: Offsets) -> NDArray[np.uint64]: ...
def rle_bbox(counts: Counts, offsets: Offsets, sizes: Sizes) -> Float64s:
    """(N, 4) as x, y, width, height; zeros for empty masks."""

def rle_check(counts: Counts, offsets: Offsets, sizes: Sizes) -> None: ...
def rle_normalize(counts: Counts, offsets: Offsets, sizes: Sizes) -> Runs: ...

# setops
def setops_merge(
    counts: Counts, offsets: Offsets, sizes: Sizes, groups: Int64s, group_sizes: Sizes, op: int
) -> Runs:
    """Group g is masks groups[g] .. groups[g + 1], all of size group_sizes[g].

    op 0: union; 1: intersection; 2: exclusive or (odd number of masks); 3: the first without all others. An empty
    group gives an empty mask (for op 1, too).
    """

def setops_pairs(
    a_counts: Counts,
    a_offsets: Offsets,
    a_sizes: Sizes,
    b_counts: Counts,
    b_offsets: Offsets,
    b_sizes: Sizes,
    op: int,
) -> Runs:
    """Pixel = bit (a + 2 b) of op: 0b1110 a | b, 0b1000 a & b, 0b0110 a ^ b, 0b0010 a - b."""

def setops_complement(counts: Counts, offsets: Offsets, sizes: Sizes) -> Runs: ...

# geometry
def geometry_window(
    counts: Counts, offsets: Offsets, sizes: Sizes, boxes: Int64s, fill: bool = False
) -> Runs:
    """boxes (N, 4) as x, y, width, height: mask i seen through box i, which may reach beyond the image; what lies
    outside is `fill`. The results have sizes (height, width) of the boxes."""

def geometry_flip(
    counts: Counts, offsets: Offsets, sizes: Sizes, horizontal: bool, vertical: bool
) -> Runs: ...
def geometry_transpose(counts: Counts, offsets: Offsets, sizes: Sizes) -> Runs: ...

# overlap
def overlap_iou(
    a_counts: Counts,
    a_offsets: Offsets,
    a_sizes: Sizes,
    b_counts: Counts,
    b_offsets: Offsets,
    b_sizes: Sizes,
    iscrowd: Bytes,
) -> Float64s:
    """(len(a), len(b)): |a & b| / |a | b|, or / |a| where iscrowd[b]; 0 where both are empty."""

def overlap_intersection(
    a_counts: Counts, a_offsets: Offsets, a_sizes: Sizes, b_counts: Counts, b_offsets: Offsets, b_sizes: Sizes
) -> NDArray[np.uint64]:
    """(len(a), len(b)) pixels in common."""

def overlap_nms(counts: Counts, offsets: Offsets, sizes: Sizes, threshold: float) -> NDArray[np.bool_]:
    """Greedy in the order given: a mask is dropped when its IoU with a kept one before it is above the threshold."""

# morphology
def morphology_components(
    counts: Counts, offsets: Offsets, sizes: Sizes, connectivity: int
) -> tuple[Counts, Offsets, Int64s]:
    """Connected components (4 or 8) of all masks, ordered by mask, then by first pixel in column order; and the mask
    each came from."""

def morphology_fill_holes(counts: Counts, offsets: Offsets, sizes: Sizes, connectivity: int) -> Runs:
    """Background that is not connected to the border is filled. connectivity is that of the foreground: the
    background's is the other one."""

def morphology_remove_small(
    counts: Counts, offsets: Offsets, sizes: Sizes, min_area: int, connectivity: int
) -> Runs:
    """Components of fewer than min_area pixels are removed."""

def morphology_dilate(counts: Counts, offsets: Offsets, sizes: Sizes, radius: float, disc: bool) -> Runs:
    """Pixels within `radius` of the foreground: Chebyshev distance, or Euclidean (dx^2 + dy^2 <= radius^2) if disc."""

def morphology_erode(
    counts: Counts, offsets: Offsets, sizes: Sizes, radius: float, disc: bool, border: bool
) -> Runs:
    """Pixels farther than `radius` from the background; outside of the image counts as background if border."""

def morphology_boundary(counts: Counts, offsets: Offsets, sizes: Sizes, radius: Int64s) -> Runs:
    """Foreground within Chebyshev distance radius[i] of the background or of the outside of the image."""

# polygons
def polygons_rasterize(points: Float64s, rings: Offsets, masks: Offsets, sizes: Sizes, rule: int) -> Runs:
    """points (K, 2) x first; ring r is points[rings[r] : rings[r + 1]]; mask i is rings masks[i] .. masks[i + 1].

    rule 0: COCO's, every ring by itself, then their union; 1: even-odd, 2: non-zero, over all rings of a mask, a pixel
    (y, x) being sampled at (x + 0.5, y + 0.5). Non-finite or too large (|x| > 4e8) coordinates raise.
    """

def polygons_simplify(
    points: Float64s, rings: Offsets, tolerance: float, method: int
) -> tuple[Float64s, Offsets]:
    """Closed rings with fewer points. method 0: Douglas-Peucker, no point farther than tolerance from the result;
    1: the symmetric difference of each ring and its result is at most tolerance square pixels."""

# outlines
def outlines_trace(
    counts: Counts, offsets: Offsets, sizes: Sizes, connectivity: int, bridge: bool
) -> tuple[Float64s, Offsets, Offsets, Int64s]:
    """-> points (K, 2), rings, masks (as in polygons_rasterize) and parent (rings,): -1 for an outer ring, else the
    ring (counted within its mask) whose hole this is. Corners only, on pixel edges; outer rings run with the
    foreground on the right hand in image coordinates (clockwise as seen), holes the other way.

    bridge: holes are joined to their outer ring by a cut along a column of pixel edges, walked there and back, so that
    every ring by itself, under COCO's rule, is a part of the mask and their union is the mask.
    """

# matching
def matching_box_iou(a: Float64s, b: Float64s, iscrowd: Bytes) -> Float64s:
    """(M, 4) x (N, 4) boxes (x, y, width, height) -> (M, N), with pycocotools' arithmetic, NaN included."""
