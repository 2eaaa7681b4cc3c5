"""maskmill fetch: the published data sets of five families."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskmill.fetch import Fetched, Published

_EPILOG = """\
examples:
  maskmill fetch --list                               what there is, how large; asks no server
  maskmill fetch coast --list
  maskmill fetch coast NAIP_6_001                     into coast/, and unpacked into coast/NAIP_6_001/
  maskmill fetch flakes 'Real_*' --to data/flakes     all that fit a pattern
  maskmill fetch zircon czd_orig --no-unzip
  maskmill fetch coast --mirror http://server/coast   from a copy in your own network

The same command again goes on where the last one ended, whatever ended it, and verifies what is there: the SHA-256
of each file is recorded in FOLDER/maskmill-fetch.json when it is fetched for the first time. Some data sets (core, em)
have a page to be read instead of a file: its address is printed.

exit codes: 0 done, 1 something failed, 2 wrong usage
"""


def add_parser(verbs: Any) -> None:
    from maskmill.fetch import FAMILIES

    p = verbs.add_parser(
        "fetch",
        help="download published data sets: resumed, verified, unpacked",
        description="Download the published data sets of a family of studies: resumed, verified, unpacked safely.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("family", metavar="FAMILY", nargs="?", choices=FAMILIES, help=", ".join(FAMILIES))
    p.add_argument(
        "names", metavar="NAME", nargs="*", help="data sets, by name or pattern (default: all of the family)"
    )
    p.add_argument(
        "--list", action="store_true", help="print names, sizes and notes, ask no server, and stop"
    )
    p.add_argument("--to", metavar="FOLDER", type=Path, help="where to put them (default: ./FAMILY)")
    p.add_argument("--no-unzip", action="store_true", help="leave archives as they are")
    p.add_argument(
        "--mirror", metavar="URL", help="folder on the web that has the files, instead of their publishers"
    )
    p.add_argument(
        "--timeout",
        metavar="S",
        type=float,
        default=60.0,
        help="seconds without a byte to wait (default: 60)",
    )
    p.add_argument(
        "--retries",
        metavar="N",
        type=int,
        default=5,
        help="tries after one that brought nothing (default: 5)",
    )
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(options: argparse.Namespace) -> int:
    from maskmill.fetch import FAMILIES, fetch, select

    if options.list:
        families = [options.family] if options.family else FAMILIES
        _list([file for family in families for file in select(family, options.names)])
        return 0
    if options.family is None:
        raise ValueError(f"say which family: {', '.join(FAMILIES)}; --list shows what they have")
    folder = options.to or Path(options.family)
    failed = 0
    with _Bar(quiet=options.quiet) as bar:
        for fetched in fetch(
            options.family,
            options.names,
            folder,
            mirror=options.mirror,
            extract=not options.no_unzip,
            timeout=options.timeout,
            retries=options.retries,
            progress=bar.show,
        ):
            bar.clear()
            failed += fetched.error is not None
            _print(fetched)
    return 1 if failed else 0


def _list(files: Sequence[Published]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column, justify in (("family", "left"), ("name", "left"), ("size", "right"), ("note", "left")):
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for file in files:
        size = "page" if file.is_page else file.size or "?"
        table.add_row(file.family, file.name, size, f"{file.note}: {file.url}" if file.is_page else file.note)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(table)


def _print(fetched: Fetched) -> None:
    """What became of a file: on stdout, or on stderr if it failed."""
    file = fetched.file
    if fetched.error is not None:
        from maskmill.cli import sentence

        said = sentence(fetched.error)
        print(f"maskmill fetch: {'' if file.name in said else f'{file.name}: '}{said}", file=sys.stderr)
    elif fetched.path is None:
        print(f"{file.name}: nothing to download; read {file.url} ({file.note})")
    else:
        done = "downloaded" if fetched.new else "there already, unchanged"
        if fetched.unzipped is not None:
            done += f"; {fetched.unzipped.files} files in {fetched.unzipped.folder}"
        print(f"{fetched.path}: {done}", flush=True)


class _Bar:
    """A bar of bytes on stderr: one line for what is done now."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = Console(stderr=True, quiet=quiet)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=True,
        )
        self._what = ""

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, what: str, name: str, done: int, size: int) -> None:
        """As `maskmill.fetch.fetch` calls it."""
        if self._what != f"{what} {name}":
            self.clear()
            self._what = f"{what} {name}"
            self._task = self._bar.add_task(self._what, total=size or None, completed=done)
        self._bar.update(self._task, completed=done, total=size or None)

    def clear(self) -> None:
        """Nothing is done just now."""
        if self._what:
            self._bar.remove_task(self._task)
            self._what = ""
