"""Tables of shots: where each lies, and its window in the mosaic. The verbs write them, and read them of each other."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskmill._files import FormatError, written_whole
from maskmill.io._rows import read_rows
from maskmill.studies.zircon.projects import Sample
from maskmill.studies.zircon.stage import Transform

MOST_SPOTS = 5_000
"""Of one list. A shift of the instrument gives a few hundred."""


def spot_rows(sample: Sample, transform: Transform, field: float, pattern: str) -> list[dict[str, Any]]:
    """A row for each spot of a sample, in the order of its list; the status is "outside" where it is off the mosaic.

    Parameters
    ----------
    field : float
        Side of a window in µm.
    pattern : str
        Of the descriptions of standards.
    """
    spots = sample.scans.spots
    if len(spots) > MOST_SPOTS:
        raise FormatError(f"{sample.scanlist}: expected at most {MOST_SPOTS:,} spots, found {len(spots):,}")
    columns, rows = transform.window(field)
    xy = sample.scans.xy
    places = zip(spots, transform.to_pixels(xy).tolist(), transform.inside(xy).tolist(), strict=True)
    return [
        {
            "sample": sample.name,
            "shot": shot.name,
            "description": shot.description,
            "standard": int(shot.is_standard(pattern)),
            "status": "" if inside else "outside",
            "by": "",
            "x": shot.x,
            "y": shot.y,
            "mosaic": sample.mosaic.name,
            "left": column - columns // 2,
            "top": row - rows // 2,
            "columns": columns,
            "rows": rows,
        }
        for shot, (column, row), inside in places
    ]


def is_cut(row: Mapping[str, Any], transform: Transform) -> bool:
    """Whether the mosaic's edge cuts a window."""
    right, bottom = row["left"] + row["columns"], row["top"] + row["rows"]
    return bool(min(row["left"], row["top"]) < 0 or right > transform.columns or bottom > transform.rows)


def check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"the pattern of standards must be a regular expression, not {pattern!r} ({error})"
        ) from None


def read_shots(path: Path, samples: Sequence[Sample]) -> set[tuple[str, str]]:
    """Sample and shot of each row of a table; of those selected, if it says which are.

    Raises
    ------
    FormatError
        If a row is of no spot of the samples.
    """
    known = {one.name: {shot.name for shot in one.scans.spots} for one in samples}
    found = set()
    aliases = {"Sample": "sample", "Shot": "shot"}
    for row in read_rows(path, ("sample", "shot"), ("status",), aliases=aliases):
        if row["sample"] not in known:
            raise row.fault("sample", "a sample of the project")
        if row["shot"] not in known[row["sample"]]:
            raise row.fault("shot", f"a spot of {row['sample']}")
        if row.cells.get("status", "selected") == "selected":
            found.add((row["sample"], row["shot"]))
    return found


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    with written_whole(path) as file:
        file.write(table.getvalue().encode())


def write_json(path: Path, content: Any) -> None:
    with written_whole(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")
