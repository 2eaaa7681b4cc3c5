"""Tables as files: CSV, Markdown, HTML. The micro sign is U+00B5 in all of them."""

from __future__ import annotations

import csv
import html
import io
import math
from pathlib import Path
from typing import Any

from maskmill._files import written_whole
from maskmill.dataset import Table

SUFFIXES = (".csv", ".md", ".html")


def write_table(table: Table, path: Path, *, title: str = "") -> None:
    """By the suffix: .csv (UTF-8 with a byte order mark, all digits), .md or .html (4 significant digits)."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: a table must be {', '.join(SUFFIXES)}, not {suffix or 'without suffix'}")
    text = {".csv": to_csv, ".md": to_markdown, ".html": to_html}[suffix](table, title)
    with written_whole(path) as file:
        file.write(text.encode("utf-8-sig" if suffix == ".csv" else "utf-8"))


def to_csv(table: Table, title: str = "") -> str:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(table.names)
    for row in table:
        out.writerow("" if isinstance(v, float) and math.isnan(v) else v for v in row.values())
    return text.getvalue()


def to_markdown(table: Table, title: str = "") -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"

    marks = ["---:" if table[name].dtype.kind in "iuf" else "---" for name in table.names]
    lines = [line([*map(_text, row.values())]) for row in table]
    head = f"## {title}\n\n" if title else ""
    return head + line(list(table.names)) + line(marks) + "".join(lines)


def to_html(table: Table, title: str = "") -> str:
    def row(tag: str, cells: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>\n"

    rows = "".join(row("td", [*map(_text, cells.values())]) for cells in table)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n"
        "<style>body{font-family:sans-serif}table{border-collapse:collapse}"
        "td,th{border:1px solid #bbb;padding:.2em .6em;text-align:right}td:first-child{text-align:left}</style>\n"
        f"</head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        f"<table>\n<thead>\n{row('th', list(table.names))}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
        "</body>\n</html>\n"
    )


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)
