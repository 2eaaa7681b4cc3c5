"""maskmill em labels: patches to be labelled by people."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.em._shared import print_failures

_EPILOG = """\
what it writes:
  OUT/index.html   a contact sheet to label in; its button saves labels.csv, which goes into OUT
  OUT/labels.csv   path, dataset, name, label (good, bad or none), for those who prefer a table
  OUT/patches      the patches, as PNG

examples:
  maskmill em labels store/ to_label/ -n 400
  maskmill em labels store/ again/ -n 800 --labels to_label/labels.csv

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for the patches that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "labels",
        help="export patches to label them good or bad, for train-filter",
        description="Write a random choice of patches with a contact sheet to label them in. Labels are kept by name, "
        "so that earlier ones can be taken over.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="as for em filter")
    p.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    p.add_argument("-n", "--number", type=int, default=500, help="how many patches (default: 500)")
    p.add_argument("--seed", type=int, default=1227, help="of the choice (default: 1227)")
    p.add_argument("--labels", type=Path, metavar="CSV", help="labels to take over, by data set and name")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.em.labels import export_for_labels

    require(options, number=1, seed=0)
    with progress_bar("labels", options.quiet) as report:
        n, failed = export_for_labels(
            options.inputs,
            options.out,
            n=options.number,
            seed=options.seed,
            labels=options.labels,
            progress=report,
        )
    print(f"{n:,} patches to label: open {options.out / 'index.html'}")
    if not n and not failed:
        print("maskmill em labels: the inputs hold no patches", file=sys.stderr)
    print_failures(failed, "labels")
    return 3 if failed else 0
