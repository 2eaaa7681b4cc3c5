"""maskmill flakes build: photos and masks to MaskTerial's layout."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar
from maskmill.cli.flakes._shared import add_overlap, pair, write_json

_EPILOG = """\
examples:
  maskmill flakes build instance_masks/ GrapheneH/                     photos in the folder images beside the masks
  maskmill flakes build masks/ WSe2/ --images photos/ --split test
  maskmill flakes build labelme/ WSe2/ --class 1L=1 --class 2L=2
  maskmill flakes build export.json WSe2/ --images photos/ --link --report built.json
  maskmill flakes build masks/ WSe2/ --centres contrast_dict.json --max-std 0.1    classes by contrast

SOURCE is a folder of label images (0 background, every other number a flake; 8 or 16 bits, a palette, or numbers in
colours), or annotations in any format that `maskmill convert` reads: COCO, labelme, Label Studio, VIA, ...

FOLDER gets RLE_annotations (flakes of at least 200, of at least 300 pixels, and all; with classes and without, with the
same ids), <split>_images under new names, meta_data (old name -> new name) and <split>_semantic_masks (flakes of at
least 200 pixels). Both splits go into one FOLDER. Interrupted, give the same command again.

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for the flakes and images that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "build",
        help="photos and masks to the layout of a training set",
        description="Build the layout of a MaskTerial data set from label images or annotations.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("source", metavar="SOURCE", type=Path, help="label images or annotations")
    p.add_argument("folder", metavar="FOLDER", type=Path, help="the material's folder, to write to")
    p.add_argument(
        "--images", metavar="DIR", type=Path, help="folder of the photos (default: where the source says)"
    )
    p.add_argument("--split", choices=("train", "test"), default="train", help="which (default: train)")
    p.add_argument(
        "--format", metavar="F", help="of SOURCE: label_images, coco, labelme, ... (default: found out)"
    )
    p.add_argument(
        "--class",
        dest="classes",
        metavar="NAME=NUMBER",
        type=pair,
        action="append",
        help="the number of a class, once for each (default: those of the source)",
    )
    p.add_argument(
        "--centres",
        metavar="FILE",
        type=Path,
        help="give each flake the class of the nearest centre (`flakes contrast --fit` makes them)",
    )
    p.add_argument(
        "--max-distance", type=float, default=5.0, metavar="D", help="to a centre, Mahalanobis (default: 5)"
    )
    p.add_argument(
        "--max-std", type=float, metavar="S", help="reject flakes with a larger deviation of contrast"
    )
    p.add_argument(
        "--names",
        choices=("uuid5", "uuid4", "keep"),
        default="uuid5",
        help="of the photos: made of the old ones, always the same; random, by --seed; the old ones (default: uuid5)",
    )
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of random names (default: 0)")
    p.add_argument("--link", action="store_true", help="link the photos instead of copying them")
    p.add_argument("--split-parts", action="store_true", help="of label images: each part is a flake")
    p.add_argument("--scale", type=float, default=0.3844, metavar="UM", help="µm per pixel (default: 0.3844)")
    p.add_argument("--no-semantic", action="store_true", help="write no semantic masks")
    add_overlap(p)
    p.add_argument("--overwrite", action="store_true", help="replace the split if it is there")
    p.add_argument("--report", metavar="FILE", type=Path, help="write what was dropped, as JSON")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.flakes import Centres, assign, build, read_source

    if not options.scale > 0:
        raise ValueError(f"--scale must be above 0, not {options.scale}")
    more = {"split_parts": True} if options.split_parts else {}
    with progress_bar("reading", options.quiet) as progress:
        source = read_source(options.source, options.images, format=options.format, progress=progress, **more)
    rejected: list[dict[str, Any]] = []
    if options.centres:
        centres = Centres.read(options.centres)
        with progress_bar("classifying", options.quiet) as progress:
            dataset, rejected = assign(
                source.dataset,
                centres,
                limit=options.max_distance,
                max_std=options.max_std,
                progress=progress,
            )
        source = source._replace(dataset=dataset)
    with progress_bar("writing", options.quiet) as progress:
        report = build(
            source,
            options.folder,
            split=options.split,
            rejected=rejected,
            classes=dict(options.classes) if options.classes else None,
            names=options.names,
            seed=options.seed,
            link=options.link,
            scale=options.scale,
            semantic_masks=not options.no_semantic,
            overlap=options.overlap,
            palette=options.palette,
            overwrite=options.overwrite,
            progress=progress,
        )
    if options.report:
        write_json(options.report, report.to_json())
    _tell(report)
    return 3 if report.left_out or report.rejected else 0


def _tell(report: Any) -> None:
    print(f"{report.folder}: {report.split}, {report.images} images, {report.flakes} flakes")
    print("classes: " + ", ".join(f"{number} {name}" for name, number in report.classes.items()))
    for size, variant in report.variants.items():
        counts = ", ".join(f"{name} {count}" for name, count in variant["classes"].items())
        emptied = f", {len(variant['emptied'])} images emptied" if variant["emptied"] else ""
        print(
            f"{size:>5}: {variant['flakes']:,} flakes ({counts}), {len(variant['dropped']):,} dropped{emptied}"
        )
    for name, reason in report.left_out:
        print(f"maskmill flakes build: {name}: {reason}", file=sys.stderr)
    for row in report.rejected:
        print(f"maskmill flakes build: {row['image']}: flake {row['id']}: {row['reason']}", file=sys.stderr)
