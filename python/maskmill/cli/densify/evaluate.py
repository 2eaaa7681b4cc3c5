"""maskmill densify evaluate: how good a model will be, on strokes that it has not seen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._dataset import busy
from maskmill.cli._shared import progress_bar
from maskmill.cli.densify import _shared

_EPILOG = """\
examples:
  maskmill densify evaluate photo.jpg --labels strokes.png
  maskmill densify evaluate core.jpg --labels core.h5 --features lab filters cnn --report report.html
  maskmill densify evaluate core.jpg --labels core.h5 --blocks spatial --splits 5 --gap 100
  maskmill densify evaluate photo.jpg --labels strokes.png --blocks leave-one-out
  maskmill densify evaluate photo.jpg --labels strokes.png --crf            also with a CRF
  maskmill densify evaluate photo.jpg --labels strokes.png --crf search     its parameters chosen by training strokes

Whole strokes are held out, never single pixels: neighbours of training pixels are nearly copies of them, and a score on
those says how well they are remembered. That score is told, too, for comparison with papers that give it. A class with
one stroke cannot be tested.
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "evaluate",
        help="say how good it will be, by strokes held out",
        description="Train and score again and again, each time with other strokes held out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _shared.add_strokes(p)
    _shared.add_method(p)
    group = p.add_argument_group("what is held out")
    group.add_argument(
        "--blocks", choices=("blobs", "spatial", "leave-one-out", "pixels"), default="blobs",
        help="strokes by chance; blocks along the longer axis, one after the other; each stroke once; or single "
        "pixels, which flatters (default: blobs)",
    )  # fmt: skip
    group.add_argument("--splits", type=int, default=5, metavar="N", help="how many times (default: 5)")
    group.add_argument(
        "--held-out", type=float, default=0.3, metavar="SHARE", help="of strokes (default: 0.3)"
    )
    group.add_argument(
        "--gap",
        type=int,
        default=0,
        metavar="PX",
        help="spatial: do not train so near to the block (default: 0)",
    )
    group.add_argument("--seed", type=int, default=100, help="of the first split (default: 100)")
    group.add_argument("--no-curve", action="store_true", help="do without the learning curve: quicker")
    _shared.add_crf(p, "; or search")
    p.add_argument(
        "--report", metavar="FILE", type=Path, action="append", default=[],
        help="also write it: .html (a page with pictures), .json or .txt; may be given again",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from maskmill import densify
    from maskmill.densify.page import write_report

    for path in options.report:
        if path.suffix.lower() not in (".html", ".json", ".txt"):
            raise ValueError(f"--report must end with .html, .json or .txt, not {path.name}")
    with busy("reading photos and strokes", options.quiet):
        found = _shared.strokes(options)
    with progress_bar("evaluating", options.quiet) as progress:
        report = densify.evaluate(
            found.images,
            found.labels,
            **_shared.method(options),
            blocks=options.blocks,
            splits=options.splits,
            seed=options.seed,
            held_out=options.held_out,
            gap=options.gap,
            curve=not options.no_curve,
            crf="search" if options.crf == ["search"] else _shared.crf(options.crf),
            names=found.legend,
            progress=progress,
        )
    print(report)
    for path in options.report:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_report(report, path, title=", ".join(photo.name for photo in options.photos[:3]))
    return 0
