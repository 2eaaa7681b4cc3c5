"""maskmill split: annotations into parts for training, validation, testing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from maskmill.cli import _dataset
from maskmill.cli._shared import progress_bar

_EPILOG = """\
examples:
  maskmill split all.json out/ train=0.8 val=0.2                 out/train.json, out/val.json, out/split.json
  maskmill split all.json out/ train=70 val=20 test=10 --stratify
  maskmill split all.json out/ train=0.8 val=0.2 --group sample  images of one sample stay together
  maskmill split all.json out/ train=0.8 val=0.2 --copy-images   with the pictures: out/train/, out/val/

The same seed gives the same parts. out/split.json says which image is where.
"""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "split",
        help="annotations into parts for training, validation, testing",
        description="Share images out to parts: at random, by groups, or with every category in proportion.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _dataset.add_input(p)
    p.add_argument("output", metavar="OUT", type=Path, help="folder to write to")
    p.add_argument("parts", metavar="NAME=SHARE", nargs="+", help="parts, such as train=0.8 val=0.2")
    p.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    p.add_argument(
        "--stratify", action="store_true", help="share out the instances of every category in proportion"
    )
    p.add_argument("--group", metavar="NAME", help="attribute of images; those of one group stay together")
    p.add_argument("--copy-images", action="store_true", help="also put the pictures into OUT/<part>/")
    p.add_argument(
        "--link", action="store_true", help="link the pictures instead of copying them, where possible"
    )
    _dataset.add_output(p, "coco")


def run(options: argparse.Namespace) -> int:
    from maskmill._files import written_whole
    from maskmill.io.pictures import write_pictures

    shares = _dataset.pairs(options.parts, "parts")
    wrong = [
        name
        for name, share in shares.items()
        if isinstance(share, bool) or not isinstance(share, int | float)
    ]
    if wrong:
        raise ValueError(f"parts must be NAME=SHARE, such as train=0.8, not {wrong[0]}={shares[wrong[0]]}")
    dataset = _dataset.read(options)
    parts = dataset.split(shares, seed=options.seed, stratify=options.stratify, group=options.group)
    options.output.mkdir(parents=True, exist_ok=True)
    where = {}
    for name, part in parts.items():
        if options.copy_images:
            with progress_bar(name, options.quiet) as report:
                part = write_pictures(part, options.output / name, link=options.link, report=report)
        loss = _dataset.write(part, options.output / _dataset.file_name(name, options.to), options)
        where[name] = part.images["file_name"].tolist()
        print(f"{name}: {part}" + ("" if loss.masks_kept else f"\n{loss}"))
    with written_whole(options.output / "split.json") as file:
        said = {"seed": options.seed, "shares": shares, "stratify": options.stratify, "group": options.group}
        file.write(json.dumps({**said, "images": where}, indent=1).encode())
    return 0
