"""maskmill coast npz4gym: pairs for Segmentation Gym."""

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
  maskmill coast npz4gym results/ gym/                   NAME_4classes_4zoo.npz
  maskmill coast npz4gym results/ gym/ --remap default   seven superclasses in every file

arr_0 is the picture, arr_1 the label with a layer for each class of the file's list, whether or not it occurs.

{RESUMED}

exit codes: 0 done, 2 wrong usage, 3 done but for the files that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "npz4gym",
        help="pairs of picture and one-hot label for Segmentation Gym",
        description="Write files for Segmentation Gym: the picture, and the label with a layer for each class.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folders(p)
    p.add_argument("--bands", choices=("rgb", "all"), default="rgb", help="of the picture (default: rgb)")
    p.add_argument(
        "--trials", choices=("newest", "all"), default="newest", help="of each file (default: newest)"
    )
    add_remap(p)
    add_classes(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import npz4gym

    check_folders(options)
    with progress_bar("writing", options.quiet) as progress:
        report = npz4gym(
            options.input,
            options.out,
            trials=options.trials,
            bands=options.bands,
            remap=remap_of(options),
            classes=classes_of(options),
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    return tell(report, "npz4gym", f"{len(report.rows)} pairs in {options.out}")
