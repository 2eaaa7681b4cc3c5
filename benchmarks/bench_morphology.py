"""morphology: components, holes, dilation, erosion, boundaries. Rivals for images get images and give images."""

from __future__ import annotations

import numpy as np

from maskmill import Masks, morphology

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import STACKS, Stack

CASES = Cases("morphology")


@CASES.add("morphology_components", *STACKS)
def components(stack: Stack, settings: Settings) -> Race:
    def answer(out: tuple[np.ndarray, np.ndarray, np.ndarray]) -> object:
        return sorted(
            rivals.ours_as_rles((*out[:2], np.broadcast_to(stack.masks.sizes[0], (len(out[2]), 2))))
        )

    race = Race(read=stack.masks.counts.nbytes)
    race.ours(settings, lambda b: morphology.components(*stack.masks._arrays, 8, backend=b), answer)
    rivals.enter(race, settings, "morphology_components", stack)
    return race


@CASES.add("morphology_fill_holes", *STACKS)
def fill_holes(stack: Stack, settings: Settings) -> Race:
    race = Race(read=stack.masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: morphology.fill_holes(*stack.masks._arrays, backend=backend),
        lambda out: _rles(stack, out),
    )
    rivals.enter(race, settings, "morphology_fill_holes", stack)
    return race


@CASES.add("morphology_remove_small", *STACKS)
def remove_small(stack: Stack, settings: Settings) -> Race:
    race = Race(read=stack.masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: morphology.remove_small(*stack.masks._arrays, 100, backend=backend),
        lambda out: _rles(stack, out),
    )
    rivals.enter(race, settings, "morphology_remove_small", stack)
    return race


for _shape in ("square", "disc"):
    for _verb in ("dilate", "erode"):

        @CASES.add(f"morphology_{_verb}, {_shape} of radius 5", *STACKS)
        def shaped(stack: Stack, settings: Settings, verb: str = _verb, shape: str = _shape) -> Race:
            race = Race(read=stack.masks.counts.nbytes)
            function = getattr(morphology, verb)
            race.ours(
                settings,
                lambda backend: function(*stack.masks._arrays, 5, shape, backend=backend),
                lambda out: _rles(stack, out),
            )
            rivals.enter(race, settings, f"morphology_{verb}_{shape}", stack, 5)
            return race


@CASES.add("morphology_boundary", *STACKS)
def boundary(stack: Stack, settings: Settings) -> Race:
    radius = max(1, round(0.02 * float(np.hypot(stack.height, stack.width))))
    race = Race(read=stack.masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: morphology.boundary(*stack.masks._arrays, radius, backend=backend),
        lambda out: _rles(stack, out),
    )
    rivals.enter(race, settings, "morphology_boundary", stack)
    return race


def _rles(stack: Stack, out: tuple[np.ndarray, ...]) -> object:
    return rivals.rles(Masks(*out[:2], stack.masks.sizes).to_coco())
