"""What became of the inputs of a step: each is done, failed or ignored, and none of them stops the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")
Progress = Callable[[int, int, str], None]
"""Called with how many are done, how many there are, and the name of the one that was done last."""


class Failure(NamedTuple):
    input: str
    reason: str


@dataclass
class Report:
    """Attributes
    ----------
    done : list of (input, output)
    failed : list of (input, reason)
    ignored : list of (path, reason)
        What is no input, such as read-me files.
    """

    done: list[tuple[Path, Path]] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    ignored: list[tuple[Path, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def until_stopped(self, blocks: Iterable[T]) -> Iterator[T]:
        """The blocks of an input, as long as nobody presses Ctrl-C: threads are not interrupted by that."""
        for block in blocks:
            if self._stop.is_set():
                raise InterruptedError("stopped")
            yield block


def sentence(error: Exception) -> str:
    """An error as one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def on_each(
    report: Report,
    jobs: Sequence[tuple[Path, Path, T]],
    work: Callable[[Path, Path, T], None],
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """work(input, output, more) for each job, several at a time; what fails is noted, in order of jobs."""
    if workers < 1:
        raise ValueError(f"there must be 1 or more workers, not {workers}")
    reasons: dict[Path, str] = {}
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(work, source, out, more): source for source, out, more in jobs}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                source = futures[future]
                try:
                    future.result()
                except (OSError, ValueError) as error:
                    reasons[source] = sentence(error)
                if progress is not None:
                    progress(done, len(jobs), source.name)
        except BaseException:
            report._stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    for source, out, _ in jobs:
        if source in reasons:
            report.failed.append(Failure(str(source), reasons[source]))
        else:
            report.done.append((source, out))
