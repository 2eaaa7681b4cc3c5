"""hamming: pairs, nearest exemplars and greedy exemplars of packed codes.

The floor counts bits with instructions made for that: two of 32 bits for a word of 64. Products of signs on matrix
units, as CuPy's rival does them, have another floor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import hamming

from ..bench_hamming import skewed, uniform
from .measure import Asked, Cases, Gpu, Job, on_host

CASES = Cases("hamming")

TILE = 16_384


def _pairs(gpu: Gpu, n: int, words: int, radius: int, asked: Asked | None) -> Job:
    host = uniform(n, words)
    there = gpu.put(host)
    job = Job(
        lambda: hamming.pairs(there, radius),
        lambda: hamming.pairs(host, radius),
        amount=n * (n - 1) / 2,
        unit="pairs",
        read=host.nbytes,
        operations=n * (n - 1) / 2 * 2 * words,
        per_second=gpu.popcounts,
        asked=asked,
    )
    cupy = gpu.cupy
    bits = np.unpackbits(host.view(np.uint8).reshape(n, -1), axis=1)
    signs = gpu.put((2.0 * bits - 1).astype(np.float16))

    def naive() -> Any:
        """Products of signs, a tile of pairs at a time; where one is large enough, the pair is near."""
        found = []
        for i in range(0, n, TILE):
            for j in range(i, n, TILE):
                near = (
                    cupy.matmul(signs[i : i + TILE], signs[j : j + TILE].transpose())
                    >= 64 * words - 2 * radius
                )
                a, b = cupy.nonzero(cupy.triu(near, 1) if i == j else near)
                found.append((a + i) * n + b + j)
        return cupy.concatenate(found) if len(found) > 1 else found[0]

    job.rival(
        "cupy, product of signs",
        naive,
        lambda ours, theirs: np.array_equal(ours[0] * n + ours[1], np.sort(on_host(theirs))),
    )
    return job


@CASES.add("hamming_pairs, within 12 bits", "{:,} random codes, 64 bits", full=(400_000,), quick=(300,))
def pairs(gpu: Gpu, n: int) -> Job:
    return _pairs(gpu, n, 1, 12, Asked("rate", 0.5e12))


@CASES.add("hamming_pairs, within 80 bits", "{:,} random codes, 256 bits", full=(200_000,), quick=(300,))
def long_pairs(gpu: Gpu, n: int) -> Job:
    return _pairs(gpu, n, 4, 80, None)


@CASES.add("hamming_nearest", "{0:,} among {0:,} random codes, 64 bits", full=(200_000,), quick=(300,))
def nearest(gpu: Gpu, n: int) -> Job:
    host = uniform(2 * n, 1)
    there = gpu.put(host)
    return Job(
        lambda: hamming.nearest(there[:n], there[n:]),
        lambda: hamming.nearest(host[:n], host[n:]),
        amount=n * n,
        unit="pairs",
        read=host.nbytes,
        written=16 * n,
        operations=2 * n * n,
        per_second=gpu.popcounts,
    )


@CASES.add("hamming_greedy, within 12 bits", "{:,} skewed codes, 64 bits", full=(1_000_000,), quick=(300,))
def greedy(gpu: Gpu, n: int) -> Job:
    """The floor: every item is compared with one exemplar at least. The work is that with all before its own."""
    host = skewed(n, 1)
    there = gpu.put(host)
    return Job(
        lambda: hamming.greedy(there, 12),
        lambda: hamming.greedy(host, 12),
        amount=n,
        unit="codes",
        read=host.nbytes,
        written=24 * n,
    )
