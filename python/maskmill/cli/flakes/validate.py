"""maskmill flakes validate: whether a layout is what it should be."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar
from maskmill.cli.flakes._shared import write_json

_EPILOG = """\
examples:
  maskmill flakes validate GrapheneH/
  maskmill flakes validate WSe2/ --repair
  maskmill flakes validate WSe2/ --json problems.json --quiet

What is checked: annotation files are run-lengths with their true areas and tight boxes, of the size that their name
says; twins with and without classes, and files of different sizes, have the same flakes under the same ids; photos are
there and have their sizes; every photo has one old name and one uuid; semantic masks show the flakes of the
annotations; k-shot sets are parts of the training set, complete on their images, with as many flakes as their name
says; no photo is in both splits.

--repair mends polygons, areas, boxes, flakes that are too small, and semantic masks. All else is for people to decide.

exit codes: 0 all is well (or was mended), 1 there are problems, 2 wrong usage, or no layout
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "validate",
        help="check a layout, and mend it",
        description="Check a MaskTerial data set: files, twins, photos, names, semantic masks, k-shot sets, leaks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("folder", metavar="FOLDER", type=Path, help="a material's folder")
    p.add_argument("--repair", action="store_true", help="mend what can be mended")
    p.add_argument("--json", metavar="FILE", type=Path, help="write the problems, as JSON")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.flakes import validate

    with progress_bar("checking", options.quiet) as progress:
        found = validate(options.folder, repair=options.repair, progress=progress)
    if options.json:
        write_json(options.json, found.to_json())
    for problem in found.problems:
        print(problem)
    print(", ".join(f"{count:,} {what}" for what, count in found.checked.items()))
    missing = found.missing
    for split in ("train", "test"):
        own = [name for name in missing if name.startswith(split)]
        if len(own) == 6:
            missing = [name for name in missing if name not in own] + [f"the {split} split"]
    if missing:
        print(f"not there: {', '.join(missing)}")
    left = sum(not problem.mended for problem in found.problems)
    print(f"{left} problems" if left else "all is well")
    return 0 if found.ok else 1
