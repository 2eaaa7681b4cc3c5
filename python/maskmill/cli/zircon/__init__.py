"""maskmill zircon <verb>: training sets and measurements of detrital zircons, after colab_zirc_dims."""

from __future__ import annotations

import argparse
from typing import Any

from maskmill.cli._shared import add_family, task_module

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


def add_parser(verbs: Any) -> None:
    add_family(
        verbs,
        "zircon",
        VERBS,
        help="zircon grains under laser shots: clips, samples, splits, measurements",
        description="From mosaics and shot lists of LA-ICP-MS laboratories to training sets of single grains.",
        epilog=_EPILOG,
    )


def run(options: argparse.Namespace) -> int:
    return int(task_module("zircon", options.task).run(options))
