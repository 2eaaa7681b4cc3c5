"""The kernels as Python sees them: the contract of `_core` (C++) and `_numba` alike.

N masks are three arrays, as cpp/kernels/rle.hpp defines them:

counts : (R,) uint32, offsets : (N + 1,) int64, sizes : (N, 2) int64 (height, width)

Every function takes C-contiguous arrays of exactly the stated dtype (TypeError otherwise) and raises ValueError,
naming the item, for what only the data show.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

_Counts: TypeAlias = NDArray[np.uint32]
_Offsets: TypeAlias = NDArray[np.int64]
_Sizes: TypeAlias = NDArray[np.int64]
_Int64s: TypeAlias = NDArray[np.int64]
_Bytes: TypeAlias = NDArray[np.uint8]
_Float64s: TypeAlias = NDArray[np.float64]
_Floats: TypeAlias = NDArray[np.float32]
_Lattice: TypeAlias = tuple[NDArray[np.uint32], _Floats, NDArray[np.uint32]]
_Positions: TypeAlias = NDArray[np.uint64]
_Runs: TypeAlias = tuple[_Counts, _Offsets]
"""Masks whose sizes the caller knows."""

__version__: str

# support
def thread_count() -> int: ...
def set_thread_count(n: int) -> None: ...
def simd_level() -> str: ...
def best_simd_level() -> str: ...
def set_simd_level(level: str) -> None: ...

# rle
def rle_encode(images: NDArray[Any]) -> _Runs:
    """(N, H, W) or (H, W), bool or integer, any strides; nonzero is foreground."""

def rle_decode(counts: _Counts, offsets: _Offsets, sizes: _Sizes, out: NDArray[Any], value: int = 1) -> None:
    """out: (N, H, W) of one-byte items, any strides, fully written with 0 and value."""

def rle_from_labels(labels: NDArray[Any]) -> tuple[_Counts, _Offsets, _Int64s]:
    """(H, W) integers, any strides -> masks of every value but 0, and these values, rising."""

def rle_to_labels(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, values: _Int64s, out: NDArray[Any]
) -> None:
    """out: (H, W) integers, any strides; only foreground is written, later masks over earlier ones."""

def rle_to_string(counts: _Counts, offsets: _Offsets) -> tuple[_Bytes, _Offsets]: ...
def rle_from_string(chars: _Bytes, offsets: _Offsets) -> _Runs: ...
def rle_area(counts: _Counts, offsets: _Offsets) -> NDArray[np.uint64]: ...
def rle_bbox(counts: _Counts, offsets: _Offsets, sizes: _Sizes) -> _Float64s:
    """(N, 4) as x, y, width, height; zeros for empty masks."""

def rle_check(counts: _Counts, offsets: _Offsets, sizes: _Sizes) -> None: ...
def rle_normalize(counts: _Counts, offsets: _Offsets, sizes: _Sizes) -> _Runs: ...

# setops
def setops_merge(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, groups: _Int64s, group_sizes: _Sizes, op: int
) -> _Runs:
    """Group g is masks groups[g] .. groups[g + 1], all of size group_sizes[g].

    op 0: union; 1: intersection; 2: exclusive or (odd number of masks); 3: the first without all others. An empty
    group gives an empty mask (for op 1, too).
    """

def setops_pairs(
    a_counts: _Counts,
    a_offsets: _Offsets,
    a_sizes: _Sizes,
    b_counts: _Counts,
    b_offsets: _Offsets,
    b_sizes: _Sizes,
    op: int,
) -> _Runs:
    """Pixel = bit (a + 2 b) of op: 0b1110 a | b, 0b1000 a & b, 0b0110 a ^ b, 0b0010 a - b."""

def setops_complement(counts: _Counts, offsets: _Offsets, sizes: _Sizes) -> _Runs: ...

# geometry
def geometry_window(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, boxes: _Int64s, fill: bool = False
) -> _Runs:
    """boxes (N, 4) as x, y, width, height: mask i seen through box i, which may reach beyond the image; what lies
    outside is `fill`. The results have sizes (height, width) of the boxes."""

def geometry_flip(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, horizontal: bool, vertical: bool
) -> _Runs: ...
def geometry_transpose(counts: _Counts, offsets: _Offsets, sizes: _Sizes) -> _Runs: ...

# overlap
def overlap_iou(
    a_counts: _Counts,
    a_offsets: _Offsets,
    a_sizes: _Sizes,
    b_counts: _Counts,
    b_offsets: _Offsets,
    b_sizes: _Sizes,
    iscrowd: _Bytes,
) -> _Float64s:
    """(len(a), len(b)): |a & b| / |a | b|, or / |a| where iscrowd[b]; 0 where both are empty."""

def overlap_intersection(
    a_counts: _Counts,
    a_offsets: _Offsets,
    a_sizes: _Sizes,
    b_counts: _Counts,
    b_offsets: _Offsets,
    b_sizes: _Sizes,
) -> NDArray[np.uint64]:
    """(len(a), len(b)) pixels in common."""

def overlap_nms(counts: _Counts, offsets: _Offsets, sizes: _Sizes, threshold: float) -> NDArray[np.bool_]:
    """Greedy in the order given: a mask is dropped when its IoU with a kept one before it is above the threshold."""

# morphology
def morphology_components(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, connectivity: int
) -> tuple[_Counts, _Offsets, _Int64s]:
    """Connected components (4 or 8) of all masks, ordered by mask, then by first pixel in column order; and the mask
    each came from."""

def morphology_fill_holes(counts: _Counts, offsets: _Offsets, sizes: _Sizes, connectivity: int) -> _Runs:
    """Background that is not connected to the border is filled. connectivity is that of the foreground: the
    background's is the other one."""

