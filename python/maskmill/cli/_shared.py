"""What verbs of several families have in common: options, the progress bar."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int, str], None]
"""Called with how many are done, how many there are, and the name of the next."""


def add_quiet(p: argparse.ArgumentParser) -> None:
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")


def require(options: argparse.Namespace, **least: int) -> None:
    """Refuse options that are below their least value, by name. What is not given is None."""
    for name, value in least.items():
        given = getattr(options, name)
        if given is not None and not given >= value:
            raise ValueError(f"--{name.replace('_', '-')} must be {value} or more, not {given}")


@contextmanager
def progress_bar(what: str, quiet: bool) -> Iterator[Report | None]:
    """A bar on stderr, or None if it is not wanted."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[name]}"), console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, name="")

        def report(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, name=name)

        yield report
