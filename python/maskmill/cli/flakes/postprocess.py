"""maskmill flakes postprocess: predictions to flakes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.flakes._shared import write_csv

_EPILOG = """\
examples:
  maskmill flakes postprocess semantic/ flakes.json --truth test_annotations_with_class_full.json --opening 2
  maskmill flakes postprocess results.json flakes.json --min-score 0.5 --shapes flakes.csv
  maskmill flakes postprocess results.json flakes.json --parts largest --fill-holes
  maskmill flakes postprocess results.json flakes.json --truth test.json --centres contrast_dict.json --images photos/
  maskmill flakes postprocess semantic/ theirs.json --truth test.json --as-maskterial

IN is a folder of predicted semantic masks (PNG with the stems of the photos), of which every connected part of a class
is a flake, or COCO results (an array of image_id, category_id, score, segmentation). OUT are COCO results, as
`maskmill flakes evaluate` takes them.

Sizes are numbers of pixels, and the least size stays (>=). Parts are found with one connectivity; holes and parts are
kept, unless told otherwise. --as-maskterial does as MaskTerial does, for comparison: it joins flakes that touch at a
corner, fills holes, and keeps one part.

--centres gives each flake the class of the majority of its pixels, by contrast; flakes of none are left out. The names
of the images must be known by --truth.

--shapes writes a table: area, centre, sides of the least rectangle, perimeter, holes, parts, and the two numbers by
which MaskTerial tells ragged false finds from flakes (outline: perimeter / square root of the area; solidity).
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "postprocess",
        help="predictions to flakes",
        description="Make flakes of predicted semantic masks or instances.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("source", metavar="IN", type=Path, help="folder of semantic masks, or COCO results")
    p.add_argument("out", metavar="OUT", type=Path, help="COCO results")
    p.add_argument(
        "--truth", metavar="FILE", type=Path, help="annotations: ids and names of the images, classes"
    )
    p.add_argument("--min-score", type=float, default=0.3, metavar="S", help="(default: 0.3)")
    p.add_argument("--min-area", type=int, default=200, metavar="PX", help="least pixels (default: 200)")
    p.add_argument(
        "--opening", type=int, default=0, metavar="N", help="erode and dilate N times first (MaskTerial: 2)"
    )
    p.add_argument(
        "--parts",
        choices=("keep", "largest", "split"),
        help="of one mask: keep as one, the largest, a flake of each (default: keep; of semantic masks: split)",
    )
    p.add_argument("--connectivity", type=int, choices=(4, 8), default=4, help="of parts (default: 4)")
    p.add_argument("--fill-holes", action="store_true", help="fill holes")
    p.add_argument("--as-maskterial", action="store_true", help="as the original does, for comparison")
    p.add_argument("--centres", metavar="FILE", type=Path, help="classes by contrast (contrast_dict.json)")
    p.add_argument("--images", metavar="DIR", type=Path, help="with --centres: folder of the photos")
    p.add_argument(
        "--min-share", type=float, default=0.5, metavar="S", help="of pixels of one class (default: 0.5)"
    )
    p.add_argument(
        "--shape-filter", metavar="FILE", type=Path, help="leave out false finds (`flakes train-filter`)"
    )
    p.add_argument(
        "--max-false",
        type=float,
        default=0.5,
        metavar="P",
        help="least probability to be left out (default: 0.5)",
    )
    p.add_argument("--shapes", metavar="FILE", type=Path, help="write a table of the flakes, CSV")
    p.add_argument("--scale", type=float, default=0.3844, metavar="UM", help="µm per pixel (default: 0.3844)")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.flakes import (
        Centres,
        ShapeFilter,
        classify,
        postprocess,
        read_results,
        read_semantic,
    )
    from maskmill.studies.flakes.annotations import read_annotations
    from maskmill.studies.flakes.predictions import as_maskterial, shapes, write_results

    require(options, min_area=0, opening=0)
    if not options.scale > 0:
        raise ValueError(f"--scale must be above 0, not {options.scale}")
    if (options.centres is None) != (options.images is None):
        raise ValueError("--centres and --images must be given together")
    truth = None if options.truth is None else read_annotations(options.truth)
    semantic = options.source.is_dir()
    with progress_bar("reading", options.quiet) as progress:
        if semantic:
            predicted = read_semantic(options.source, truth, progress=progress)
        else:
            predicted = read_results(options.source, truth)
    limits = {"min_score": options.min_score, "min_area": options.min_area}
    if options.as_maskterial:
        flakes = as_maskterial(predicted, semantic=semantic, **limits)
    else:
        flakes = postprocess(
            predicted,
            opening=options.opening,
            parts=options.parts or ("split" if semantic else "keep"),
            connectivity=options.connectivity,
            fill_holes=options.fill_holes,
            **limits,
        )
    if options.shape_filter:
        flakes = ShapeFilter.read(options.shape_filter).apply(flakes, options.max_false)
    if options.centres:
        with progress_bar("classifying", options.quiet) as progress:
            centres = Centres.read(options.centres)
            flakes = classify(flakes, centres, options.images, min_share=options.min_share, progress=progress)
    write_results(flakes, options.out)
    if options.shapes:
        write_csv(options.shapes, shapes(flakes, options.scale))
    print(f"{options.out}: {len(flakes.instances):,} flakes of {len(predicted.instances):,} predicted masks")
    return 0
