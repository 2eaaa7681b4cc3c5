"""outlines: tracing. No rival's outlines give the masks back, so the numbers of rings are compared."""

from __future__ import annotations

import numpy as np

from maskmill import outlines

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import STACKS, Stack

CASES = Cases("outlines")


@CASES.add("outlines_trace", *STACKS)
def trace(stack: Stack, settings: Settings) -> Race:
    race = Race(read=stack.masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: outlines.trace(*stack.masks._arrays, backend=backend),
        lambda out: np.diff(out.masks).tolist(),
    )
    rivals.enter(race, settings, "outlines_trace", stack)
    return race
