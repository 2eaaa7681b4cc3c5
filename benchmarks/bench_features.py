"""features: banks of pixel filters. Equal is within 1e-5 of each column's range."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import features

from . import rivals
from .measure import Cases, Race, Settings
from .rivals_features import DOODLER_SIGMAS
from .workloads import COAST, CORE

CASES = Cases("features")


def near(ours: Any, theirs: Any) -> bool:
    a, b = np.asarray(ours), np.asarray(theirs)
    if a.shape != b.shape:
        return False
    columns = a.reshape(-1, a.shape[-1])
    error = np.abs(columns - b.reshape(columns.shape)).max(axis=0)
    return bool((error <= 1e-5 * np.ptp(columns, axis=0)).all())


@CASES.add("skimage profile, six scales", COAST, CORE)
def bank(image: np.ndarray, settings: Settings) -> Race:
    """sigma 0.5 .. 16, into new arrays, as scikit-image does."""
    scales = features.sigmas()
    race = Race(read=image.nbytes, written=image.size * len(scales) * 16, equal=near)
    race.ours(settings, lambda backend: features.bank(image, scales, backend=backend))
    rivals.enter(race, settings, "features_bank", image)
    return race


@CASES.add("doodler profile, five scales", COAST, CORE)
def doodler(image: np.ndarray, settings: Settings) -> Race:
    """sigma 1 .. 16 of the stretched image."""
    stretched = (image - image.min()) / np.ptp(image)
    race = Race(read=image.size * 4, written=image.size * len(DOODLER_SIGMAS) * 20, equal=near)
    race.ours(
        settings, lambda backend: features.bank(stretched, DOODLER_SIGMAS, profile="doodler", backend=backend)
    )
    rivals.enter(race, settings, "features_doodler", stretched)
    return race


@CASES.add("core profile, five scales", COAST, CORE)
def core(image: np.ndarray, settings: Settings) -> Race:
    """LAB, Gaussian means and local deviations."""
    race = Race(read=image.nbytes, written=image.size * 44, equal=near)
    race.ours(
        settings, lambda backend: features.bank(image, [1, 2, 4, 8, 16], profile="core", backend=backend)
    )
    rivals.enter(race, settings, "features_core", image)
    return race
