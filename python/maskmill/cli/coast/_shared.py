"""What several verbs of `maskmill coast` have in common: files and folders, workers, what became of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from maskmill.cli._shared import add_quiet, require

if TYPE_CHECKING:
    from maskmill.studies.coast.ledger import Report
    from maskmill.studies.coast.mapping import Remap

RESUMED = """\
OUT gets manifest.json and manifest.csv: for each file its SHA-256 and what was made of it. Given again after an
interruption, or with more files, the verb goes on: files that did not change are passed over."""


def add_folders(p: argparse.ArgumentParser, what: str = "a result (.npz), or a folder of them") -> None:
    """Options of verbs that make a folder of many files."""
    p.add_argument("input", type=Path, metavar="INPUT", help=what)
    p.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    p.add_argument(
        "-p", "--processes", type=int, metavar="N", help="processes (default: threads, one per processor)"
    )
    p.add_argument("--overwrite", action="store_true", help="do all again, whatever was done in OUT before")
    add_quiet(p)


def add_classes(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--classes",
        metavar="A,B,...",
        help="names of the classes, for files that have none (before June 2021), or a text file with one on each line",
    )


def add_remap(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--remap",
        metavar="JSON",
        help="change classes by a configuration; 'default': superclasses of Coast Train",
    )
    p.add_argument("--unmapped", metavar="CLASS", help="new class of those that have no alias")


def remap_of(options: argparse.Namespace) -> Remap | None:
    """What --remap, or --config of remap, says."""
    from maskmill.studies.coast.mapping import built_in, read_remap

    if options.remap is None:
        if options.unmapped is not None:
            raise ValueError("--unmapped needs --remap")
        return None
    return (
        built_in(options.unmapped)
        if options.remap == "default"
        else read_remap(options.remap, options.unmapped)
    )


def classes_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The names that --classes says."""
    if not options.classes:
        return ()
    if options.classes.lower().endswith(".txt"):
        lines = Path(options.classes).read_text(encoding="utf-8-sig").splitlines()
        return tuple(name for line in lines if (name := line.strip()))
    return tuple(name.strip() for name in options.classes.split(","))


def check_folders(options: argparse.Namespace) -> None:
    require(options, processes=1)


def tell(report: Report, verb: str, said: str) -> int:
    """What failed, on stderr, and how much was done; gives the exit code."""
    for failure in report.failed:
        print(f"maskmill coast {verb}: {failure.reason}", file=sys.stderr)
    unchanged = f", {report.unchanged} were done before" if report.unchanged else ""
    failed = f", {len(report.failed)} failed" if report.failed else ""
    print(f"{report.done} files{unchanged}{failed}: {said}")
    return 3 if report.failed else 0
