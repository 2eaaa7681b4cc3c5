"""`Table`: columns of equal length by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host

__all__ = ["Table", "objects"]


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """A column of Python objects, one each, also where they are lists of equal length."""
    column = np.empty(len(values), object)
    for i, value in enumerate(values):
        column[i] = value
    return column


class Table:
    """Columns of equal length by name, which cannot be exchanged: `with_columns` gives a new table.

    Parameters
    ----------
    columns : mapping of names to arrays of n rows
    n : int, optional
        Rows, needed where there are no columns.

    Examples
    --------
    >>> from maskmill.dataset import Table
    >>> table = Table({"id": [3, 5], "name": ["grain", "void"]})
    >>> len(table), table["name"].tolist(), table.row(1)
    (2, ['grain', 'void'], {'id': 5, 'name': 'void'})
    >>> table.take([1])
    Table(1 row: id, name)
    """

    __slots__ = ("_columns", "_n")

    def __init__(self, columns: Mapping[str, ArrayLike], n: int | None = None) -> None:
        made: dict[str, NDArray[Any]] = {}
        for name, column in columns.items():
            array = on_host(column, f"column {name!r}")
            if array.dtype.kind in "US":
                array = array.astype(object)
            if array.ndim == 0:
                raise ValueError(f"column {name!r} must be an array, not {array.item()!r}")
            n = len(array) if n is None else n
            if len(array) != n:
                raise ValueError(f"column {name!r} must have {n} rows, not {len(array)}")
            made[name] = array
        self._columns, self._n = made, n or 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def __len__(self) -> int:
        return self._n

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self._columns[name]
        except KeyError:
            raise KeyError(f"no column {name!r}, only {', '.join(self._columns)}") from None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.row(i) for i in range(self._n))

    def row(self, i: int) -> dict[str, Any]:
        """Row i as a dict of Python's own types (arrays where a column has more than one dimension)."""
        i = range(self._n)[i]
        return {
            name: column[i].item() if isinstance(column[i], np.generic) else column[i]
            for name, column in self._columns.items()
        }

    def take(self, rows: ArrayLike) -> Table:
        """These rows, by numbers or by a boolean array."""
        index = on_host(rows, "rows")
        if index.size == 0:
            index = index.astype(np.int64).ravel()
        elif index.dtype == bool:
            index = np.flatnonzero(index)
        return Table({name: column[index] for name, column in self._columns.items()}, len(index))

    def with_columns(self, **columns: ArrayLike) -> Table:
        """The same table with columns added or exchanged."""
        return Table({**self._columns, **columns}, self._n)

    def without(self, *names: str) -> Table:
        """The same table without these columns."""
        return Table({name: c for name, c in self._columns.items() if name not in names}, self._n)

    def __repr__(self) -> str:
        return f"Table({self._n:,} row{'' if self._n == 1 else 's'}: {', '.join(self._columns)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return (
            len(self) == len(other)
            and set(self.names) == set(other.names)
            and all(_same(self[name], other[name]) for name in self.names)
        )

    __hash__ = None  # type: ignore[assignment]

    def to_pandas(self) -> Any:
        """A pandas.DataFrame; a column of more than one dimension becomes one of lists."""
        from maskmill._files import need

        return need("pandas", "pandas").DataFrame(self._flat())

    def to_arrow(self) -> Any:
        """A pyarrow.Table; dicts and other objects become JSON text, references their text."""
        from maskmill._files import need

        pa = need("pyarrow", "arrow")
        return pa.table({name: pa.array(_plain(column)) for name, column in self._flat().items()})

    def _flat(self) -> dict[str, Any]:
        return {name: c if c.ndim == 1 else objects(c.tolist()) for name, c in self._columns.items()}


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype == object or b.dtype == object:
        return all(
            np.array_equal(x, y) if isinstance(x, np.ndarray) or isinstance(y, np.ndarray) else bool(x == y)
            for x, y in zip(a.ravel(), b.ravel(), strict=True)
        )
    floats = a.dtype.kind == "f" and b.dtype.kind == "f"
    return np.array_equal(a, b, equal_nan=floats)


def _plain(column: NDArray[Any]) -> Any:
    """What Arrow can hold of a column of objects."""
    if column.dtype != object:
        return column
    if all(value is None or isinstance(value, str | list) for value in column):
        return list(column)
    import json

    def text(value: Any) -> str | None:
        if value is None:
            return None
        return json.dumps(value.tolist() if isinstance(value, np.ndarray) else value, default=str)

    return [text(value) for value in column]
