"""maskmill em clean: folders of images of any kind to 8-bit gray images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.em._convert import SCALING, add_scaling, channel, tell
from maskmill.cli.em._shared import add_workers, require_grey

_EPILOG = f"""\
examples:
  maskmill em clean images -o images8
  maskmill em clean images -o images8 --scale percentile 0.1 99.9
  maskmill em clean images --in-place --channel luminance --dry-run

IMDIR has a folder for each group of images (a data set, an experiment); files beside the folders are ignored.
Each image is written under its own name: SAVEDIR/group/image. Images that are 8-bit gray already are copied unchanged.

{SCALING}
exit codes: 0 done, 2 wrong usage, 3 done but for the images that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "clean",
        help="folders of images to 8-bit gray images",
        description="Convert groups of 2-D images (PNG, JPEG, TIFF, BMP; 8 or 16 bits, floats, colours) to 8-bit gray.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("imdir", metavar="IMDIR", type=Path, help="folder with a sub-folder for each group")
    p.add_argument("-o", "--savedir", metavar="SAVEDIR", type=Path, help="folder to write to")
    p.add_argument(
        "--in-place", "--in_place", action="store_true", help="overwrite the images of IMDIR instead"
    )
    add_scaling(p, "all images of a group")
    p.add_argument(
        "--channel",
        type=channel,
        default=0,
        metavar="C",
        help='of colour images: a number, or "luminance" (default: 0)',
    )
    p.add_argument("--dry-run", "--dry_run", action="store_true", help="read and convert, write nothing")
    add_workers(p)
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.io.intensity import parse_policy
    from maskmill.studies.em.clean import clean

    if (options.savedir is None) == (not options.in_place):
        raise ValueError("say where to write with -o SAVEDIR, or overwrite the images with --in-place")
    require(options, processes=1)
    require_grey(options, "nonfinite")
    policy, values = parse_policy(options.scale)
    with progress_bar("cleaning", options.quiet) as progress:
        report = clean(
            options.imdir,
            options.savedir,
            in_place=options.in_place,
            policy=policy,
            values=values,
            nonfinite=options.nonfinite,
            channel=options.channel,
            workers=options.processes,
            dry_run=options.dry_run,
            progress=progress,
        )
    return tell(report, "clean", options.quiet, "would write" if options.dry_run else "wrote")
