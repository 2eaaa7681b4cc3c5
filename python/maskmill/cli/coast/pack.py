"""maskmill coast pack: results made of pictures and label images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar
from maskmill.cli.coast._shared import RESUMED, add_classes, check_folders, classes_of, tell

_EPILOG = f"""\
examples:
  maskmill coast pack images/ labels/ results/ --classes water,land
  maskmill coast pack images/ labels/ results/ --classes classes.txt --base 1 --user ID1
  maskmill coast pack out/images out/labels results/ --classes water,land --doodles out/doodles
  maskmill coast pack images/ corrected/ new/ --classes water,land --onto results/   a trial more

A label belongs to the picture of the same name; endings _label, _remap_label, _image, _doodles do not count. Labels
are numbers from --base on (255 is none with base 0, and 0 with base 1), or colours as Doodler's. JPEG changes numbers:
those that are no class's become the nearest one, and the manifest says how many; those that are another class's cannot
be told. Pictures are turned as tag 274 of EXIF says.

{RESUMED}

exit codes: 0 done, 2 wrong usage, 3 done but for the files that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "pack",
        help="results made of pictures and label images",
        description="Write results as Doodler does, from pictures and label images that any program made.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("images", type=Path, metavar="IMAGES", help="a picture, or a folder of them")
    p.add_argument("labels", type=Path, metavar="LABELS", help="a label image, or a folder of them")
    p.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    p.add_argument(
        "--base", type=int, choices=(0, 1), default=0, help="number of the first class (default: 0)"
    )
    p.add_argument("--doodles", type=Path, metavar="PATH", help="what was drawn: class + 1, 0 for none")
    p.add_argument("--user", default="", metavar="ID", help="who labelled: NAME_ID.npz")
    p.add_argument("--onto", type=Path, metavar="DIR", help="results whose trials become older ones")
    p.add_argument(
        "--snap", action="store_true", help="take wrong numbers for the nearest, also of lossless labels"
    )
    add_classes(p)
    p.add_argument("-p", "--processes", type=int, metavar="N", help="processes (default: threads)")
    p.add_argument("--overwrite", action="store_true", help="do all again, whatever was done in OUT before")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import pack

    check_folders(options)
    if not options.classes:
        raise ValueError("--classes must name the classes: water,land, or a text file")
    with progress_bar("packing", options.quiet) as progress:
        report = pack(
            options.images,
            options.labels,
            options.out,
            classes_of(options),
            base=options.base,
            doodles=options.doodles,
            user=options.user,
            onto=options.onto,
            snap=options.snap,
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    changed = [row for row in report.rows if row["snapped"]]
    if changed:
        pixels = sum(row["snapped"] for row in changed)
        print(f"{pixels} px of {len(changed)} labels were no class's, and have the nearest one")
    return tell(report, "pack", f"{len(report.rows)} results in {options.out}")
