"""The kernels that have a twin on the GPU: those of `_core`, with the same arguments.

Arrays are CuPy's, on its current device, and so are results; sizes of masks (`sizes`), values of pixels and plans stay
on the host, as there. Work is queued on CuPy's current stream.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._core import (
    features_bank as features_bank,
    hamming_greedy as hamming_greedy,
    hamming_nearest as hamming_nearest,
    hamming_pairs as hamming_pairs,
    hamming_self_pairs as hamming_self_pairs,
    hashes_colorhash as hashes_colorhash,
    hashes_dihedral as hashes_dihedral,
    hashes_images as hashes_images,
    hashes_pdq as hashes_pdq,
    hashes_planes as hashes_planes,
    matching_box_iou as matching_box_iou,
    overlap_intersection as overlap_intersection,
    overlap_iou as overlap_iou,
    overlap_nms as overlap_nms,
    patches_extract as patches_extract,
    patches_planes as patches_planes,
    patches_stats as patches_stats,
    patches_stitch as patches_stitch,
    polygons_rasterize as polygons_rasterize,
    rle_area as rle_area,
    rle_bbox as rle_bbox,
    rle_check as rle_check,
    rle_decode as rle_decode,
    rle_encode as rle_encode,
    rle_from_labels as rle_from_labels,
    rle_from_string as rle_from_string,
    rle_normalize as rle_normalize,
    rle_to_labels as rle_to_labels,
    rle_to_string as rle_to_string,
    setops_complement as setops_complement,
    setops_merge as setops_merge,
    setops_pairs as setops_pairs,
)

def rle_encode_changes(images: NDArray[Any]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """As rle_encode, but runs end wherever the byte changes, as pycocotools' do."""

__version__: str
architectures: str
"""What it was compiled for, as CMake names them: with PTX but for those that end in -real."""

def device_count() -> int: ...
def devices() -> list[tuple[str, tuple[int, int], int]]:
    """Name, compute capability and bytes of memory of each."""

def runtime_version() -> int:
    """Of CUDA, as 13000 for 13.0."""

def driver_version() -> int:
    """The newest CUDA that the driver runs; 0 without one."""

def waits() -> int:
    """How often this thread has waited for a GPU."""
