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


SMALL = Workload("2,000 random codes, 64 bits", lambda _: uniform(2_000, 1), quick=True, small=True)
CEM = Workload("20,000 random codes, 64 bits", lambda _: uniform(20_000, 1))


@CASES.add("hamming_greedy", SMALL, CEM)
def greedy(codes: np.ndarray, settings: Settings) -> Race:
    race = Race()
    race.ours(settings, lambda backend: hamming.greedy(codes, 12, backend=backend), lambda out: list(out[:2]))
    rivals.enter(race, settings, "hamming_greedy", codes, 12)
    return race
