"""maskmill core classify: a rock class for every pixel of a photo."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar
from maskmill.cli.core._shared import (
    add_labels,
    add_scale,
    add_shapes,
    scale_of,
    shape_options,
)

_EPILOG = """\
what it writes:
  OUT/classes.png, .tif, .h5     the class map without loss; ilastik opens the .h5
  OUT/classes_classes.json       its legend: ids, names, colours
  OUT/probabilities.h5 or .npz   of all classes
  OUT/model.npz                  for other sections: --model
  OUT/report.json, report.html   settings and results; the map with its legend along depth, clasts, sizes
  OUT/clasts.csv, logs.csv       with a scale: as maskmill core shapes

How good the map is: maskmill core evaluate.

examples:
  maskmill core classify core72.jpg --labels 72_2.h5 --out core72/ --length-mm 610 --legend chicxulub
  maskmill core classify core72.jpg --labels a.ilp b.png --conflict last --out core72/
  maskmill core classify core73.jpg --model core72/model.npz --out core73/ --length-mm 598 --top-m 699.02
  maskmill core classify core72.jpg --labels 72_2.h5 --out as_published/ --profile original
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "classify",
        help="a rock class for every pixel of a photo, from a few that were painted",
        description="Learn rock classes from what was painted on a photo of a core, and classify all of it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_labels(p, needed=False)
    p.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder to write to")
    p.add_argument(
        "--profile",
        choices=("default", "original"),
        default="default",
        help="default: the best by held-out clasts; original: what core_features does",
    )
    p.add_argument("--model", type=Path, metavar="NPZ", help="of an earlier run: nothing is trained")
    p.add_argument("--no-crf", action="store_true", help="do not smooth by a dense CRF")
    p.add_argument("--pin", action="store_true", help="painted pixels keep their labels")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same map (default: 0)")
    p.add_argument(
        "--probabilities",
        choices=("h5", "npz", "npz32", "none"),
        default="npz",
        help="how to write probabilities: float32 for ilastik, float16, float32, not at all (default: npz)",
    )
    add_scale(p)
    add_shapes(p)
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.core import classify
    from maskmill.studies.core.report import write_page

    if options.labels is None and options.model is None:
        raise ValueError("--labels must be given, or --model")
    with progress_bar("classify", options.quiet) as progress:
        found = classify(
            options.photo,
            options.labels,
            profile=options.profile,
            model=options.model,
            legend=options.legend,
            merge=dict(options.merge),
            conflict=options.conflict,
            crf=not options.no_crf,
            pin=options.pin,
            seed=options.seed,
            progress=progress,
        )
    height, width = found.values.shape
    scale = scale_of(options, (height, width), needed=False)
    kind = {"h5": ".h5", "npz": ".npz", "npz32": ".npz", "none": None}[options.probabilities]
    found.save(
        options.out, probabilities=kind, dtype="float32" if options.probabilities == "npz32" else "float16"
    )
    settings = shape_options(options, found.legend)
    write_page(options.out, scale=scale, shapes=settings, bin_mm=options.bin_mm, weights=options.weights)
    for row in sorted(found.report["result"]["classes"], key=lambda row: -row["share"]):
        print(f"{row['share']:7.1%}  {found.legend.name(row['class'])}")
    seconds = found.report["seconds"]
    print(f"trained in {seconds['train']:.1f} s, classified in {seconds['classify']:.1f} s: {options.out}")
    return 0
