"""matching: IoU of boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import _backend

from .inputs import rng
from .measure import Cases, Gpu, Job, on_host

CASES = Cases("matching")


@CASES.add("matching_box_iou", "{0:,} x {0:,} boxes", full=(16_384,), quick=(9,))
def box_iou(gpu: Gpu, n: int) -> Job:
    """All in one cell: one image and class, in the order given."""
    random = rng(9)
    a, b = (random.uniform((0, 0, 5, 5), (500, 400, 140, 80), (n, 4)) for _ in range(2))
    ends, order = np.array([0, n]), np.arange(n)
    host = [ends, order, ends, order, b, a, np.zeros(n, np.uint8)]
    there = [gpu.put(array) for array in host]
    job = Job(
        lambda: _backend.kernels("cuda").matching_box_iou(*there)[0],
        lambda: _backend.kernels("cpp").matching_box_iou(*host)[0],
        amount=n * n,
        unit="pairs",
        read=a.nbytes + b.nbytes,
        written=8 * n * n,
        operations=13 * n * n,
        per_second=gpu.doubles,
    )
    corners = [np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) for boxes in (a, b)]
    first, second = map(gpu.put, corners)
    cupy = gpu.cupy

    def equal(ours: Any, theirs: Any) -> bool:
        return np.allclose(ours.reshape(n, n), on_host(theirs), 1e-9, 1e-12)

    def naive() -> Any:
        low = cupy.maximum(first[:, None, :2], second[None, :, :2])
        high = cupy.minimum(first[:, None, 2:], second[None, :, 2:])
        common = cupy.maximum(high - low, 0).prod(2)
        areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (first, second)]
        return common / (areas[0][:, None] + areas[1][None] - common)

    def by_torchvision() -> Any:
        import torch
        from torchvision.ops import box_iou

        return box_iou(torch.from_dlpack(first), torch.from_dlpack(second))

    job.rival("cupy, broadcast", naive, equal)
    job.rival("torchvision, box_iou", by_torchvision, equal)
    return job
