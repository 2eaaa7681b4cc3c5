"""maskmill densify <verb>: a few painted strokes to a class for every pixel."""

from __future__ import annotations

import argparse
from typing import Any

from maskmill.cli._shared import add_family, task_module

VERBS: tuple[str, ...] = ("evaluate", "train", "apply")
"""Each is a module here with `add_parser(subparsers)` and `run(options)`, which returns the exit code."""

_EPILOG = """\
examples:
  maskmill densify evaluate photo.jpg --labels strokes.png --report report.html    how good will it be?
  maskmill densify train photo.jpg --labels strokes.png --out model.npz
  maskmill densify apply model.npz photos/*.jpg --out labels/ --crf

Paint some strokes of each class, in any program: a label image, ilastik, Doodler, polygons. Paint several of each, at
places that look different: what counts is how many strokes there are, not how many pixels. More: docs/densify.md.

exit codes: 0 done, 1 interrupted, 2 wrong usage or a bad file, 3 done but for photos that are listed as failed
"""


def add_parser(verbs: Any) -> None:
    add_family(
        verbs,
        "densify",
        VERBS,
        help="a few painted strokes to a class for every pixel, scored on strokes held out",
        description="From sparse labels to dense ones: learn classes of pixels from strokes, label images, and say how "
        "good that is.",
        epilog=_EPILOG,
    )


def run(options: argparse.Namespace) -> int:
    return int(task_module("densify", options.task).run(options))
