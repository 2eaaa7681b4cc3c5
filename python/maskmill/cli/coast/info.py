"""maskmill coast info: the trials of result files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_EPILOG = """\
examples:
  maskmill coast info result.npz
  maskmill coast info results/ --classes water,land     names for files that have none

exit codes: 0 done, 2 wrong usage or a bad file
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "info",
        help="the trials of files, from the oldest to the newest",
        description="Tell of each trial of Doodler's result files its size, classes, settings and era.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("inputs", nargs="+", type=Path, metavar="NPZ", help="result files, or folders of them")
    p.add_argument("--classes", default="", metavar="A,B,...", help="names of classes for files without")


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import find, read

    classes = tuple(filter(None, options.classes.split(",")))
    for path in (file for given in options.inputs for file in find(given)):
        print(path)
        for trial in read(path, classes=classes):
            height, width = trial.size
            said = ", ".join(f"{name} {value:g}" for name, value in trial.settings.items())
            print(f"  {trial.prefix!r}: {width} x {height}, {', '.join(trial.classes)}; {trial.era}; {said}")
    return 0
