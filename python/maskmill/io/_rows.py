"""Small tables as laboratories have them: in UTF-8, UTF-16 or cp1252, of bounded size; errors name the cell."""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskmill._files import FormatError

LARGEST = 64 << 20
"""Bytes. A scan list of 400 shots has 200 kB."""


@dataclass(frozen=True)
class Row:
    """A row of a table: its cells by column, and the line of the file that it begins in."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def fault(self, column: str, expected: str) -> FormatError:
        found = self.cells.get(column, "")
        shown = repr(found if len(found) <= 80 else found[:80] + "...")
        return FormatError(f"{self.path}: line {self.line}: {column}: expected {expected}, found {shown}")

    def number(self, column: str, *, least: float = -math.inf, above: float = -math.inf) -> float:
        """A finite number, at least `least` and more than `above`."""
        try:
            value = float(self.cells[column])
        except ValueError:
            raise self.fault(column, "a number") from None
        if not abs(value) <= 1e12:
            raise self.fault(column, "a number of an instrument")
        if not value >= least:
            raise self.fault(column, f"a number of {least:g} or more")
        if not value > above:
            raise self.fault(column, f"a number above {above:g}")
        return value


def read_text(path: Path) -> str:
    """The text of a file: by its byte order mark, else UTF-8 if it is that, else cp1252."""
    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(path))
    size = path.stat().st_size
    if size > LARGEST:
        raise FormatError(f"{path}: expected a table of at most {LARGEST >> 20} MiB, found {size:,} bytes")
    data = path.read_bytes()
    encodings = ["utf-8-sig", "cp1252"]
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            fault = error
    raise FormatError(
        f"{path}: byte {fault.start}: expected text in UTF-8 or Windows-1252, found {data[fault.start]:#04x}"
    )


def read_rows(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    *,
    aliases: Mapping[str, str] | None = None,
) -> Iterator[Row]:
    """Rows of a CSV file with a heading. Columns in any order; those that are not asked for are passed over.

    Parameters
    ----------
    required, optional : names of columns
        An optional one that the file lacks is not among the cells.
    aliases : dict
        Old names of columns, and what they are called now.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        heading = next(reader, [])
        names = [(aliases or {}).get(name.strip(), name.strip()) for name in heading]
        for column in required:
            if column not in names:
                raise FormatError(f"{path}: line 1: expected a column {column!r}, found {_shown(names)}")
        for column in {*required, *optional}:
            if names.count(column) > 1:
                raise FormatError(
                    f"{path}: line 1: expected one column {column!r}, found {names.count(column)}"
                )
        places = {name: names.index(name) for name in (*required, *optional) if name in names}
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if len(cells) != len(names):
                    raise FormatError(f"{path}: line {line}: expected {len(names)} cells, found {len(cells)}")
                yield Row(path, line, {name: cells[place].strip() for name, place in places.items()})
            line = reader.line_num + 1
    except csv.Error as error:
        raise FormatError(
            f"{path}: line {reader.line_num}: expected a row of CSV, found none ({error})"
        ) from None


def _shown(names: Sequence[str]) -> str:
    text = ", ".join(repr(name) for name in names[:12])
    return (text if len(text) <= 200 else text[:200] + "...") or "an empty line"
