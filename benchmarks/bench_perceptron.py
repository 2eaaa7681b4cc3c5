"""perceptron: training on rows as Doodler has them. Equal is the same accuracy after every epoch, within 0.2 %."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskmill import perceptron

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import Workload

CASES = Cases("perceptron")


def _rows(n: int, columns: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(20260050)
    y = rng.integers(0, classes, n)
    return rng.normal(size=(classes, columns))[y] + rng.normal(size=(n, columns)) * 2, y


FEW = Workload("600 rows, 30 columns, 2 classes", lambda _: _rows(600, 30, 2), quick=True, small=True)
SETS = (FEW, Workload("20,000 rows, 30 columns, 4 classes", lambda _: _rows(20_000, 30, 4)))


def near(ours: Any, theirs: Any) -> bool:
    return len(ours) == len(theirs) and bool(np.abs(np.subtract(ours, theirs)).max() <= 2e-3)


@CASES.add("training until held-out rows get no better", *SETS)
def fit(given: tuple[np.ndarray, np.ndarray], settings: Settings) -> Race:
    """All epochs."""
    rows, classes = given
    race = Race(read=rows.nbytes, written=0, equal=near)
    race.ours(settings, lambda backend: perceptron.fit(rows, classes, backend=backend).accuracies)
    rivals.enter(race, settings, "perceptron_fit", rows, classes)
    return race
