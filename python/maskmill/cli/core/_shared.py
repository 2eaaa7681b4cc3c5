"""What several verbs of `maskmill core` have in common: options of the scale, of shapes, of labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskmill.studies.core import Scale


def add_scale(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("scale and depth")
    group.add_argument(
        "--length-mm", type=float, metavar="MM", help="what the full photo shows, from end to end"
    )
    group.add_argument("--mm-per-px", type=float, metavar="MM", help="instead: the size of a pixel")
    group.add_argument(
        "--top-m", type=float, default=0.0, metavar="M", help="depth of the photo's upper edge (default: 0)"
    )
    group.add_argument(
        "--full",
        type=pair,
        metavar="ROWS,COLUMNS",
        help="size of the full photo in pixels, if this is a part of it: the scale belongs to the full one",
    )
    group.add_argument(
        "--at",
        type=pair,
        default=(0, 0),
        metavar="ROW,COLUMN",
        help="where the part begins in it (default: 0,0)",
    )


def pair(text: str) -> tuple[int, int]:
    first, comma, second = text.partition(",")
    if not comma or not first.strip().isdecimal() or not second.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"must be two whole numbers such as 2693,396, not {text!r}")
    return int(first), int(second)


def scale_of(options: argparse.Namespace, size: tuple[int, int], *, needed: bool = True) -> Scale | None:
    """The scale of a picture of this size."""
    from maskmill.studies.core import Scale

    full = options.full or size
    if options.at[0] + size[0] > full[0] or options.at[1] + size[1] > full[1]:
        raise ValueError(
            f"--full must hold the picture of {size[0]} x {size[1]} at {options.at[0]}, {options.at[1]}, "
            f"not be {full[0]} x {full[1]}"
        )
    if options.length_mm is not None and options.mm_per_px is not None:
        raise ValueError("--length-mm and --mm-per-px say the same: give one of them")
    if options.mm_per_px is not None:
        return Scale(options.mm_per_px, full[1], options.top_m).crop(*options.at)
    if options.length_mm is not None:
        return Scale.of(options.length_mm, full, top=options.top_m).crop(*options.at)
    if needed:
        raise ValueError("the scale must be said: --length-mm or --mm-per-px")
    return None


def add_shapes(p: argparse.ArgumentParser) -> None:
    group = p.add_argument_group("clasts")
    group.add_argument(
        "--not", dest="skipped", nargs="+", default=[], metavar="CLASS", help="classes that are no clasts"
    )
    group.add_argument(
        "--min-area", type=float, default=0.0, metavar="MM2", help="leave out smaller clasts (default: 0)"
    )
    group.add_argument("--connectivity", type=int, choices=(4, 8), default=8, help="of pixels (default: 8)")
    group.add_argument("--separate", choices=("erosion", "watershed"), help="part clasts that touch")
    group.add_argument(
        "--steps",
        type=int,
        default=4,
        metavar="N",
        help="how often to erode, or how far peaks are apart (default: 4)",
    )
    group.add_argument("--bin-mm", type=float, default=10.0, metavar="MM", help="of the logs (default: 10)")
    group.add_argument(
        "--weights", choices=("number", "area"), default="number", help="of D10, D50, D90 (default: number)"
    )


def shape_options(options: argparse.Namespace, legend: Any) -> dict[str, Any]:
    """Keywords of `studies.core.shapes`, for a legend that has all classes."""
    skipped = {legend.id_of(name) for name in options.skipped}
    return {
        "legend": legend,
        "only": [number for number in legend.ids if number not in skipped],
        "connectivity": options.connectivity,
        "separate": options.separate,
        "steps": options.steps,
        "min_area": options.min_area,
    }


LEGEND = "names and colours: a .json, an ilastik project, or chicxulub (default: what the labels say)"


def add_legend(p: argparse.ArgumentParser) -> None:
    p.add_argument("--legend", metavar="LEGEND", help=LEGEND)


def add_labels(p: argparse.ArgumentParser, *, needed: bool = True) -> None:
    p.add_argument("photo", type=Path, metavar="PHOTO", help="photo of a core, top up")
    p.add_argument(
        "--labels",
        type=Path,
        nargs="+",
        required=needed,
        metavar="FILE",
        help="what was painted: ilastik (.h5, .ilp), label images, Doodler, polygons of any format",
    )
    add_legend(p)
    p.add_argument(
        "--conflict",
        choices=("error", "first", "last", "none"),
        default="error",
        help="where files give a pixel different classes: refuse, the first or last file's, none (default: error)",
    )
    p.add_argument(
        "--merge", nargs="+", type=_merged, default=[], metavar="FROM=TO", help="count a class as another one"
    )


def _merged(text: str) -> tuple[str, str]:
    name, equals, target = text.partition("=")
    if not equals or not name or not target:
        raise argparse.ArgumentTypeError(f"must be FROM=TO, not {text!r}")
    return name, target
