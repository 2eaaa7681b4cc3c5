"""hashes: of batches, and of planes of a volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from maskmill import hashes, patches

from .inputs import rng
from .measure import Asked, Cases, Gpu, Job

CASES = Cases("hashes")

SIDE = 224


def smooth(n: int, height: int, width: int) -> np.ndarray:
    """Squares of 8 x 8, (n, height, width) uint8."""
    coarse = rng(n).integers(0, 256, (n, -(-height // 8), -(-width // 8)), np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, 1).repeat(8, 2)[:, :height, :width])


def _batch(function: Callable[..., Any], asked: Asked | None) -> Callable[..., Job]:
    def prepare(gpu: Gpu, n: int) -> Job:
        host = smooth(n, SIDE, SIDE)
        there = gpu.put(host)
        return Job(
            lambda: function(there),
            lambda: function(host),
            amount=n,
            unit="patches",
            read=host.nbytes,
            written=8 * n,
            asked=asked,
        )

    return prepare


for kind, number, asked in (
    ("dhash", 40_000, Asked("rate", 20e6)),
    ("ahash", 40_000, None),
    ("phash", 40_000, None),
    ("whash", 20_000, None),
    ("pdq", 20_000, None),
):
    CASES.add(f"hashes_{kind}", "{:,} patches of 224 x 224", full=(number,), quick=(2,))(
        _batch(getattr(hashes, kind), asked)
    )


def _planes(gpu: Gpu, axis: int, n: int, size: int) -> Job:
    """Patches that lie apart in a volume, as they are there."""
    host = smooth(n, n, n)
    there = gpu.put(host)
    tiles, slices = patches.grid((n, n), size, edge="drop"), np.arange(n)
    number = len(tiles) * n
    return Job(
        lambda: hashes.planes(there, axis, tiles, slices),
        lambda: hashes.planes(host, axis, tiles, slices),
        amount=number,
        unit="patches",
        read=number * size * size,
        written=8 * number,
    )


@CASES.add("hashes_planes, dhash, xy", "volume of {:,}, patches of {}", full=(1120, SIDE), quick=(33, 16))
def planes_xy(gpu: Gpu, n: int, size: int) -> Job:
    return _planes(gpu, 0, n, size)


@CASES.add("hashes_planes, dhash, yz", "volume of {:,}, patches of {}", full=(1120, SIDE), quick=(33, 16))
def planes_yz(gpu: Gpu, n: int, size: int) -> Job:
    return _planes(gpu, 2, n, size)
