"""overlap: IoU of all masks with all, crowds among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import overlap, rle

from .inputs import discs, rng
from .measure import Cases, Gpu, Job, on_host

CASES = Cases("overlap")


def _iou(gpu: Gpu, low: float, high: float, size: tuple[int, ...]) -> Job:
    """Runs are read once and the table is written: the floor says little of the merging in between."""
    a, b = discs(*size, low, high), discs(*size, low, high, seed=1)
    crowd = (rng(2).random(len(b)) < 0.1).astype(np.uint8)
    there, other, crowd_there = a.to("cuda"), b.to("cuda"), gpu.put(crowd)
    job = Job(
        lambda: overlap.iou(there._arrays, other._arrays, crowd_there),
        lambda: overlap.iou(a._arrays, b._arrays, crowd),
        amount=len(a) * len(b),
        unit="pairs",
        read=a.counts.nbytes + b.counts.nbytes,
        written=8 * len(a) * len(b),
    )
    cupy = gpu.cupy
    rows, columns = (
        rle.decode(*masks._arrays).astype(np.float32).reshape(len(masks), -1) for masks in (there, other)
    )
    areas = there.area.astype(np.float64), other.area.astype(np.float64)
    is_crowd = crowd_there.astype(bool)

    def naive() -> Any:
        """On images in float32, which are there: sums below 2^24 are exact."""
        common = cupy.matmul(rows, columns.transpose()).astype(np.float64)
        either = areas[0][:, None] + areas[1][None] - common
        return common / cupy.where(is_crowd[None], areas[0][:, None] + 0 * common, either)

    job.rival(
        "cupy, product of images", naive, lambda ours, theirs: np.allclose(ours, on_host(theirs), 1e-6, 0)
    )
    return job


@CASES.add(
    "overlap_iou, dense image", "{0:,} x {0:,} of {1:,} x {2:,}", full=(1000, 1024, 1280), quick=(5, 33, 65)
)
def small(gpu: Gpu, *size: int) -> Job:
    """Small masks, most pairs of which are apart."""
    return _iou(gpu, 0.02, 0.05, size)


@CASES.add(
    "overlap_iou, large masks", "{0:,} x {0:,} of {1:,} x {2:,}", full=(1000, 480, 640), quick=(5, 33, 65)
)
def large(gpu: Gpu, *size: int) -> Job:
    return _iou(gpu, 0.1, 0.4, size)
