"""maskmill zircon split: training, validation and other parts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar

_EPILOG = """\
what it writes:
  OUT.csv    sample, shot, stratum and part of each shot
  OUT.json   seed, fractions, rule, counts of samples and strata, leaks

Of each sample, validation gets 0.15 n, rounded half to even: the published counts of all 39 samples of czd_large. In a
sample, standards have their share of each part. Another seed draws other shots, and the same numbers of them.

A leak is a window that overlaps with one of another part, or a picture that is equal to one: they are listed, and the
exit code is 3. `maskmill zircon sample` chooses shots that do not overlap; with --group mosaic, none can leak.

examples:
  maskmill zircon split selected.csv split.csv
  maskmill zircon split clips/clips.csv split.csv --folders dataset/         dataset/train, dataset/val
  maskmill zircon split clips/clips.csv split.csv --parts train=0.7 val=0.15 test=0.15 --seed 3
  maskmill zircon split clips/clips.csv split.csv --group sample             whole samples

exit codes: 0 done, 2 wrong usage or a bad file, 3 done, with the leaks that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "split",
        help="training, validation and other parts, of each sample and stratum its share",
        description="Divide shots into parts: of each sample its share, and in it the share of standards.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "table",
        type=Path,
        metavar="TABLE",
        help="clips.csv, what `sample` wrote, a table with columns sample and shot, or an image-per-shot project",
    )
    p.add_argument("out", type=Path, metavar="OUT.csv", help="table to write; OUT.json is written beside it")
    p.add_argument(
        "--parts",
        nargs="+",
        default=["train=0.85", "val=0.15"],
        metavar="NAME=SHARE",
        help="fractions that add up to 1 (default: train=0.85 val=0.15)",
    )
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw (default: 0)")
    p.add_argument("--strata", default="standard", metavar="COLUMN", help="or none (default: standard)")
    p.add_argument(
        "--group", metavar="COLUMN", help="keep together what is equal here: sample, mosaic, ...; no strata"
    )
    p.add_argument("--names", default="last", metavar="PATTERN", help="of image-per-shot files, as in `info`")
    p.add_argument(
        "--folders", type=Path, metavar="ROOT", help="copy the pictures to ROOT/<part>/, with sidecars"
    )
    p.add_argument("--no-compare", action="store_true", help="do not compare the pictures of different parts")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.zircon.splits import split

    parts = dict(_part(text) for text in options.parts)
    if len(parts) < len(options.parts):
        raise ValueError(f"--parts must have different names, not {' '.join(options.parts)}")
    with progress_bar("comparing", options.quiet) as report:
        done = split(
            options.table,
            options.out,
            parts=parts,
            seed=options.seed,
            strata=None if options.strata == "none" else options.strata,
            group=options.group,
            names=options.names,
            folders=options.folders,
            compare=not options.no_compare,
            progress=report,
        )
    for what in ("sample", "stratum"):
        for name, counts in done.counts(what).items():
            if name:
                print(f"{what} {name}: {', '.join(f'{part} {n}' for part, n in counts.items())}")
    sizes = {part: sum(row["part"] == part for row in done.rows) for part in done.parts}
    print(f"{', '.join(f'{part} {n}' for part, n in sizes.items())} in all: {options.out}")
    for leak in done.leaks[:20]:
        first, second = (" ".join(side) for side in (leak.first, leak.second))
        print(f"maskmill zircon split: {leak.kind}: {first} and {second}", file=sys.stderr)
    if len(done.leaks) > 20:
        print(
            f"maskmill zircon split: {len(done.leaks)} leaks in all, see {options.out.stem}.json",
            file=sys.stderr,
        )
    return 3 if done.leaks else 0


def _part(text: str) -> tuple[str, str]:
    name, equals, share = text.partition("=")
    if not equals:
        raise ValueError(f"--parts must be NAME=SHARE, not {text!r}")
    return name, share
