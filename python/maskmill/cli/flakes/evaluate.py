"""maskmill flakes evaluate: predicted flakes against true ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.flakes._shared import write_csv, write_json

_EPILOG = """\
examples:
  maskmill flakes evaluate GrapheneH/RLE_annotations/test_annotations_with_class_full.json results.json
  maskmill flakes evaluate test_annotations_with_class_300.json results.json --protocol original
  maskmill flakes evaluate full.json results.json --min-area 200 --per-class --bootstrap 1000
  maskmill flakes evaluate full.json results.json --boundary 3 --compare --json out.json --images images.csv

TRUTH is an annotation file, best the _full one; RESULTS an array of image_id, category_id, score and segmentation. The
table has COCO's average precision and recall in percent, for all flakes and in bins of their area in µm².

Flakes smaller than --min-area are ignored: nobody loses for finding them, or for not finding them. MaskTerial compares
predictions of 200 pixels or more with a truth of 300 or more, so that correct finds between count as false, and nothing
perfect reaches 100; --protocol original does the same (give it the _300 file).
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "evaluate",
        help="evaluate predicted flakes",
        description="Evaluate predicted flakes: average precision and recall, by class and in bins of area in µm².",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("truth", metavar="TRUTH", type=Path, help="annotations, COCO JSON")
    p.add_argument("results", metavar="RESULTS", type=Path, help="COCO results, JSON")
    p.add_argument(
        "--protocol",
        choices=("ignore", "original"),
        default="ignore",
        help="what is done with small flakes (default: ignore)",
    )
    p.add_argument(
        "--min-area", type=int, default=300, metavar="PX", help="ignore smaller ones (default: 300)"
    )
    p.add_argument("--scale", type=float, default=0.3844, metavar="UM", help="µm per pixel (default: 0.3844)")
    p.add_argument(
        "--bins",
        type=float,
        nargs="+",
        default=[100, 200, 400],
        metavar="UM2",
        help="between bins of area, µm² (default: 100 200 400)",
    )
    p.add_argument("--boundary", type=int, metavar="PX", help="also compare rims of so many pixels")
    p.add_argument("--class-agnostic", action="store_true", help="compare across classes")
    p.add_argument("--compare", action="store_true", help="with classes and across them, one below the other")
    p.add_argument("--per-class", action="store_true", help="also print a table of classes")
    p.add_argument(
        "--threshold",
        type=float,
        default=0.3,
        metavar="S",
        help="least score in the confusion matrix and the table of images (default: 0.3)",
    )
    p.add_argument(
        "--max-dets", type=int, default=100, metavar="N", help="per image and class (default: 100)"
    )
    p.add_argument("--bootstrap", type=int, default=0, metavar="N", help="draw images N times, for intervals")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of --bootstrap (default: 0)")
    p.add_argument("--json", metavar="FILE", type=Path, help="write everything")
    p.add_argument("--images", metavar="FILE", type=Path, help="write a table of the images, CSV")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.flakes import evaluate, read_results
    from maskmill.studies.flakes.annotations import read_annotations

    require(options, min_area=0, max_dets=1, bootstrap=0, boundary=1, seed=0)
    found = {}
    with progress_bar("comparing", options.quiet):
        truth = read_annotations(options.truth)
        results = read_results(options.results, truth)
        for agnostic in (False, True) if options.compare else (options.class_agnostic,):
            found["class-agnostic" if agnostic else "with classes"] = evaluate(
                truth,
                results,
                protocol=options.protocol,
                min_area=options.min_area,
                scale=options.scale,
                edges=options.bins,
                boundary=options.boundary,
                class_agnostic=agnostic,
                threshold=options.threshold,
                max_dets=options.max_dets,
                bootstrap=options.bootstrap,
                seed=options.seed,
            )
    for name, result in found.items():
        if len(found) > 1:
            print(f"{name}:")
        print(result.text())
    first = next(iter(found.values()))
    if options.per_class:
        _print_classes(first)
    _print_confusion(first, options.threshold)
    if options.json:
        write_json(options.json, {name: result.to_json() for name, result in found.items()})
    if options.images:
        write_csv(options.images, first.images)
    return 0


def _print_classes(result: Any) -> None:
    print(f"\n{'class':16}" + "".join(f"{key:>9}" for key in ("AP", "AP50", "AR", "AR50")))
    for name, numbers in result.classes.items():
        cells = (numbers[f"{key}_{name}"] for key in ("AP", "AP50", "AR", "AR50"))
        print(f"{name:16}" + "".join(f"{'-':>9}" if v != v else f"{100 * v:9.2f}" for v in cells))


def _print_confusion(result: Any, threshold: float) -> None:
    names = [*result.names, "none"]
    width = max(9, *(len(name) + 1 for name in names))
    print(f"\ntruth (rows) and predictions with a score of {threshold:g} or more, at IoU 0.5:")
    print(" " * width + "".join(f"{name:>{width}}" for name in names))
    for name, row in zip(names, result.confusion.tolist(), strict=True):
        print(f"{name:{width}}" + "".join(f"{count:>{width}}" for count in row))
