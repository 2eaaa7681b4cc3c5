"""maskmill zircon polygonize: masks to polygons."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

_EPILOG = """\
Without limits, outlines follow the edges of the pixels: filled again, they are the masks, with holes and parts. Within
limits, every polygon has as few points as they allow; none crosses itself or loses a hole.

examples:
  maskmill zircon polygonize labels/ polygons.json                                  exact, for VIA
  maskmill zircon polygonize results.json polygons.json --max-distance 1 --unit um --scale 0.43
  maskmill zircon polygonize results.json polygons.json --min-iou 0.98 --report losses.csv
  maskmill zircon polygonize results.json coco.json --to coco
  maskmill zircon polygonize results.json theirs.json --compat --scale 0.43         what colab_zirc_dims would save

exit codes: 0 done, 2 wrong usage or a bad file
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "polygonize",
        help="masks to polygons for VIA or COCO, exact or within limits",
        description="Make polygons of masks in any format that maskmill reads, and report what they have lost.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("input", type=Path, metavar="INPUT", help="label images, or annotations with masks")
    p.add_argument("out", type=Path, metavar="OUT", help="file to write")
    p.add_argument("--to", default="via", metavar="NAME", help="its format (default: via)")
    p.add_argument("--format", metavar="NAME", help="of the input (default: found by looking into it)")
    p.add_argument("--images", type=Path, metavar="DIR", help="folder of the images, where sizes are needed")
    p.add_argument(
        "--max-distance", type=float, metavar="D", help="between an outline and its polygon, in --unit"
    )
    p.add_argument("--unit", choices=("px", "um"), default="px", help="of --max-distance (default: px)")
    p.add_argument("--max-area-change", type=float, metavar="SHARE", help="of a mask's pixels, such as 0.01")
    p.add_argument("--min-iou", type=float, metavar="IOU", help="of a mask and its polygon filled again")
    p.add_argument("--scale", type=float, metavar="UM", help="µm per pixel (default: what each image says)")
    p.add_argument("--compat", action="store_true", help="as colab_zirc_dims saves polygons")
    p.add_argument("--report", type=Path, metavar="FILE", help="losses of each mask, as .csv, .md or .html")


def run(options: argparse.Namespace) -> int:
    from maskmill.io._tables import write_table
    from maskmill.studies.zircon.polygonize import polygonize

    given = {"images": options.images, "format": options.format}
    made = polygonize(
        options.input,
        options.out,
        to=options.to,
        max_distance=options.max_distance,
        unit=options.unit,
        max_area_change=options.max_area_change,
        min_iou=options.min_iou,
        scale=options.scale,
        compat=options.compat,
        **{name: value for name, value in given.items() if value is not None},
    )
    if options.report is not None:
        write_table(made.losses, options.report, title="What polygons have lost")
    print("   masks    exact  vertices  mean IoU  least IoU  area change  sample")
    for row in made.samples:
        print(
            f"{row['masks']:8,} {row['exact']:8,} {row['vertices']:9,} {row['iou_mean']:9.4f} {row['iou_min']:10.4f} "
            f"{row['area_change_mean']:+11.2%}  {row['sample']}"
        )
    lost = int((made.losses["vertices"] == 0).sum())
    if lost:
        print(f"maskmill zircon polygonize: {lost} masks have no polygon", file=sys.stderr)
    return 0
