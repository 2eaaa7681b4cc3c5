"""maskmill <verb>: parses, calls, prints; no logic of its own."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence

from maskmill._version import __version__

VERBS = (
    "convert",
    "info",
    "check",
    "stats",
    "split",
    "tile",
    "show",
    "eval",
    "dedupe",
    "em",
    "densify",
    "zircon",
    "flakes",
    "coast",
    "core",
    "fetch",
    "demo",
    "bench",
    "doctor",
)
"""Each is a module here with `add_parser(subparsers)` and `run(options)`, which returns the exit code."""

_EPILOG = """\
start here:
  maskmill demo                         see it all on real data
  maskmill convert via.json coco.json   annotations from one format into another; info --formats lists them
  maskmill check coco.json              what is wrong with them; stats, show, split, tile
  maskmill eval gt.json results.json    COCO's twelve lines
  maskmill dedupe photos                near-duplicate images; nothing is changed
  maskmill em run raw/ training/        volumes, videos and images to a training set
  maskmill densify --help               a few painted strokes to a class for every pixel
  maskmill zircon info project/         what a mosaic project of laser shots holds
  maskmill flakes build masks/ WSe2/    photos and masks of 2D materials to a training set
  maskmill coast info result.npz        the trials of a result of Doodler
  maskmill core --help                  drill cores: rock classes from a few labels, clasts along depth
  maskmill fetch --list                 published data sets: coasts, flakes, zircons
  maskmill VERB --help                  what a verb does, with examples

exit codes: 0 done, 1 something failed, 2 wrong usage or a bad file
"""


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="maskmill",
        description="The data side of image segmentation: annotations, masks, evaluation, patches, near-duplicates.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"maskmill {__version__}")
    verbs = whole.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        importlib.import_module(f"maskmill.cli.{verb}").add_parser(verbs)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    module = importlib.import_module(f"maskmill.cli.{options.verb}")
    name = " ".join(["maskmill", options.verb, *filter(None, [getattr(options, "task", None)])])
    try:
        return int(module.run(options))
    except BrokenPipeError:
        # Who reads has enough, as with `| head`. What is still buffered must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, ImportError) as error:
        # What the user can mend: a missing file, a bad one, a missing package.
        print(f"{name}: {sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 1


def sentence(error: Exception) -> str:
    if isinstance(error, FileExistsError) and error.strerror == os.strerror(errno.EEXIST):
        return (
            f"{error.filename}: must be a folder, and is a file"  # nothing else is made that may not be there
        )
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
