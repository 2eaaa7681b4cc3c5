"""maskmill zircon agreement: how far two sets of measurements agree."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

_EPILOG = """\
what it writes, each as .csv, .md and .html:
  OUT/summary  the 20 columns of colab_zirc_dims's published workbooks, a row per sample and one of all
  OUT/axes     bias with its confidence interval, medians, limits of agreement, correlation, shares beyond 20 %
  OUT/sizes    the same by size of the long axis
with --plot also bland_altman.png, scatter.png and by_sample.png (needs matplotlib)

examples:
  maskmill zircon agreement by_hand.csv grains.csv agreement/
  maskmill zircon agreement by_hand.csv grains.csv agreement/ --long "Length (um)" "Major axis length (µm)" \\
      --short "Width (um)" "Minor axis length (µm)"
  maskmill zircon agreement timed_czd_test_eval.xlsx agreement/ --plot      (needs openpyxl)

exit codes: 0 done, 2 wrong usage or a bad file
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "agreement",
        help="how far two sets of measurements agree",
        description="Compare measurements of the same grains, those by hand with automatic ones for example.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="two tables in CSV, the reference first (or folders with one for each sample), or a workbook (.xlsx)",
    )
    p.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    p.add_argument(
        "--key", default="Analysis", metavar="COLUMN", help="names of the grains (default: Analysis)"
    )
    for axis in ("long", "short"):
        p.add_argument(
            f"--{axis}",
            nargs="+",
            default=[],
            metavar="COLUMN",
            help=f"{axis} axis, one heading for both files or one for each (default: the best axes, and usual names)",
        )
    p.add_argument(
        "--sample", metavar="COLUMN", help="sample of each grain (default: what stands before -Spot)"
    )
    p.add_argument("--beyond", type=float, default=20.0, metavar="PERCENT", help="too far off (default: 20)")
    p.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    p.add_argument("--plot", action="store_true", help="write pictures, too")


def run(options: argparse.Namespace) -> int:
    from maskmill.io._tables import SUFFIXES, write_table
    from maskmill.studies.zircon.comparison import ALL, agreement

    if len(options.inputs) > 2:
        raise ValueError(f"the inputs must be one or two, not {len(options.inputs)}")
    for axis in ("long", "short"):
        if len(getattr(options, axis)) > 2:
            raise ValueError(f"--{axis} must be one heading, or one for each file")
    columns: dict[str, Any] = {}
    if len(options.inputs) == 2:
        columns = {name: getattr(options, name) for name in ("key", "long", "short", "sample")}
    found = agreement(*options.inputs, beyond=options.beyond, seed=options.seed, **columns)
    options.out.mkdir(parents=True, exist_ok=True)
    titles = {
        "summary": "Agreement by sample",
        "axes": "Bias and limits of agreement",
        "sizes": "Agreement by size",
    }
    for name, title in titles.items():
        for suffix in SUFFIXES:
            write_table(getattr(found, name), options.out / f"{name}{suffix}", title=title)
    if options.plot:
        from maskmill.studies.zircon import pictures

        for draw in (pictures.bland_altman, pictures.scatter, pictures.by_sample):
            draw(found, options.out / f"{draw.__name__}.png")
    good = int(found.pairs.succeeded.sum())
    print(f"{len(found.pairs):,} grains measured twice, {good:,} of them with success")
    if found.pairs.left_out:
        print(f"{len(found.pairs.left_out):,} have no partner: {', '.join(found.pairs.left_out[:5])}")
    for row in found.axes:
        if row["Group"] == ALL and not math.isnan(row["bias (µm)"]):
            print(
                f"{row['Axis']:5} axis: bias {row['bias (µm)']:.2f} µm ({row['bias from (µm)']:.2f} to "
                f"{row['bias to (µm)']:.2f}), limits of agreement {row['lower limit (µm)']:.2f} to "
                f"{row['upper limit (µm)']:.2f} µm, {row['beyond (%)']:.1f} % beyond {options.beyond:g} %"
            )
    return 0
