"""rle: images <-> runs <-> strings <-> label images."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import Masks, _backend, rle

from .inputs import discs, images, instances, speckled
from .measure import Asked, Cases, Gpu, Job, on_host

CASES = Cases("rle")

FULL, QUICK = (512, 1080, 1920), (2, 33, 65)
SHARE = Asked("share", 0.6)


def _ends(runs: Any) -> Any:
    """Where runs end, counted through all masks, of their counts."""
    counts = runs[0]
    return np.cumsum(counts[counts > 0], dtype=np.int64)


def _encode(gpu: Gpu, host: np.ndarray, asked: Asked | None) -> Job:
    there = gpu.put(host) if host.flags.c_contiguous else gpu.put(host.transpose(0, 2, 1)).transpose(0, 2, 1)
    runs = rle.encode(host)[0]
    job = Job(
        lambda: rle.encode(there),
        lambda: rle.encode(host),
        amount=host.nbytes,
        read=host.nbytes,
        written=runs.nbytes,
        asked=asked,
    )
    cupy, (n, height, width) = gpu.cupy, host.shape

    def naive() -> Any:
        """Where a pixel differs from the one before it."""
        flat = cupy.ascontiguousarray(there.transpose(0, 2, 1)).reshape(n, height * width)
        changes = cupy.empty(flat.shape, bool)
        changes[:, -1] = True
        changes[:, :-1] = flat[:, 1:] != flat[:, :-1]
        return cupy.flatnonzero(changes) + 1

    job.rival("cupy, differences", naive, lambda ours, theirs: np.array_equal(_ends(ours), on_host(theirs)))
    return job


@CASES.add("rle_encode", "{:,} of {:,} x {:,}", full=FULL, quick=QUICK)
def encode(gpu: Gpu, *size: int) -> Job:
    return _encode(gpu, images(discs(*size)), SHARE)


@CASES.add("rle_encode, columns first", "{:,} of {:,} x {:,}", full=FULL, quick=QUICK)
def encode_columns(gpu: Gpu, *size: int) -> Job:
    return _encode(gpu, images(discs(*size), "F"), SHARE)


@CASES.add("rle_encode, speckles", "{:,} of {:,} x {:,}", full=(128, 1080, 1920), quick=QUICK)
def encode_speckles(gpu: Gpu, *size: int) -> Job:
    return _encode(gpu, speckled(*size), None)


def _decode(gpu: Gpu, size: tuple[int, ...], columns: bool) -> Job:
    n, height, width = size
    masks = discs(*size)
    there = masks.to("cuda")

    def target(empty: Any) -> Any:
        return empty((n, width, height), np.uint8).transpose(0, 2, 1) if columns else empty(size, np.uint8)

    out, host_out = target(gpu.dirty), target(np.empty)
    job = Job(
        lambda: rle.decode(*there._arrays, out=out),
        lambda: rle.decode(*masks._arrays, out=host_out),
        amount=out.nbytes,
        read=masks.counts.nbytes,
        written=out.nbytes,
        asked=SHARE,
    )
    if columns:
        _add_cumsum(job, gpu, masks, out.shape)
    return job


def _add_cumsum(job: Job, gpu: Gpu, masks: Masks, shape: tuple[int, ...]) -> None:
    """Steps up and down, summed: for masks whose runs' ends are known."""
    ends = np.cumsum(masks.counts, dtype=np.int64)
    is_inside = (np.arange(len(ends)) - masks.offsets[:-1].repeat(np.diff(masks.offsets))) % 2 == 1
    inside = np.flatnonzero(is_inside & (masks.counts > 0))
    starts, stops = gpu.put(ends[inside] - masks.counts[inside]), gpu.put(ends[inside])
    cupy, (n, height, width) = gpu.cupy, shape

    def naive() -> Any:
        steps = cupy.zeros(n * height * width + 1, np.int8)
        steps[starts] = 1
        steps[stops] -= 1
        return cupy.cumsum(steps[:-1], 0, np.int8).reshape(n, width, height)

    job.rival(
        "cupy, sums of steps",
        naive,
        lambda ours, theirs: np.array_equal(ours, on_host(theirs).transpose(0, 2, 1)),
    )


@CASES.add("rle_decode, into a buffer", "{:,} of {:,} x {:,}", full=FULL, quick=QUICK)
def decode(gpu: Gpu, *size: int) -> Job:
    return _decode(gpu, size, columns=False)


@CASES.add("rle_decode, into a buffer, columns first", "{:,} of {:,} x {:,}", full=FULL, quick=QUICK)
def decode_columns(gpu: Gpu, *size: int) -> Job:
    return _decode(gpu, size, columns=True)


