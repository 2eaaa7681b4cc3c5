"""All numbers of record tables in one place, with those that were published and are not so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskmill._files import written_whole
from maskmill.dataset import Table
from maskmill.io._parse import dump_json
from maskmill.io._tables import write_table
from maskmill.studies.coast import counts, geography, repeats
from maskmill.studies.coast.records import pixels, read_records
from maskmill.studies.coast.superclasses import ALL

FIRST_LIST = "the class list of the first row was used for all rows of the record set"


@dataclass(frozen=True)
class Statistics:
    """The numbers of record tables.

    Attributes
    ----------
    records : Table
        As of `read_records`.
    tables : dict of str to Table
        ``sets``, ``classes``, ``superclasses``, ``labelers``, ``latitude``, ``longitude``, ``cells``, ``places``,
        ``sizes``, ``density``, ``class_pairs``, ``superclass_pairs``, ``settings``, ``duplicates`` and, with a split,
        ``leaks``; see `counts`, `geography` and `repeats`.
    published : Table
        Numbers of the published figures that are not so: ``figure``, ``of``, ``published``, ``correct``, ``reason``.
    mapping : dict of str to str
        The superclass of each class.
    """

    records: Table
    tables: dict[str, Table]
    published: Table
    mapping: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can have it; what is not known is null."""
        return {
            "images": len(self.records),
            "pixels": int(pixels(self.records).sum()),
            **{name: list(table) for name, table in self.tables.items()},
            "not_as_published": list(self.published),
        }

    def write(self, folder: str | Path) -> None:
        """Write `statistics.json`, and each table as CSV, into a folder."""
        out = Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        for name, table in {**self.tables, "not_as_published": self.published}.items():
            write_table(table, out / f"{name}.csv")
        with written_whole(out / "statistics.json") as file:
            file.write(dump_json(self.as_dict(), indent=True))


def stats(
    records: Table | str | Path | Sequence[str | Path],
    *,
    mapping: Mapping[str, str] = ALL,
    splits: Mapping[str, str] | str | Path | None = None,
) -> Statistics:
    """Count what record tables have: by each row's own list of classes, beside the published way where that differs.

    Parameters
    ----------
    records : Table, or path of a CSV file or a folder of them, or several
    mapping : dict of str to str
        The superclass of each class; by default Coast Train's.
    splits : dict, or path of a CSV file, optional
        The part of each file, as of `read_splits`: images and places that parts have in common are then told.

    Raises
    ------
    FormatError
        If a file cannot be read.

    Examples
    --------
    >>> from maskmill.studies.coast.records import COLUMNS
    >>> import tempfile
    >>> cells = dict.fromkeys(COLUMNS, "1") | {
    ...     "annotation_image_filename": "npz/dune_ID3.npz",
    ...     "classes_array": "\\"'water', 'sand'\\"",
    ...     "classes_present_integer": "1",
    ...     "classes_present_array": "'sand'",
    ... }
    >>> path = Path(tempfile.mkdtemp()) / "K_dunes.csv"
    >>> _ = path.write_text(",".join(cells) + "\\n" + ",".join(cells.values()) + "\\n")
    >>> {row["class"]: row["images"] for row in stats(path).tables["classes"]}
    {'water': 0, 'sand': 1}
    """
    table = records if isinstance(records, Table) else read_records(records)
    place = geography.places(table)
    tables = {
        "sets": counts.sets(table),
        "classes": counts.classes(table),
        "superclasses": counts.superclasses(table, mapping),
        "labelers": counts.labelers(table),
        "latitude": geography.histogram(table, "LatMin"),
        "longitude": geography.histogram(table, "LonMin"),
        "cells": geography.cells(table),
        "places": geography.places_by_set(table, place),
        "sizes": counts.sizes(table),
        "density": counts.density(table),
        "class_pairs": counts.cooccurrence(table),
        "superclass_pairs": counts.cooccurrence(table, mapping),
        "settings": counts.settings(table),
        "duplicates": repeats.duplicates(table),
    }
    if splits is not None:
        parts = splits if isinstance(splits, Mapping) else repeats.read_splits(splits)
        tables["leaks"] = repeats.leaks(table, parts, place)
    return Statistics(table, tables, _published(tables), mapping)


def _published(tables: Mapping[str, Table]) -> Table:
    """Where the published way of counting gives another number."""
    rows: list[dict[str, Any]] = []

    def add(figure: str, of: str, published: float, correct: float, reason: str) -> None:
        rows.append(
            {"figure": figure, "of": of, "published": published, "correct": correct, "reason": reason}
        )

    for row in tables["classes"]:
        published = 0.0 if np.isnan(row["published"]) else row["published"]
        if published != row["images"]:
            figure = "Num_images_per_datarecord_containing_class"
            add(figure, f"{row['list']} {row['class']}", published, float(row["images"]), FIRST_LIST)
    for row in tables["superclasses"]:
        if row["published"] == row["images"]:
            continue
        whole = row["record_set"] == counts.WHOLE
        figure = (
            "NumLabel_all_datarecords_per_superlabel"
            if whole
            else "Num_images_per_datarecord_containing_superclass"
        )
        why = []
        if row["occurrences"] != row["images"]:
            why.append("classes were counted, and an image with two classes of a superclass twice")
        if row["published"] != row["occurrences"]:
            why.append(FIRST_LIST)
        add(
            figure,
            row["superclass"] if whole else f"{row['record_set']} {row['superclass']}",
            float(row["published"]),
            float(row["images"]),
            "; ".join(why),
        )
    for row in tables["sets"]:
        if row["without_density"]:
            add(
                "Million_pixels_vs_percentage_doodled",
                f"{row['record_set']} doodled %",
                row["doodled_percent_published"],
                row["doodled_percent"],
                f"{row['without_density']} without density counted as not doodled at all",
            )
    return counts.table(rows, ("figure", "of", "published", "correct", "reason"))
