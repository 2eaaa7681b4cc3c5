"""patches: extraction in 2-D and 3-D, planes of three axes, statistics, stitching."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import patches

from .inputs import noise
from .measure import Asked, Cases, Gpu, Job, on_host

CASES = Cases("patches")

SHARE = Asked("share", 0.6)
FULL, QUICK = (32_768, 32_768, 224), (70, 65, 16)
VOLUME, VOLUME_QUICK = (1024, 1024, 1024, 128), (12, 33, 34, 8)


def _extract(gpu: Gpu, host: np.ndarray, boxes: np.ndarray, **options: Any) -> Job:
    shape = (len(boxes), *(boxes[0, 1::2] - boxes[0, ::2]).tolist(), *host.shape[boxes.shape[1] // 2 :])
    there, out, host_out = gpu.put(host), gpu.dirty(shape, host.dtype), np.empty(shape, host.dtype)
    inside = np.clip(boxes, 0, np.repeat(host.shape[: boxes.shape[1] // 2], 2))
    pixels = int((inside[:, 1::2] - inside[:, ::2]).prod(1).sum())
    return Job(
        lambda: patches.extract(there, boxes, out=out, **options),
        lambda: patches.extract(host, boxes, out=host_out, **options),
        amount=out.nbytes,
        read=pixels * (out.nbytes // int(np.prod(shape[: 1 + boxes.shape[1] // 2]))),
        written=out.nbytes,
        asked=SHARE,
    )


@CASES.add("patches_extract", "{:,} x {:,} into {}", full=FULL, quick=QUICK)
def extract(gpu: Gpu, height: int, width: int, size: int) -> Job:
    host = noise(height, width)
    boxes = patches.grid(host.shape, size, edge="drop")
    job = _extract(gpu, host, boxes)
    cupy, there = gpu.cupy, gpu.put(host)
    rows, columns = height // size, width // size
    apart = there[: rows * size, : columns * size].reshape(rows, size, columns, size).transpose(0, 2, 1, 3)
    out = gpu.dirty((rows, columns, size, size), np.uint8)

    def naive() -> Any:
        cupy.copyto(out, apart)
        return out

    job.rival(
        "cupy, copy of a view",
        naive,
        lambda ours, theirs: np.array_equal(ours, on_host(theirs).reshape(ours.shape)),
    )
    return job


@CASES.add(
    "patches_extract, colours, mirrored", "{:,} x {:,} x 3 into {}", full=(16_384, 16_384, 224), quick=QUICK
)
def extract_colours(gpu: Gpu, height: int, width: int, size: int) -> Job:
    boxes = patches.grid((height, width), size, edge="pad") - size // 2
    return _extract(gpu, noise(height, width, 3), boxes, mode="reflect")


@CASES.add(
    "patches_extract, 3-D", "{:,} x {:,} x {:,} into {}", full=(1024, 1024, 1024, 64), quick=VOLUME_QUICK
)
def extract_cubes(gpu: Gpu, *size: int) -> Job:
    host = noise(*size[:3])
    return _extract(gpu, host, patches.grid(host.shape, size[3], edge="drop"))


def _across(volume: np.ndarray, axis: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Tiles of a plane, and all slices."""
    plane = np.delete(volume.shape, axis).tolist()
    return patches.grid(plane, size, edge="drop"), np.arange(volume.shape[axis])


def _planes(gpu: Gpu, axis: int, size: tuple[int, ...]) -> Job:
    host = noise(*size[:3])
    tiles, slices = _across(host, axis, size[3])
    shape = (len(tiles), len(slices), size[3], size[3])
    there, out, host_out = gpu.put(host), gpu.dirty(shape, np.uint8), np.empty(shape, np.uint8)
    return Job(
        lambda: patches.planes(there, axis, tiles, slices, out=out),
        lambda: patches.planes(host, axis, tiles, slices, out=host_out),
        amount=out.nbytes,
        read=out.nbytes,
        written=out.nbytes,
    )


def _stats(gpu: Gpu, axis: int, size: tuple[int, ...]) -> Job:
    host = noise(*size[:3])
    tiles, slices = _across(host, axis, size[3])
    there = gpu.put(host)
    return Job(
        lambda: patches.stats(there, axis, tiles, slices),
        lambda: patches.stats(host, axis, tiles, slices),
        amount=len(tiles) * len(slices) * size[3] ** 2,
        read=len(tiles) * len(slices) * size[3] ** 2,
        written=len(tiles) * len(slices) * 34,
    )


@CASES.add("patches_planes, xy", "{:,} x {:,} x {:,} into {}", full=VOLUME, quick=VOLUME_QUICK)
def planes_xy(gpu: Gpu, *size: int) -> Job:
    return _planes(gpu, 0, size)


@CASES.add("patches_planes, xz", "{:,} x {:,} x {:,} into {}", full=VOLUME, quick=VOLUME_QUICK)
def planes_xz(gpu: Gpu, *size: int) -> Job:
    return _planes(gpu, 1, size)


@CASES.add("patches_planes, yz", "{:,} x {:,} x {:,} into {}", full=VOLUME, quick=VOLUME_QUICK)
def planes_yz(gpu: Gpu, *size: int) -> Job:
    return _planes(gpu, 2, size)


@CASES.add("patches_stats, xy", "{:,} x {:,} x {:,} into {}", full=VOLUME, quick=VOLUME_QUICK)
def stats_xy(gpu: Gpu, *size: int) -> Job:
    return _stats(gpu, 0, size)


@CASES.add("patches_stats, yz", "{:,} x {:,} x {:,} into {}", full=VOLUME, quick=VOLUME_QUICK)
def stats_yz(gpu: Gpu, *size: int) -> Job:
    return _stats(gpu, 2, size)


@CASES.add(
    "patches_stitch", "{:,} x {:,} of {}, overlap a quarter", full=(24_576, 24_576, 256), quick=(70, 65, 16)
)
def stitch(gpu: Gpu, height: int, width: int, size: int) -> Job:
    """The mean where patches overlap."""
    image = noise(height, width)
    boxes = patches.grid(image.shape, size, size * 3 // 4, edge="shift")
    cut = patches.extract(image, boxes)
    assert isinstance(cut, np.ndarray)
    there, out, host_out = gpu.put(cut), gpu.dirty(image.shape, np.uint8), np.zeros_like(image)
    job = Job(
        lambda: patches.stitch(there, boxes, out=out),
        lambda: patches.stitch(cut, boxes, out=host_out),
        amount=cut.nbytes,
        read=cut.nbytes,
        written=image.nbytes,
    )
    cupy, places = gpu.cupy, boxes.tolist()

    def naive() -> Any:
        total, weight = cupy.zeros(image.shape, np.float32), cupy.zeros(image.shape, np.float32)
        for patch, (top, bottom, left, right) in zip(there, places, strict=True):
            total[top:bottom, left:right] += patch
            weight[top:bottom, left:right] += 1
        return cupy.rint(total / weight).astype(np.uint8)

    job.rival("cupy, patch by patch", naive)
    return job
