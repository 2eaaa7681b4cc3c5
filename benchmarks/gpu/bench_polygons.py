"""polygons: filling."""

from __future__ import annotations

from maskmill import polygons

from ..workloads import star
from .inputs import rng
from .measure import Asked, Cases, Gpu, Job

CASES = Cases("polygons")

FULL, QUICK = (100_000, 480, 640), (5, 33, 65)


def _rasterize(gpu: Gpu, size: tuple[int, ...], rule: str, asked: Asked | None) -> Job:
    n, height, width = size
    random = rng(8)
    rings = [[star(random, int(random.integers(10, 61)), height, width)] for _ in range(n)]
    host = polygons.Polygons.from_lists(rings)
    there = host.to("cuda")
    counts, offsets, _ = polygons.rasterize(host, (height, width), rule)
    return Job(
        lambda: polygons.rasterize(there, (height, width), rule),
        lambda: polygons.rasterize(host, (height, width), rule),
        amount=n,
        unit="polygons",
        read=host.points.nbytes,
        written=counts.nbytes + offsets.nbytes,
        asked=asked,
    )


@CASES.add("polygons_rasterize, coco", "{:,} on {:,} x {:,}", full=FULL, quick=QUICK)
def coco(gpu: Gpu, *size: int) -> Job:
    return _rasterize(gpu, size, "coco", Asked("ratio", 50))


@CASES.add("polygons_rasterize, even-odd", "{:,} on {:,} x {:,}", full=FULL, quick=QUICK)
def even_odd(gpu: Gpu, *size: int) -> Job:
    return _rasterize(gpu, size, "even-odd", None)