def morphology_remove_small(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, min_area: int, connectivity: int
) -> _Runs:
    """Components of fewer than min_area pixels are removed."""

def morphology_dilate(counts: _Counts, offsets: _Offsets, sizes: _Sizes, radius: float, disc: bool) -> _Runs:
    """Pixels within `radius` of the foreground: Chebyshev distance, or Euclidean (dx^2 + dy^2 <= radius^2) if disc."""

def morphology_erode(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, radius: float, disc: bool, border: bool
) -> _Runs:
    """Pixels farther than `radius` from the background; outside of the image counts as background if border."""

def morphology_boundary(counts: _Counts, offsets: _Offsets, sizes: _Sizes, radius: _Int64s) -> _Runs:
    """Foreground within Chebyshev distance radius[i] of the background or of the outside of the image."""

# polygons
def polygons_rasterize(
    points: _Float64s, rings: _Offsets, masks: _Offsets, sizes: _Sizes, rule: int
) -> _Runs:
    """points (K, 2) x first; ring r is points[rings[r] : rings[r + 1]]; mask i is rings masks[i] .. masks[i + 1].

    rule 0: COCO's, every ring by itself, then their union; 1: even-odd, 2: non-zero, over all rings of a mask, a pixel
    (y, x) being sampled at (x + 0.5, y + 0.5); 3: scikit-image's point test; 4: Pillow's drawing, as labelme does,
    every ring by itself; 5: pixels of which at least half is covered, by even-odd. Non-finite or too large
    (|x| > 4e8) coordinates raise.
    """

def polygons_ellipses(ellipses: _Float64s, sizes: _Sizes) -> _Runs:
    """ellipses (N, 6): x, y, radii, cosine and sine of the first one's angle; pixels whose centres are inside."""

def polygons_simplify(
    points: _Float64s, rings: _Offsets, tolerances: _Float64s, method: int
) -> tuple[_Float64s, _Offsets]:
    """Closed rings with fewer points, by the tolerance (R,) of each. method 0: Douglas-Peucker, no point farther than
    tolerance from the result; 1: the symmetric difference of each ring and its result is at most tolerance square
    pixels."""

def polygons_tangles(points: _Float64s, rings: _Offsets, masks: _Offsets) -> NDArray[np.uint8]:
    """(N,) 1 where edges cross or touch, else 2 where rings are not nested as their directions say, else 0."""

