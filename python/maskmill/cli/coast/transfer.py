"""maskmill coast transfer: doodles of one picture label others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.coast._shared import RESUMED, check_folders, tell

_EPILOG = f"""\
examples:
  maskmill coast transfer may_db.npz june.png out/             out/june.npz
  maskmill coast transfer may_db.npz 2019/ out/ --user db      all pictures of a folder: out/NAME_db.npz
  maskmill coast show out/ pictures/                           and look at them

Pictures must be as large as the doodled one, and show the same place. Each is labelled on its own: the doodles say
where classes are, the picture what they look like. What has moved since it was drawn is wrong: look at the results. The
manifest has the share of pixels that have the class they had.

{RESUMED}

exit codes: 0 done, 2 wrong usage or a bad result, 3 done but for the pictures that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "transfer",
        help="label pictures by the doodles of another one",
        description="Label pictures of the same place, such as a time series, by what was drawn on one of them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("result", type=Path, metavar="NPZ", help="result, whose newest trial has the doodles")
    p.add_argument("images", type=Path, metavar="IMAGES", help="a picture, or a folder of them")
    p.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    p.add_argument("--user", default="", metavar="ID", help="put behind names: NAME_ID.npz")
    p.add_argument("--seed", type=int, default=1, metavar="N", help="of the classifier (default: 1)")
    p.add_argument("--no-pin", action="store_true", help="pixels that were drawn may get another class")
    p.add_argument("--no-crf", action="store_true", help="labels as the classifier has them")
    p.add_argument("-p", "--processes", type=int, default=1, metavar="N", help="processes (default: 1)")
    p.add_argument("--overwrite", action="store_true", help="do all again, whatever was done in OUT before")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import transfer

    check_folders(options)
    require(options, seed=0)
    with progress_bar("labelling", options.quiet) as progress:
        report = transfer(
            options.result,
            options.images,
            options.out,
            user=options.user,
            seed=options.seed,
            pin=not options.no_pin,
            crf=not options.no_crf,
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    for row in report.rows:
        print(f"  {row['name']}: {100 * row['unchanged']:.1f} % have the class they had")
    return tell(report, "transfer", f"{len(report.rows)} results in {options.out}")
