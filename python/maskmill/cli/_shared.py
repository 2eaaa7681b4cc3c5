"""What verbs of several families have in common: options, the progress bar."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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


def add_family(verbs: Any, name: str, tasks: Sequence[str], **texts: str) -> None:
    """A verb that has verbs of its own, each a module of the folder `name`."""
    p = verbs.add_parser(name, formatter_class=argparse.RawDescriptionHelpFormatter, **texts)
    steps = p.add_subparsers(dest="task", metavar="VERB", required=True)
    for task in tasks:
        task_module(name, task).add_parser(steps)


def task_module(family: str, task: str) -> Any:
    """The module of a task: _ for -; `run` is in line.py, as a module called run would take the place of the function
    of that name."""
    name = "line" if task == "run" else task.replace("-", "_")
    return importlib.import_module(f"maskmill.cli.{family}.{name}")
