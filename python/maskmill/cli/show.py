"""maskmill show: pictures of annotations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli import _dataset

_EPILOG = """\
examples:
  maskmill show annotations.json sheet.png                     the first 24 images, with masks and names
  maskmill show annotations.json sheet.png -n 60 --columns 10
  maskmill show via.json one.png --image 'grain_17*'           one image in full size
  maskmill show labels/ sheet.png --images photos/ --random 12 --seed 3
"""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "show",
        help="draw annotations: one picture or a contact sheet",
        description="Draw masks upon their pictures: one image in full size, or a contact sheet of many.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _dataset.add_input(p)
    p.add_argument("output", metavar="OUT", type=Path, help="picture to write (.png, .jpg)")
    p.add_argument(
        "--image", metavar="NAME", help="file name or pattern; if one image fits, it is drawn in full size"
    )
    p.add_argument(
        "-n", metavar="N", type=int, default=24, help="most images of a contact sheet (default: 24)"
    )
    p.add_argument("--random", metavar="N", type=int, help="N images at random")
    p.add_argument("--seed", type=int, default=0, help="of --random (default: 0)")
    p.add_argument(
        "--columns", metavar="N", type=int, help="of a contact sheet (default: about as many as rows)"
    )
    p.add_argument(
        "--side",
        metavar="PX",
        type=int,
        help="longest side of a picture (default: 240 in a sheet, else full)",
    )


def run(options: argparse.Namespace) -> int:
    import cv2

    from maskmill._files import written_whole
    from maskmill.cli._shared import require
    from maskmill.show import contact_sheet, picture

    require(options, n=1, random=1, columns=1, side=8)
    suffix = options.output.suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"OUT must end with .png or .jpg, not {options.output.name!r}")
    dataset = _dataset.read(options)
    if options.image:
        dataset = dataset.select(images=[options.image])
    if options.random:
        dataset = dataset.sample(min(options.random, len(dataset)), seed=options.seed)
    if len(dataset) == 0:
        raise ValueError(f"{options.input}: has no images to show")
    if len(dataset) == 1:
        made = picture(dataset, 0, side=options.side)
    else:
        rows = range(min(options.n, len(dataset)))
        made = contact_sheet(dataset, rows, columns=options.columns, side=options.side or 240)
    with written_whole(options.output) as file:
        file.write(cv2.imencode(suffix, made[..., ::-1])[1].tobytes())
    print(f"wrote {options.output}: {len(dataset):,} images, {len(dataset.instances):,} instances")
    return 0
