"""maskmill flakes kshot: a few flakes of each class, several times."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require

_EPILOG = """\
examples:
  maskmill flakes kshot GrapheneH/                                 as MaskTerial draws: 1, 2, 3, 5, 10 shots, 10 runs
  maskmill flakes kshot GrapheneH/ GrapheneL/ GrapheneM/ hBN_Thin/ MoSe2/ WS2/ WSe2/ WSe2L/    the published sets
  maskmill flakes kshot WSe2/ --mode instances --nested            exactly k flakes of each class, 1-shot within 2-shot
  maskmill flakes kshot WSe2/ --mode balanced --shots 5 20 --runs 3 --seed 7 --strict

modes:
  compat     k flakes of each class, and all others on their images, bit for bit as MaskTerial's script. All folders are
             drawn with one sequence of random numbers: their order matters
  instances  exactly k flakes of each class; what else is on their images is there as crowd, and does not count
  images     k images of each class, complete
  balanced   complete images, as few as give k flakes of each class, each counted for all its classes

FOLDER/RLE_annotations gets <k>_shot/run_<r>/ with a file with classes and one without, and kshot_manifest.json with the
ids of each draw. Classes with fewer than k are told, or refused with --strict.

exit codes: 0 done, 2 wrong usage, a bad file, or a shortage with --strict, 3 done but for the shortages that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "kshot",
        help="draw subsets of a few flakes of each class",
        description="Draw k-shot training sets from a layout.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("folders", metavar="FOLDER", type=Path, nargs="+", help="a material's folder")
    p.add_argument(
        "--mode",
        choices=("compat", "instances", "images", "balanced"),
        default="compat",
        help="what to draw (default: compat)",
    )
    p.add_argument(
        "--shots",
        type=int,
        nargs="+",
        default=[1, 2, 3, 5, 10],
        metavar="K",
        help="(default: 1 2 3 5 10)",
    )
    p.add_argument("--runs", type=int, default=10, metavar="N", help="draws of each (default: 10)")
    p.add_argument("--seed", type=int, default=42, metavar="N", help="(default: 42)")
    p.add_argument("--nested", action="store_true", help="each set is a part of the next larger one")
    p.add_argument("--strict", action="store_true", help="refuse classes with too few")
    p.add_argument("--overwrite", action="store_true", help="replace k-shot sets that are there")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.flakes import kshot

    require(options, runs=1, seed=0)
    with progress_bar("drawing", options.quiet) as progress:
        report = kshot(
            options.folders,
            mode=options.mode,
            shots=options.shots,
            runs=options.runs,
            seed=options.seed,
            nested=options.nested,
            strict=options.strict,
            overwrite=options.overwrite,
            progress=progress,
        )
    for folder, manifest in report.manifests.items():
        print(folder)
        for k in manifest["shots"]:
            draws = [draw for draw in manifest["draws"] if draw["k"] == k]
            images, flakes = ([len(draw[what]) for draw in draws] for what in ("images", "annotations"))
            print(f"{k:>4}-shot: {_range(images)} images, {_range(flakes)} flakes")
    for shortage in report.shortages:
        print(f"maskmill flakes kshot: {shortage}", file=sys.stderr)
    return 3 if report.shortages else 0


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
