"""maskmill zircon measure: axes, areas and perimeters of grains."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

_EPILOG = """\
what it writes:
  OUT.csv  a row per grain: the 15 columns of colab_zirc_dims under its names, and behind them status, uncertainty of
           the axes, whether the grain touches the edge of its image, Feret diameters, and more. Empty, not 0, is what
           could not be measured.

examples:
  maskmill zircon measure via_region_data.json grains.csv --images train/ --scale 1.494
  maskmill zircon measure results.json shots.csv --shot --scale 0.43 --scale-uncertainty 0.005
  maskmill zircon measure via_region_data.json shots.csv --clips clips/ --shot
  maskmill zircon measure annotations.json grains.csv --plot sizes.png     (needs matplotlib)

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for grains without a scale or without pixels
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "measure",
        help="axes, areas and perimeters of grains, from any annotations",
        description="Measure all annotated grains, or the one under the shot in each image, as colab_zirc_dims does.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("input", type=Path, metavar="INPUT", help="annotations in any format that maskmill reads")
    p.add_argument("out", type=Path, metavar="OUT.csv", help="table to write")
    p.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of the images, where their sizes are needed"
    )
    p.add_argument(
        "--format", metavar="NAME", help="of the annotations (default: found by looking into them)"
    )
    p.add_argument("--scale", type=float, metavar="UM", help="µm per pixel (default: what each image says)")
    p.add_argument(
        "--scale-uncertainty",
        type=float,
        default=0.0,
        metavar="UM",
        help="its standard uncertainty (default: 0)",
    )
    p.add_argument(
        "--clips",
        type=Path,
        metavar="DIR",
        help="images made by maskmill zircon clip: scales, names, and where mosaics ended",
    )
    p.add_argument(
        "--shot", action="store_true", help="only the grain under the shot in the middle of each image"
    )
    p.add_argument(
        "--reach",
        type=float,
        metavar="PIXELS",
        help="with --shot, how far the grain may be from it (default: 20/150 of the image's height)",
    )
    p.add_argument(
        "--plot", type=Path, metavar="FILE", help="distributions of the sizes, as .png, .svg or .pdf"
    )


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.zircon.grains import measure, write_measurements

    if options.reach is not None and not options.shot:
        raise ValueError("--reach is for --shot")
    if options.out.suffix.lower() != ".csv":
        raise ValueError(f"{options.out}: the table must be .csv")
    given = {"images": options.images or options.clips, "format": options.format}
    table = measure(
        options.input,
        scale=options.scale,
        scale_uncertainty=options.scale_uncertainty,
        clips=options.clips,
        shot=options.shot,
        reach=options.reach,
        **{name: value for name, value in given.items() if value is not None},
    )
    write_measurements(table, options.out)
    if options.plot is not None:
        from maskmill.studies.zircon.pictures import distributions

        distributions({"all": table}, options.plot)
    statuses = Counter(table["status"].tolist())
    print(f"{len(table):,} {'images' if options.shot else 'grains'}: {_listed(statuses) or 'none'}")
    print(f"{int(table['edges'].sum()):,} touch the edge of their image")
    if statuses["no scale"]:
        print("maskmill zircon measure: images without a scale: give --scale", file=sys.stderr)
    return 3 if statuses["no scale"] or statuses["empty"] or statuses["no grain"] else 0


def _listed(statuses: Counter[str]) -> str:
    return ", ".join(f"{n:,} {status}" for status, n in statuses.most_common())
