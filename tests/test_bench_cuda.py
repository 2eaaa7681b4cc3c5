"""maskmill bench --backend cuda: every case runs, on what is taken for a GPU, and gives the core's answer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fake_cupy
from maskmill import _backend
from maskmill.cli import main
from maskmill.cli.bench import _benchmarks

try:
    run = _benchmarks("cuda")
except ImportError as error:
    pytest.skip(str(error), allow_module_level=True)

from maskmill.benchmarks.gpu import measure
from maskmill.benchmarks.measure import OURS

EVERY = run.cases(quick=True)


@pytest.fixture
def settings() -> Any:
    if _backend.why_missing("cpp") is not None:
        pytest.skip("needs the C++ core")
    with fake_cupy.pretended() as cupy:
        yield measure.Settings(measure.Gpu(cupy), repeat=1, rivals=("cupy",))


@pytest.mark.parametrize("case", EVERY, ids=[case.name for case in EVERY])
def test_case(case: Any, settings: Any) -> None:
    (row,) = case.run(settings)
    if OURS in row.excluded:
        pytest.skip(row.excluded[OURS])
    assert row.wrong is None
    assert row.excluded == {}
    assert row.floor > 0
    assert row.ours > 0
    assert {OURS, measure.CORE} <= set(row.spreads)
    assert len(run.row(row)) == len(run.COLUMNS)


def test_names_are_told_apart() -> None:
    for quick in (True, False):
        names = [case.name for case in run.cases(quick=quick)]
        assert len(set(names)) == len(names)
    assert {case.kernel for case in EVERY} == set(run.KERNELS)


def test_verb(settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, numbers = tmp_path / "table.md", tmp_path / "numbers.json"
    command = ["bench", "--backend", "cuda", "--quick", "--only", "rle_encode, speckles", "hamming_nearest"]
    assert main([*command, "--repeat", "1", "--json", str(numbers), "--markdown", str(table)]) == 0
    out = capsys.readouterr().out
    assert "hamming_nearest" in out
    assert "none, pretended by the host" in out
    lines = table.read_text().splitlines()
    assert lines[0].startswith("| operation | input | floor | time | rate | of the floor | asked |")
    assert len(lines[2].split(" | ")) == len(run.COLUMNS)
    written = json.loads(numbers.read_text())
    assert [row["operation"] for row in written["results"]] == ["rle_encode, speckles", "hamming_nearest"]
    assert written["machine"]["copy, GB/s"] > 0
    assert written["command"].startswith("maskmill bench --backend cuda --quick")


def test_without_a_device(capsys: pytest.CaptureFixture[str]) -> None:
    if _backend.why_missing("cuda") is None:
        pytest.skip("there is one")
    assert main(["bench", "--backend", "cuda", "--quick"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("maskmill bench: backend 'cuda' cannot be used: ")
    assert err.count("\n") == 1
    assert main(["bench", "--backend", "cuda", "--list", "--only", "hashes"]) == 0
    assert "hashes_dhash, 40,000 patches of 224 x 224" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--only", "crf"], "nothing to run on a GPU is called 'crf'"),
        (["--rivals", "nobody"], "there is no rival 'nobody' on a GPU; there are cupy, torch"),
    ],
)
def test_wrong_usage(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--backend", "cuda", *argv]) == 2
    assert words in capsys.readouterr().err


# The measuring itself


def job(**options: Any) -> Any:
    numbers = np.arange(3)
    return measure.Job(lambda: numbers, lambda: numbers, amount=3e9, unit="patches", **options)


def measured(job: Any, gpu: Any) -> Any:
    case = measure.Case("rle", "what", (), "none", lambda _: job)
    (row,) = case.run(measure.Settings(gpu, repeat=3))
    return row


@pytest.fixture
def clock() -> Any:
    """A device on which everything takes a millisecond and a copy moves a gigabyte a second."""
    gpu = SimpleNamespace(is_real=False, bandwidth=1e9, free=lambda: None)
    gpu.seconds = lambda call, number=1, by_host=False: 0.001
    return gpu


def test_the_floor_is_the_larger_of_bytes_and_operations(clock: Any) -> None:
    row = measured(job(read=300_000, written=200_000), clock)
    assert row.floor == 0.0005
    assert row.share_of_floor == 0.5
    assert row.rate == 3e12
    row = measured(job(read=300_000, operations=800_000, per_second=1e9), clock)
    assert row.share_of_floor == pytest.approx(0.8)
    row = measured(job(read=300_000, operations=800_000, per_second=None), clock)
    assert row.share_of_floor == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (("share", 0.6), ">= 60% of the floor: not met"),
        (("share", 0.5), ">= 50% of the floor: met"),
        (("rate", 2e12), ">= 2 T patches/s: met"),
        (("rate", 4e12), ">= 4 T patches/s: not met"),
        (("time", 0.002), "< 2 ms: met"),
        (("time", 0.001), "< 1 ms: not met"),
        (("ratio", 50), ">= 50 x the core: not met"),
    ],
)
def test_what_was_asked(asked: tuple[str, float], text: str, clock: Any) -> None:
    row = measured(job(written=500_000, asked=measure.Asked(*asked)), clock)
    assert row.asked == text


def test_what_has_no_twin_is_told(clock: Any) -> None:
    def prepare(gpu: Any) -> Any:
        raise _backend.BackendError(
            "geometry_crop has no twin on the GPU; bring the arrays to the host first"
        )

    (row,) = measure.Case("rle", "what", (), "none", prepare).run(measure.Settings(clock))
    assert row.wrong is None
    assert run.notes([row]) == ["maskmill geometry_crop has no twin on the GPU: what (none)"]
    assert "no twin" in run.row(row)


def test_who_is_wrong_is_not_timed(clock: Any) -> None:
    wrong = measure.Job(lambda: np.arange(3), lambda: np.arange(4), amount=1)
    assert measured(wrong, clock).wrong == "maskmill differs from the C++ core"
    broken = measure.Job(lambda: 1 / 0, lambda: 1, amount=1)
    assert measured(broken, clock).wrong == "fails: ZeroDivisionError: division by zero"
    right = job()
    right.rival("cupy, right", lambda: [0, 1, 2], lambda ours, theirs: list(ours) == theirs)
    right.rival("cupy, wrong", lambda: np.arange(2))
    right.rival("torch, broken", lambda: 1 / 0)
    row = measured(right, clock)
    assert row.best_rival == "cupy, right"
    assert row.excluded == {
        "cupy, wrong": "differs from maskmill",
        "torch, broken": "fails: ZeroDivisionError: division by zero",
    }
