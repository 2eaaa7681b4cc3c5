"""Many independent tasks, run one by one, by threads or by processes. `maskmill.scale` has the same on a cluster.

An executor is a context manager whose `map` gives the index of each task and what came of it, in the order in which
tasks end. A task that fails gives its exception: one failure never stops the others. Tasks may be run more than once,
where a worker was lost, so they must be idempotent.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, Protocol

Function = Callable[[Any], Any]
Progress = Callable[[int, "int | None"], None]
"""Called with the number of tasks done, and of all tasks where that is known."""

RETRIES = 3
"""How often a task may lose its worker before that is its outcome."""


class WorkerLost(RuntimeError):
    """The processes that ran a task died, again and again."""


class Executor(Protocol):
    """What studies and commands are given."""

    workers: int
    """How many tasks run at once."""

    def map(
        self, function: Function, tasks: Iterable[Any], *, progress: Progress | None = None
    ) -> Iterator[tuple[int, Any]]:
        """(index, result or exception) of each task, as they end."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(self, *error: object) -> None: ...


def executor(processes: int | None = None) -> Executor:
    """By default threads, one per processor; `processes` of this machine otherwise, 1 being this one.

    Kernels release the GIL, so threads are the better choice unless tasks spend their time in Python.
    """
    if processes is None:
        return Threads()
    if processes < 1:
        raise ValueError(f"processes must be at least 1, not {processes}")
    return Serial() if processes == 1 else Processes(processes)


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Serial:
    """One task after the other, in this thread."""

    workers = 1

    def map(
        self, function: Function, tasks: Iterable[Any], *, progress: Progress | None = None
    ) -> Iterator[tuple[int, Any]]:
        def outcomes() -> Iterator[tuple[int, Any]]:
            for index, task in enumerate(tasks):
                try:
                    result = function(task)
                except Exception as error:
                    result = error
                yield index, result

        return counted(outcomes(), tasks, progress)

    def __enter__(self) -> Serial:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Threads:
    """Threads of this process."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cpu_count()
        self._pool = ThreadPoolExecutor(self.workers, "maskmill")

    def map(
        self, function: Function, tasks: Iterable[Any], *, progress: Progress | None = None
    ) -> Iterator[tuple[int, Any]]:
        def outcomes() -> Iterator[tuple[int, Any]]:
            for index, _, future in _completed(
                lambda task: self._pool.submit(function, task), tasks, 2 * self.workers
            ):
                yield index, future.exception() or future.result()

        return counted(outcomes(), tasks, progress)

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)


class Processes:
    """Processes of this machine, started afresh ("spawn"), so that they share nothing with this one.

    A script that uses them needs the usual ``if __name__ == "__main__":``.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cpu_count()
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        import multiprocessing

        threads = max(1, cpu_count() // self.workers)
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, spawn, start_worker, (threads,))

    def _submit(self, function: Function, task: Any) -> Future[Any]:
        try:
            return self._pool.submit(function, task)
        except BrokenExecutor:  # a worker died: none of that pool will work again
            self._pool.shutdown()
            self._pool = self._start()
            return self._pool.submit(function, task)

    def map(
        self, function: Function, tasks: Iterable[Any], *, progress: Progress | None = None
    ) -> Iterator[tuple[int, Any]]:
        check_function(function)
        return counted(self._outcomes(function, tasks), tasks, progress)

    def _outcomes(self, function: Function, tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        suspects = []
        for index, task, future in _completed(
            lambda task: self._submit(function, task), tasks, 2 * self.workers
        ):
            error = future.exception()
            if isinstance(error, BrokenExecutor):
                suspects.append((index, task))
            else:
                yield index, error or future.result()
        # One of the tasks that ran when a worker died may have killed it. Alone, it harms no other.
        for index, task in suspects:
            yield index, self._alone(function, task)

    def _alone(self, function: Function, task: Any) -> Any:
        for _ in range(RETRIES):
            future = self._submit(function, task)
            error = future.exception()
            if not isinstance(error, BrokenExecutor):
                return error or future.result()
        return WorkerLost(f"its process died {RETRIES} times (killed, or out of memory?)")

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def start_worker(threads: int) -> None:
    """What a worker process does first."""
    # Ctrl-C reaches all processes of a terminal: workers end silently, the first process tells.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("MASKMILL_NUM_THREADS", str(threads))


def check_function(function: Function) -> None:
    """Refuse what other processes cannot import."""
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"function must be one that other processes can import, defined at the top of a module, not {name}"
        ) from None


def counted(
    outcomes: Iterator[tuple[int, Any]], tasks: Iterable[Any], progress: Progress | None
) -> Iterator[tuple[int, Any]]:
    """The same, and `progress` is told."""
    if progress is None:
        return outcomes
    return _counted(outcomes, len(tasks) if isinstance(tasks, Sized) else None, progress)


def _counted(
    outcomes: Iterator[tuple[int, Any]], total: int | None, progress: Progress
) -> Iterator[tuple[int, Any]]:
    for done, outcome in enumerate(outcomes, 1):
        progress(done, total)
        yield outcome


def _completed(
    submit: Callable[[Any], Future[Any]], tasks: Iterable[Any], most: int
) -> Iterator[tuple[int, Any, Future[Any]]]:
    """Tasks as they end, at most `most` in flight: a generator of tasks is read no faster than they are done."""
    waiting: dict[Future[Any], tuple[int, Any]] = {}
    coming = enumerate(tasks)
    try:
        while True:
            for index, task in islice(coming, most - len(waiting)):
                waiting[submit(task)] = index, task
            if not waiting:
                return
            done, _ = wait(waiting, return_when="FIRST_COMPLETED")
            for future in done:
                yield *waiting.pop(future), future
    finally:  # the caller had enough, or pressed Ctrl-C
        for future in waiting:
            future.cancel()
