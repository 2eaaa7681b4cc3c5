"""maskmill core shapes: clasts of a class map in mm, and logs along depth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli.core._shared import add_legend, add_scale, add_shapes, scale_of, shape_options

_EPILOG = """\
what it writes:
  OUT/clasts.csv   a row per clast: area, perimeter, axes, Feret diameters, dip, depth, distance from the axis, ...
  OUT/logs.csv     a row per bin of depth and class: share, clasts, mean size, D10, D50, D90
  OUT/sorting.csv  a row per clast: cumulative shares of area and perimeter, largest clasts of its class first

examples:
  maskmill core shapes classes.png --out clasts/ --length-mm 610 --top-m 698.41
  maskmill core shapes classes.h5 --out clasts/ --length-mm 610 --not Void Liner Matrix --separate erosion --min-area 40
  maskmill core shapes part.png --out clasts/ --length-mm 610 --full 2693,396 --at 100,0
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "shapes",
        help="clasts of a class map: areas, axes, angles, depths",
        description="Measure the connected parts of each class of a class map, and count them along depth.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "map", type=Path, metavar="MAP", help="class map: .png, .tif, .h5 (also core_features' own)"
    )
    p.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder to write to")
    add_legend(p)
    add_scale(p)
    add_shapes(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.core import logs, read_class_map, shapes
    from maskmill.studies.core.tables import sorting, write_table

    found = read_class_map(options.map, legend=options.legend)
    if found.base == 0:
        print(f"{options.map}: its classes count from 0; they are 1 more in all that is written")
    height, width = found.values.shape
    scale = scale_of(options, (height, width))
    assert scale is not None
    clasts = shapes(found.values, scale, **shape_options(options, found.legend))
    table = logs(found.values, clasts, bin_mm=options.bin_mm, weights=options.weights)
    options.out.mkdir(parents=True, exist_ok=True)
    write_table(clasts.table, options.out / "clasts.csv")
    write_table(table, options.out / "logs.csv")
    write_table(sorting(clasts.table), options.out / "sorting.csv")
    cut = int((clasts.table["edges"] != 0).sum())
    print(
        f"{len(clasts):,} clasts, {clasts.table['area'].sum():,.1f} mm²; {cut:,} are cut by the edge of the picture"
    )
    return 0
