"""maskmill coast tiles: windows of one class."""

from __future__ import annotations

import argparse
from typing import Any

from maskmill.cli._shared import progress_bar
from maskmill.cli.coast._shared import (
    RESUMED,
    add_classes,
    add_folders,
    add_remap,
    check_folders,
    classes_of,
    remap_of,
    tell,
)

_EPILOG = f"""\
examples:
  maskmill coast tiles results/ tiles/                                      tiles/tile_256/<class>/NAME_r0_c128.png
  maskmill coast tiles results/ tiles/ --size 96 --stride 96 --purity 0.9
  maskmill coast tiles results/ tiles/ --split train=0.8,val=0.2            tiles/tile_256/train/<class>/...
  maskmill coast tiles results/ tiles/ --remap default                      of superclasses

Pictures are shared out, not tiles: all files of one picture (the same name but for the labeller, or the same pixels)
are in one part. Row and column are those of a tile's first pixel. The manifest has every tile with its class and share,
and of each file how many windows were mixed or without a class.

{RESUMED}

exit codes: 0 done, 2 wrong usage, 3 done but for the files that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "tiles",
        help="windows of one class, in a folder for each class",
        description="Cut windows out of pictures, and keep those of which one class has more than a share.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folders(p)
    p.add_argument(
        "-t", "--size", type=int, default=256, metavar="PX", help="side of a window (default: 256)"
    )
    p.add_argument(
        "--stride", type=int, metavar="PX", help="from window to window (default: half of the size)"
    )
    p.add_argument(
        "-a",
        "--purity",
        type=float,
        default=0.7,
        metavar="SHARE",
        help="of the class, at least (default: 0.7)",
    )
    p.add_argument("--split", default="", metavar="NAME=SHARE,...", help="parts, such as train=0.8,val=0.2")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the parts (default: 0)")
    p.add_argument(
        "--trials", choices=("newest", "all"), default="newest", help="of each file (default: newest)"
    )
    add_remap(p)
    add_classes(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import tiles
    from maskmill.studies.coast.tiling import summary

    check_folders(options)
    with progress_bar("cutting", options.quiet) as progress:
        report = tiles(
            options.input,
            options.out,
            size=options.size,
            stride=options.stride,
            purity=options.purity,
            parts=_shares(options.split),
            seed=options.seed,
            trials=options.trials,
            remap=remap_of(options),
            classes=classes_of(options),
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    found = summary(report)
    for row in found:
        print(f"  {row['part']} {row['class']}: {row['tiles']}".replace("   ", "  "))
    windows = sum(row.get("windows", 0) for row in report.rows)
    return tell(report, "tiles", f"{int(found['tiles'].sum())} tiles of {windows} windows in {options.out}")


def _shares(given: str) -> dict[str, float]:
    shares = {}
    for part in filter(None, given.split(",")):
        name, _, share = part.partition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            raise ValueError(
                f"--split must be NAME=SHARE,..., such as train=0.8,val=0.2, not {given!r}"
            ) from None
    return shares
