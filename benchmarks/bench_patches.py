"""patches: extraction into a buffer, planes of all three axes of a volume, statistics, stitching, masks in tiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import Masks, patches

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import Workload

CASES = Cases("patches")

SIZE = 224


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(20).integers(0, 256, shape, np.uint8)


IMAGE_FEW = Workload("image of 896 x 896", lambda _: _noise(896, 896), quick=True, small=True)
IMAGE = Workload("image of 7,168 x 7,168", lambda _: _noise(7168, 7168))
VOLUME_FEW = Workload("volume of 64 x 224 x 224", lambda _: _noise(64, 224, 224), quick=True, small=True)
VOLUME = Workload("volume of 224 x 448 x 448", lambda _: _noise(224, 448, 448))


@CASES.add("patches_extract", IMAGE_FEW, IMAGE)
def extract(image: np.ndarray, settings: Settings) -> Race:
    boxes = patches.grid(image.shape, SIZE, edge="drop")
    race = Race(read=image.nbytes, written=image.nbytes)
    outs = {name: np.zeros((len(boxes), SIZE, SIZE), np.uint8) for name in ("cpp", "numba")}
    race.ours(
        settings,
        lambda backend: patches.extract(image, boxes, out=outs[backend], backend=backend),
    )
    rivals.enter(race, settings, "patches_extract", image, SIZE)
    return race


@CASES.add("patches_planes", VOLUME_FEW, VOLUME)
def planes(volume: np.ndarray, settings: Settings) -> Race:
    """All three axes."""
    race = Race(read=3 * volume.nbytes, written=3 * volume.nbytes)
    tiles = [patches.grid(np.delete(volume.shape, axis).tolist(), 32, edge="drop") for axis in range(3)]
    outs = {
        name: [np.zeros((len(t), volume.shape[axis], 32, 32), np.uint8) for axis, t in enumerate(tiles)]
        for name in ("cpp", "numba")
    }

    def ours(backend: str) -> Any:
        return [
            patches.planes(volume, axis, t, np.arange(volume.shape[axis]), out=out, backend=backend)
            for axis, (t, out) in enumerate(zip(tiles, outs[backend], strict=True))
        ]

    race.ours(settings, ours)
    rivals.enter(race, settings, "patches_planes", volume, tiles)
    return race


@CASES.add("patches_stats", VOLUME_FEW, VOLUME)
def stats(volume: np.ndarray, settings: Settings) -> Race:
    """All three axes: least, greatest, mean."""
    race = Race(read=3 * volume.nbytes)
    tiles = [patches.grid(np.delete(volume.shape, axis).tolist(), 32, edge="drop") for axis in range(3)]

    def ours(backend: str) -> Any:
        return [
            patches.stats(volume, axis, t, np.arange(volume.shape[axis]), padding=0, backend=backend)[:3]
            for axis, t in enumerate(tiles)
        ]

    race.ours(settings, ours)
    rivals.enter(race, settings, "patches_stats", volume, tiles)
    return race


STITCH_FEW = Workload(
    "64 patches of 128 x 128, overlap 32", lambda _: _noise(800, 800), quick=True, small=True
)
STITCH = Workload("961 patches of 128 x 128, overlap 32", lambda _: _noise(3008, 3008))


@CASES.add("patches_stitch", STITCH_FEW, STITCH)
def stitch(image: np.ndarray, settings: Settings) -> Race:
    """The mean where patches overlap. Nothing in pixels that no patch covers."""
    boxes = patches.grid(image.shape, 128, 96, edge="drop")
    cut = patches.extract(image, boxes)
    race = Race(read=cut.nbytes, written=image.nbytes)
    outs = {name: np.zeros_like(image) for name in ("cpp", "numba")}
    race.ours(settings, lambda backend: patches.stitch(cut, boxes, out=outs[backend], backend=backend))
    rivals.enter(race, settings, "patches_stitch", cut, boxes, image.shape)
    return race


def _blobs(n: int, side: int) -> Masks:
    rng = np.random.default_rng(21)
    low = rng.integers(0, side - 200, (n, 2))
    high = low + rng.integers(20, 200, (n, 2))
    corners = [
        [x0, y0, x1, y0, x1, y1, (x0 + x1) / 2, (y0 + y1) / 2, x0, y1]
        for (x0, y0), (x1, y1) in zip(low, high, strict=True)
    ]
    return Masks.from_polygons([[ring] for ring in corners], (side, side))


TILES_FEW = Workload("20 masks in 16 tiles of 256", lambda _: (_blobs(20, 1024), 256), quick=True, small=True)
TILES = Workload("200 masks in 64 tiles of 256", lambda _: (_blobs(200, 2048), 256))


@CASES.add("patches_masks", TILES_FEW, TILES)
def masks_in_tiles(given: tuple[Masks, int], settings: Settings) -> Race:
    """RLE of what each tile shows of each mask."""
    masks, size = given
    boxes = patches.grid(masks.sizes[0].tolist(), size)
    race = Race(read=masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: patches.crop_masks(*masks._arrays, boxes, backend=backend),
        lambda found: rivals.ours_as_rles(found[:3]),
    )
    rivals.enter(race, settings, "patches_masks", masks, boxes)
    return race
