"""The same tasks on this machine or on a Dask cluster.

`executor` gives something with one method, ``map(function, tasks)``. Whoever has tasks need not know where they run:
they are plain functions of plain arguments, at most 100,000 of them, each worth seconds. No graph of arrays is built.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from maskmill import _jobs
from maskmill._files import need
from maskmill._jobs import Executor, Function, Progress

__all__ = ["MOST_TASKS", "executor"]

MOST_TASKS = 100_000
"""A scheduler needs 0.2 to 1 ms for each task, and keeps them all."""


def executor(address: str | None = None, processes: int | None = None, *, timeout: float = 10.0) -> Executor:
    """Where tasks are to be run; a context manager.

    Parameters
    ----------
    address : str, optional
        None: this machine, by threads, or by `processes`. "local" or "local:N": a Dask cluster of N processes on this
        machine, which ends with the block. Otherwise the address of a Dask scheduler, such as ``tcp://host:8786``, or
        the path of its scheduler file (``.json``).
    processes : int, optional
        Without an address: how many processes; 1 is this one. With "local": the same as N.
    timeout : seconds to wait for a scheduler

    Returns
    -------
    Executor
        ``map(function, tasks, *, progress=None)`` gives (index, result or exception) of each task as tasks end;
        `progress` is called with the number done and the number of all. Tasks whose worker was lost are run again, so
        they must be idempotent. Leaving the loop, or Ctrl-C, cancels what has not begun.

    Raises
    ------
    ConnectionError
        If no scheduler answers within the timeout, or it has no workers.
    FileNotFoundError
        If there is no such scheduler file.
    ImportError
        If an address is given, and Dask is not installed.

    Examples
    --------
    >>> from maskmill import scale
    >>> with scale.executor(processes=1) as run:
    ...     sorted(run.map(abs, [-1, -2]))
    [(0, 1), (1, 2)]
    """
    if address is None:
        return _jobs.executor(processes)
    local = re.fullmatch(r"local(?::([1-9][0-9]*))?", address)
    if local:
        return Dask.local(int(local[1] or processes or _jobs.cpu_count()))
    if not re.fullmatch(r"\w+://.+|(?!local:)[^/]+:[0-9]+|.+\.json", address):
        raise ValueError(
            f"address must be 'local', 'local:N', that of a scheduler or its file, not {address!r}"
        )
    return Dask.connected(address, timeout)


class Dask:
    """Tasks for a Dask client."""

    def __init__(self, client: Any, *others: Any) -> None:
        self._client = client
        self._others = others
        self.workers = sum(client.nthreads().values())

    @classmethod
    def local(cls, workers: int) -> Dask:
        """A cluster of processes of this machine, one thread each."""
        distributed = need("distributed", "dask")
        threads = max(1, _jobs.cpu_count() // workers)
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            env={"MASKMILL_NUM_THREADS": str(threads)},
        )
        return cls(distributed.Client(cluster, set_as_default=False), cluster)

    @classmethod
    def connected(cls, address: str, timeout: float) -> Dask:
        """A cluster that somebody else has started."""
        distributed = need("distributed", "dask")
        where = {"address": address}
        if address.endswith(".json"):
            if not Path(address).exists():  # Dask would wait for it for ever
                raise FileNotFoundError(
                    f"{address}: there is no such scheduler file; `dask scheduler` writes it"
                )
            where = {"scheduler_file": address}
        try:
            client = distributed.Client(**where, timeout=timeout, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConnectionError(
                f"no Dask scheduler answers at {address} within {timeout:g} s; start one with `dask scheduler`, or use "
                f"local:N ({error or type(error).__name__})"
            ) from None
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError:
            client.close()
            raise ConnectionError(
                f"the Dask scheduler at {address} has no workers; start some with `dask worker {address}`"
            ) from None
        _compare_versions(client)
        return cls(client)

    def map(
        self, function: Function, tasks: Iterable[Any], *, progress: Progress | None = None
    ) -> Iterator[tuple[int, Any]]:
        items = list(tasks)
        if len(items) > MOST_TASKS:
            raise ValueError(
                f"there must be at most {MOST_TASKS:,} tasks, not {len(items):,}: make each of them larger"
            )
        _jobs.check_function(function)
        return _jobs.counted(self._outcomes(function, items), items, progress)

    def _outcomes(self, function: Function, tasks: list[Any]) -> Iterator[tuple[int, Any]]:
        if not tasks:
            return
        distributed = need("distributed", "dask")
        # pure=False: results of an earlier call with the same arguments are not what is asked for.
        futures = self._client.map(function, tasks, pure=False)
        waiting = {future: index for index, future in enumerate(futures)}
        del futures
        lost = []
        try:
            for future in distributed.as_completed(list(waiting), loop=self._client.loop):
                index = waiting.pop(future)
                error = future.exception()
                if isinstance(error, distributed.KilledWorker):
                    lost.append(index)
                else:
                    yield index, error or future.result()
            # Dask suspects all that a worker held when it died. Alone, only those that kill it fail again.
            for index in lost:
                yield index, self._alone(function, tasks[index])
        finally:
            if waiting:
                self._client.cancel(list(waiting))

    def _alone(self, function: Function, task: Any) -> Any:
        future = self._client.submit(function, task, pure=False)
        error = future.exception()
        if isinstance(error, need("distributed", "dask").KilledWorker):
            times = error.allowed_failures + 1
            return _jobs.WorkerLost(f"its worker died {times} times (killed, or out of memory?)")
        return error or future.result()

    def __enter__(self) -> Dask:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()
        for other in self._others:
            other.close()


def _version() -> str:
    from maskmill import __version__

    return str(__version__)


def _compare_versions(client: Any) -> None:
    """Warn of workers that have another maskmill, or none; of other packages Dask itself warns."""
    own = _version()
    found = client.run(_version, on_error="return")
    others = {worker: str(version) for worker, version in found.items() if version != own}
    if others:
        worker, version = next(iter(others.items()))
        warnings.warn(
            f"{len(others)} of {len(found)} Dask workers have another maskmill than this process ({own}): {worker} has "
            f"{version}; results may differ",
            RuntimeWarning,
            stacklevel=4,
        )
