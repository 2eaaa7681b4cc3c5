"""maskmill zircon clip: a picture for each shot."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.zircon._shared import add_standards, add_transform

_EPILOG = """\
what it writes:
  OUT/<sample>/<sample>_<shot>.png    the window around a shot, from the mosaic's own pixels
  OUT/<sample>/<sample>_<shot>.json   where it is from: shot, stage, scale, window, padding, and the transform from
                                      places on the picture to µm of the stage
  OUT/<sample>/<sample>_<shot>.pgw    the same transform as a world file
  OUT/clips.csv                       a row for each spot, with what became of it
  OUT/clip.json                       settings
Given again after an interruption, it checks what is there, and writes what is missing or damaged.

Mosaics may be larger than memory: of BMP and TIFF, a window's rows or tiles alone are read.

examples:
  maskmill zircon clip project/ clips/
  maskmill zircon clip project/ clips/ --only selected.csv --edges reject
  maskmill zircon clip project/ clips/ --field 400 --edges reflect --format tif
  maskmill zircon clip project/ clips/ --compat --equalize low      colab_zirc_dims' pixels

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for the samples that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "clip",
        help="a picture for each shot, and where it is from",
        description="Cut a window around each spot of a mosaic project, with a sidecar that takes places on it back "
        "to the stage.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("project", type=Path, metavar="PROJECT", help="folder with mosaic_info.csv")
    p.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    p.add_argument("--field", type=float, metavar="UM", help="side of a window, instead of Max_grain_size")
    p.add_argument(
        "--only", type=Path, metavar="CSV", help="these shots alone: the table of `sample`, or one like it"
    )
    p.add_argument(
        "--sample", action="append", default=[], metavar="NAME", help="this sample alone; may be repeated"
    )
    p.add_argument(
        "--edges",
        choices=("zero", "reflect", "constant", "reject"),
        default="zero",
        help="what lies beyond the mosaic: black (default), its mirror image, --value, or leave such windows out",
    )
    p.add_argument("--value", type=int, default=0, metavar="N", help="for --edges constant (default: 0)")
    p.add_argument("--format", choices=("png", "tif"), default="png", help="of the pictures (default: png)")
    p.add_argument(
        "--equalize",
        choices=("never", "low", "always"),
        default="never",
        help="equalise each channel of mosaics of low contrast, or of all; sidecars tell (default: never)",
    )
    p.add_argument(
        "--selected-only", action="store_true", help="leave out spots that the list has not selected"
    )
    p.add_argument(
        "--max-outside", type=int, default=3, metavar="N", help="shots that may be off a mosaic (default: 3)"
    )
    add_standards(p)
    add_transform(p)
    p.add_argument(
        "--overwrite",
        action="store_true",
        help="write all anew, whatever is there; nothing is removed",
    )
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.zircon.clips import clip
    from maskmill.studies.zircon.scanlists import STANDARDS

    require(options, max_outside=0)
    with progress_bar("clipping", options.quiet) as report:
        done = clip(
            options.project,
            options.out,
            field=options.field,
            edges=options.edges,
            value=options.value,
            format=options.format,
            equalize=options.equalize,
            only=options.only,
            samples=options.sample,
            selected_only=options.selected_only,
            pattern=options.pattern or STANDARDS,
            max_outside=options.max_outside,
            compat=options.compat,
            pixels=options.pixels,
            overwrite=options.overwrite,
            progress=report,
        )
    for name, reason in done.failed:
        print(f"maskmill zircon clip: sample {name}: {reason}", file=sys.stderr)
    left_out = ", ".join(f"{n} {status}" for status, n in done.counts.items() if status != "clipped")
    print(
        f"wrote {done.written} clips, kept {done.kept} that were there"
        + (f", left out {left_out}" if left_out else "")
        + (f"; {len(done.failed)} samples failed" if done.failed else "")
    )
    return 3 if done.failed else 0
