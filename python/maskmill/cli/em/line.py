"""maskmill em run: the whole line."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from maskmill.cli._shared import add_quiet

_EPILOG = """\
examples:
  maskmill em run raw/ out/                     videos, volumes, images: out/training/<dataset>/<name>.tiff
  maskmill em run raw/ out/ --no-filter         keep what is not informative, too
  maskmill em run --config line.toml            all in a file
  maskmill em run raw/ out/ --dry-run           the commands that would be run

line.toml has inputs, out and the options of each verb by their long names:
  inputs = ["raw"]
  out = "out"
  [patchify]
  axes = [0]
  min-distance = 10
  [filter]
  threshold = 0.7

Given again after an interruption, it goes on where it was.

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for the inputs that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "run",
        help="the whole line, from a folder to a training layout",
        description="Videos to stacks, volumes and images to patches without near-duplicates, and of these the "
        "informative ones: OUT/stacks, OUT/patches, OUT/training.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("paths", metavar="INPUT... OUT", nargs="*", help="files, folders; the last is written to")
    p.add_argument("--config", metavar="FILE", help="options of each verb (TOML)")
    p.add_argument("--no-filter", action="store_true", help="keep what is not informative, too")
    p.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.em.run import read_config, steps

    config = read_config(options.config) if options.config else {}
    inputs, out = config.get("inputs", []), config.get("out")
    if options.paths:
        inputs, out = options.paths[:-1] or inputs, options.paths[-1]
    if not inputs or not out:
        raise ValueError("there must be INPUT... and OUT, here or in --config")
    if options.no_filter:
        config["filter"] = False
    worst = 0
    for step in steps(inputs, out, config):
        arguments = ["em", step.verb, *step.arguments, *(["--quiet"] if options.quiet else [])]
        print("maskmill", *arguments, flush=True)
        if not options.dry_run:
            worst = max(worst, _run(arguments))
    return worst


def _run(arguments: list[str]) -> int:
    """Run a verb as from the command line; what stops it stops the line."""
    from maskmill.cli import em, parser

    code = em.run(parser().parse_args(arguments))
    if code not in (0, 3):
        print(f"maskmill em run: {arguments[1]} failed, the line ends", file=sys.stderr)
        raise SystemExit(code)
    return code
