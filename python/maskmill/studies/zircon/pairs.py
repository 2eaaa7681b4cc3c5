"""Pairs of measurements of the same grains: from two CSV files, or from colab_zirc_dims's agreement workbook."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need
from maskmill.studies.zircon.headings import ORIGINAL, find, heading_of, number, read_named

LONG = (
    ORIGINAL["best_long"],
    "Long axis (µm)",
    "Long axis length (µm)",
    "Manual long axis (µm)",
    "Long Axis (mm)",
)
SHORT = (
    ORIGINAL["best_short"],
    "Short axis (µm)",
    "Short axis length (µm)",
    "Manual short axis (µm)",
    "Short Axis (mm)",
)
"""Headings that are looked for when none is given."""

TIME = ("Spot segmentation time (s)", "spot_time", "Segmentation time (s)")

LARGEST = 128 << 20
"""Bytes of an unpacked workbook. The published ones have 2 MB."""


@dataclass(frozen=True)
class Pairs:
    """n grains measured twice, in `unit` µm; NaN where there is no measurement. Only grains with two finite reference
    values are among them."""

    sample: NDArray[Any]
    analysis: NDArray[Any]
    reference: NDArray[np.float64]
    """(n, 2) long and short axis, by hand for example."""
    measured: NDArray[np.float64]
    """(n, 2); 0 and NaN stand for failures."""
    seconds: NDArray[np.float64]
    unit: float = 1.0
    left_out: tuple[str, ...] = ()
    """Grains with two reference values that have no partner, by name."""

    def __len__(self) -> int:
        return len(self.sample)

    @property
    def succeeded(self) -> NDArray[np.bool_]:
        """Where there is a long axis above 0, and a short one."""
        return np.asarray((self.measured[:, 0] > 0) & ~np.isnan(self.measured[:, 1]))

    def of(self, sample: str) -> Pairs:
        return self.take(self.sample == sample)

    def take(self, rows: NDArray[Any]) -> Pairs:
        """Some of them; `left_out` is of the whole."""
        return Pairs(
            self.sample[rows],
            self.analysis[rows],
            self.reference[rows],
            self.measured[rows],
            self.seconds[rows],
            self.unit,
        )

    @classmethod
    def make(cls, rows: Sequence[Any], unit: float, left_out: Iterable[str] = ()) -> Pairs:
        """Of tuples sample, analysis, reference long, short, measured long, short, seconds."""
        numbers = np.array([row[2:] for row in rows], np.float64).reshape(-1, 5)
        names = np.array([row[:2] for row in rows], object).reshape(-1, 2)
        return cls(
            names[:, 0], names[:, 1], numbers[:, :2], numbers[:, 2:4], numbers[:, 4], unit, tuple(left_out)
        )


def read_pairs(
    reference: Path,
    measured: Path,
    *,
    key: str = ORIGINAL["analysis"],
    long: Sequence[str] = (),
    short: Sequence[str] = (),
    sample: str | None = None,
) -> Pairs:
    """Pairs from two CSV files, whose rows belong together where the key column says the same (but for capitals).

    Parameters
    ----------
    reference, measured : paths
        Or folders with a table for each sample, named <sample>.csv or <sample>_grain_dimensions.csv as the original
        does; where their names lack the sample, it is put before them: "Spot 2" becomes "<sample>-Spot 2".
    key : str
        Column with the names of the grains, in both files.
    long, short : headings of the reference and of the measured axis, in this order, or one for both
        In µm, or in mm if the heading ends with (mm). By default the original's best axes and a few usual ones.
    sample : str, optional
        Column of either file with the sample of each grain; by default what stands before " Spot", "-Spot" or "_Spot",
        else all are of one.

    Raises
    ------
    FormatError
        If a column is not there, a cell is no number, or a key is there twice; names file, line and column.
    """
    sides = [
        _measurements(path, key, _chosen(long, side) or LONG, _chosen(short, side) or SHORT, sample)
        for side, path in enumerate((reference, measured))
    ]
    ours, theirs = sides
    made, left_out = [], []
    for name, (shown, of, *axes, _) in ours.items():
        if not all(map(math.isfinite, axes)):
            continue
        if name not in theirs:
            left_out.append(shown)
            continue
        _, of_other, *values = theirs[name]
        made.append((of or of_other or sample_of(shown), shown, *axes, *values))
    if not made:
        first, second = (next((found[0] for found in side.values()), "(none)") for side in sides)
        raise FormatError(
            f"{measured}: {key}: expected names of {reference}, such as {first!r}, found {second!r} and no name that "
            f"both have with two reference values"
        )
    return Pairs.make(made, 1.0, left_out)


Found = tuple[str, str, float, float, float]
"""Name and sample of a grain, its axes in µm, seconds."""


def _measurements(
    path: Path, key: str, long: Sequence[str], short: Sequence[str], sample: str | None
) -> dict[str, Found]:
    """By name, in small letters: workbooks have "Spot 1" and "spot 1"."""
    files = [(path, "")]
    if path.is_dir():
        files = [(file, file.stem.removesuffix("_grain_dimensions")) for file in sorted(path.glob("*.csv"))]
    if not files:
        raise FormatError(f"{path}: expected a table in CSV for each sample, found none")
    optional = {"seconds": TIME, **({"sample": (sample,)} if sample else {})}
    out: dict[str, Found] = {}
    for file, of_file in files:
        units = _units(file, (long, short))
        for row in read_named(file, {"key": (key,), "long": long, "short": short}, optional):
            name = row["key"]
            if of_file and not name.lower().startswith(of_file.lower()):
                name = f"{of_file}-{name}"
            if not row["key"] or name.lower() in out:
                raise row.fault("key", "a name that no other row has")
            axes = [number(row, axis) * unit for axis, unit in zip(("long", "short"), units, strict=True)]
            of = row.cells.get("sample", "") or of_file
            out[name.lower()] = (name, of, axes[0], axes[1], number(row, "seconds"))
    return out


def _chosen(given: Sequence[str], side: int) -> tuple[str, ...]:
    if isinstance(given, str):
        given = (given,)
    if len(given) > 2:
        raise ValueError(f"headings must be one, or one for each file, not {len(given)}")
    return (given[min(side, len(given) - 1)],) if given else ()


def _units(path: Path, names: Sequence[Sequence[str]]) -> list[float]:
    """µm per unit of each column."""
    heading = heading_of(path)
    found = [find(heading, accepted) or "" for accepted in names]
    return [1000.0 if re.search(r"\(mm\)\s*$", name, re.I) else 1.0 for name in found]


def sample_of(analysis: str) -> str:
    """ "1WM-478-Spot 12" is of sample "1WM-478"."""
    found = re.match(r"(.+?)[-_ ]+spot\b", analysis, re.I)
    return found[1] if found else ""


def read_workbook(path: Path) -> Pairs:
    """Pairs from a workbook as colab_zirc_dims publishes them.

    A sheet per sample with data from row 7: A the grain, E and F the axes by hand in mm, G the name of the automatic
    measurement, H and I its axes in mm, N its seconds.

    The sheet Summary is not read. Rows without an automatic name are left out, as in the original.

    Raises
    ------
    FormatError
        If it is no workbook, or a cell is not what it should be; names sheet and cell.
    """
    made: list[Any] = []
    left_out: list[str] = []
    for sheet, rows in _sheets(path):
        for line, cells in enumerate(rows, 7):
            row = (*cells, *[None] * 14)[:14]
            axes = [
                _cell(path, sheet, f"{letter}{line}", row[i], text=True) for letter, i in (("E", 4), ("F", 5))
            ]
            if not all(map(math.isfinite, axes)):
                continue
            name = "" if row[0] is None else str(row[0])
            if row[6] is None or not str(row[6]).strip():
                left_out.append(name)
                continue
            found = [
                _cell(path, sheet, f"{letter}{line}", row[i]) for letter, i in (("H", 7), ("I", 8), ("N", 13))
            ]
            made.append((sheet, name, *axes, *found))
    if not made:
        raise FormatError(f"{path}: expected sheets with measurements from row 7 on, found none")
    return Pairs.make(made, 1000.0, left_out)


def _sheets(path: Path) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """Names, and the first 14 cells of rows from the 7th on."""
    openpyxl = need("openpyxl", "zircon")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST:
            raise FormatError(
                f"{path}: expected a workbook of at most {LARGEST >> 20} MiB, found {size:,} bytes"
            )
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            out = []
            for sheet in book.worksheets:
                if sheet.title != "Summary":
                    sheet.reset_dimensions()  # what the file says of them may be anything
                    out.append((sheet.title, list(sheet.iter_rows(min_row=7, max_col=14, values_only=True))))
            return out
        finally:
            book.close()
    except (FormatError, FileNotFoundError):
        raise
    except Exception as error:  # openpyxl raises whatever its parts do on files that are no workbooks
        raise FormatError(f"{path}: expected an Excel workbook (.xlsx), found none ({error})") from None


def _cell(path: Path, sheet: str, cell: str, value: Any, *, text: bool = False) -> float:
    """The number in a cell; NaN where there is none, and where there are words if text is what cells hold."""
    if value is None or value == "":
        return math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        try:
            found = float(str(value))
        except ValueError:
            if text:
                return math.nan
            found = math.inf
    if not (math.isnan(found) or abs(found) <= 1e12):
        raise FormatError(
            f"{path}: sheet {sheet!r}, cell {cell}: expected a number, found {str(value)[:80]!r}"
        )
    return found
