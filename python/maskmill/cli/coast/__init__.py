"""maskmill coast <verb>: results of Doodler, and data sets of coasts such as Coast Train."""

from __future__ import annotations

import argparse
from typing import Any

from maskmill.cli._shared import add_family, task_module

VERBS: tuple[str, ...] = (
    "info",
    "lint",
    "stats",
    "plots",
    "agreement",
    "archive",
    "restore",
    "unpack",
    "remap",
    "show",
    "tiles",
    "npz4gym",
    "pack",
    "transfer",
    "replay",
)
"""Each is a module here with `add_parser(subparsers)` and `run(options)`, which returns the exit code."""

_EPILOG = """\
examples:
  maskmill coast VERB --help                 what a verb does, with examples
  maskmill coast info result.npz             the trials of a file, from the oldest to the newest
  maskmill coast unpack results/ out/        pictures, label images, overlays, doodles
  maskmill coast remap results/ remapped/    superclasses
  maskmill coast tiles results/ tiles/       windows of one class, a folder for each
  maskmill coast pack images/ labels/ results/ --classes water,land
  maskmill coast replay results/ replayed/   labels rebuilt from doodles, compared with those that are stored
  maskmill coast archive results/ archives/  a tenth to a half of the room; restore makes the same files again

exit codes: 0 done, 1 something failed, 2 wrong usage or a bad file, 3 done but for what is listed
"""


def add_parser(verbs: Any) -> None:
    add_family(
        verbs,
        "coast",
        VERBS,
        help="coasts labelled with Doodler: trials, labels, classes, tiles, archives",
        description="Read, check, unpack and pack the results of Doodler, and data sets made of them.",
        epilog=_EPILOG,
    )


def run(options: argparse.Namespace) -> int:
    return int(task_module("coast", options.task).run(options))
