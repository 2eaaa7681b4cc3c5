"""maskmill core report: a classified core as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli.core._shared import add_legend, add_scale, add_shapes, scale_of, shape_options

_EPILOG = """\
what it writes:
  FOLDER/report.html                         the class map with its legend along depth, shares of classes, sizes of
                                             clasts, and the scores of scores.json; one file with all pictures inside
  FOLDER/clasts.csv, logs.csv, sorting.csv   with a scale

examples:
  maskmill core report core72/ --length-mm 610 --top-m 698.41 --not Void Liner Matrix --min-area 4
  maskmill core evaluate core72.jpg --labels 72_2.h5 --out core72/scores.json && maskmill core report core72/
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "report",
        help="class map, shares along depth, clasts and scores as one HTML page",
        description="Write report.html of a folder that maskmill core classify wrote. Needs matplotlib.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("folder", type=Path, metavar="FOLDER", help="with classes.png, and what else there is")
    p.add_argument("--photo", type=Path, metavar="PHOTO", help="by default where report.json says it was")
    add_legend(p)
    add_scale(p)
    add_shapes(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.core.report import opened_map, write_page

    found = opened_map(options.folder, options.legend)
    height, width = found.values.shape
    page = write_page(
        options.folder,
        photo=options.photo,
        legend=found.legend,
        scale=scale_of(options, (height, width), needed=False),
        shapes=shape_options(options, found.legend),
        bin_mm=options.bin_mm,
        weights=options.weights,
    )
    print(page)
    return 0
