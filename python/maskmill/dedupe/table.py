"""Codes from before, by the content of what was hashed: rows are added, never changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maskmill._files import FormatError, need, written_whole


class Row(NamedTuple):
    """One code."""

    digest: str
    """BLAKE2b of the file, 16 bytes, hexadecimal."""
    profile: str
    view: int
    code: tuple[int, ...]
    height: int
    width: int
    flat: bool


class CodeTable:
    """Rows by digest, profile and view."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows = {row[:3]: row for row in rows}
        self.new = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, digest: str, profile: str, view: int) -> Row | None:
        return self._rows.get((digest, profile, view))

    def add(self, row: Row) -> Row:
        """The row as it is in the table: one that is there stays."""
        before = len(self._rows)
        kept = self._rows.setdefault(row[:3], row)
        self.new += len(self._rows) > before
        return kept

    @classmethod
    def read(cls, path: str | Path) -> CodeTable:
        """A table that `write` wrote, `.parquet` or `.csv`.

        Raises
        ------
        FormatError
            If it is something else.
        """
        columns = read_columns(Path(path), Row._fields)
        try:
            return cls(
                Row(
                    str(digest),
                    str(profile),
                    int(view),
                    tuple(int(code[k : k + 16], 16) for k in range(0, len(code), 16)),
                    int(height),
                    int(width),
                    str(flat) == "True",
                )
                for digest, profile, view, code, height, width, flat in zip(*columns, strict=True)
            )
        except (ValueError, TypeError) as error:
            raise FormatError(f"{path}: not a table of codes ({error})") from None

    def write(self, path: str | Path) -> None:
        rows = [
            (*row[:3], "".join(f"{word:016x}" for word in row.code), *row[4:]) for row in self._rows.values()
        ]
        write_columns(Path(path), Row._fields, rows)
        self.new = 0


def write_columns(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table as `.parquet` (needs pyarrow) or `.csv`."""
    check_suffix(path)
    if path.suffix.lower() == ".parquet":
        pa, pq = need("pyarrow", "arrow"), need("pyarrow.parquet", "arrow")
        columns = [pa.array([row[k] for row in rows]) for k in range(len(names))]
        with written_whole(path) as file:
            pq.write_table(pa.table(columns, names=list(names)), file)
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([names, *rows])
    with written_whole(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def read_columns(path: Path, names: Sequence[str]) -> list[list[Any]]:
    check_suffix(path)
    if path.suffix.lower() == ".parquet":
        pa, pq = need("pyarrow", "arrow"), need("pyarrow.parquet", "arrow")
        try:
            table = pq.read_table(path, columns=list(names))
            return [table.column(name).to_pylist() for name in names]
        except (pa.ArrowException, KeyError) as error:
            raise FormatError(f"{path}: expected a table with {', '.join(names)} ({error})") from None
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        try:
            head, *rows = csv.reader(file)
            places = [head.index(name) for name in names]
            return [[row[k] for row in rows] for k in places]
        except (ValueError, IndexError, csv.Error) as error:
            raise FormatError(f"{path}: expected a table with {', '.join(names)} ({error})") from None


def check_suffix(path: Path) -> None:
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise ValueError(f"a table's name must end in .parquet or .csv, not {path.name!r}")
