"""maskmill coast stats: the numbers of record tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_EPILOG = """\
Every image is counted by the classes of its own row. Where the published figures of Coast Train have another number,
both are told, and why: the first row's list of classes was used for all rows of a table, classes were counted where
the axis says images, an image without density counted as one without doodles.

what it writes, with OUT: statistics.json, and as CSV
  sets, classes, superclasses, labelers, sizes, density, settings
  class_pairs, superclass_pairs     images with two classes at once
  latitude, longitude, cells        histograms with 19 bins, and a grid of 40 x 40
  places, duplicates                images of one place, and images that are there twice
  leaks                             with --splits: images and places that parts have in common
  not_as_published                  published number, correct number, reason

examples:
  maskmill coast stats tables/ statistics/
  maskmill coast stats A_naip_meta_served.csv statistics/ --splits splits.csv    (columns file and split)
  maskmill coast stats tables/                                                  a summary alone

exit codes: 0 done, 2 wrong usage or a bad file, 3 done, but parts of the split have images or places in common
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "stats",
        help="the numbers of record tables: classes, labelers, places, settings, duplicates",
        description="Count what record tables of Coast Train have, and compare with the published figures.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "tables", nargs="+", type=Path, metavar="TABLE", help="CSV files or folders of them, then OUT"
    )
    p.add_argument("--splits", type=Path, metavar="CSV", help="the part of each file, to look for leaks")


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast.statistics import stats

    sources, out = split_out(options.tables)
    found = stats(sources, splits=options.splits)
    if out is not None:
        found.write(out)
    _print(found)
    leaks = found.tables.get("leaks")
    for row in leaks or ():
        print(f"leak: one {row['kind']}, {row['name']}: {row['parts']}")
    return 3 if leaks is not None and len(leaks) else 0


def split_out(paths: list[Path]) -> tuple[list[Path], Path | None]:
    """The tables, and the folder to write to: the last path, unless it is the only one or a table."""
    *sources, last = paths
    if sources and last.suffix.lower() != ".csv":
        return sources, last
    return paths, None


def _print(found: Any) -> None:
    megapixels = found.tables["sets"]["megapixels"].sum()
    print(f"{len(found.records):,} images, {megapixels:,.1f} megapixels")
    for row in found.tables["sets"]:
        print(
            f"  {row['title']:24}{row['images']:6,} images {row['megapixels']:10.4f} Mpx {row['classes']:3} classes "
            f"{row['doodled_percent']:8.4f} % doodled"
        )
    for table, kind in (("labelers", "labeler"), ("superclasses", "superclass")):
        whole = [row for row in found.tables[table] if row["record_set"] == "all"]
        names = ", ".join(f"{row[kind]} {row['images']:,}" for row in whole)
        print(f"images by {kind}: {names}")
    print(f"{len(found.published)} published numbers are not so (not_as_published.csv)")
