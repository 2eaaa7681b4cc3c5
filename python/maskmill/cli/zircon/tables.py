"""maskmill zircon tables: what a training set holds, as the tables that are published with it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

_EPILOG = """\
what it writes, each as .csv, .md and .html:
  OUT/breakdown   a row per sample, with the 8 published columns
  OUT/facilities  images and annotations by facility, with sums
  OUT/legacy      the four counts by facility
and, of annotations:
  OUT/images      annotations per image: none, quartiles, by part and sample
  OUT/grains      areas and axes in pixels and µm, classes of size, what touches the edge
  OUT/tests       whether training and validation differ (Kolmogorov-Smirnov)
  OUT/duplicates  images with the same name, picture or annotations

examples:
  maskmill zircon tables train/via_region_data.json val/via_region_data.json tables/ --scale 1.494
  maskmill zircon tables train.json val.json tables/ --images clips/ --facilities published.csv --check published.csv
  maskmill zircon tables published.csv tables/       the sums of a published breakdown

exit codes: 0 done, 2 wrong usage or a bad file, 3 done, but not as --check expects
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "tables",
        help="the published tables of a training set, and what is in it",
        description="Count images and annotations by sample, facility and part, and sum up sizes of grains.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="annotations for training and validation, or one breakdown in CSV",
    )
    p.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    p.add_argument("--facility", default="", metavar="NAME", help="who made the images")
    p.add_argument("--facilities", type=Path, metavar="CSV", help="a breakdown that says so for each sample")
    p.add_argument(
        "--sample",
        metavar="REGEX",
        help="with one group: the sample in a file name (default: what stands before -Spot)",
    )
    p.add_argument("--scale", type=float, metavar="UM", help="µm per pixel, where the annotations do not say")
    p.add_argument(
        "--images",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="folders of the images, of both parts or of each, where they are not beside the annotations",
    )
    p.add_argument("--check", type=Path, metavar="CSV", help="a breakdown to compare with")
    p.add_argument(
        "--plot", action="store_true", help="OUT/sizes.png, distributions of the sizes (needs matplotlib)"
    )


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.zircon.breakdown import differences, read_breakdown, tables

    if len(options.inputs) > 2:
        raise ValueError(f"the inputs must be one or two, not {len(options.inputs)}")
    facility: Any = options.facility
    if options.facilities is not None:
        known = read_breakdown(options.facilities)
        facility = dict(zip(known["Sample"].tolist(), known["Source facility"].tolist(), strict=True))
    made = tables(
        *options.inputs, facility=facility, sample=options.sample, scale=options.scale, images=options.images
    )
    options.out.mkdir(parents=True, exist_ok=True)
    _write(made, options.out)
    if options.plot and made.content is not None:
        from maskmill.studies.zircon.pictures import distributions

        distributions(made.content.measured, options.out / "sizes.png")
    for row in made.facilities:
        name = row["Source facility"] or "(no facility)"
        print(f"{row['Total images']:8,} images, {row['Total annotations']:9,} annotations  {name}")
    wrong = differences(made.breakdown, read_breakdown(options.check)) if options.check is not None else []
    for line in wrong:
        print(f"maskmill zircon tables: {line}", file=sys.stderr)
    return 3 if wrong else 0


def _write(made: Any, out: Path) -> None:
    from maskmill.io._tables import SUFFIXES, write_table

    found = {
        "breakdown": (made.breakdown, "Images and annotations by sample"),
        "facilities": (made.facilities, "Images and annotations by facility"),
        "legacy": (made.legacy, "Images and annotations"),
    }
    if made.content is not None:
        found |= {
            "images": (made.content.images, "Annotations per image"),
            "grains": (made.content.grains, "Sizes of grains"),
            "tests": (made.content.tests, "Training and validation"),
            "duplicates": (made.content.duplicates, "Duplicates"),
        }
    for name, (table, title) in found.items():
        for suffix in SUFFIXES:
            write_table(table, out / f"{name}{suffix}", title=title)
