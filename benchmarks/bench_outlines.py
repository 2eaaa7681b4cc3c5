"""outlines: tracing. No rival's outlines give the masks back, so the numbers of rings are compared."""

from __future__ import annotations

import numpy as np

from maskmill import outlines, rle

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


@CASES.add("outlines_trace, of runs", *STACKS)
def trace_runs(stack: Stack, settings: Settings) -> Race:
    """Who takes images has to decode first."""
    race = Race(read=stack.masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: outlines.trace(*stack.masks._arrays, backend=backend),
        lambda out: np.diff(out.masks).tolist(),
    )
    rivals.enter(race, settings, "outlines_trace_runs", stack)
    return race


@CASES.add("rle_encode and outlines_trace", *STACKS)
def trace_images(stack: Stack, settings: Settings) -> Race:
    """And here we have to encode first."""
    race = Race(read=stack.rows.nbytes)
    race.ours(
        settings,
        lambda backend: outlines.trace(*rle.encode(stack.rows, backend=backend), backend=backend),
        lambda out: np.diff(out.masks).tolist(),
    )
    rivals.enter(race, settings, "outlines_trace_images", stack)
    return race
