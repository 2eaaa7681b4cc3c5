"""setops: masks united, intersected, inverted."""

from __future__ import annotations

from maskmill import Masks, setops

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import FEW, MANY, NOISE, ONE, ONE_SMALL, PAIR_SMALL, ROCKS, STACKS, Stack

CASES = Cases("setops")


@CASES.add("setops_merge", ONE_SMALL, ONE, MANY, NOISE)
def merge(stack: Stack, settings: Settings) -> Race:
    """All into one; one with itself."""
    masks = stack.masks if stack.n > 1 else Masks.concatenate([stack.masks, stack.masks])
    size = masks.sizes[:1]
    race = Race(read=masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: setops.merge(*masks._arrays, [0, len(masks)], size, backend=backend),
        lambda out: rivals.ours_as_rles((*out, size)),
    )
    rivals.enter(race, settings, "setops_merge", stack)
    return race


def _pairs(pair: tuple[Masks, Masks], settings: Settings, op: str) -> Race:
    a, b = pair
    race = Race(read=a.counts.nbytes + b.counts.nbytes)
    race.ours(
        settings,
        lambda backend: setops.pairs(a._arrays, b._arrays, op, backend=backend),
        lambda out: rivals.ours_as_rles((*out, a.sizes)),
    )
    rivals.enter(race, settings, "setops_pairs", a, b, op == "intersection")
    return race


@CASES.add("setops_pairs, union", PAIR_SMALL, FEW, ROCKS)
def union(pair: tuple[Masks, Masks], settings: Settings) -> Race:
    return _pairs(pair, settings, "union")


@CASES.add("setops_pairs, intersection", PAIR_SMALL, FEW, ROCKS)
def intersection(pair: tuple[Masks, Masks], settings: Settings) -> Race:
    return _pairs(pair, settings, "intersection")


@CASES.add("setops_complement", *STACKS)
def complement(stack: Stack, settings: Settings) -> Race:
    masks = stack.masks
    race = Race(read=masks.counts.nbytes, written=masks.counts.nbytes)
    race.ours(
        settings,
        lambda backend: setops.complement(*masks._arrays, backend=backend),
        lambda out: rivals.ours_as_rles((*out, masks.sizes)),
    )
    rivals.enter(race, settings, "setops_complement", stack)
    return race
