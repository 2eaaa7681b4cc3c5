"""maskmill flakes <verb>: the data work of MaskTerial."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

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


def _module(verb: str) -> Any:
    return importlib.import_module(f"maskmill.cli.flakes.{verb.replace('-', '_')}")


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "flakes",
        help="2D-material flakes: training sets, contrast, evaluation",
        description="From photos of flakes and their masks to MaskTerial's training sets, and to its evaluation.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = p.add_subparsers(dest="task", metavar="VERB", required=True)
    for verb in VERBS:
        _module(verb).add_parser(steps)


def run(options: argparse.Namespace) -> int:
    return int(_module(options.task).run(options))
