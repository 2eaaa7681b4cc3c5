"""Opening what cubes are taken from, and ways to see all of it: coarser levels, or one pass over a volume."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io.remote import Patience, RemoteArray, Source
from maskmill.io.volumes import open_volume, sniff
from maskmill.studies.em.plans import BLOCK, Origin, Overview, Readable
from maskmill.studies.em.rois import Box, blocks

_LARGEST_OVERVIEW = 1 << 31  # bytes
_STREAMED_OVERVIEW = 1 << 30  # bytes of a volume without coarser levels that are read to see all of it
_ENOUGH = 4  # voxels of an overview along each edge of a cube


def remote_origin(
    label: str,
    address: str,
    level: int,
    *,
    voxel: Sequence[float | None] = (None, None, None),
    patience: Patience,
    stop: threading.Event,
) -> Origin:
    """A level of a pyramid; `voxel` is the size along z, y, x of its finest level, where it is known better."""
    source = Source(address, patience, stop)
    voxels = source.open(level)
    factors = _factors(source, level, voxels)
    told = [None if size is None else size * factor for size, factor in zip(voxel, factors, strict=True)]
    sizes = [table if table is not None else own for table, own in zip(told, voxels.voxel, strict=True)]
    unit = "nm" if any(size is not None for size in told) else voxels.unit
    return Origin(
        label,
        voxels.address,
        voxels,
        (sizes[0], sizes[1], sizes[2]),
        unit,
        lambda size: remote_overview(source, level, voxels, size),
    )


def file_origin(label: str, path: str, level: int, *, dataset: str | None = None, channel: Any = 0) -> Origin:
    """A volume of a file or a folder."""
    kind = sniff(path)
    if level and kind not in ("zarr", "n5", "precomputed", "tiff"):
        raise ValueError(f"{path}: the level must be 0, as {kind} has no others, not {level}")
    if dataset is None and channel == 0 and kind in ("zarr", "n5", "precomputed"):
        return remote_origin(label, path, level, patience=Patience(), stop=threading.Event())
    volume = open_volume(path, level=level, dataset=dataset, channel=channel)
    spacing = volume.spacing or (None, None, None)
    return Origin(
        label, path, volume, spacing, volume.unit, lambda size: strided_overview(volume, size), volume.close
    )


def _factors(source: Source, level: int, voxels: RemoteArray) -> tuple[float, ...]:
    """How much coarser a level is than the finest, along z, y, x: pyramids may leave an axis as it is."""
    if level == 0:
        return 1.0, 1.0, 1.0
    finest = source.pyramid.levels[0].voxel
    if all(finest) and all(voxels.voxel):
        return tuple(float(b or 1) / float(a or 1) for a, b in zip(finest, voxels.voxel, strict=True))
    shape = source.open(0).shape
    return tuple(float(max(1, round(a / b))) for a, b in zip(shape, voxels.shape, strict=True))


def remote_overview(source: Source, level: int, voxels: RemoteArray, size: int) -> Overview:
    """The coarsest level in which a cube still has some voxels along each edge, or the volume itself if it is small."""
    for coarse in range(len(source.pyramid.levels) - 1, level, -1):
        try:
            array = source.open(coarse)
        except (FileNotFoundError, FormatError):
            continue  # listed, but not there
        factors = [a / b for a, b in zip(voxels.shape, array.shape, strict=True)]
        edges = [min(size, n) / f for n, f in zip(voxels.shape, factors, strict=True)]
        if all(edge >= min(_ENOUGH, n) for edge, n in zip(edges, voxels.shape, strict=True)):
            return _read_all(array), (factors[0], factors[1], factors[2])
    total = math.prod(voxels.shape) * voxels.dtype.itemsize
    if total > _STREAMED_OVERVIEW:
        raise ValueError(
            f"{voxels.address}: has no coarser level to see padding in, and is too large to be read for that "
            f'({total / 2**30:.1f} GiB): use "--probe first" or "--probe none"'
        )
    return strided_overview(voxels, size)


def _read_all(array: RemoteArray) -> NDArray[Any]:
    size = math.prod(array.shape) * array.dtype.itemsize
    if size > _LARGEST_OVERVIEW:
        raise ValueError(
            f"{array.address}: its overview has {size / 2**30:.1f} GiB: use larger cubes, or --probe first"
        )
    out = np.empty(array.shape, array.dtype)
    for z0, z1, y0, y1, x0, x1 in blocks(
        (0, array.shape[0], 0, array.shape[1], 0, array.shape[2]), array.chunks, 1 << 24
    ):
        out[z0:z1, y0:y1, x0:x1] = array.read((z0, z1, y0, y1, x0, x1))
    return out


def strided_overview(voxels: Readable, size: int) -> Overview:
    """Every so many-th voxel of a volume, 16 in a cube along each axis, from one pass over it in blocks."""
    step = max(1, size // 16)
    shape, grain = voxels.shape, voxels.chunks
    out = np.empty([-(-n // step) for n in shape], voxels.dtype)
    if out.nbytes > _LARGEST_OVERVIEW:
        raise ValueError(
            f"an overview of {shape} would be {out.nbytes >> 30} GiB: use larger cubes, or a region"
        )
    for z0, z1, y0, y1, x0, x1 in _needed_blocks(shape, grain, step):
        first = [-(-lo // step) for lo in (z0, y0, x0)]
        block = voxels.read((z0, z1, y0, y1, x0, x1))
        part = block[
            tuple(slice(i * step - lo, None, step) for i, lo in zip(first, (z0, y0, x0), strict=True))
        ]
        out[tuple(slice(i, i + n) for i, n in zip(first, part.shape, strict=True))] = part
    return out, (float(step), float(step), float(step))


def _needed_blocks(shape: tuple[int, int, int], grain: tuple[int, ...], step: int) -> Iterator[Box]:
    """Blocks that hold a voxel of the overview: of planes that lie apart, only every so many-th is read."""
    if grain[0] >= step:
        yield from blocks((0, shape[0], 0, shape[1], 0, shape[2]), grain, BLOCK)
        return
    for z in range(0, shape[0], step):
        yield from blocks((z, z + 1, 0, shape[1], 0, shape[2]), grain, BLOCK)
