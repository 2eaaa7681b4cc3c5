"""Readable twins of the C++ kernels: the specification of what they compute, and the fallback where no core
was built.

Function by function the same contract as maskmill/_core.pyi. Written to be read: never optimise one into
something unreadable.
"""

from maskmill._numba.coco_json import (
    coco_json_areas,
    coco_json_keypoints,
    coco_json_masks,
    coco_json_read,
    coco_json_read_boxes,
    coco_json_write,
)
from maskmill._numba.coco_rle import (
    coco_rle_area,
    coco_rle_bbox,
    coco_rle_box_iou,
    coco_rle_decode,
    coco_rle_iou,
    coco_rle_merge,
    coco_rle_parse,
)
from maskmill._numba.crf import crf_filter, crf_lattice, crf_mean_field, crf_pairs, crf_windows
from maskmill._numba.features import features_bank
from maskmill._numba.geometry import geometry_flip, geometry_transpose, geometry_window
from maskmill._numba.hamming import hamming_greedy, hamming_nearest, hamming_pairs, hamming_self_pairs
from maskmill._numba.hashes import (
    hashes_colorhash,
    hashes_crop_resistant,
    hashes_dihedral,
    hashes_images,
    hashes_pdq,
    hashes_planes,
)
from maskmill._numba.matching import (
    matching_accumulate,
    matching_all_known,
    matching_box_iou,
    matching_group,
    matching_mask_iou,
    matching_match,
    matching_oks_exponents,
    matching_oks_means,
    matching_text_iou,
)
from maskmill._numba.measures import measures_table
from maskmill._numba.morphology import (
    morphology_boundary,
    morphology_components,
    morphology_dilate,
    morphology_erode,
    morphology_fill_holes,
    morphology_remove_small,
)
from maskmill._numba.outlines import outlines_trace
from maskmill._numba.overlap import overlap_intersection, overlap_iou, overlap_nms
from maskmill._numba.patches import patches_extract, patches_planes, patches_stats, patches_stitch
from maskmill._numba.perceptron import perceptron_epoch, perceptron_scores
from maskmill._numba.polygons import (
    polygons_ellipses,
    polygons_rasterize,
    polygons_simplify,
    polygons_tangles,
)
from maskmill._numba.rle import (
    rle_area,
    rle_bbox,
    rle_check,
    rle_decode,
    rle_encode,
    rle_from_labels,
    rle_from_string,
    rle_normalize,
    rle_to_labels,
    rle_to_string,
)
from maskmill._numba.setops import setops_complement, setops_merge, setops_pairs

__all__ = [
    "coco_json_areas",
    "coco_json_keypoints",
    "coco_json_masks",
    "coco_json_read",
    "coco_json_read_boxes",
    "coco_json_write",
    "coco_rle_area",
    "coco_rle_bbox",
    "coco_rle_box_iou",
    "coco_rle_decode",
    "coco_rle_iou",
    "coco_rle_merge",
    "coco_rle_parse",
    "crf_filter",
    "crf_lattice",
    "crf_mean_field",
    "crf_pairs",
    "crf_windows",
    "features_bank",
    "geometry_flip",
    "geometry_transpose",
    "geometry_window",
    "hamming_greedy",
    "hamming_nearest",
    "hamming_pairs",
    "hamming_self_pairs",
    "hashes_colorhash",
    "hashes_crop_resistant",
    "hashes_dihedral",
    "hashes_images",
    "hashes_pdq",
    "hashes_planes",
    "matching_accumulate",
    "matching_all_known",
    "matching_box_iou",
    "matching_group",
    "matching_mask_iou",
    "matching_match",
    "matching_oks_exponents",
    "matching_oks_means",
    "matching_text_iou",
    "measures_table",
    "morphology_boundary",
    "morphology_components",
    "morphology_dilate",
    "morphology_erode",
    "morphology_fill_holes",
    "morphology_remove_small",
    "outlines_trace",
    "overlap_intersection",
    "overlap_iou",
    "overlap_nms",
    "patches_extract",
    "patches_planes",
    "patches_stats",
    "patches_stitch",
    "perceptron_epoch",
    "perceptron_scores",
    "polygons_ellipses",
    "polygons_rasterize",
    "polygons_simplify",
    "polygons_tangles",
    "rle_area",
    "rle_bbox",
    "rle_check",
    "rle_decode",
    "rle_encode",
    "rle_from_labels",
    "rle_from_string",
    "rle_normalize",
    "rle_to_labels",
    "rle_to_string",
    "setops_complement",
    "setops_merge",
    "setops_pairs",
]
