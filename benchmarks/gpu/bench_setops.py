"""setops: masks combined without decoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from maskmill import Masks, rle

from .inputs import discs
from .measure import Cases, Gpu, Job, same_on_host

CASES = Cases("setops")

FULL, QUICK = (20_000, 480, 640), (4, 33, 65)


def _job(gpu: Gpu, inputs: list[Masks], combine: Callable[..., Masks], dense: Callable[..., Any]) -> Job:
    """`combine` masks, and `dense` images of them on the device."""
    there = [masks.to("cuda") for masks in inputs]
    result = combine(*inputs)
    job = Job(
        lambda: combine(*there)._arrays,
        lambda: combine(*inputs)._arrays,
        amount=sum(map(len, inputs)),
        unit="masks",
        read=sum(masks.counts.nbytes for masks in inputs),
        written=result.counts.nbytes,
    )
    pictures = [rle.decode(*masks._arrays) for masks in there]

    def equal(ours: Any, theirs: Any) -> bool:
        return same_on_host(ours, rle.encode(theirs))

    job.rival("cupy, on images", lambda: dense(*pictures), equal)
    return job


@CASES.add("union of pairs", "{0:,} and {0:,} of {1:,} x {2:,}", full=FULL, quick=QUICK)
def union(gpu: Gpu, *size: int) -> Job:
    return _job(gpu, [discs(*size), discs(*size, seed=1)], lambda a, b: a | b, lambda a, b: a | b)


@CASES.add("difference of pairs", "{0:,} and {0:,} of {1:,} x {2:,}", full=FULL, quick=QUICK)
def difference(gpu: Gpu, *size: int) -> Job:
    return _job(gpu, [discs(*size), discs(*size, seed=1)], lambda a, b: a - b, lambda a, b: a & ~b)


@CASES.add("union of groups of 4", "{:,} of {:,} x {:,}", full=FULL, quick=QUICK)
def merge(gpu: Gpu, n: int, height: int, width: int) -> Job:
    groups = np.arange(0, n + 1, 4)
    return _job(
        gpu,
        [discs(n, height, width)],
        lambda masks: masks.merge(groups),
        lambda a: a.reshape(n // 4, 4, height, width).max(1),
    )