RUNS, RUNS_QUICK = (200_000, 480, 640), (3, 33, 65)


@CASES.add("rle_area", "{:,} of {:,} x {:,}", full=RUNS, quick=RUNS_QUICK)
def area(gpu: Gpu, *size: int) -> Job:
    masks = discs(*size)
    there = masks.to("cuda")
    return Job(
        lambda: there.area,
        lambda: masks.area,
        amount=len(masks),
        unit="masks",
        read=masks.counts.nbytes + masks.offsets.nbytes,
        written=8 * len(masks),
    )


@CASES.add("rle_bbox", "{:,} of {:,} x {:,}", full=RUNS, quick=RUNS_QUICK)
def bbox(gpu: Gpu, *size: int) -> Job:
    masks = discs(*size)
    there = masks.to("cuda")
    return Job(
        lambda: there.bbox,
        lambda: masks.bbox,
        amount=len(masks),
        unit="masks",
        read=masks.counts.nbytes + masks.offsets.nbytes,
        written=32 * len(masks),
    )


@CASES.add("images there to COCO strings here", "{:,} of {:,} x {:,}", full=(100, 1080, 1920), quick=QUICK)
def to_strings(gpu: Gpu, *size: int) -> Job:
    """End to end: boolean images of a model on the GPU, dicts on the host."""
    host = images(discs(*size))
    there = gpu.put(host)
    expected = Masks.encode(host)
    return Job(
        lambda: Masks.encode(there).to_coco(),
        lambda: Masks.encode(host).to_coco(),
        amount=len(host),
        unit="masks",
        read=host.nbytes,
        written=expected.counts.nbytes,
        asked=Asked("time", 1e-3),
        ends_on_host=True,
    )


@CASES.add("rle_to_string", "{:,} of {:,} x {:,}", full=(20_000, 480, 640), quick=RUNS_QUICK)
def runs_to_strings(gpu: Gpu, *size: int) -> Job:
    """Characters on the host, before they are cut into strings."""
    masks = discs(*size)
    there = masks.to("cuda")
    chars, offsets = _backend.kernels("cpp").rle_to_string(masks.counts, masks.offsets)
    return Job(
        lambda: _backend.kernels("cuda").rle_to_string(there.counts, there.offsets),
        lambda: _backend.kernels("cpp").rle_to_string(masks.counts, masks.offsets),
        amount=masks.counts.nbytes,
        read=masks.counts.nbytes + masks.offsets.nbytes,
        written=len(chars) + offsets.nbytes,
        ends_on_host=True,
    )


@CASES.add("rle_from_string", "{:,} of {:,} x {:,}", full=(20_000, 480, 640), quick=RUNS_QUICK)
def runs_from_strings(gpu: Gpu, *size: int) -> Job:
    """Characters on the host, runs there."""
    masks = discs(*size)
    text = _backend.kernels("cpp").rle_to_string(masks.counts, masks.offsets)
    chars, offsets = np.frombuffer(bytes(text[0]), np.uint8), np.asarray(text[1])
    return Job(
        lambda: _backend.kernels("cuda").rle_from_string(chars, offsets),
        lambda: _backend.kernels("cpp").rle_from_string(chars, offsets),
        amount=masks.counts.nbytes,
        read=chars.nbytes + offsets.nbytes,
        written=masks.counts.nbytes + masks.offsets.nbytes,
        ends_on_host=True,
    )


@CASES.add("rle_from_labels", "1 of {:,} x {:,} int32, discs of 64", full=(8192, 8192), quick=(70, 70))
def from_labels(gpu: Gpu, side: int, _: int) -> Job:
    host = instances(side)
    there = gpu.put(host)
    counts, offsets, _sizes, values = rle.from_labels(host)
    return Job(
        lambda: rle.from_labels(there),
        lambda: rle.from_labels(host),
        amount=host.nbytes,
        read=host.nbytes,
        written=counts.nbytes + offsets.nbytes + values.nbytes,
    )


@CASES.add("rle_to_labels", "1 of {:,} x {:,} int32, discs of 64", full=(8192, 8192), quick=(70, 70))
def to_labels(gpu: Gpu, side: int, _: int) -> Job:
    """Pixels of no mask are left as they are: neither read nor written."""
    masks, values = Masks.from_labels(instances(side))
    there, host_out = masks.to("cuda"), np.zeros((side, side), np.int32)
    out = gpu.put(host_out)
    return Job(
        lambda: there.labels(values, out),
        lambda: masks.labels(values, host_out),
        amount=4 * int(masks.area.sum()),
        read=masks.counts.nbytes,
        written=4 * int(masks.area.sum()),
    )
