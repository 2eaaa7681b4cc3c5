"""What clean, video2stack and mrc2byte share: the options of scaling, and how their reports are told."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from maskmill.cli.em._shared import print_failures

if TYPE_CHECKING:
    from maskmill.studies.em.report import Report

SCALING = """\
how voxels become 8 bits (--scale):
  dtype              the range of the type: floor(x * 255 / max); signed types are shifted to begin at 0;
                     floats must lie within 0 to 1
  window LO HI       LO becomes 0 and HI 255
  percentile P Q     the same between two percentiles, found exactly
  minmax             the same between the least and the greatest voxel
  cem                cem-dataset's arithmetic: refuses negative values
"""


def add_scaling(p: argparse.ArgumentParser, whole: str) -> None:
    p.add_argument(
        "--scale",
        nargs="+",
        default=["dtype"],
        metavar="POLICY",
        help=f"dtype, window LO HI, percentile P Q, minmax or cem; one rule for {whole} (default: dtype)",
    )
    p.add_argument(
        "--nonfinite", type=int, metavar="VALUE", help="what NaN and infinity become (default: an error)"
    )


def channel(text: str) -> Any:
    """ "luminance" or a number from 0 on, of the command line."""
    if text == "luminance":
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'must be 0 or more, or "luminance", not {text!r}')
    return int(text)


def tell(report: Report, verb: str, quiet: bool, what: str = "wrote") -> int:
    """Prints what was done, ignored and failed; the exit code."""
    for path, reason in [] if quiet else report.ignored:
        print(f"maskmill em {verb}: ignored {path}: {reason}", file=sys.stderr)
    print_failures(report.failed, verb)
    if not report.done and not report.failed:
        print(f"maskmill em {verb}: the inputs hold nothing to convert", file=sys.stderr)
    print(f"{what} {len(report.done)}, failed {len(report.failed)}, ignored {len(report.ignored)}")
    return 3 if report.failed else 0
