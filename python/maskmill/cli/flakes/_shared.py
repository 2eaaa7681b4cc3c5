"""What several verbs have in common."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

OVERLAP = "where flakes overlap: the later one wins, the smaller one, or that is an error (default: order)"


def add_overlap(p: argparse.ArgumentParser) -> None:
    p.add_argument("--overlap", choices=("order", "small", "error"), default="order", help=OVERLAP)
    p.add_argument(
        "--palette", action="store_true", help="give semantic masks colours; pixels stay numbers of classes"
    )


def pair(text: str) -> tuple[str, int]:
    """NAME=NUMBER."""
    name, equals, number = text.rpartition("=")
    if not equals or not name or not number.lstrip("-").isdecimal():
        raise argparse.ArgumentTypeError(f"must be NAME=NUMBER, not {text!r}")
    return name, int(number)


def write_json(path: Path, content: Any) -> None:
    from maskmill._files import written_whole

    with written_whole(path) as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False).encode())


def write_csv(path: Path, table: Any) -> None:
    """A `Table`; what is not known is empty."""
    import csv
    import io

    from maskmill._files import written_whole

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.names)
    for row in table:
        writer.writerow([_cell(value) for value in row.values()])
    with written_whole(path) as file:
        file.write(text.getvalue().encode())


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if value != value else f"{value:.7g}"