# outlines
def outlines_trace(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, connectivity: int, bridge: bool
) -> tuple[_Float64s, _Offsets, _Offsets, _Int64s]:
    """-> points (K, 2), rings, masks (as in polygons_rasterize) and parent (rings,): -1 for an outer ring, else the
    ring (counted within its mask) whose hole this is. Corners only, on pixel edges; outer rings run with the
    foreground on the right hand in image coordinates (clockwise as seen), holes the other way.

    bridge: holes are joined to their outer ring by a cut along a column of pixel edges, walked there and back, so that
    every ring by itself, under COCO's rule, is a part of the mask and their union is the mask.
    """

# measures
def measures_table(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, largest: bool, pixels: _Float64s
) -> tuple[_Int64s, _Float64s]:
    """-> (N, 15) counts and (N, 14) lengths, with the columns of cpp/kernels/measures.hpp; an empty mask has 0 and NaN.

    pixels: (N, 2), width and height of a pixel, for rectangles and Feret diameters. largest: of each mask its largest
    8-connected component alone."""

# features
def features_bank(
    image: NDArray[np.float32],
    weights: _Float64s,
    starts: _Offsets,
    parity: _Int64s,
    first: _Int64s,
    second: _Int64s,
    maps: _Int64s,
    rows: _Float64s,
    columns: _Float64s,
    border: int,
    precise: bool,
    at: _Int64s | None,
    out: NDArray[Any],
) -> None:
    """image (bands, H, W); out (H, W, F), or (K, F) at the pixels `at` (K, 2), float32 or float64. The tables are
    explained in cpp/kernels/features.hpp; border 0: nearest, 1: reflect, 2: mirror."""

# patches
def patches_extract(
    array: NDArray[Any], boxes: _Int64s, out: NDArray[Any], pad: int, fill: NDArray[Any]
) -> None:
    """boxes (N, 2 * axes): half-open ranges, which may reach beyond the array (any dtype and strides, channels behind
    the axes or not); out: C-contiguous, the patches one behind the other; pad: 0 fill, 1 edge, 2 reflect."""

def patches_planes(
    volume: NDArray[Any], axis: int, tiles: _Int64s, slices: _Int64s, out: NDArray[Any]
) -> None:
    """tiles (T, 4), slices (S,) -> out (T, S, h, w)."""

def patches_stats(
    volume: NDArray[Any], axis: int, tiles: _Int64s, slices: _Int64s, padding: float
) -> _Float64s:
    """(6, T * S): least, greatest, mean; shares equal to the least, the greatest, padding."""

def patches_stitch(
    patches: NDArray[Any],
    boxes: _Int64s,
    windows: _Float64s,
    starts: _Int64s,
    blend: int,
    out: NDArray[Any],
) -> None:
    """patches: C-contiguous, one behind the other; starts (N, axes): where in `windows` the weights of an axis of a
    box begin; blend: 0 mean, 1 max, 2 last; out: C-contiguous, what no patch covers stays."""

# perceptron: parameters are flat, layer after layer, (inputs + 1, outputs) with the biases last
def perceptron_epoch(
    units: _Int64s,
    rows: _Float64s,
    targets: _Float64s,
    order: _Int64s,
    batch: int,
    alpha: float,
    rate: float,
    steps: int,
    parameters: _Float64s,
    first: _Float64s,
    second: _Float64s,
) -> None:
    """A step of Adam for each batch of rows; parameters and moments are updated."""

@overload
def perceptron_scores(
    units: _Int64s, rows: _Floats, mean: _Float64s, scale: _Float64s, parameters: _Float64s
) -> _Float64s:
    """What the last layer gives for (rows - mean) / scale, (N, outputs)."""

@overload
def perceptron_scores(
    units: _Int64s, rows: _Float64s, mean: _Float64s, scale: _Float64s, parameters: _Float64s
) -> _Float64s: ...

# crf: a lattice is (vertices, weights, neighbours), a term (lattice, before, after, weight, compatibility)
def crf_lattice(features: _Floats) -> _Lattice:
    """features (N, d), 1 to 63 columns."""

