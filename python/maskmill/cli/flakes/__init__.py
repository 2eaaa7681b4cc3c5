"""maskmill flakes <verb>: the data work of MaskTerial."""

from __future__ import annotations

import argparse
from typing import Any

from maskmill.cli._shared import add_family, task_module

VERBS: tuple[str, ...] = (
    "build",
    "validate",
    "kshot",
    "semantic",
    "contrast",
    "postprocess",
    "train-filter",
    "evaluate",
)
"""Each is a module here (_ for -) with `add_parser(subparsers)` and `run(options)`, which returns the exit code."""

_EPILOG = """\
examples:
  maskmill flakes VERB --help                        what a verb does, with examples
  maskmill flakes build masks/ WSe2/ --images raw/   photos and masks to the layout of a training set

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for what is listed
"""


def add_parser(verbs: Any) -> None:
    add_family(
        verbs,
        "flakes",
        VERBS,
        help="2D-material flakes: training sets, contrast, evaluation",
        description="From photos of flakes and their masks to MaskTerial's training sets, and to its evaluation.",
        epilog=_EPILOG,
    )


def run(options: argparse.Namespace) -> int:
    return int(task_module("flakes", options.task).run(options))
