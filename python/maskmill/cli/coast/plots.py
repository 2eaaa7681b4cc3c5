"""maskmill coast plots: pictures of record tables and of results, and one page with all of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar

_EPILOG = """\
what it writes, of tables (CSV):
  OUT/report.html          everything on one page: no other file, no network
  OUT/Num_images_per_datarecord_containing_class.png and so on: the published figures under their names; images are
                           counted by the classes of their own rows, and published numbers that differ are in orange
  OUT/map.svg              marks that tell their images when pointed at, on a grid of degrees
  OUT/locations.geojson    the images' boxes, for any map program
and of result files (NPZ), with --montages:
  OUT/montages/*.png       image, label with its classes, and both upon one another

examples:
  maskmill coast plots tables/ plots/
  maskmill coast plots tables/ plots/ --files npz/              images on the page: click on a mark of the map
  maskmill coast plots tables/ plots/ --files npz/ --montages
  maskmill coast plots plots/ --files npz/ --montages           montages alone
  maskmill coast plots tables/ plots/ --splits splits.csv       what parts of a split have in common

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for files that could not be read
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "plots",
        help="pictures of record tables and results, maps, and a page with all of them",
        description="Draw the figures of Coast Train from its record tables, and montages of result files.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "paths", nargs="+", type=Path, metavar="TABLE", help="CSV files or folders of them, then OUT"
    )
    p.add_argument("--files", type=Path, metavar="DIR", help="result files (.npz), or a folder of them")
    p.add_argument("--montages", action="store_true", help="a picture of each result file")
    p.add_argument("--splits", type=Path, metavar="CSV", help="the part of each file, to look for leaks")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast.plotting import montages, plots
    from maskmill.studies.coast.statistics import stats

    *tables, out = options.paths
    if options.montages and options.files is None:
        raise ValueError("--montages needs --files")
    if out.suffix.lower() == ".csv" or not (tables or options.montages):
        raise ValueError("give tables, and then the folder to write to")
    failed: list[tuple[Path, str]] = []
    if tables:
        with progress_bar("pictures", options.quiet) as progress:
            found = stats(tables, splits=options.splits)
            written = plots(found, out, files=options.files, progress=progress)
        print(f"{len(written)} files; open {written[-1]}")
    if options.montages:
        with progress_bar("montages", options.quiet) as progress:
            written, failed = montages(options.files, out / "montages", progress=progress)
        print(f"{len(written)} montages in {out / 'montages'}")
    for _, reason in failed:
        print(f"maskmill coast plots: {reason}", file=sys.stderr)
    return 3 if failed else 0
