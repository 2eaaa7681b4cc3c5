"""maskmill flakes train-filter: learn which shapes are false finds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_EPILOG = """\
examples:
  maskmill flakes train-filter false_positives/train/ shapes.json --test false_positives/test/
  maskmill flakes postprocess results.json flakes.json --shape-filter shapes.json

FOLDER has annotations.json (name: label, 0 for a flake, 1 for none) and masks/<name>.png. OUT is a JSON file with the
weights of two features: outline (perimeter / square root of the area) and solidity (area / convex area), of all pixels,
holes and parts. --as-maskterial measures them as MaskTerial does, on the largest outline through pixel centres.
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "train-filter",
        help="learn which shapes are false finds",
        description="Learn a filter of false finds from masks that people looked at.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("folder", metavar="FOLDER", type=Path, help="masks and labels")
    p.add_argument("out", metavar="OUT", type=Path, help="the filter, JSON")
    p.add_argument("--test", metavar="FOLDER", type=Path, help="others to try it on")
    p.add_argument("--as-maskterial", action="store_true", help="measure shapes as the original does")
    p.add_argument("--quiet", action="store_true", help="print nothing")


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.flakes.shape_filter import fit_shapes, read_false_finds

    masks, false = read_false_finds(options.folder)
    made = fit_shapes(masks, false, rule="maskterial" if options.as_maskterial else "exact")
    made.write(options.out)
    if options.quiet:
        return 0
    print(f"{options.out}: learnt from {len(false)} masks, {int(false.sum())} of them false")
    for name, folder in (("these", options.folder), ("others", options.test)):
        if folder is not None:
            masks, false = read_false_finds(folder)
            found = made.false_probability(masks) >= 0.5
            right = int((found == false).sum())
            print(
                f"{name}: {right} of {len(false)} right, {int((found & ~false).sum())} flakes taken for false"
            )
    return 0
