"""maskmill em video2stack: videos to stacks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.em._convert import channel, tell
from maskmill.cli.em._shared import add_workers

_EPILOG = """\
examples:
  maskmill em video2stack videos stacks
  maskmill em video2stack clip.mov stacks --format tif --step 10
  maskmill em video2stack clip.mp4 stacks --channel 2 --start 100 --end 400

A stack is named as its video, with "_video" behind it unless it has that word: maskmill em patchify then cuts its
frames only, never across time. Two videos of one name (a.mp4, a.avi) get their extensions in it. Frames are
streamed; the frame rate is kept.

exit codes: 0 done, 2 wrong usage, 3 done but for the videos that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "video2stack",
        help="videos to stacks (t, y, x)",
        description="Write videos (mp4, avi, mov, mkv, m4v, webm) as stacks of gray frames, nrrd or tiff.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("inputs", metavar="INPUT", nargs="+", type=Path, help="videos, or folders of videos")
    p.add_argument("out", metavar="OUT", type=Path, help="folder to write to")
    p.add_argument("--format", choices=("nrrd", "tif"), default="nrrd", help="of the stacks (default: nrrd)")
    p.add_argument(
        "--channel",
        type=channel,
        default="luminance",
        metavar="C",
        help="luminance, or 0, 1, 2 for red, green, blue (default: luminance; cem-dataset took blue)",
    )
    p.add_argument("--step", type=int, default=1, metavar="N", help="take every N-th frame (default: 1)")
    p.add_argument("--start", type=int, default=0, metavar="T", help="first frame (default: 0)")
    p.add_argument("--end", type=int, metavar="T", help="first frame not to take (default: all)")
    p.add_argument("--overwrite", action="store_true", help="replace stacks that are there")
    add_workers(p, default=1)
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.em.video2stack import video2stack

    require(options, step=1, start=0, end=1, processes=1)
    if options.end is not None and options.end <= options.start:
        raise ValueError(f"--end must be above --start ({options.start}), not {options.end}")
    with progress_bar("decoding", options.quiet) as progress:
        report = video2stack(
            options.inputs,
            options.out,
            format=options.format,
            channel=options.channel,
            step=options.step,
            start=options.start,
            end=options.end,
            overwrite=options.overwrite,
            workers=options.processes,
            progress=progress,
        )
    return tell(report, "video2stack", options.quiet)