def crf_filter(lattice: _Lattice, values: _Floats, out: _Floats) -> None:
    """values (L, N) -> out (L, N)."""

def crf_mean_field(
    unary: _Floats,
    terms: Sequence[tuple[_Lattice, _Floats | None, _Floats | None, float, _Floats | None]],
    iterations: int,
    out: _Floats,
) -> None:
    """unary (L, N) -> out (L, N); before, after (N,), compatibility (L, L), which replaces the weight."""

def crf_windows(values: _Float64s, guide: _Floats, sigma: float, radius: int, out: _Float64s) -> None:
    """values (L, H, W), guide (H, W, C) -> out (L, H, W)."""

def crf_pairs(values: _Float64s, features: _Floats, out: _Float64s) -> None:
    """values (L, N), features (N, d) -> out (L, N)."""

# hamming: codes are (N, words), 1 to 4 words
def hamming_pairs(
    codes: _Positions, other: _Positions, radius: int, limit: int
) -> tuple[_Int64s, _Int64s, _Int64s]:
    """i, j, distance of all pairs within the radius, by (i, j); ValueError if more than limit."""

def hamming_self_pairs(codes: _Positions, radius: int, limit: int) -> tuple[_Int64s, _Int64s, _Int64s]:
    """The same with i < j among one set."""

def hamming_nearest(queries: _Positions, exemplars: _Positions, radius: int) -> tuple[_Int64s, _Int64s]:
    """Index of the nearest exemplar, the first of several, and its distance; -1 and -1 beyond the radius."""

def hamming_greedy(codes: _Positions, exemplars: _Positions, radius: int) -> tuple[_Int64s, _Int64s, _Int64s]:
    """Items kept in the order given; per item the earliest kept within the radius, -1 - e for exemplar e, and the
    distance to it."""

# hashes: codes are (N, words); a rule is kind, size, profile, regime, crop, see maskmill.hashes.Profile
def hashes_images(
    images: _Bytes | Sequence[_Bytes], kind: str, size: int, profile: str, regime: str, crop: int
) -> _Positions:
    """(N, H, W[, C]), or (H, W[, C]) each, any strides."""

def hashes_pdq(images: _Bytes | Sequence[_Bytes], luma: str, dihedral: bool) -> tuple[_Positions, _Bytes]:
    """Codes (N, 4), or (N, 8, 4) if dihedral, and qualities (N,)."""

def hashes_dihedral(
    images: _Bytes | Sequence[_Bytes], size: int, profile: str, regime: str, crop: int
) -> _Positions:
    """Dhashes (N, 8, words) of the images turned and mirrored."""

def hashes_colorhash(images: _Bytes | Sequence[_Bytes], binbits: int) -> _Positions: ...
def hashes_crop_resistant(
    images: _Bytes | Sequence[_Bytes],
    size: int,
    regime: str,
    side: int,
    threshold: int,
    least: int,
    limit: int,
) -> tuple[_Positions, _Int64s]:
    """Codes of all segments, and the images' offsets."""

def hashes_planes(
    volume: _Bytes,
    axis: int,
    tiles: _Int64s,
    slices: _Int64s,
    kind: str,
    size: int,
    profile: str,
    regime: str,
    crop: int,
) -> _Positions:
    """volume (D, H, W), any strides; tiles (T, 4) -> (T * S, words)."""

# matching: cells are what is compared with each other, see cpp/kernels/matching.hpp. Four arrays tell them:
# gt_cells, gt_order, dt_cells, dt_order. Functions that compare give (ious, iou_cells): a (dt, gt) matrix per cell.
def matching_group(
    gt_image: _Int64s,
    gt_category: _Int64s,
    dt_image: _Int64s,
    dt_category: _Int64s,
    dt_score: _Float64s,
    image_ids: _Int64s,
    category_ids: _Int64s,
    use_categories: bool,
    max_det: int,
) -> tuple[_Int64s, _Int64s, _Offsets, _Int64s, _Offsets, _Int64s, _Float64s]:
    """category and image of each cell, as places in the lists; gt_cells, gt_order, dt_cells, dt_order; scores in the
    order of dt_order."""

