"""maskmill coast show: a trial as a picture."""

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
  maskmill coast show results/ pictures/
  maskmill coast show result.npz pictures/ --trials all        NAME_trial1_disp.png is the oldest
  maskmill coast show gym/ pictures/ --gym --classes water,land

NAME_disp.png has what was drawn upon the picture, the label upon the picture, and the names of the colours; names of
classes that do not occur are in brackets.

{RESUMED}

exit codes: 0 done, 2 wrong usage, 3 done but for the files that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "show",
        help="pictures of doodles and labels, side by side",
        description="Draw doodles and labels of Doodler's results upon their pictures.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folders(p)
    p.add_argument(
        "--trials", choices=("newest", "all"), default="newest", help="of each file (default: newest)"
    )
    p.add_argument("--gym", action="store_true", help="of files of Segmentation Gym (*_4zoo.npz) instead")
    add_remap(p)
    add_classes(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import show, show_gym

    check_folders(options)
    if options.gym:
        with progress_bar("drawing", options.quiet) as progress:
            report = show_gym(
                options.input,
                options.out,
                classes=classes_of(options),
                processes=options.processes,
                overwrite=options.overwrite,
                progress=progress,
            )
        return tell(report, "show", f"{len(report.rows)} pictures in {options.out}")
    with progress_bar("drawing", options.quiet) as progress:
        report = show(
            options.input,
            options.out,
            trials=options.trials,
            remap=remap_of(options),
            classes=classes_of(options),
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    return tell(report, "show", f"{len(report.rows)} pictures in {options.out}")
