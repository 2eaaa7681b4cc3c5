"""Tables on disk: Parquet, or CSV where pyarrow is missing. A table is a dict of columns, a schema of their types."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole

Schema: TypeAlias = Mapping[str, str]
"""NumPy's name of each column's type; "str" for text."""
Table: TypeAlias = dict[str, NDArray[Any]]
"""Columns of one length; texts are arrays of objects."""


def _arrow() -> tuple[Any, Any] | None:
    # Arrow's own pools keep what they were given once; the system's gives it back.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return None
    return pa, pq


def write_table(
    stem: Path, columns: Mapping[str, Sequence[Any] | NDArray[Any]], schema: Schema, *, sync: bool = False
) -> Path:
    """Write `stem`.parquet, or `stem`.csv without pyarrow, whole or not at all. Returns its path.

    The same columns give the same bytes. For `sync` see `written_whole`.
    """
    return write_blocks(stem, [columns], schema, sync=sync)


def write_blocks(
    stem: Path,
    blocks: Iterable[Mapping[str, Sequence[Any] | NDArray[Any]]],
    schema: Schema,
    *,
    sync: bool = False,
) -> Path:
    """`write_table` of rows that come block by block: only one of them is in memory."""
    arrow = _arrow()
    path = stem.with_name(stem.name + (".csv" if arrow is None else ".parquet"))
    with written_whole(path, sync=sync) as file:
        if arrow is None:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow(schema)
            for block in blocks:
                rows.writerows(zip(*(np.asarray(block[name]).tolist() for name in schema), strict=True))
            text.flush()
            text.detach()
        else:
            pa, pq = arrow
            types = [(n, pa.string() if t == "str" else pa.from_numpy_dtype(t)) for n, t in schema.items()]
            with pq.ParquetWriter(file, pa.schema(types)) as writer:
                for block in blocks:
                    arrays = [pa.array(block[name], type=t) for name, t in types]
                    writer.write_table(pa.Table.from_arrays(arrays, schema=writer.schema))
    return path


def find_table(stem: Path) -> Path | None:
    """`stem`.parquet or `stem`.csv, whichever is there."""
    paths = (stem.with_name(stem.name + suffix) for suffix in (".parquet", ".csv"))
    return next((path for path in paths if path.exists()), None)


def read_table(path: Path, schema: Schema | None = None) -> Table:
    """The columns of a schema, or all there are, from a Parquet or CSV file.

    Raises
    ------
    FormatError
        If the file cannot be read or lacks a column.
    """
    read = _read_csv if path.suffix.lower() == ".csv" else _read_parquet
    try:
        found = read(path, schema)
    except (FileNotFoundError, FormatError):
        raise
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise FormatError(f"{path}: not a readable table ({error})") from None
    for name in schema or ():
        if name not in found:
            raise FormatError(f"{path}: must have a column {name}, not only {', '.join(found)}")
    return found


def _read_parquet(path: Path, schema: Schema | None) -> Table:
    arrow = _arrow()
    if arrow is None:
        raise ImportError(f"{path} needs pyarrow; run: pip install 'maskmill[em]'")
    with arrow[1].ParquetFile(path, pre_buffer=False) as file:  # either would start threads
        there = file.schema_arrow.names
        wanted = there if schema is None else [name for name in there if name in schema]
        table = file.read(wanted, use_threads=False)
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in wanted}


def _read_csv(path: Path, schema: Schema | None) -> Table:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise FormatError(f"{path}: every row must have as many fields as the first")
    texts = {name: [row[place] for row in rows[1:]] for place, name in enumerate(rows[0])}
    types = schema or dict.fromkeys(texts, "str")
    return {
        name: np.array(column, object if types[name] == "str" else types[name])
        for name, column in texts.items()
        if name in types
    }
