"""maskmill tile: images cut into windows, with their annotations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli import _dataset
from maskmill.cli._shared import progress_bar

_EPILOG = """\
examples:
  maskmill tile annotations.json out/ --size 512
  maskmill tile annotations.json out/ --size 512 640 --stride 256 --min-visible 0.25 --drop-empty
  maskmill tile labels/ out/ --images photos/ --size 256 --edge pad --to label_images

out/images/ gets the tiles, out/annotations.json what is seen of the instances; each knows its share (visible) and the
instance it is of (source_id).
"""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "tile",
        help="cut images into tiles, with their annotations",
        description="Cut images and their annotations into tiles.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _dataset.add_input(p)
    p.add_argument("output", metavar="OUT", type=Path, help="folder to write to")
    p.add_argument(
        "--size", metavar="PX", type=int, nargs="+", required=True, help="height and width, or one for both"
    )
    p.add_argument(
        "--stride", metavar="PX", type=int, nargs="+", help="from tile to tile (default: the size)"
    )
    p.add_argument(
        "--edge",
        choices=("shift", "pad", "ragged", "drop"),
        default="shift",
        help="the last tiles: moved back, filled up with zeros, smaller, or left out (default: shift)",
    )
    p.add_argument(
        "--min-visible",
        metavar="SHARE",
        type=float,
        default=0.0,
        help="leave out instances of which less is seen",
    )
    p.add_argument("--drop-empty", action="store_true", help="leave out tiles without instances")
    p.add_argument("--no-images", action="store_true", help="annotations only")
    _dataset.add_output(p, "coco")


def run(options: argparse.Namespace) -> int:
    from maskmill.io.pictures import write_pictures

    if not 0 <= options.min_visible <= 1:
        raise ValueError(f"--min-visible must be from 0 to 1, not {options.min_visible}")
    dataset = _dataset.read(options)
    tiled = dataset.tile(
        _two(options.size, "--size"),
        None if options.stride is None else _two(options.stride, "--stride"),
        edge=options.edge,
        min_visible=options.min_visible,
        drop_empty=options.drop_empty,
    )
    options.output.mkdir(parents=True, exist_ok=True)
    if not options.no_images:
        with progress_bar("tiles", options.quiet) as report:
            tiled = write_pictures(tiled, options.output / "images", report=report)
    loss = _dataset.write(tiled, options.output / _dataset.file_name("annotations", options.to), options)
    print(f"{dataset}\n-> {tiled}")
    if not loss.masks_kept:
        print(loss)
    return 0


def _two(given: list[int], name: str) -> tuple[int, int]:
    if len(given) > 2 or min(given) < 1:
        raise ValueError(f"{name} must be one or two lengths of at least 1, not {' '.join(map(str, given))}")
    return given[0], given[-1]
