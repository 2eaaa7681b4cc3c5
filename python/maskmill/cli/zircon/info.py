"""maskmill zircon info: what shot lists and alignments say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_EPILOG = """\
examples:
  maskmill zircon info scanlists/SY-D.scancsv
  maskmill zircon info mosaics/*.Align scanlists/*.scancsv

exit codes: 0 done, 2 wrong usage or a bad file
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "info",
        help="what shot lists and alignments say",
        description="Tell how many scans of which kind a list has, which are standards, which names were made "
        "unique, and where a mosaic lies on the stage.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help=".scancsv and .Align files")


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.zircon.scanlists import counts, read_scanlist
    from maskmill.studies.zircon.stage import read_align

    for path in options.inputs:
        print(path)
        if path.suffix.lower() == ".align":
            alignment = read_align(path)
            (x, y), (w, h) = alignment.center, alignment.size
            print(f"  {w:g} x {h:g} µm about {x:g}, {y:g}, turned by {alignment.rotation:g} degrees")
            continue
        found = counts(read_scanlist(path))
        kinds = ", ".join(f"{n} {kind}" for kind, n in found["kinds"].items())
        standards = ", ".join(f"{n} {name}" for name, n in found["standards"].items())
        print(f"  {found['scans']} scans: {kinds or 'none'}")
        print(f"  standards: {sum(found['standards'].values())} ({standards or 'none'})")
        for description, usual, name in found["collisions"]:
            print(f"  a repeat of {description} is called {name}: another scan is called {usual}")
    return 0
