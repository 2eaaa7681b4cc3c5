"""maskmill coast remap: results with other classes."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from maskmill.cli._shared import progress_bar
from maskmill.cli.coast._shared import (
    RESUMED,
    add_classes,
    add_folders,
    check_folders,
    classes_of,
    remap_of,
    tell,
)

_EPILOG = f"""\
examples:
  maskmill coast remap results/ remapped/ --dry-run            what would become of which classes
  maskmill coast remap results/ remapped/                      superclasses of Coast Train
  maskmill coast remap results/ remapped/ --config remap.json  your own, or a published configuration
  maskmill coast remap results/ remapped/ --unmapped other     what no alias names
  maskmill coast unpack remapped/ out/ --base 1                label images of the new classes

A configuration is JSON: {{"super_classes": ["water", "land"], "aliases": {{"surf": "water", "sand": "land"}}}}. The
classes of each file are looked up by their names in that file; `classes` and `direc` of published configurations are
not used. A class without alias is an error that names it and its file, unless --unmapped says what it becomes.

All trials are written, labels and doodles without loss; new files have all new classes in the order of the
configuration, whichever of them occur, so ids and colours are the same in all files.

{RESUMED}

exit codes: 0 done, 2 wrong usage or a bad configuration, 3 done but for the files that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "remap",
        help="merge classes; superclasses",
        description="Write Doodler's results with other classes: several become one, by name.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folders(p)
    p.add_argument(
        "--config",
        dest="remap",
        default="default",
        metavar="JSON",
        help="superclasses and aliases (default: those of Coast Train, complete)",
    )
    p.add_argument("--unmapped", metavar="CLASS", help="new class of those that have no alias")
    p.add_argument("--dry-run", action="store_true", help="tell what would be done, and write nothing")
    add_classes(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import remap

    check_folders(options)
    if options.dry_run:
        return _preview(options)
    with progress_bar("remapping", options.quiet) as progress:
        report = remap(
            options.input,
            options.out,
            remap_of(options),
            classes=classes_of(options),
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    return tell(report, "remap", f"{len(report.rows)} trials in {options.out}")


def _preview(options: argparse.Namespace) -> int:
    from maskmill.studies.coast.remapping import preview

    with progress_bar("reading", options.quiet) as progress:
        found = preview(options.input, remap_of(options), classes=classes_of(options), progress=progress)
    print(f"{found.files} files, {found.lists} lists of classes; of the newest trials:")
    width = max((len(row["class"]) for row in found.rows), default=5)
    print(f"{'class':{width}}  {'becomes':16} {'files':>6} {'pixels':>12}")
    for row in found.rows:
        print(
            f"{row['class']:{width}}  {row['becomes'] or '(nothing)':16} {row['files']:6} {row['pixels']:12}"
        )
    for new, old in found.merges.items():
        print(f"merged into {new}: {', '.join(old)}")
    for failure in found.failed:
        print(f"maskmill coast remap: {failure.reason}", file=sys.stderr)
    if found.unmapped:
        print(f"maskmill coast remap: not mapped: {', '.join(found.unmapped)}", file=sys.stderr)
    return 3 if found.failed or found.unmapped else 0
