"""maskmill flakes semantic: annotations to pictures of classes, and back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.flakes._shared import add_overlap

_EPILOG = """\
examples:
  maskmill flakes semantic RLE_annotations/train_annotations_with_class_full.json masks/
  maskmill flakes semantic annotations.json masks/ --min-area 0 --overlap small --palette
  maskmill flakes semantic --inverse masks/ flakes.json --images photos/ --min-area 200

A semantic mask is a PNG with the stem of its photo; a pixel is the number of its class, 0 background. It has 16 bits
where classes have numbers above 255. With --palette it has colours to look at, and the same numbers.

--inverse makes a flake of each connected part of each class. Flakes that touch at a corner stay two; with
--connectivity 8 they become one.
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "semantic",
        help="annotations to pictures of classes, and back",
        description="Paint semantic masks from annotations, or find the flakes in semantic masks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("source", metavar="IN", type=Path, help="COCO file; with --inverse a folder of masks")
    p.add_argument("out", metavar="OUT", type=Path, help="folder for masks; with --inverse a COCO file")
    p.add_argument("--inverse", action="store_true", help="from masks to annotations")
    p.add_argument(
        "--min-area",
        type=int,
        metavar="PX",
        help="leave out flakes of fewer pixels (default: 200; with --inverse 0)",
    )
    add_overlap(p)
    p.add_argument("--images", metavar="DIR", type=Path, help="with --inverse: photos, for their names")
    p.add_argument("--connectivity", type=int, choices=(4, 8), default=4, help="with --inverse (default: 4)")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.flakes import instances, semantic
    from maskmill.studies.flakes.annotations import read_annotations, write_annotations

    require(options, min_area=0)
    with progress_bar("reading" if options.inverse else "painting", options.quiet) as progress:
        if options.inverse:
            found = instances(
                options.source,
                options.images,
                min_area=options.min_area or 0,
                connectivity=options.connectivity,
                progress=progress,
            )
            write_annotations(found, options.out)
            told = f"{len(found)} images, {len(found.instances)} flakes"
        else:
            paths = semantic(
                read_annotations(options.source),
                options.out,
                min_area=200 if options.min_area is None else options.min_area,
                overlap=options.overlap,
                palette=options.palette,
                progress=progress,
            )
            told = f"{len(paths)} masks"
    print(f"{options.out}: {told}")
    return 0
