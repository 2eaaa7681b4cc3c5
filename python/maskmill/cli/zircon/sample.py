"""maskmill zircon sample: shots whose windows do not overlap."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.zircon._shared import add_standards, add_transform

_EPILOG = """\
what it writes:
  OUT.csv    a row for each spot: sample, shot, standard, status, by, place and window in the mosaic. The status is
             selected; conflict (by: the selected ones it overlaps); standard, grain, rejected, edge or outside
  OUT.json   settings, counts, and the bound: no choice could have more

examples:
  maskmill zircon sample project/ selected.csv
  maskmill zircon sample project/ selected.csv --mode random --seed 7      the published procedure
  maskmill zircon sample project/ selected.csv --standards out --reject no_grain.csv --edges drop
  maskmill zircon clip project/ clips/ --only selected.csv                 then cut them

Two windows overlap if their shots are nearer than a field on the stage, or nearer than a window in pixels, along x and
along y. A mosaic of 400 shots is solved exactly in a fraction of a second. If --time-limit ends before, the best found
is taken, and the bound says how many more there could be (pip install 'maskmill[zircon]' helps where shots are dense).

exit codes: 0 done, 2 wrong usage or a bad file
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "sample",
        help="choose shots whose windows do not overlap",
        description="Choose as many shots of each sample as there can be without overlapping windows, or walk "
        "through them at random as published.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("project", type=Path, metavar="PROJECT", help="folder with mosaic_info.csv")
    p.add_argument("out", type=Path, metavar="OUT.csv", help="table to write; OUT.json is written beside it")
    p.add_argument("--field", type=float, metavar="UM", help="side of a window, instead of Max_grain_size")
    p.add_argument(
        "--mode",
        choices=("max", "random"),
        default="max",
        help="the most there can be (default), or random",
    )
    p.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides ties, and the random order (default: 0)"
    )
    p.add_argument(
        "--rule",
        choices=("both", "stage", "pixel"),
        default="both",
        help="where windows must not meet (default: both)",
    )
    p.add_argument(
        "--standards", choices=("in", "out", "only"), default="in", help="choose from them (default: in)"
    )
    add_standards(p)
    p.add_argument(
        "--reject", type=Path, metavar="CSV", help="shots not to take: a table with columns sample and shot"
    )
    p.add_argument(
        "--edges",
        choices=("keep", "drop"),
        default="keep",
        help="windows that the mosaic's edge cuts (default: keep)",
    )
    add_transform(p)
    p.add_argument(
        "--time-limit", type=float, default=10.0, metavar="S", help="seconds for a sample (default: 10)"
    )
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.zircon.sampling import sample
    from maskmill.studies.zircon.scanlists import STANDARDS

    require(options, seed=0)
    if not options.time_limit > 0:
        raise ValueError(f"--time-limit must be more than 0, not {options.time_limit:g}")
    with progress_bar("sampling", options.quiet) as report:
        chosen = sample(
            options.project,
            options.out,
            field=options.field,
            mode=options.mode,
            seed=options.seed,
            rule=options.rule,
            standards=options.standards,
            pattern=options.pattern or STANDARDS,
            reject=options.reject,
            edges=options.edges,
            compat=options.compat,
            pixels=options.pixels,
            time_limit=options.time_limit,
            progress=report,
        )
    for one in chosen:
        others = ", ".join(f"{n} {status}" for status, n in one.counts.items() if status != "selected")
        print(
            f"{one.sample}: {len(one.selected)} of {len(one.rows)} selected"
            + (f" ({others})" if others else "")
        )
        if one.bound is not None and one.bound > len(one.selected):
            said = f"there may be up to {one.bound}: the time ended before it was settled"
            print(f"maskmill zircon sample: {one.sample}: {said}", file=sys.stderr)
    print(f"{sum(len(one.selected) for one in chosen)} selected in all: {options.out}")
    return 0
