"""maskmill em reconstruct: flipbooks and sub-volumes around patches."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.em._shared import add_workers, print_failures

_EPILOG = """\
what it writes:
  SAVEDIR/<exp>-LOC-<axis>_<start>-<stop>_<rows>_<columns>.tif   the axis that was cut comes first; voxel size is kept
  SAVEDIR/subvolumes.parquet                                     volume, box and score of each (.csv without pyarrow)
Given again after an interruption, it goes on where it was.

examples:
  maskmill em reconstruct filtered/ -vd volumes/ -sd flipbooks/
  maskmill em reconstruct filtered/ -vd a/ b/ -sd cubes/ -nz 224 --edge shift --format nrrd
  maskmill em reconstruct filtered/ -vd volumes/ -sd flipbooks/ --legacy-window --max-iou 1   (as cem-dataset does)

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for the volumes that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "reconstruct",
        help="cut flipbooks and sub-volumes around patches",
        description="Cut, for each patch of a filtered tree, some slices before and after it from the volume that it "
        "came from. Of boxes that overlap, the one whose patch scores most is kept.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "filtered",
        type=Path,
        metavar="FILTERED_DIR",
        help="a tree <dataset>/<name>.tiff, as em filter writes",
    )
    p.add_argument(
        "-vd",
        "--volume-dirs",
        "--volume_dirs",
        nargs="+",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where the volumes are, in any format that maskmill reads; found by their names",
    )
    p.add_argument("-sd", "--savedir", type=Path, required=True, help="folder to write to")
    p.add_argument("-nz", "--nz", type=int, default=5, help="slices of each (default: 5)")
    p.add_argument(
        "--edge",
        choices=("skip", "shift", "pad"),
        default="skip",
        help="windows beyond the ends are left out (default), moved inside, or filled with the last slice",
    )
    p.add_argument(
        "--max-iou",
        "--max_iou",
        type=float,
        default=0.1,
        help="leave out what overlaps as much with a better one (default: 0.1; 1 keeps all)",
    )
    p.add_argument("--limit", type=int, metavar="K", help="at most K a data set, those that score most")
    p.add_argument("--seed", type=int, default=0, help="of the order among equal scores (default: 0)")
    p.add_argument(
        "--dtype", choices=("source", "uint8"), default="source", help="of the voxels (default: source)"
    )
    p.add_argument("--format", choices=("tif", "nrrd", "mrc"), default="tif", help="(default: tif)")
    p.add_argument(
        "--legacy-window",
        action="store_true",
        help="cem-dataset's windows: nz + 1 for even nz, never the last slice",
    )
    p.add_argument(
        "--columns",
        action="store_true",
        help="as cem-dataset v0.1: one box for many patches of a tile that lie one behind the other (use -nz 224)",
    )
    add_workers(p)
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.em.reconstruct import Parameters, reconstruct

    require(options, nz=1, limit=1, processes=1)
    if not 0 < options.max_iou <= 1:
        raise ValueError(f"--max-iou must be above 0 and at most 1, not {options.max_iou:g}")
    names = ("nz", "edge", "max_iou", "limit", "seed", "dtype", "format", "legacy_window", "columns")
    parameters = Parameters(**{name: getattr(options, name) for name in names})
    with progress_bar("reconstruct", options.quiet) as report:
        summary = reconstruct(
            options.filtered,
            options.volume_dirs,
            options.savedir,
            parameters,
            workers=options.processes,
            progress=report,
        )
    print(f"{summary.patches:9,} patches")
    print(f"{summary.outside:9,} windows not within their volume")
    print(f"{summary.overlapping:9,} too near to a better one")
    print(f"{summary.written:9,} sub-volumes written, {summary.resumed:,} were there before")
    if not summary.patches and not summary.failed and not summary.ignored:
        print(f"maskmill em reconstruct: {options.filtered}: holds no patches", file=sys.stderr)
    for exp, n in summary.orphans.items():
        print(f"maskmill em reconstruct: {exp}: no folder has this volume, of {n:,} patches", file=sys.stderr)
    if summary.ignored:
        print(
            f"maskmill em reconstruct: {summary.ignored:,} pictures are no patches of volumes",
            file=sys.stderr,
        )
    print_failures(summary.failed, "reconstruct")
    return 3 if summary.failed else 0
