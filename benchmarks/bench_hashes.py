"""hashes: of patches in one array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from maskmill import hashes

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import Workload

CASES = Cases("hashes")


def patches(n: int, *channels: int) -> np.ndarray:
    """Smooth noise, (n, 224, 224[, C])."""
    coarse = np.random.default_rng(n).integers(0, 256, (n, 28, 28, *channels), np.uint8)
    return coarse.repeat(8, 1).repeat(8, 2)


FEW = Workload("20 patches of 224 x 224", lambda _: patches(20), quick=True, small=True)
COLORS = Workload("20 colour images of 224 x 224", lambda _: patches(20, 3), quick=True, small=True)
MANY = Workload("2,000 patches of 224 x 224", lambda _: patches(2000))


def race_of(
    function: Callable[..., Any], name: str = "", **options: str
) -> Callable[[np.ndarray, Settings], Race]:
    def race(images: np.ndarray, settings: Settings) -> Race:
        race = Race(read=images.nbytes)
        race.ours(settings, lambda backend: function(images, backend=backend, **options))
        rivals.enter(race, settings, name or f"hashes_{function.__name__}", images)
        return race

    return race


for function in (hashes.dhash, hashes.ahash, hashes.phash, hashes.whash):
    CASES.add(f"hashes_{function.__name__}", FEW, MANY)(race_of(function))

for function, profile in (
    (hashes.ahash, "imagededup"),
    (hashes.dhash, "imagededup"),
    (hashes.phash, "imagededup"),
    (hashes.whash, "imagededup"),
    (hashes.ahash, "opencv"),
    (hashes.phash, "opencv"),
):
    name = f"hashes_{function.__name__}_{profile}"
    CASES.add(name, FEW)(race_of(function, name, profile=profile))

for function in (hashes.pdq, hashes.colorhash):
    CASES.add(f"hashes_{function.__name__}", COLORS)(race_of(function))
CASES.add("hashes_pdq", FEW, MANY)(race_of(hashes.pdq))


@CASES.add("hashes_crop_resistant", COLORS)
def crop_resistant(images: np.ndarray, settings: Settings) -> Race:
    race = Race(read=images.nbytes)
    race.ours(settings, lambda backend: hashes.crop_resistant(images[:4], backend=backend), np.concatenate)
    rivals.enter(race, settings, "hashes_crop_resistant", images[:4])
    return race
