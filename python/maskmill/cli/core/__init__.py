"""maskmill core <verb>: rock classes and clasts of drill cores, after core_features."""

from __future__ import annotations

import argparse
from typing import Any

from maskmill.cli._shared import add_family, task_module

VERBS: tuple[str, ...] = ("classify", "evaluate", "shapes", "report")
"""Each is a module here with `add_parser(subparsers)` and `run(options)`, which returns the exit code."""

_EPILOG = """\
examples:
  maskmill core VERB --help                                                          what a step does, with examples
  maskmill core classify core72.jpg --labels 72_2.h5 --out core72/ --length-mm 610   a class for every pixel, a report
  maskmill core evaluate core72.jpg --labels 72_2.h5 --out core72/scores.json        scores on held-out clasts
  maskmill core shapes core72/classes.png --out clasts/ --length-mm 610              clasts in mm, logs along depth
  maskmill core report core72/ --length-mm 610 --top-m 698.41                        all of it as one HTML page

exit codes: 0 done, 2 wrong usage or a bad file
"""


def add_parser(verbs: Any) -> None:
    add_family(
        verbs,
        "core",
        VERBS,
        help="drill cores: maps of rock classes, clasts measured along depth",
        description="From photos of drill cores and a few painted clasts to class maps, clasts and logs.",
        epilog=_EPILOG,
    )


def run(options: argparse.Namespace) -> int:
    return int(task_module("core", options.task).run(options))
