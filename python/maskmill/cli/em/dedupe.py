"""maskmill em dedupe: near-duplicates among patches that are there already."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet
from maskmill.cli.em.patchify import add_rule, bar, rule, tell

_EPILOG = """\
examples:
  maskmill em dedupe patches/ unique/                       a store of patchify
  maskmill em dedupe old/*.pkl new/ unique/ --scope all     pickles of cem-dataset and a store, all against all
  maskmill em dedupe tree/ unique/ -d 8 --layout files      a tree <dataset>/<name>.tiff

It writes what patchify writes. Given again after an interruption, it goes on where it was.

exit codes: 0 done, 2 wrong usage or a bad OUT, 3 done but for the inputs that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "dedupe",
        help="drop near-duplicates among patches, within and across files",
        description="Write those patches of stores, pickles and <dataset>/<name>.tiff trees that resemble no other.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "inputs", metavar="INPUT", nargs="+", type=Path, help="stores, pickles or folders of them, trees"
    )
    p.add_argument("out", metavar="OUT", type=Path, help="folder to write to")
    p.add_argument(
        "-cs", "--crop-size", "--crop_size", type=int, default=224, metavar="N", help="default: 224"
    )
    add_rule(p)
    p.add_argument("--layout", default="store", choices=("store", "files", "pickle"), help="default: store")
    p.add_argument("--retry", action="store_true", help="try again the inputs that failed before")
    p.add_argument(
        "--overwrite", action="store_true", help="begin anew, whatever OUT holds of an earlier run"
    )
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.em.dedupe import Settings, dedupe

    hash_size, chosen = rule(options)
    settings = Settings(chosen, hash_size, options.crop_size, options.scores, options.layout)
    with bar(options.quiet) as progress:
        report = dedupe(
            options.inputs,
            options.out,
            settings,
            progress=progress,
            retry=options.retry,
            overwrite=options.overwrite,
        )
    return tell(report, "dedupe", options)
