"""The same cases for pytest-benchmark: pytest benchmarks -k "rle_encode and 480" --benchmark-group-by=param:case"""

from __future__ import annotations

import functools
from typing import Any

import pytest

from . import rivals
from .measure import OURS, Case, Race, Settings, judge
from .run import cases

pytest.importorskip("pytest_benchmark")

SETTINGS = Settings()
CONTESTANTS = (OURS, f"{OURS} numba", *(rival.name for rival in rivals.chosen(SETTINGS)))


@functools.lru_cache(maxsize=1)
def _judged(case: Case) -> tuple[Race, dict[str, float], dict[str, str]]:
    race, result = case.race(SETTINGS), case.result()
    return race, judge(race, result), result.excluded


@pytest.mark.parametrize("contestant", CONTESTANTS)
@pytest.mark.parametrize("case", [case for case in cases() if case.prepare], ids=lambda case: case.name)
def test_case(case: Case, contestant: str, benchmark: Any) -> None:
    race, fair, excluded = _judged(case)
    if contestant not in race.contestants:
        pytest.skip("does not take part in every race")
    if contestant not in fair:
        if contestant.startswith(OURS):
            pytest.fail(excluded[contestant])
        pytest.skip(excluded[contestant])
    benchmark.group = case.name
    benchmark(race.contestants[contestant].call)
