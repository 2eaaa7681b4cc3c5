"""maskmill em crop-rois: random cubes of volumes in files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import require

_EPILOG = """\
examples:
  maskmill em crop-rois brain.mrc cubes -cs 256 -gb 5
  maskmill em crop-rois cell.ome.tif tissue.h5 cubes --count 20 --to-uint8 percentile 0.5 99.5
  maskmill em crop-rois em.zarr cubes --level 1 --dry-run

"""


def add_parser(steps: Any) -> None:
    from maskmill.cli.em import _cubes

    p = steps.add_parser(
        "crop-rois",
        help="take random cubes of large volumes",
        description="Take random cubes of volumes that are too large to use whole, and leave out padding.",
        epilog=_EPILOG + _cubes.PLANS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "fpath", metavar="FPATH", nargs="+", help="volumes: nrrd, mrc, tiff, nii, h5, zarr, N5, slices ..."
    )
    p.add_argument("save_path", metavar="SAVE_PATH", type=Path, help="folder for the cubes")
    p.add_argument(
        "-cs",
        "--crop-size",
        "--crop_size",
        metavar="N",
        type=int,
        default=256,
        help="edge of a cube (default: 256)",
    )
    p.add_argument(
        "--padding-value",
        "--padding_value",
        metavar="VALUE",
        type=float,
        default=0.0,
        help="of voxels outside of the specimen (default: 0)",
    )
    p.add_argument("--invert", action="store_true", help="invert the contrast of the cubes")
    p.add_argument("--level", metavar="N", type=int, default=0, help="of a pyramid (default: 0, the finest)")
    p.add_argument("--dataset", metavar="PATH", help="of the array within an HDF5, zarr or N5 container")
    p.add_argument("--channel", metavar="N", type=int, default=0, help="to take (default: 0)")
    _cubes.add_options(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.cli.em import _cubes
    from maskmill.studies.em.crop import file_jobs

    require(options, level=0, channel=0)
    jobs = file_jobs(
        options.fpath,
        _cubes.wish_of(options),
        level=options.level,
        dataset=options.dataset,
        channel=options.channel,
    )
    outcomes = _cubes.run(jobs, options)
    if all(outcome.failures and outcome.plan is None for outcome in outcomes):
        return 2
    return 3 if any(outcome.failures for outcome in outcomes) else 0
