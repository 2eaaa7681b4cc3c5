"""overlap: IoU of all with all, and greedy suppression."""

from __future__ import annotations

from maskmill import Masks, overlap

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import OVERLAPPING, PAIRS, ROCKS

CASES = Cases("overlap")


@CASES.add("overlap_iou", *PAIRS)
def iou(pair: tuple[Masks, Masks], settings: Settings) -> Race:
    a, b = pair
    race = Race(read=a.counts.nbytes + b.counts.nbytes, written=8 * len(a) * len(b))
    race.ours(settings, lambda backend: overlap.iou(a._arrays, b._arrays, backend=backend))
    rivals.enter(race, settings, "overlap_iou", a, b)
    return race


@CASES.add("overlap_nms", ROCKS, OVERLAPPING)
def nms(pair: tuple[Masks, Masks], settings: Settings) -> Race:
    """Rivals: their IoU of all with all, and a loop in NumPy."""
    masks = pair[0]
    race = Race(read=masks.counts.nbytes)
    race.ours(settings, lambda backend: overlap.nms(*masks._arrays, 0.5, backend=backend))
    rivals.enter(race, settings, "overlap_nms", masks, 0.5)
    return race