def matching_all_known(values: _Int64s, ids: _Int64s) -> bool: ...
def matching_box_iou(
    gt_cells: _Offsets,
    gt_order: _Int64s,
    dt_cells: _Offsets,
    dt_order: _Int64s,
    gt_boxes: _Float64s,
    dt_boxes: _Float64s,
    iscrowd: _Bytes,
) -> tuple[_Float64s, _Offsets]:
    """Boxes (N, 4) as x, y, width, height; pycocotools' arithmetic, NaN included."""

def matching_mask_iou(
    gt_cells: _Offsets,
    gt_order: _Int64s,
    dt_cells: _Offsets,
    dt_order: _Int64s,
    gt_counts: _Counts,
    gt_offsets: _Offsets,
    gt_sizes: _Sizes,
    dt_counts: _Counts,
    dt_offsets: _Offsets,
    dt_sizes: _Sizes,
    iscrowd: _Bytes,
) -> tuple[_Float64s, _Offsets]:
    """-1 for masks of different sizes whose boxes meet."""

def matching_text_iou(
    gt_cells: _Offsets,
    gt_order: _Int64s,
    dt_cells: _Offsets,
    dt_order: _Int64s,
    gt: tuple[_Bytes, _Bytes, _Positions, _Positions, _Sizes],
    dt: tuple[_Bytes, _Bytes, _Positions, _Positions, _Sizes],
    iscrowd: _Bytes,
) -> tuple[_Float64s, _Offsets]:
    """gt, dt: text, kind, begin, end of segmentations, as coco_json_read gives them, and sizes of their masks."""

def matching_oks_exponents(
    gt_cells: _Offsets,
    gt_order: _Int64s,
    dt_cells: _Offsets,
    dt_order: _Int64s,
    gt_points: _Float64s,
    gt_boxes: _Float64s,
    gt_area: _Float64s,
    dt_points: _Float64s,
    variances: _Float64s,
) -> tuple[_Float64s, _Offsets]:
    """points (N, K, 3) as x, y, visibility; variances (K,) -> exponents e (IoUs, K), the similarity being the mean of
    exp(-e)."""

def matching_oks_means(
    gt_cells: _Offsets,
    gt_order: _Int64s,
    dt_cells: _Offsets,
    dt_order: _Int64s,
    gt_points: _Float64s,
    gt_boxes: _Float64s,
    gt_area: _Float64s,
    dt_points: _Float64s,
    variances: _Float64s,
    iou_cells: _Offsets,
    exponentials: _Float64s,
) -> _Float64s: ...
def matching_match(
    gt_cells: _Offsets,
    gt_order: _Int64s,
    dt_cells: _Offsets,
    dt_order: _Int64s,
    ious: _Float64s | None,
    iou_cells: _Offsets | None,
    gt_boxes: _Float64s | None,
    dt_boxes: _Float64s | None,
    gt_area: _Float64s,
    gt_ignore: _Bytes,
    gt_crowd: _Bytes,
    gt_named: _Bytes,
    dt_area: _Float64s,
    dt_named: _Bytes,
    thresholds: _Float64s,
    area_ranges: _Float64s,
    partners: bool = False,
) -> tuple[NDArray[np.uint16], NDArray[np.uint16], _Int64s, NDArray[np.int32], NDArray[np.int32]]:
    """-> matched, ignored (areas, detections), a bit per threshold (16 at most); counted (areas, cells); dt_partner,
    gt_partner (areas or 0, thresholds, detections or ground truth)."""

def matching_accumulate(
    category: _Int64s,
    dt_cells: _Offsets,
    score: _Float64s,
    matched: NDArray[np.uint16],
    ignored: NDArray[np.uint16],
    counted: _Int64s,
    category_count: int,
    threshold_count: int,
    recalls: _Float64s,
    max_dets: _Int64s,
) -> tuple[_Float64s, _Float64s, _Float64s]:
    """-> precision (T, R, K, A, M), recall (T, K, A, M), scores (T, R, K, A, M)."""

