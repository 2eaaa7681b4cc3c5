"""maskmill coast archive: results without what is in them twice."""

from __future__ import annotations

import argparse
from typing import Any

from maskmill.cli._shared import progress_bar
from maskmill.cli.coast._shared import RESUMED, add_folders, check_folders, tell

_EPILOG = f"""\
examples:
  maskmill coast archive results/ archives/
  maskmill coast restore archives/ results/            the same arrays again, in the same order

NAME.npz becomes NAME.archive.npz, which is read back and compared with all arrays of NAME.npz before it counts. NumPy
opens it: labels have one number for each pixel instead of a byte for each class, and pictures that all trials repeat
are there once. A file of one trial takes half the room, one of six a tenth.

{RESUMED}

exit codes: 0 done, 2 wrong usage, 3 done but for the files that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "archive",
        help="write files without what is in them twice",
        description="Write Doodler's results as smaller files, from which they can be made again without any loss.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folders(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import archive

    check_folders(options)
    with progress_bar("archiving", options.quiet) as progress:
        report = archive(
            options.input,
            options.out,
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    before, after = (sum(row[key] for row in report.rows) for key in ("bytes", "archive_bytes"))
    return tell(report, "archive", f"{before / 1e6:.2f} MB became {after / 1e6:.2f} MB in {options.out}")
