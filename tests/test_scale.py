"""Executors: the same outcomes from one thread, threads, processes and Dask, also when a worker dies in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskmill import _jobs, patches, scale

# Tasks: plain functions at the top of a module, as other processes need them.


def square(x: int) -> int:
    if x == 13:
        raise ValueError("13 is bad luck")
    return x * x


def describe(seed: int) -> bytes:
    """Some work for the kernels."""
    volume = np.random.default_rng(seed).integers(0, 256, (8, 40, 40), np.uint8)
    return patches.stats(volume, 2, patches.grid((8, 40), 8), np.arange(40)).mean.tobytes()


def kill_once(task: tuple[int, str]) -> int:
    """Task 5 takes its worker along the first time."""
    number, folder = task
    time.sleep(0.01)
    if number == 5 and not os.path.exists(os.path.join(folder, "killed")):
        Path(folder, "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def kill_always(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def dask() -> Any:
    pytest.importorskip("distributed")
    return scale.executor("local:2")


EXECUTORS: dict[str, Callable[[], Any]] = {
    "serial": _jobs.Serial,
    "threads": lambda: _jobs.Threads(3),
    "processes": lambda: _jobs.Processes(2),
    "dask": dask,
}


@pytest.fixture(scope="module", params=EXECUTORS)
def run(request: pytest.FixtureRequest) -> Iterator[Any]:
    """One for all tests: processes take seconds to start."""
    with EXECUTORS[request.param]() as executor:
        yield executor


@pytest.fixture
def run_elsewhere(run: Any) -> Any:
    """Those whose workers can be killed."""
    if not isinstance(run, _jobs.Processes | scale.Dask) or not hasattr(signal, "SIGKILL"):
        pytest.skip("there is nothing to kill, or to kill with")
    return run


def test_map(run: Any) -> None:
    told: list[tuple[int, int | None]] = []
    outcomes = dict(run.map(square, range(30), progress=lambda done, total: told.append((done, total))))
    error = outcomes.pop(13)
    assert isinstance(error, ValueError)
    assert str(error) == "13 is bad luck"
    assert outcomes == {i: i * i for i in range(30) if i != 13}
    assert told == [(i, 30) for i in range(1, 31)]
    assert list(run.map(square, [])) == []
    assert run.workers >= 1


def test_same_results_everywhere(run: Any) -> None:
    assert dict(run.map(describe, range(20))) == {i: describe(i) for i in range(20)}


def test_leaving_early_cancels(run: Any) -> None:
    outcomes = run.map(square, range(500))
    next(outcomes)
    outcomes.close()
    assert dict(run.map(square, [3])) == {0: 9}


def test_killed_worker_changes_nothing(run_elsewhere: Any, tmp_path: Path) -> None:
    outcomes = dict(run_elsewhere.map(kill_once, [(i, str(tmp_path)) for i in range(40)]))
    assert (tmp_path / "killed").exists()
    assert outcomes == {i: i * i for i in range(40)}


def test_task_that_kills_every_worker(run_elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jobs, "RETRIES", 1)
    outcomes = dict(run_elsewhere.map(kill_always, range(6)))
    error = outcomes.pop(2)
    assert isinstance(error, _jobs.WorkerLost)
    assert "died" in str(error)
    assert outcomes == {i: i for i in range(6) if i != 2}
    assert dict(run_elsewhere.map(square, range(5))) == {i: i * i for i in range(5)}


def test_tasks_are_read_as_they_are_done() -> None:
    read = 0
    most = 0

    def tasks() -> Iterator[int]:
        nonlocal read
        for i in range(100):
            read += 1
            yield i

    with _jobs.Threads(2) as run:
        for done, _ in enumerate(run.map(abs, tasks())):
            most = max(most, read - done)
    assert read == 100
    assert most <= 5


def test_threads_run_at_once() -> None:
    barrier = threading.Barrier(3, timeout=30)
    with _jobs.Threads(3) as run:
        assert len(dict(run.map(lambda _: barrier.wait(), range(3)))) == 3


def test_functions_that_cannot_be_imported() -> None:
    with (
        _jobs.Processes(2) as run,
        pytest.raises(TypeError, match="function must be one that other processes can"),
    ):
        run.map(lambda task: task, [1])


def test_choice_of_executor() -> None:
    for processes, kind in [(None, _jobs.Threads), (1, _jobs.Serial), (2, _jobs.Processes)]:
        with scale.executor(processes=processes) as run:
            assert isinstance(run, kind)
    with pytest.raises(ValueError, match="processes must be at least 1, not 0"):
        scale.executor(processes=0)
    for address in ("local:0", "local:x", "local:-1", "nonsense", ""):
        with pytest.raises(ValueError, match="address must be 'local', 'local:N', that of a scheduler"):
            scale.executor(address)


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    for address in ("local:2", "tcp://127.0.0.1:1"):
        with pytest.raises(
            ImportError, match="distributed is not installed; run: pip install 'maskmill\\[dask\\]'"
        ):
            scale.executor(address)


def test_nobody_answers(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(ConnectionError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 within 0.5 s"):
        scale.executor("tcp://127.0.0.1:9", timeout=0.5)
    with pytest.raises(FileNotFoundError, match="there is no such scheduler file"):
        scale.executor(str(tmp_path / "scheduler.json"), timeout=0.5)


def test_existing_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        with scale.executor(cluster.scheduler_address) as run:
            assert dict(run.map(square, range(5))) == {i: i * i for i in range(5)}
            monkeypatch.setattr(scale, "MOST_TASKS", 4)
            with pytest.raises(
                ValueError, match="there must be at most 4 tasks, not 5: make each of them larger"
            ):
                run.map(square, range(5))
        cluster.scale(0)
        with pytest.raises(ConnectionError, match="has no workers"):
            scale.executor(cluster.scheduler_address, timeout=1)


class Workers:
    """A client whose workers have what they are said to have."""

    def __init__(self, versions: dict[str, Any]) -> None:
        self.versions = versions

    def run(self, function: Any, on_error: str) -> dict[str, Any]:
        return self.versions


def test_other_versions_are_told() -> None:
    own = scale._version()
    scale._compare_versions(Workers({"a": own, "b": own}))
    with pytest.warns(RuntimeWarning, match="1 of 2 Dask workers have another maskmill .* b has 0.0.0"):
        scale._compare_versions(Workers({"a": own, "b": "0.0.0"}))


SCRIPT = """
import sys, time
from maskmill import scale

if __name__ == "__main__":
    with scale.executor(processes={processes}) as run:
        for index, _ in run.map(time.sleep, [0.2] * 1000):
            print("first", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
@pytest.mark.parametrize("processes", [None, 1, 2])
def test_control_c(tmp_path: Path, processes: int | None) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(processes=processes))
    child = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"first\n"
    os.killpg(child.pid, signal.SIGINT)
    begin = time.monotonic()
    _, errors = child.communicate(timeout=60)
    assert time.monotonic() - begin < 30
    assert errors.decode().rstrip().endswith("KeyboardInterrupt")
