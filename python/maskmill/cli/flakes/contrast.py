"""maskmill flakes contrast: colour contrast of flakes, centres of classes, classes by contrast."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar
from maskmill.cli.flakes._shared import write_csv

_EPILOG = """\
examples:
  maskmill flakes contrast WSe2/RLE_annotations/train_annotations_full.json flakes.csv --images WSe2/train_images
  maskmill flakes contrast instance_masks/ flakes.csv --backgrounds photos.csv
  maskmill flakes contrast annotations.json flakes.csv --images photos/ --fit contrast_dict.json
  maskmill flakes contrast annotations.json flakes.csv --images photos/ --flat flat.png --way inference

The contrast of a pixel is image / background - 1, for blue, green and red. OUT has a row for each flake: its mean,
median, standard deviation, median absolute deviation and entropy (bits) for each channel, and the same of the flake
without its rim of three pixels. --backgrounds has the colour of each photo's background, its share of the photo, and a
warning where it is suspicious.

--way training   background: 10 grey values around the most frequent one, eroded 3 times, in all channels
--way inference  5 grey values around it, within 20 to 230, each channel by itself

--fit writes the centre and covariance of each class (of flakes with 200 pixels or more within their rim), and those of
the substrate as class 0, which
`maskmill flakes build --centres`, `semantic --centres` and `postprocess --centres` take. Use the training split alone.

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for photos without background, which are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "contrast",
        help="colour contrast of flakes to the substrate",
        description="Measure the contrast of flakes, and learn the centres of classes from it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("source", metavar="SOURCE", type=Path, help="annotations, or a folder of label images")
    p.add_argument("out", metavar="OUT", type=Path, help="table of the flakes, CSV")
    p.add_argument("--images", metavar="DIR", type=Path, help="folder of the photos")
    p.add_argument("--format", metavar="F", help="of SOURCE (default: found out)")
    p.add_argument(
        "--way",
        choices=("training", "inference"),
        default="training",
        help="to find the background (default: training)",
    )
    p.add_argument(
        "--flat", metavar="FILE", type=Path, help="photo of nothing but substrate: removes vignette"
    )
    p.add_argument("--backgrounds", metavar="FILE", type=Path, help="write a table of the photos, CSV")
    p.add_argument("--fit", metavar="FILE", type=Path, help="write the centres of the classes, JSON")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.io.images import read_image
    from maskmill.studies.flakes import contrast, fit, read_source

    flat = None if options.flat is None else read_image(options.flat)
    source = read_source(options.source, options.images, format=options.format)
    with progress_bar("measuring", options.quiet) as progress:
        flakes, grounds = contrast(source.dataset, way=options.way, flat=flat, progress=progress)
    write_csv(options.out, flakes)
    print(f"{options.out}: {len(flakes):,} flakes of {len(grounds):,} photos")
    if options.backgrounds:
        write_csv(options.backgrounds, grounds)
    if options.fit:
        with progress_bar("learning", options.quiet) as progress:
            centres = fit(source.dataset, way=options.way, progress=progress)
        centres.write(options.fit)
        for number, name, mean in zip(centres.numbers, centres.names, centres.means, strict=True):
            print(f"{number} {name}: blue {mean[0]:.4f}, green {mean[1]:.4f}, red {mean[2]:.4f}")
    for name, reason in source.left_out:
        print(f"maskmill flakes contrast: {name}: {reason}", file=sys.stderr)
    unusable = False
    for row in grounds:
        if row["warning"]:
            print(f"maskmill flakes contrast: {row['image']}: {row['warning']}", file=sys.stderr)
            unusable |= row["warning"].startswith("no background")
    return 3 if source.left_out or unusable else 0
