"""maskmill core evaluate: how good class maps are, by clasts that were not trained with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.core._shared import add_labels

_EPILOG = """\
Pixels of one clast are nearly copies of each other. A test on random pixels asks a classifier for what it has learnt
by heart; only clasts of which it has seen no pixel tell what it will do elsewhere. Classes with one clast cannot be
tested, and are listed.

what it writes:
  OUT   all scores as JSON; put it beside a class map (OUT of maskmill core classify) as scores.json, and
        maskmill core report shows it

examples:
  maskmill core evaluate core72.jpg --labels 72_2.h5 --legend chicxulub
  maskmill core evaluate core72.jpg --labels 72_2.h5 --out core72/scores.json --crf
  maskmill core evaluate core72.jpg --labels 72_2.h5 --sets default --blocks spatial --splits 8 --gap 130
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "evaluate",
        help="scores on clasts that were not trained with, beside those on random pixels",
        description="Train and test with other clasts held out each time, with several sets of columns.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_labels(p)
    p.add_argument("--out", type=Path, metavar="JSON", help="file for all scores")
    p.add_argument(
        "--sets",
        nargs="+",
        metavar="SET",
        help="of: LAB, filters, CNN, 'filters + CNN', 'filters + CNN, discriminant', default, original (default: all)",
    )
    p.add_argument(
        "--blocks",
        choices=("blobs", "spatial", "leave-one-out"),
        default="blobs",
        help="what is held out: 30 %% of the clasts of each class, stretches of the core, each clast (default: blobs)",
    )
    p.add_argument("--splits", type=int, default=5, metavar="N", help="how many times (default: 5)")
    p.add_argument("--seed", type=int, default=100, metavar="N", help="of the first split (default: 100)")
    p.add_argument(
        "--gap",
        type=int,
        default=0,
        metavar="PX",
        help="with spatial: not trained with this near (default: 0)",
    )
    p.add_argument(
        "--crf",
        nargs="?",
        const=True,
        default=False,
        choices=("search",),
        help="score maps after the CRF, too; or after one that is searched on training clasts (minutes, an hour)",
    )
    p.add_argument(
        "--no-leaking", action="store_true", help="do not repeat the original's test on random pixels"
    )
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.densify.labels import read_labels
    from maskmill.io.images import read_image
    from maskmill.studies.core import evaluate

    require(options, splits=1, gap=0)
    if options.out is not None and options.out.suffix.lower() != ".json":
        raise ValueError(f"{options.out}: scores must be .json")
    image = read_image(options.photo)
    labels = read_labels(
        options.labels,
        size=(image.shape[0], image.shape[1]),
        photo=options.photo,
        legend=options.legend,
        merge=dict(options.merge),
        conflict=options.conflict,
    )
    with progress_bar("evaluate", options.quiet) as progress:
        found = evaluate(
            image,
            labels,
            sets=options.sets,
            blocks=options.blocks,
            splits=options.splits,
            seed=options.seed,
            gap=options.gap,
            crf=options.crf,
            leaking=not options.no_leaking,
            progress=progress,
        )
    print(found)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        found.save(options.out)
    return 0
