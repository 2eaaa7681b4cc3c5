"""Images that are there more than once, and those that parts of a split have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dataset import Table
from maskmill.io._rows import read_rows
from maskmill.studies.coast.counts import table
from maskmill.studies.coast.records import NAMES
from maskmill.studies.coast.rules import stem

_FILE_COLUMNS = (NAMES[0], "file", "file_name", "image", "name")
_SPLIT_COLUMNS = ("split", "part", "set")


def duplicates(records: Table) -> Table:
    """Rows that are about one image, or look as if they were.

    Returns
    -------
    Table
        ``kind``, ``record_sets``, ``name`` and ``rows`` (how many). Kinds are "labelers" (one image of a record set by
        several of them), "sets" (an image in several record sets), "name" (two rows with one result) and "doodles"
        (images of one size with the same doodled share to all digits, and not of one image: one may be a copy).
    """
    by_image: dict[str, list[int]] = {}
    by_name: dict[tuple[str, str], list[int]] = {}
    by_doodles: dict[tuple[float, ...], list[int]] = {}
    for i, row in enumerate(records):
        by_image.setdefault(row["image"], []).append(i)
        by_name.setdefault((row["record_set"], row[NAMES[0]]), []).append(i)
        if row["doodle_spatial_density"] > 0:
            key = (row["doodle_spatial_density"], row["ImageHeightPx"], row["ImageWidthPx"])
            by_doodles.setdefault(key, []).append(i)
    found = []
    for name, rows in by_image.items():
        sets = records["record_set"][rows].tolist()
        if len(set(sets)) > 1:
            found.append(_row("sets", sets, name, len(rows)))
        for one in dict.fromkeys(sets):
            labelers = {int(records["labeler"][i]) for i in rows if records["record_set"][i] == one}
            if len(labelers) > 1:
                found.append(_row("labelers", [one], name, sets.count(one)))
    found += [_row("name", [one], name, len(rows)) for (one, name), rows in by_name.items() if len(rows) > 1]
    for rows in by_doodles.values():
        images = dict.fromkeys(records["image"][rows].tolist())
        if len(images) > 1:
            found.append(_row("doodles", records["record_set"][rows].tolist(), ", ".join(images), len(rows)))
    order = ("labelers", "sets", "name", "doodles")
    found.sort(key=lambda row: order.index(row["kind"]))
    return table(found, ("kind", "record_sets", "name", "rows"))


def _row(kind: str, sets: list[str], name: str, rows: int) -> dict[str, Any]:
    return {"kind": kind, "record_sets": ", ".join(dict.fromkeys(sets)), "name": name, "rows": rows}


def read_splits(path: str | Path) -> dict[str, str]:
    """The part of each file of a split, by the file's stem.

    Parameters
    ----------
    path : path of a CSV file
        With a column of file names (annotation_image_filename, file, file_name, image or name) and one called split,
        part or set. Folders, suffixes, `_image` and `_label` do not matter.

    Raises
    ------
    FormatError
        A column is missing, or a file is in two parts.
    """
    path = Path(path)
    parts: dict[str, str] = {}
    for row in read_rows(path, (), (*_FILE_COLUMNS, *_SPLIT_COLUMNS)):
        columns = [
            next((c for c in names if c in row.cells), None) for names in (_FILE_COLUMNS, _SPLIT_COLUMNS)
        ]
        for column, names in zip(columns, (_FILE_COLUMNS, _SPLIT_COLUMNS), strict=True):
            if column is None:
                raise FormatError(f"{path}: line 1: expected a column {' or '.join(names)}, found none")
        file, part = (row[str(column)] for column in columns)
        if parts.setdefault(stem(file) or file, part) != part:
            raise row.fault(str(columns[1]), f"{parts[stem(file) or file]!r} as before for {file!r}")
    return parts


def leaks(records: Table, splits: Mapping[str, str], place: NDArray[np.int64]) -> Table:
    """Images, and places, that several parts of a split have: a score on one part then tells little of the other.

    Parameters
    ----------
    splits : dict
        The part of each result, image or label by its stem; rows that are not in there are passed over.
    place : (N,) int
        As `places` of `geography` gives it.

    Returns
    -------
    Table
        ``kind`` ("image": one image by several labelers, or in several record sets; "place": images whose boxes
        overlap), ``name`` (of the image, or of the first of the place), ``parts`` (with how many rows of each).
    """
    parts = [splits.get(stem(name)) for name in records[NAMES[0]]]
    rows = []
    for kind, keys in (("image", records["image"].tolist()), ("place", place.tolist())):
        groups: dict[Any, list[int]] = {}
        for i, key in enumerate(keys):
            if parts[i] is not None:
                groups.setdefault(key, []).append(i)
        for members in groups.values():
            counts: dict[str, int] = {}
            for i in members:
                counts[str(parts[i])] = counts.get(str(parts[i]), 0) + 1
            if len(counts) > 1:
                shown = ", ".join(f"{part} {n}" for part, n in sorted(counts.items()))
                rows.append({"kind": kind, "name": records["image"][members[0]], "parts": shown})
    return table(rows, ("kind", "name", "parts"))
