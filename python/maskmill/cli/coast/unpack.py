"""maskmill coast unpack: pictures, label images, overlays and doodles of results."""

from __future__ import annotations

import argparse
from pathlib import Path
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
  maskmill coast unpack results/ out/                          images/ labels/ overlays/ doodles/
  maskmill coast unpack results/ out/ --what labels --base 1   ids from 1; 0 is no class
  maskmill coast unpack results/ out/ --trials all             NAME_trial1 is the oldest
  maskmill coast unpack results/ out/ --remap default          superclasses of Coast Train
  maskmill coast unpack results/ out/ --datasets coco,panoptic,via
  maskmill coast unpack results/ out/ --what geotiff --records tables/
  maskmill coast unpack results/ out/ --layout doodler         NAME.jpg, NAME_label.png, NAME_overlay.png, ...

Labels are PNGs with a palette: their numbers are ids of classes, unchanged, and their colours are Doodler's. Pixels
without a class are 255 with base 0, and 0 with base 1. classes.csv says which id is which class.

{RESUMED}

exit codes: 0 done, 2 wrong usage, 3 done but for the files that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "unpack",
        help="pictures, label images, overlays and doodles",
        description="Write what is in Doodler's results as files: the picture, the label without any loss, the label "
        "upon the picture, and what was drawn.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folders(p)
    p.add_argument(
        "--what",
        default="images,labels,overlays,doodles",
        metavar="A,B,...",
        help="of images, labels, overlays, doodles (default), masks (one for each class), geojson, geotiff",
    )
    p.add_argument(
        "--trials", choices=("newest", "all"), default="newest", help="of each file (default: newest)"
    )
    p.add_argument("--base", type=int, choices=(0, 1), default=0, help="id of the first class (default: 0)")
    p.add_argument(
        "--layout",
        choices=("plain", "doodler"),
        default="plain",
        help="names of files; doodler: as its utilities call them",
    )
    p.add_argument(
        "--bands",
        choices=("rgb", "tiff"),
        default="rgb",
        help="of pictures with 4 bands: RGB and NAME_band4 (default), or a TIFF with all",
    )
    add_remap(p)
    p.add_argument(
        "--datasets",
        default="",
        metavar="A,B",
        help="of all pictures: coco (instances.json), panoptic (panoptic.json and PNGs), via (via_region_data.json)",
    )
    p.add_argument(
        "--records",
        type=Path,
        metavar="CSV",
        help="record tables of Coast Train, which say where pictures lie",
    )
    add_classes(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import unpack

    check_folders(options)
    with progress_bar("unpacking", options.quiet) as progress:
        report = unpack(
            options.input,
            options.out,
            parts=options.what.split(","),
            trials=options.trials,
            base=options.base,
            layout=options.layout,
            bands=options.bands,
            remap=remap_of(options),
            classes=classes_of(options),
            datasets=[form for form in options.datasets.split(",") if form],
            records=options.records,
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    turned = [row["name"] for row in report.rows if row["turned"]]
    if turned:
        print(
            f"{len(turned)} labels are of pictures that were turned by EXIF; orig_image is not, and is not taken"
        )
    doubtful = [row for row in report.rows if row.get("doubts")]
    if doubtful:
        print(f"{len(doubtful)} places are in doubt: see the column doubts of the manifest")
    files = sum(len(row["files"]) for row in report.rows)
    return tell(report, "unpack", f"{files} files of {len(report.rows)} trials in {options.out}")
