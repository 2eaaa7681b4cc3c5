"""maskmill coast restore: results again from archives."""

from __future__ import annotations

import argparse
from typing import Any

from maskmill.cli._shared import progress_bar
from maskmill.cli.coast._shared import RESUMED, add_folders, check_folders, tell

_EPILOG = f"""\
examples:
  maskmill coast restore archives/ results/
  maskmill coast restore archives/beach_db.archive.npz results/

Every array has the name, type, order and bytes that it had; each is checked against the sum in the archive.

{RESUMED}

exit codes: 0 done, 2 wrong usage, 3 done but for the files that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "restore",
        help="make the files again that were archived",
        description="Write Doodler's results from archives, array by array as they were.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folders(p, "an archive (.archive.npz), or a folder of them")


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import restore

    check_folders(options)
    with progress_bar("restoring", options.quiet) as progress:
        report = restore(
            options.input,
            options.out,
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    return tell(report, "restore", f"in {options.out}")
