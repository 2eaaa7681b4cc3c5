"""hamming: pairs, nearest exemplars and greedy exemplars of packed codes."""

from __future__ import annotations

import numpy as np

from maskmill import hamming

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import Workload

CASES = Cases("hamming")


def uniform(n: int, words: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 1 << 64, (n, words), np.uint64)


def skewed(n: int, words: int) -> np.ndarray:
    """As of overlapping windows of a few pictures: near-duplicates in plenty, bits that agree with one another."""
    rng = np.random.default_rng(n)
    smooth = rng.standard_normal((n // 50 + 1, 16)) @ rng.standard_normal((16, 64 * words))
    parts = []
    for some in np.array_split(rng.integers(0, len(smooth), n), n // 100_000 + 1):
        bits = smooth[some] + 1.2 * rng.standard_normal((len(some), 64 * words)) > 0
        parts.append(np.packbits(bits, axis=1).view(np.uint64))
    return np.concatenate(parts)


SMALL = Workload("2,000 random codes, 64 bits", lambda _: uniform(2_000, 1), quick=True, small=True)
CEM = Workload("20,000 random codes, 64 bits", lambda _: uniform(20_000, 1))
LONG = Workload("20,000 random codes, 256 bits", lambda _: uniform(20_000, 4))
MANY = Workload("200,000 random codes, 64 bits", lambda _: uniform(200_000, 1))
SKEWED = Workload("200,000 skewed codes, 64 bits", lambda _: skewed(200_000, 1))
MILLION = Workload("1,000,000 random codes, 64 bits", lambda _: uniform(1_000_000, 1))
SKEWED_MILLION = Workload("1,000,000 skewed codes, 64 bits", lambda _: skewed(1_000_000, 1))


@CASES.add("hamming_greedy", SMALL, CEM, SKEWED, MILLION, SKEWED_MILLION)
def greedy(codes: np.ndarray, settings: Settings) -> Race:
    race = Race()
    race.ours(settings, lambda backend: hamming.greedy(codes, 12, backend=backend), lambda out: list(out[:2]))
    rivals.enter(race, settings, "hamming_greedy", codes, 12)
    return race


def pairs_within(codes: np.ndarray, radius: int, settings: Settings) -> Race:
    race = Race()
    race.ours(settings, lambda backend: hamming.pairs(codes, radius, backend=backend), list)
    rivals.enter(race, settings, "hamming_pairs", codes, radius)
    return race


@CASES.add("hamming_pairs", SMALL, CEM, LONG, MANY)
def pairs(codes: np.ndarray, settings: Settings) -> Race:
    return pairs_within(codes, 12 * codes.shape[1], settings)


@CASES.add("hamming_nearest", SMALL, CEM, LONG)
def nearest(codes: np.ndarray, settings: Settings) -> Race:
    """Distances alone: who is the nearest of several equals, rivals choose as they like."""
    half = len(codes) // 2
    queries, exemplars = codes[:half], codes[half:]
    race = Race()
    race.ours(
        settings, lambda backend: hamming.nearest(queries, exemplars, backend=backend), lambda out: out[1]
    )
    rivals.enter(race, settings, "hamming_nearest", queries, exemplars)
    return race
