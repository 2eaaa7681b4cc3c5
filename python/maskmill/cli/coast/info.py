"""maskmill coast info: what happened from trial to trial, and what is suspicious in the labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.coast._shared import add_classes, classes_of

if TYPE_CHECKING:
    from maskmill.studies.coast.timeline import Step

_EPILOG = """\
examples:
  maskmill coast info result.npz
  maskmill coast info results/ --quality               parts, crumbs, holes, conflicts of each label
  maskmill coast info old.npz --classes water,land     names for a file that has none
  maskmill coast info results/ --json > results.json

Trials are told from the oldest to the newest. In the file, the newest has no prefix, and the more zeros the arrays of
a trial have before their names, the older it is.

exit codes: 0 done, 2 wrong usage, 3 done but for the files that are listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "info",
        help="what is in files: trials, settings, what changed; what is suspicious in labels",
        description="Tell of each trial of Doodler's result files its era, settings and classes, what was drawn and "
        "labelled, and what is other than in the trial before it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("inputs", nargs="+", type=Path, metavar="NPZ", help="result files, or folders of them")
    p.add_argument("--quality", action="store_true", help="look for what is suspicious in the labels, too")
    p.add_argument(
        "--tiny",
        type=int,
        default=10,
        metavar="PX",
        help="parts of fewer pixels are crumbs (default: 10)",
    )
    p.add_argument("--json", action="store_true", help="the same as JSON")
    add_classes(p)
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.io._parse import dump_json
    from maskmill.studies.coast import find, name_of, quality, read, timeline

    require(options, tiny=1)
    classes = classes_of(options)
    told, failed = [], 0
    files = [file for given in options.inputs for file in find(given)]
    for path in _counted(files, options.quiet or not options.json):
        try:
            steps = timeline(read(path, classes=classes))
            found = [quality(step.trial, tiny=options.tiny) if options.quality else None for step in steps]
        except (OSError, ValueError) as error:
            print(f"maskmill coast info: {error}", file=sys.stderr)
            failed += 1
            continue
        name = name_of(path)
        if options.json:
            rows = [
                {**step.to_json(), **({"quality": one.to_json()} if one else {})}
                for step, one in zip(steps, found, strict=True)
            ]
            told.append(
                {"file": str(path), "stem": name.stem, "user": name.user, "date": name.date, "trials": rows}
            )
            continue
        when = f", {name.date:%Y-%m-%d %H:%M}" if name.date else ""
        print(f"{path}: {name.stem}, by {name.user or 'nobody known'}{when}")
        for step, one in zip(steps, found, strict=True):
            _print(step, one)
    if options.json:
        print(dump_json(told, indent=True).decode())
    return 3 if failed else 0


def _counted(files: list[Path], quiet: bool) -> Iterator[Path]:
    """The same, with a progress bar where nothing else tells how far it is."""
    with progress_bar("reading", quiet) as progress:
        for done, path in enumerate(files, 1):
            yield path
            if progress is not None:
                progress(done, len(files), path.name)


def _print(step: Step, quality: Any) -> None:
    from maskmill.studies.coast.quality import problems

    trial = step.trial
    height, width = trial.size
    prefix = f", prefix {trial.prefix!r}" if trial.prefix else ", the newest"
    print(f"  trial {step.number}{prefix}: {width} x {height} px, settings {trial.era}")
    if step.number == 1:
        print(
            "    "
            + (", ".join(f"{name} {value:g}" for name, value in trial.settings.items()) or "no settings")
        )
    elif step.settings_changed:
        changes = (f"{name} {a:g} -> {b:g}" for name, (a, b) in step.settings_changed.items())
        print(f"    settings changed: {', '.join(changes)}")
    shares = (f"{name} {100 * n / (height * width):.1f} %" for name, n in step.labels.items())
    print(f"    labelled: {', '.join(shares)}")
    drawn = ", ".join(f"{name} {n}" for name, n in step.doodles.items())
    agree = f"; {100 * step.agreeing / step.drawn:.1f} % have that label" if step.drawn else ""
    print(f"    drawn: {100 * step.drawn / (height * width):.1f} % ({drawn} px){agree}")
    if step.labels_changed is not None:
        print(
            f"    changed: {step.labels_changed} px of the label, {step.doodles_changed} px of what was drawn"
        )
    for line in problems(quality) if quality else ():
        print(f"    {line}")
