"""maskmill densify apply: label photos by a model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli import sentence
from maskmill.cli._shared import Report, add_quiet, progress_bar, require
from maskmill.cli.densify import _shared

_EPILOG = """\
examples:
  maskmill densify apply model.npz photo.jpg --out labels/
  maskmill densify apply model.npz photos/*.jpg --out labels/ --crf --overlay
  maskmill densify apply model.npz photo.jpg --out labels/ --pin strokes.png     painted pixels keep their class
  maskmill densify apply model.npz photo.jpg --out labels/ --probabilities h5 --format h5     for ilastik
  maskmill densify apply model.npz orthophoto.tif --out labels/ --format tif     larger than memory: tile by tile

For each photo: NAME.png (a palette PNG, of which the numbers are the classes), NAME_classes.json (names and colours),
NAME_report.json. Given again, the command does what is not done yet.
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "apply",
        help="label every pixel of photos",
        description="Label every pixel of photos by a model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_quiet(p)
    p.add_argument("model", metavar="MODEL", type=Path, help="what `densify train` wrote")
    p.add_argument("photos", metavar="PHOTO", type=Path, nargs="+")
    p.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="where to write")
    _shared.add_crf(p)
    p.add_argument(
        "--pin", metavar="FILE", type=Path, nargs="+", default=[],
        help="strokes that keep their class: as --labels of `densify train`",
    )  # fmt: skip
    p.add_argument(
        "--format", choices=("png", "tif", "h5"), default="png", help="of the labels (default: png)"
    )
    p.add_argument("--probabilities", choices=("npz", "h5"), help="also write these, of all classes")
    p.add_argument("--overlay", action="store_true", help="also write the labels upon the photo, to look at")
    p.add_argument(
        "--tile", type=int, default=768, metavar="PX",
        help="side of the tiles: less takes less memory, the result is the same (default: 768)",
    )  # fmt: skip
    p.add_argument("--again", action="store_true", help="also what was done before by the same model")


def run(options: argparse.Namespace) -> int:
    from maskmill import densify

    require(options, tile=1)
    model = densify.load(options.model)
    stems = [photo.stem for photo in options.photos]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise ValueError(f"photos must have different names, not twice {twice}")
    failed: list[tuple[Path, Exception]] = []
    with progress_bar("labelling", options.quiet) as report:
        for i, photo in enumerate(options.photos):
            if report and len(stems) > 1:
                report(i, len(stems), photo.name)
            try:
                print(_line(photo, _applied(model, photo, i, options, report if len(stems) == 1 else None)))
            except (OSError, ValueError) as error:
                if len(stems) == 1:
                    raise
                failed.append((photo, error))
        if report and len(stems) > 1:
            report(len(stems), len(stems), "")
    for photo, reason in failed:
        print(f"failed: {photo}: {sentence(reason)}", file=sys.stderr)
    return 3 if failed else 0


def _applied(model: Any, photo: Path, i: int, options: argparse.Namespace, report: Report | None) -> Any:
    from maskmill.densify.files import apply, labels_of

    return apply(
        model,
        photo,
        options.out,
        crf=_shared.crf(options.crf),
        pinned=labels_of(photo, i, options.photos, options.pin) if options.pin else (),
        suffix=f".{options.format}",
        probabilities=options.probabilities,
        overlay=options.overlay,
        tile=options.tile,
        again=options.again,
        progress=report,
    )


def _line(photo: Path, found: dict[str, Any] | None) -> str:
    if found is None:
        return f"{photo.name}: done before"
    shares = sorted(found["classes"], key=lambda row: -row["pixels"])
    most = ", ".join(f"{row['name']} {row['share']:.0%}" for row in shares[:4])
    unsure = f"{found['share_below_half']:.0%} of pixels below 0.5"
    pinned = (
        f"; {found['painted']['agreed']:.1%} of painted pixels had their class" if "painted" in found else ""
    )
    return f"{photo.name}: {most}; {unsure}{pinned}"
