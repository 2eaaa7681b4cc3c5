"""patches: extraction into a buffer, planes of all three axes of a volume, statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import patches

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
