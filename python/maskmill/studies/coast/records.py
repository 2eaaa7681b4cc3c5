"""Record tables of Coast Train (Wernette et al. 2022, doi:10.5066/P91NP87I): a row for each labelled image.

They are CSV files with 37 columns whose order differs from file to file. Lists of classes are text such as
`'water', 'surf'`; `classes_present_integer` counts from 0 into the list of its own row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dataset import Table, objects
from maskmill.io._rows import Row, read_rows, read_text

NAMES = ("annotation_image_filename", "image_filename", "label_image_filename")
LISTS = ("classes_array", "classes_present_array")
INDICES = ("classes_integer", "classes_present_integer")
SETTINGS = (
    "pen_width",
    "CRF_theta",
    "CRF_mu",
    "CRF_downsample_factor",
    "Classifier_downsample_factor",
    "prob_of_unary_potential",
    "num_of_scales",
)
EXTENT = ("XMin", "XMax", "YMin", "YMax", "LonMin", "LonMax", "LatMin", "LatMax")
DATE = ("year", "month", "day", "hour", "minute", "second")
SIZE = ("ImageHeightPx", "ImageWidthPx", "ImageBands")
NUMBERS = (
    "num_classes",
    *SETTINGS,
    "doodle_spatial_density",
    "acc_georef",
    "epsg",
    *DATE,
    *EXTENT,
    "px_size_m",
    *SIZE,
)
COLUMNS = (*NAMES, *LISTS, *INDICES, *NUMBERS, "CRS")

MAX_CLASSES = 255

_WHOLE = frozenset(["num_classes", "epsg", *DATE, *SIZE])
_ABSENT = frozenset(["", "nan", "null", "none", "na", "n/a"])
"""What tables have where there is no number, in lower case."""

_QUOTED = re.compile(r"""\s*(?:'([^']*)'|"([^"]*)")\s*(?:,|$)""")
_TITLES = {
    "A": "NAIP",
    "B": "Quads",
    "C": "Sentinel-2",
    "D": "Sentinel-2, 4 classes",
    "E": "Landsat-8",
    "F": "Elwha, Landsat-8",
    "G": "Madeira Beach",
    "H": "Dauphin Island",
    "I": "Sandwich",
    "J": "NAIP, 6 classes",
}


def read_records(source: str | Path | Sequence[str | Path]) -> Table:
    """Rows of record tables, in the order of the files.

    Parameters
    ----------
    source : path, or several
        CSV files, or folders of them; in a folder, CSV files without the column `annotation_image_filename` are passed
        over.

    Returns
    -------
    Table
        The 37 columns: numbers as float64 (NaN where there is none), lists of classes as tuples of str, lists of
        indices as tuples of int, the rest as text. And ``record_set`` (the letter that the file's name begins with, or
        its stem), ``file`` and ``line`` (where the row is), ``image`` (the name of the result without folder, `_ID<k>`
        and suffix, which the labelers of one image share) and ``labeler`` (k, 0 without one).

    Raises
    ------
    FormatError
        A column is missing or there twice, or a cell is not what it should be: names file, line and column.

    Examples
    --------
    >>> import tempfile
    >>> from maskmill.studies.coast.records import COLUMNS, read_records
    >>> cells = dict.fromkeys(COLUMNS, "1") | {
    ...     "annotation_image_filename": "npz/dune_ID3.npz",
    ...     "classes_array": "\\"'water', 'sand'\\"",
    ...     "classes_present_integer": "0",
    ...     "classes_present_array": "'water'",
    ... }
    >>> path = Path(tempfile.mkdtemp()) / "K_dunes_meta_served.csv"
    >>> _ = path.write_text(",".join(cells) + "\\n" + ",".join(cells.values()) + "\\n")
    >>> [row] = read_records(path)
    >>> row["record_set"], row["image"], row["labeler"], row["classes_array"], row["classes_present_integer"]
    ('K', 'dune', 3, ('water', 'sand'), (0,))
    """
    given = [source] if isinstance(source, str | Path) else list(source)
    files = list(dict.fromkeys(file for path in map(Path, given) for file in _tables(path)))
    rows = [row for file in files for row in read_rows(file, COLUMNS)]
    cells = {name: [_cell(row, name) for row in rows] for name in COLUMNS}
    named = [split_name(name) for name in cells["annotation_image_filename"]]
    sets = _sets(files)
    return Table(
        {
            "record_set": objects([sets[row.path] for row in rows]),
            "file": objects([str(row.path) for row in rows]),
            "line": np.array([row.line for row in rows], np.int64),
            "image": objects([image for image, _ in named]),
            "labeler": np.array([labeler for _, labeler in named], np.int64),
            **{
                name: np.array(column, np.float64) if name in NUMBERS else objects(column)
                for name, column in cells.items()
            },
        }
    )


