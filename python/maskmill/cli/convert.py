"""maskmill convert: annotations from one format into another, with a report of what was lost."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from maskmill.cli import _dataset
from maskmill.cli._shared import progress_bar

_EPILOG = """\
examples:
  maskmill convert via_region_data.json grains.json --to coco
  maskmill convert labelme_folder/ voc/ --to voc
  maskmill convert labels/ instances.json --images photos/        label images to COCO
  maskmill convert instances.json labels/ --to label_images
  maskmill convert via.json out.json --to coco --read offset=0.5  half a pixel, as Detectron2 takes VIA
  maskmill convert a.json yolo/ --to yolo --copy-images yolo/images
  maskmill info --formats                                          all formats, and what each can hold

What was written is read back and compared with what was read, pixel by pixel; what the format could not hold (holes,
overlaps, attributes, half pixels, ...) is printed in numbers.

exit codes: 0 done, 1 with --strict: masks, instances or classes were lost, 2 wrong usage or a bad file
"""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "convert",
        help="annotations from one format into another",
        description="Convert annotations, and say what the target format cannot hold.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _dataset.add_input(p)
    p.add_argument("output", metavar="OUT", type=Path, help="file or folder to write")
    _dataset.add_output(p)
    p.add_argument("--copy-images", metavar="FOLDER", type=Path, help="also put the pictures into FOLDER")
    p.add_argument(
        "--link", action="store_true", help="link the pictures instead of copying them, where possible"
    )
    p.add_argument("--no-compare", action="store_true", help="do not read back what was written")
    p.add_argument("--report", metavar="FILE", type=Path, help="write the loss report to FILE, JSON")
    p.add_argument(
        "--strict", action="store_true", help="exit with 1 if masks, instances or classes were lost"
    )


def run(options: argparse.Namespace) -> int:
    from maskmill._files import written_whole
    from maskmill.io.pictures import write_pictures

    dataset = _dataset.read(options)
    _dataset.tell(f"read {options.input}: {dataset}", options.quiet)
    if options.copy_images:
        options.copy_images.mkdir(parents=True, exist_ok=True)
        with progress_bar("pictures", options.quiet) as report:
            dataset = write_pictures(dataset, options.copy_images, link=options.link, report=report)
    loss = _dataset.write(dataset, options.output, options, compare=not options.no_compare)
    print(loss)
    if options.report:
        with written_whole(options.report) as file:
            file.write(json.dumps(loss.to_json(), indent=2).encode())
    return 1 if options.strict and not loss.masks_kept else 0
