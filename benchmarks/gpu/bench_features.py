"""features: the filter bank."""

from __future__ import annotations

import numpy as np

from maskmill import features

from .inputs import noise
from .measure import Cases, Gpu, Job

CASES = Cases("features")


@CASES.add(
    "features_bank, skimage profile, six scales",
    "gray image of {:,} x {:,}",
    full=(4096, 4096),
    quick=(9, 14),
)
def bank(gpu: Gpu, height: int, width: int) -> Job:
    """Operations: three for each pair of weights, twice a pixel and scale; all in double."""
    host, scales = noise(height, width), features.sigmas()
    columns = len(features.names(1, scales))
    there, out = gpu.put(host), gpu.dirty((height, width, columns), np.float32)
    host_out = np.empty((height, width, columns), np.float32)
    pairs = sum(int(4 * sigma + 0.5) for sigma in scales)
    return Job(
        lambda: features.bank(there, scales, out=out),
        lambda: features.bank(host, scales, out=host_out),
        amount=height * width,
        unit="pixels",
        read=host.nbytes,
        written=host_out.nbytes,
        operations=2 * 3 * pairs * height * width,
        per_second=gpu.doubles,
    )
