"""What several verbs of `maskmill em` have in common: options, the list of what failed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any


def add_workers(p: argparse.ArgumentParser, *, default: int = 4) -> None:
    p.add_argument(
        "-p", "--processes", type=int, default=default, metavar="N", help=f"workers (default: {default})"
    )


def require_grey(options: argparse.Namespace, *names: str) -> None:
    """Refuse grey values that are none of 8 bits."""
    for name in names:
        given = getattr(options, name)
        if given is not None and not 0 <= given <= 255:
            raise ValueError(f"--{name} must be 0 to 255, not {given}")


def print_failures(failed: Sequence[Any], verb: str) -> None:
    """Each input that failed, on stderr, with its reason."""
    for failure in failed:
        reason = failure.reason if failure.input in failure.reason else f"{failure.input}: {failure.reason}"
        print(f"maskmill em {verb}: {reason}", file=sys.stderr)
