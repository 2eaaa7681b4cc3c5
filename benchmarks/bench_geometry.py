"""geometry: masks seen through windows, mirrored, transposed. Rivals for images get images and give images."""

from __future__ import annotations

from maskmill import geometry

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import STACKS, Stack

CASES = Cases("geometry")


@CASES.add("geometry_window", *STACKS)
def window(stack: Stack, settings: Settings) -> Race:
    h, w = stack.height, stack.width
    box = [w // 4, h // 4, w // 2, h // 2]
    race = Race(read=stack.masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: geometry.window(*stack.masks._arrays, box, backend=backend),
        rivals.ours_as_rles,
    )
    rivals.enter(race, settings, "geometry_window", stack, box)
    return race


@CASES.add("geometry_flip", *STACKS)
def flip(stack: Stack, settings: Settings) -> Race:
    race = Race(read=stack.masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: geometry.flip(*stack.masks._arrays, horizontal=True, backend=backend),
        rivals.ours_as_rles,
    )
    rivals.enter(race, settings, "geometry_flip", stack)
    return race


@CASES.add("geometry_transpose", *STACKS)
def transpose(stack: Stack, settings: Settings) -> Race:
    race = Race(read=stack.masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: geometry.transpose(*stack.masks._arrays, backend=backend),
        rivals.ours_as_rles,
    )
    rivals.enter(race, settings, "geometry_transpose", stack)
    return race
