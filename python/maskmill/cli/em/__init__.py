"""maskmill em <verb>: the curation line of electron microscopy."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from maskmill.cli._shared import add_family, task_module

VERBS: tuple[str, ...] = (
    "fetch",
    "crop-rois",
    "clean",
    "video2stack",
    "mrc2byte",
    "patchify",
    "dedupe",
    "labels",
    "train-filter",
    "filter",
    "reconstruct",
    "run",
)
"""Each is a module here (_ for -; `run` is line.py) with `add_parser(subparsers)` and `run(options)`, which returns the
exit code."""

_EPILOG = """\
examples:
  maskmill em VERB --help                        what a step does, with examples
  maskmill em run raw/ out/                      the whole line, videos included
  maskmill em crop-rois brain.mrc cubes -gb 5    random cubes of a large volume

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for the inputs that are listed as failed
"""


def add_parser(verbs: Any) -> None:
    add_family(
        verbs,
        "em",
        VERBS,
        help="curate electron microscopy: patches, near-duplicates, filters, reconstruction",
        description="From volumes, stacks, videos and images to a deduplicated, filtered training set of patches.",
        epilog=_EPILOG,
    )


def run(options: argparse.Namespace) -> int:
    from maskmill._jobs import WorkerLost

    try:
        return int(task_module("em", options.task).run(options))
    except (MemoryError, WorkerLost) as error:
        ways = [way for name, way in _TO_SAVE_MEMORY if hasattr(options, name)]
        print(
            f"maskmill em {options.task}: there is not enough memory ({str(error) or type(error).__name__}); "
            f"what is done is kept: give the command again with {' or '.join(ways) or 'more of it'}",
            file=sys.stderr,
        )
        return 2


_TO_SAVE_MEMORY = (("memory", "a smaller --memory"), ("processes", "-p 1"))
"""Options of a verb, and what is advised where it has them."""
