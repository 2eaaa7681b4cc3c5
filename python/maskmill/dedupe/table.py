"""Codes from before, by the content of what was hashed: rows are added, never changed."""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
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
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._unwritten: list[Row] = []
        self._written_at = time.monotonic()
        self.new = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, digest: str, profile: str, view: int) -> Row | None:
        return self._rows.get((digest, profile, view))

    def add(self, row: Row) -> Row:
        """The row as it is in the table: one that is there stays."""
        with self._lock:
            before = len(self._rows)
            kept = self._rows.setdefault(row[:3], row)
            if len(self._rows) > before:
                self.new += 1
                if self._path is not None:
                    self._note(row)
        return kept

    @classmethod
    def open(cls, path: str | Path) -> CodeTable:
        """The table in a file, which may not be there yet. `save` writes it.

        Until then new rows are appended to a file beside it, every two seconds or thousand rows: a run that is killed
        loses no more than that. The next `open` takes them in.
        """
        path = Path(path)
        check_suffix(path)
        table = cls.read(path) if path.exists() else cls()
        table._path = path
        if _beside(path).exists():
            for row in _read_noted(_beside(path)):
                table._rows.setdefault(row[:3], row)
            table.save()
        return table

    def save(self) -> None:
        """Write the file that was opened."""
        assert self._path is not None
        self.write(self._path)
        self._unwritten.clear()
        _beside(self._path).unlink(missing_ok=True)

    def _note(self, row: Row) -> None:
        assert self._path is not None
        self._unwritten.append(row)
        now = time.monotonic()
        if len(self._unwritten) < 1000 and now < self._written_at + 2:
            return
        text = "".join(",".join(map(str, _values(row))) + "\n" for row in self._unwritten)
        with open(_beside(self._path), "ab") as file:
            file.write(text.encode())
        self._unwritten.clear()
        self._written_at = now

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
            return cls(_row(*values) for values in zip(*columns, strict=True))
        except (ValueError, TypeError) as error:
            raise FormatError(f"{path}: not a table of codes ({error})") from None

    def write(self, path: str | Path) -> None:
        write_columns(Path(path), Row._fields, [_values(row) for row in self._rows.values()])
        self.new = 0


def _values(row: Row) -> tuple[Any, ...]:
    return (*row[:3], "".join(f"{word:016x}" for word in row.code), *row[4:])


def _row(digest: Any, profile: Any, view: Any, code: str, height: Any, width: Any, flat: Any) -> Row:
    words = tuple(int(code[k : k + 16], 16) for k in range(0, len(code), 16))
    return Row(str(digest), str(profile), int(view), words, int(height), int(width), str(flat) == "True")


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _read_noted(path: Path) -> Iterator[Row]:
    """Rows that were appended; a line that was cut off, or is damaged, is left out."""
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
        with suppress(ValueError, TypeError):
            yield _row(*line.split(","))


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
