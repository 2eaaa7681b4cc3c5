"""measures: all grains of an image. Equal is within 1e-4, convex areas and rectangles within 1 pixel or 0.5 %."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import Masks, measures

from . import rivals
from .measure import Cases, Race, Settings
from .rivals_measures import PROPERTIES
from .workloads import GRAINS, GRAINS_FEW

CASES = Cases("measures")

RECTANGLE = ("rectangle_long", "rectangle_short")
LOOSE = np.array([name == "convex_pixels" or name in RECTANGLE for name in (*PROPERTIES, *RECTANGLE)])


def near(ours: Any, theirs: Any) -> bool:
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    loose = LOOSE[: a.shape[1]]
    return (
        a.shape == b.shape
        and np.allclose(a[:, ~loose], b[:, ~loose], rtol=0, atol=1e-4)
        and bool((np.abs(a - b) <= np.maximum(1, 5e-3 * np.abs(b)))[:, loose].all())
    )


def columns(names: tuple[str, ...]) -> Any:
    return lambda found: np.stack([found[name] for name in names], axis=1)


@CASES.add("measures of masks, one by one", GRAINS_FEW, GRAINS)
def grains(labels: np.ndarray, settings: Settings) -> Race:
    """From each grain's mask, as a network gives it."""
    masks, _ = Masks.from_labels(labels)
    race = Race(read=masks.counts.nbytes, equal=near)
    race.ours(
        settings,
        lambda backend: measures.measure(masks, largest=True, backend=backend),
        columns((*PROPERTIES, *RECTANGLE)),
    )
    rivals.enter(race, settings, "measures_grains", labels)
    return race


@CASES.add("measures of a label image", GRAINS_FEW, GRAINS)
def table(labels: np.ndarray, settings: Settings) -> Race:
    from maskmill import rle

    race = Race(read=labels.nbytes, equal=near)

    def call(backend: str) -> Any:
        return measures.measure(rle.from_labels(labels, backend=backend)[:3], backend=backend)

    race.ours(settings, call, columns(tuple(PROPERTIES)))
    rivals.enter(race, settings, "measures_labels", labels)
    return race
