"""maskmill eval: COCO evaluation from the command line."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

_EPILOG = """\
examples:
  maskmill eval instances_val2017.json results.json
  maskmill eval gt.json boxes.json --iou bbox --per-class
  maskmill eval gt.json dt.json --json out.json --curves curves.png
  maskmill eval person_keypoints.json dt.json --iou keypoints

GT is an object with images, annotations and categories; RESULTS an array of objects with image_id, category_id, score
and bbox, segmentation (RLE) or keypoints: https://cocodataset.org/#format-results. The numbers are pycocotools', to the
last bit.
"""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "eval",
        help="evaluate detections against COCO ground truth",
        description="Evaluate detections against COCO ground truth: precision and recall as pycocotools has them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("ground_truth", metavar="GT", type=Path, help="ground truth, COCO JSON")
    p.add_argument("results", metavar="RESULTS", type=Path, help="results, COCO JSON")
    p.add_argument(
        "--iou", choices=("bbox", "segm", "keypoints"), default="segm", help="what to compare (default: segm)"
    )
    p.add_argument("--per-class", action="store_true", help="also print a table of classes")
    p.add_argument("--json", metavar="FILE", type=Path, help="write numbers, classes and parameters to FILE")
    p.add_argument(
        "--curves", metavar="FILE", type=Path, help="draw precision over recall into FILE (.png, .pdf, .svg)"
    )
    p.add_argument(
        "--max-dets",
        metavar="N",
        type=int,
        nargs="+",
        help="detections per image and class that count (default: 1 10 100; keypoints: 20)",
    )
    p.add_argument("--class-agnostic", action="store_true", help="ignore classes, as for proposals")
    p.add_argument("--classes", metavar="NAME", nargs="+", help="evaluate these classes only")
    p.add_argument(
        "--backend", choices=("cpp", "numba"), help="who computes (default: cpp where it was built)"
    )
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(options: argparse.Namespace) -> int:
    import contextlib

    from rich.console import Console

    from maskmill import use_backend
    from maskmill.evaluate import evaluate

    for file in (options.json, options.curves):
        if file is not None and not file.resolve().parent.is_dir():
            raise FileNotFoundError(2, "the folder to write to does not exist", str(file))
    console = Console(stderr=True, quiet=options.quiet)
    start = time.perf_counter()
    with (
        use_backend(options.backend) if options.backend else contextlib.nullcontext(),
        console.status("reading") as status,
    ):
        result = evaluate(
            options.ground_truth,
            options.results,
            options.iou,
            max_dets=options.max_dets,
            class_agnostic=options.class_agnostic,
            classes=options.classes,
            progress=lambda step: status.update(f"{step} ({time.perf_counter() - start:.1f} s)"),
        )
    print(result.text, end="")
    if options.per_class:
        _print_classes(result)
    if options.json:
        from maskmill._files import written_whole

        with written_whole(options.json) as file:
            file.write(json.dumps(result.to_json(), indent=2).encode())
        console.print(f"wrote {options.json}")
    if options.curves:
        from maskmill.plot import precision_recall

        precision_recall(result, options.curves)
        console.print(f"wrote {options.curves}")
    console.print(f"done in {time.perf_counter() - start:.2f} s")
    return 0


def _print_classes(result: Any) -> None:
    if not result.classes:
        print("no classes: they were ignored")
        return
    width = max(5, *(len(row["name"]) for row in result.classes))
    print(f"\n{'class':<{width}}  {'instances':>9}  {'AP':>6}  {'AP50':>6}  {'AP75':>6}  {'AR':>6}")
    for row in sorted(result.classes, key=lambda row: (-row["AP"], row["name"])):
        numbers = "  ".join(
            f"{row[key]:6.3f}" if row[key] > -1 else f"{'-':>6}" for key in ("AP", "AP50", "AP75", "AR")
        )
        print(f"{row['name']:<{width}}  {row['instances']:>9}  {numbers}")
