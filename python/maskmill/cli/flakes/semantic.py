"""maskmill flakes semantic: annotations to pictures of classes, and back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.flakes._shared import add_overlap

_EPILOG = """\
examples:
  maskmill flakes semantic RLE_annotations/train_annotations_with_class_full.json masks/
  maskmill flakes semantic annotations.json masks/ --min-area 0 --overlap small --palette
  maskmill flakes semantic photos/ masks/ --centres contrast_dict.json                   without annotations
  maskmill flakes semantic --inverse masks/ flakes.json --images photos/ --min-area 200

A semantic mask is a PNG with the stem of its photo; a pixel is the number of its class, 0 background. It has 16 bits
where classes have numbers above 255. With --palette it has colours to look at, and the same numbers.

--centres paints photos without annotations: each pixel has the class whose centre of contrast is nearest, if one is
within five standard deviations. `maskmill flakes contrast --fit` learns the centres.

--inverse makes a flake of each connected part of each class. Flakes that touch at a corner stay two; with
--connectivity 8 they become one.

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for photos without background, which are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "semantic",
        help="annotations to pictures of classes, and back",
        description="Paint semantic masks from annotations, or find the flakes in semantic masks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "source", metavar="IN", type=Path, help="COCO file; folder of photos (--centres) or masks (--inverse)"
    )
    p.add_argument("out", metavar="OUT", type=Path, help="folder for masks; with --inverse a COCO file")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--inverse", action="store_true", help="from masks to annotations")
    which.add_argument("--centres", metavar="FILE", type=Path, help="from photos, by contrast")
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
    from maskmill.studies.flakes import semantic
    from maskmill.studies.flakes.annotations import read_annotations

    require(options, min_area=0)
    if options.inverse:
        return _inverse(options)
    if options.centres:
        return _segment(options)
    with progress_bar("painting", options.quiet) as progress:
        paths = semantic(
            read_annotations(options.source),
            options.out,
            min_area=200 if options.min_area is None else options.min_area,
            overlap=options.overlap,
            palette=options.palette,
            progress=progress,
        )
    print(f"{options.out}: {len(paths)} masks")
    return 0


def _inverse(options: argparse.Namespace) -> int:
    from maskmill.studies.flakes import instances
    from maskmill.studies.flakes.annotations import write_annotations

    with progress_bar("reading", options.quiet) as progress:
        found = instances(
            options.source,
            options.images,
            min_area=options.min_area or 0,
            connectivity=options.connectivity,
            progress=progress,
        )
    write_annotations(found, options.out)
    print(f"{options.out}: {len(found)} images, {len(found.instances)} flakes")
    return 0


def _segment(options: argparse.Namespace) -> int:
    from maskmill.studies.flakes import Centres, segment

    with progress_bar("classifying", options.quiet) as progress:
        centres = Centres.read(options.centres)
        told = segment(options.source, options.out, centres, palette=options.palette, progress=progress)
    for name, reason in told:
        print(f"maskmill flakes semantic: {name}: {reason}", file=sys.stderr)
    return 3 if told else 0
