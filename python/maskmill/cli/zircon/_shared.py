"""What several verbs of `maskmill zircon` have in common: options of the transform, and of standards."""

from __future__ import annotations

import argparse


def add_transform(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--compat",
        action="store_true",
        help="one mean scale for both axes, with colab_zirc_dims' pixels; by default each axis has its own",
    )
    p.add_argument(
        "--pixels",
        action="store_true",
        help="where a mosaic has no .Align file, take the shots' coordinates for its pixels",
    )


def add_standards(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--pattern",
        metavar="REGEX",
        help="descriptions of standards, whole, such as 'FC|SL|R33' (default: all but 'Spot N')",
    )
