"""maskmill em mrc2byte: MRC volumes to unsigned bytes, and binned."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.em._convert import SCALING, add_scaling, tell
from maskmill.cli.em._shared import add_workers, require_grey

_EPILOG = f"""\
examples:
  maskmill em mrc2byte tomograms bytes
  maskmill em mrc2byte tomo.mrc bytes --scale percentile 0.1 99.9
  maskmill em mrc2byte tomograms bytes --bin 2

Bytes of mode 0 become unsigned as by IMOD's "newstack -by 0": 128 is added to signed ones, unsigned ones stay.
Other modes are scaled. Whether mode 0 is signed is seen from IMOD's stamp and the header's maximum; --signed and
--unsigned overrule it. Voxels are streamed, and the inputs are never touched. --bin 2 is IMOD's binvol: the name
gets BV2, and the voxel size grows. Readers that do not know IMOD's stamp take bytes of mode 0 for signed (mrcfile) or
for unsigned (ITK).

{SCALING}
exit codes: 0 done, 2 wrong usage, 3 done but for the volumes that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "mrc2byte",
        help="MRC volumes to unsigned bytes, and binned",
        description="Write MRC volumes as unsigned bytes, with IMOD's stamp that says so; needs no IMOD.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("inputs", metavar="INPUT", nargs="+", type=Path, help="MRC files, or folders of them")
    p.add_argument("out", metavar="OUT", type=Path, help="folder to write to")
    add_scaling(p, "a whole volume")
    p.add_argument("--bin", type=int, default=1, metavar="N", help="mean of N x N x N voxels (default: 1)")
    sign = p.add_mutually_exclusive_group()
    sign.add_argument("--signed", dest="signed", action="store_true", default=None, help="mode 0 is signed")
    sign.add_argument("--unsigned", dest="signed", action="store_false", help="mode 0 is unsigned")
    p.add_argument("--overwrite", action="store_true", help="replace files that are there")
    add_workers(p, default=1)
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.io.intensity import parse_policy
    from maskmill.studies.em.mrc2byte import mrc2byte

    require(options, bin=1, processes=1)
    require_grey(options, "nonfinite")
    policy, values = parse_policy(options.scale)
    with progress_bar("converting", options.quiet) as progress:
        report = mrc2byte(
            options.inputs,
            options.out,
            policy=policy,
            values=values,
            nonfinite=options.nonfinite,
            bin=options.bin,
            signed=options.signed,
            overwrite=options.overwrite,
            workers=options.processes,
            progress=progress,
        )
    return tell(report, "mrc2byte", options.quiet)
