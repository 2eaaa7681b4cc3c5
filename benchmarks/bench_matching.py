"""matching: IoU of boxes. What matches and accumulates is measured end to end, in bench_evaluate.py."""

from __future__ import annotations

import numpy as np

from maskmill import _backend

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import BOXES

CASES = Cases("matching")


@CASES.add("matching_box_iou", *BOXES)
def box_iou(boxes: tuple[np.ndarray, np.ndarray], settings: Settings) -> Race:
    a, b = boxes
    crowd = np.zeros(len(b), np.uint8)
    # All in one cell: one image and class, in the order given.
    cells = [np.array([0, len(b)]), np.arange(len(b)), np.array([0, len(a)]), np.arange(len(a))]
    race = Race(read=a.nbytes + b.nbytes, written=8 * len(a) * len(b))
    race.ours(
        settings,
        lambda backend: _backend.kernels(backend).matching_box_iou(*cells, b, a, crowd),
        lambda out: out[0].reshape(len(a), len(b)),
    )
    rivals.enter(race, settings, "matching_box_iou", a, b)
    return race