# coco_json
def coco_json_read(text: _Bytes) -> dict[str, Any] | tuple[str, int, int, int]:
    """Columns of a file, see cpp/kernels/coco_json.hpp; or of malformed text what is wrong, line, column, position."""

def coco_json_read_boxes(descriptor: int, size: int) -> dict[str, Any] | None:
    """Columns of an open file of nothing but boxes, keypoints or both; None of any other."""

def coco_json_masks(
    text: _Bytes, rows: _Int64s, kind: _Bytes, begin: _Positions, end: _Positions, sizes: _Sizes
) -> _Runs:
    """Masks of the segmentations of rows, whose images have sizes (len(rows), 2)."""

def coco_json_areas(
    text: _Bytes, rows: _Int64s, kind: _Bytes, begin: _Positions, end: _Positions
) -> _Float64s: ...
def coco_json_keypoints(text: _Bytes, rows: _Int64s, begin: _Positions, end: _Positions, k: int) -> _Float64s:
    """(len(rows), k, 3)"""

def coco_json_write(columns: dict[str, Any], n: int) -> bytes:
    """columns: any of id, image_id, category_id, bbox, area, iscrowd, score; and counts, offsets, sizes of masks or
    points, rings, masks of polygons."""

# coco_rle: masks whose runs may sum to anything
def coco_rle_parse(chars: _Bytes, offsets: _Offsets) -> _Runs: ...
def coco_rle_decode(counts: _Counts, offsets: _Offsets, out: _Bytes) -> bool:
    """Writes the masks one behind the other; False if they are longer than out."""

def coco_rle_area(counts: _Counts, offsets: _Offsets) -> NDArray[np.uint32]: ...
def coco_rle_bbox(counts: _Counts, offsets: _Offsets, sizes: _Sizes) -> _Float64s: ...
def coco_rle_merge(
    counts: _Counts, offsets: _Offsets, sizes: _Sizes, intersect: bool
) -> tuple[_Counts, int, int]:
    """-> counts, height, width; no counts and 0 x 0 if sizes differ."""

def coco_rle_iou(
    a_counts: _Counts,
    a_offsets: _Offsets,
    a_sizes: _Sizes,
    b_counts: _Counts,
    b_offsets: _Offsets,
    b_sizes: _Sizes,
    iscrowd: _Bytes,
) -> _Float64s:
    """(len(a), len(b)), in Fortran order."""

def coco_rle_box_iou(a: _Float64s, b: _Float64s, iscrowd: _Bytes) -> _Float64s:
    """(M, 4) x (N, 4) boxes (x, y, width, height) -> (M, N), in Fortran order."""

# In C++ only: these make Python objects, or take them apart. Where there is no core, Python does so.

# coco_dicts: None where an annotation lacks the field, or has another kind of value
def coco_box_dicts(
    keys: tuple[str, ...],
    image_id: _Int64s,
    category_id: _Int64s,
    bbox: _Float64s,
    score: _Float64s,
    integers: _Bytes,
    keypoints: _Float64s,
    keypoint_integers: _Bytes,
) -> list[dict[str, Any]]: ...
def coco_prepare_boxes(annotations: list[Any]) -> None: ...
def coco_numbers(annotations: list[Any], key: str) -> _Float64s | None: ...
def coco_boxes(annotations: list[Any]) -> _Float64s | None: ...
def coco_keypoints(annotations: list[Any]) -> tuple[_Float64s, _Bytes] | None: ...
def coco_segmentations(annotations: list[Any]) -> tuple[_Counts, _Offsets, _Sizes] | None: ...

# coco_mask: pycocotools.mask for arguments of the usual types; NotImplemented for others
def coco_encode(mask: Any, /) -> Any: ...
def coco_decode(rles: Any, /) -> Any: ...
def coco_area(rles: Any, /) -> Any: ...
def coco_to_bbox(rles: Any, /) -> Any: ...
def coco_merge(rles: Any, intersect: Any, /) -> Any: ...
def coco_iou(dt: Any, gt: Any, iscrowd: Any, /) -> Any: ...
def coco_from_polygons(polygons: Any, height: Any, width: Any, /) -> Any: ...
