"""maskmill zircon <verb>: training sets and measurements of detrital zircons, after colab_zirc_dims."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

VERBS: tuple[str, ...] = ("info", "clip", "polygonize", "sample", "split", "measure", "tables", "agreement")
"""Each is a module here with `add_parser(subparsers)` and `run(options)`, which returns the exit code."""

_EPILOG = """\
examples:
  maskmill zircon VERB --help                      what a step does, with examples
  maskmill zircon info project/                    what a project holds, and what it lacks
  maskmill zircon sample project/ selected.csv     shots whose windows do not overlap
  maskmill zircon clip project/ clips/             a picture for each shot, and where it is from
  maskmill zircon split selected.csv split.csv     training and validation, exact to the published rule
  maskmill zircon polygonize labels/ grains.json   masks to polygons for VIA, exact or within limits
  maskmill zircon measure grains.json grains.csv   axes, areas and perimeters of all grains
  maskmill zircon agreement by_hand.csv grains.csv agreement/

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for what is listed as failed
"""


def _module(verb: str) -> Any:
    return importlib.import_module(f"maskmill.cli.zircon.{verb}")


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "zircon",
        help="zircon grains under laser shots: clips, samples, splits, measurements",
        description="From mosaics and shot lists of LA-ICP-MS laboratories to training sets of single grains.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = p.add_subparsers(dest="task", metavar="VERB", required=True)
    for verb in VERBS:
        _module(verb).add_parser(steps)


def run(options: argparse.Namespace) -> int:
    return int(_module(options.task).run(options))