def _tables(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [file for file in sorted(path.iterdir()) if file.suffix.lower() == ".csv" and file.is_file()]
    found = [file for file in files if NAMES[0] in read_text(file).partition("\n")[0]]
    if not found:
        raise FormatError(f"{path}: expected record tables (.csv with a column {NAMES[0]}), found none")
    return found


def _sets(files: Sequence[Path]) -> dict[Path, str]:
    """What the sets of records are called: the letters, unless two files have the same."""
    letters = [_letter(file) for file in files]
    plain = len(set(letters)) == len(letters)
    return {file: letter if plain else file.stem for file, letter in zip(files, letters, strict=True)}


def _letter(file: Path) -> str:
    letter, bar, _ = file.stem.partition("_")
    return letter if bar and len(letter) == 1 else file.stem


def title(record_set: str) -> str:
    """What to call a set of records in a picture.

    >>> title("A"), title("dunes")
    ('A NAIP', 'dunes')
    """
    return f"{record_set} {_TITLES[record_set]}" if record_set in _TITLES else record_set


def split_name(name: str) -> tuple[str, int]:
    """The name of a result, without its folder, as that of the image and the number of the labeler (0 without one).

    >>> split_name("npz/chunk1_site116_ID3.npz"), split_name("dune_db.npz")
    (('chunk1_site116', 3), ('dune_db', 0))
    """
    stem = name.rpartition("/")[2]
    said = re.fullmatch(r"(.*)_ID(\d{1,9})\.npz", stem, re.S)
    return (said[1], int(said[2])) if said else (stem.removesuffix(".npz"), 0)


# Cells


def _cell(row: Row, name: str) -> Any:
    if name in NUMBERS:
        return _number(row, name)
    if name in LISTS:
        return _names(row, name)
    if name in INDICES:
        return _indices(row, name)
    return row[name]


def _number(row: Row, name: str) -> float:
    if row[name].lower() in _ABSENT:
        return math.nan
    value = row.number(name)
    if name in _WHOLE and value != math.floor(value):
        raise row.fault(name, "a whole number")
    return value


def _names(row: Row, name: str) -> tuple[str, ...]:
    """`'water', 'surf'`, with quotes of either kind."""
    text, found, at = row[name], [], 0
    while at < len(text):
        said = _QUOTED.match(text, at)
        if said is None:
            raise row.fault(name, "a list of names in quotes such as 'water', 'surf'")
        found.append(said[1] if said[1] is not None else said[2])
        at = said.end()
    if len(found) > MAX_CLASSES:
        raise row.fault(name, f"up to {MAX_CLASSES} names")
    return tuple(found)


def _indices(row: Row, name: str) -> tuple[int, ...]:
    """`0, 1, 3`"""
    text = row[name]
    if text and not re.fullmatch(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", text):
        raise row.fault(name, "a list of whole numbers such as 0, 1, 3")
    found = text.split(",") if text else []
    if len(found) > MAX_CLASSES:
        raise row.fault(name, f"up to {MAX_CLASSES} numbers")
    return tuple(map(int, found))


# What the columns tell


def present(records: Table) -> list[tuple[str, ...]]:
    """Names of the classes that occur in each row's label, by `classes_present_integer` and the row's own list.

    An index beyond the list is passed over; `lint` names it.
    """
    return [
        tuple(names[i] for i in indices if i < len(names))
        for names, indices in zip(records["classes_array"], records["classes_present_integer"], strict=True)
    ]


def pixels(records: Table) -> NDArray[np.float64]:
    """Pixels of each image, 0 where the table does not tell."""
    found: NDArray[np.float64] = np.nan_to_num(records["ImageHeightPx"] * records["ImageWidthPx"])
    return found


def rows_of_sets(records: Table) -> dict[str, NDArray[np.intp]]:
    """Row numbers of each set of records, in the order of the files."""
    sets = records["record_set"]
    return {name: np.flatnonzero(sets == name) for name in dict.fromkeys(sets.tolist())}
