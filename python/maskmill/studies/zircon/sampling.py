"""Shots whose windows do not overlap: at random in a seeded order as published, or as many as there can be."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._check import floats, integers
from maskmill._files import FormatError, written_whole
from maskmill.studies.zircon._csv import read_rows
from maskmill.studies.zircon.independent import Independent, max_independent_set
from maskmill.studies.zircon.projects import Sample, read_project
from maskmill.studies.zircon.scanlists import STANDARDS
from maskmill.studies.zircon.stage import Transform

Mode = Literal["max", "random"]
Rule = Literal["both", "stage", "pixel"]
_MOST_SPOTS = 10_000  # of one list: every two are compared


def conflicts(
    stage: ArrayLike,
    pixels: ArrayLike,
    field: float,
    window: tuple[int, int],
    rule: Rule = "both",
) -> NDArray[np.bool_]:
    """Which shots are so near each other that their windows overlap.

    Parameters
    ----------
    stage : (N, 2) float
        In µm.
    pixels : (N, 2) int
        Columns and rows.
    field : float
        Side of a window in µm.
    window : (int, int)
        Columns and rows of a window.
    rule : "both", "stage" or "pixel"
        Where the windows must not overlap. Rounded to pixels, windows may be wider than the field, or narrower.

    Returns
    -------
    (N, N) bool array, symmetric, False on the diagonal

    Examples
    --------
    >>> conflicts([[0, 0], [299, 0], [400, 0]], [[0, 0], [199, 0], [266, 0]], 300, (200, 200)).sum(axis=1)
    array([1, 2, 1])
    """
    if rule not in ("both", "stage", "pixel"):
        raise ValueError(f"rule must be both, stage or pixel, not {rule!r}")
    xy = floats(stage, 2, "stage")
    at = integers(pixels, np.int64, "pixels").reshape(-1, 2)
    near = np.zeros((len(xy), len(xy)), np.bool_)
    for i in range(
        len(xy)
    ):  # row by row: of all at once, the differences would be as large as 16 such tables
        if rule != "pixel":
            near[i] |= (np.abs(xy - xy[i]) < field).all(axis=1)
        if rule != "stage":
            near[i] |= (np.abs(at - at[i]) < window).all(axis=1)
    np.fill_diagonal(near, False)
    return near


def choose(
    near: ArrayLike,
    mode: Mode = "max",
    *,
    orders: Sequence[ArrayLike] = (),
    seed: int = 0,
    time_limit: float = 10.0,
) -> Independent:
    """Things of which no two are in conflict.

    Parameters
    ----------
    near : (N, N) bool
    mode : "max" or "random"
        "random" walks through `random.Random(seed).shuffle(list(range(N)))` and takes what is in no conflict with what
        was taken before: the published procedure. "max" takes as many as there can be, see `max_independent_set`.
    """
    if mode == "max":
        return max_independent_set(near, orders=orders, seed=seed, time_limit=time_limit)
    if mode != "random":
        raise ValueError(f"mode must be max or random, not {mode!r}")
    table = np.asarray(near)
    order = list(range(len(table)))
    random.Random(seed).shuffle(order)
    taken: list[int] = []
    free = np.ones(len(table), np.bool_)
    for i in order:
        if free[i]:
            taken.append(i)
            free &= ~table[i]
            free[i] = False
    return Independent(np.array(sorted(taken), np.int64), len(table))


@dataclass(frozen=True)
class Chosen:
    """What became of each spot of a sample, in the order of the scan list.

    Attributes
    ----------
    sample : str
    rows : list of dict
        A row of the table for each spot: its status is "selected", "conflict" (by: the names of the selected ones it
        overlaps), "standard", "grain", "rejected", "edge" or "outside".
    bound : int or None
        No choice could have more; None where none was sought.
    """

    sample: str
    rows: list[dict[str, Any]]
    bound: int | None

    @property
    def counts(self) -> dict[str, int]:
        """Spots of each status."""
        return dict(Counter(str(row["status"]) for row in self.rows))

    @property
    def selected(self) -> list[str]:
        return [str(row["shot"]) for row in self.rows if row["status"] == "selected"]


def sample(
    project: str | Path,
    out: str | Path,
    *,
    field: float | None = None,
    mode: Mode = "max",
    seed: int = 0,
    rule: Rule = "both",
    standards: Literal["in", "out", "only"] = "in",
    pattern: str = STANDARDS,
    reject: str | Path | None = None,
    edges: Literal["keep", "drop"] = "keep",
    compat: bool = False,
    pixels: bool = False,
    time_limit: float = 10.0,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Chosen]:
    """Choose shots of a mosaic project whose windows do not overlap.

    Parameters
    ----------
    project : path
        A folder with `mosaic_info.csv`. Of mosaics, the headers alone are read.
    out : path
        A `.csv` file: a row for each spot. Beside it, a `.json` file gets the settings, counts and bounds.
    field : float, optional
        Side of a window in µm, instead of each sample's Max_grain_size.
    mode, seed, time_limit
        See `choose`. Every sample begins with the same seed.
    rule
        See `conflicts`.
    standards : "in", "out" or "only"
    pattern : str
        Regular expression of standards' descriptions.
    reject : path, optional
        A table of shots not to take (columns sample, shot): images without grains.
    edges : "keep" or "drop"
        What becomes of windows that the mosaic's edge cuts. Shots outside the mosaic are never taken.
    compat, pixels
        See `Transform` and `Sample.alignment`.

    Returns
    -------
    list of Chosen, one for each sample

    Raises
    ------
    FormatError, FileNotFoundError
        On a bad or missing file; nothing is written then.
    ValueError
        On a bad argument, or rejected shots that do not exist.
    """
    out = Path(out)
    if out.suffix.lower() != ".csv":
        raise ValueError(f"out must be a .csv file, not {out}")
    if standards not in ("in", "out", "only"):
        raise ValueError(f"standards must be in, out or only, not {standards!r}")
    if edges not in ("keep", "drop"):
        raise ValueError(f"edges must be keep or drop, not {edges!r}")
    _check_pattern(pattern)
    samples = read_project(project)
    rejected = _rejected(Path(reject), samples) if reject is not None else set()
    chosen = []
    for number, one in enumerate(samples):
        if progress is not None:
            progress(number, len(samples), one.name)
        transform = one.transform(compat=compat, pixels=pixels)
        side = one.field if field is None else field
        rows = _rows(one, transform, side, pattern)
        _filter(rows, one, transform, standards=standards, rejected=rejected, edges=edges)
        chosen.append(
            _choose(rows, one, transform, side, rule=rule, mode=mode, seed=seed, time_limit=time_limit)
        )
    settings = {
        "field": field, "mode": mode, "seed": seed, "rule": rule, "standards": standards, "pattern": pattern,
        "reject": None if reject is None else str(reject), "edges": edges, "compat": compat, "pixels": pixels,
    }  # fmt: skip
    _write(out, chosen, settings)
    if progress is not None:
        progress(len(samples), len(samples), "")
    return chosen


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"the pattern of standards must be a regular expression, not {pattern!r} ({error})"
        ) from None


def _rejected(path: Path, samples: Sequence[Sample]) -> set[tuple[str, str]]:
    known = {one.name: {shot.name for shot in one.scans.spots} for one in samples}
    found = set()
    for row in read_rows(path, ("sample", "shot"), aliases={"Sample": "sample", "Shot": "shot"}):
        if row["sample"] not in known:
            raise row.fault("sample", "a sample of the project")
        if row["shot"] not in known[row["sample"]]:
            raise row.fault("shot", f"a spot of {row['sample']}")
        found.add((row["sample"], row["shot"]))
    return found


def _rows(one: Sample, transform: Transform, side: float, pattern: str) -> list[dict[str, Any]]:
    spots = one.scans.spots
    if len(spots) > _MOST_SPOTS:
        raise FormatError(f"{one.scanlist}: expected at most {_MOST_SPOTS:,} spots, found {len(spots):,}")
    columns, rows = transform.window(side)
    return [
        {
            "sample": one.name,
            "shot": shot.name,
            "description": shot.description,
            "standard": int(shot.is_standard(pattern)),
            "status": "",
            "by": "",
            "x": shot.x,
            "y": shot.y,
            "mosaic": one.mosaic.name,
            "left": column - columns // 2,
            "top": row - rows // 2,
            "columns": columns,
            "rows": rows,
        }
        for shot, (column, row) in zip(spots, transform.to_pixels(one.scans.xy).tolist(), strict=True)
    ]


def _filter(
    rows: Sequence[dict[str, Any]],
    one: Sample,
    transform: Transform,
    *,
    standards: str,
    rejected: Collection[tuple[str, str]],
    edges: str,
) -> None:
    """Mark what is not to be chosen from."""
    inside = transform.inside(one.scans.xy)
    for row, within in zip(rows, inside.tolist(), strict=True):
        right, bottom = row["left"] + row["columns"], row["top"] + row["rows"]
        whole = min(row["left"], row["top"]) >= 0 and right <= transform.columns and bottom <= transform.rows
        if not within:
            row["status"] = "outside"
        elif standards == "out" and row["standard"]:
            row["status"] = "standard"
        elif standards == "only" and not row["standard"]:
            row["status"] = "grain"
        elif (row["sample"], row["shot"]) in rejected:
            row["status"] = "rejected"
        elif edges == "drop" and not whole:
            row["status"] = "edge"


def _choose(
    rows: list[dict[str, Any]],
    one: Sample,
    transform: Transform,
    side: float,
    *,
    rule: Rule,
    mode: Mode,
    seed: int,
    time_limit: float,
) -> Chosen:
    free = [i for i, row in enumerate(rows) if not row["status"]]
    xy = one.scans.xy[free]
    near = conflicts(xy, transform.to_pixels(xy), side, transform.window(side), rule)
    orders = [np.argsort(xy[:, axis], kind="stable") for axis in (0, 1)]
    found = choose(near, mode, orders=orders, seed=seed, time_limit=time_limit)
    taken = set(found.selected.tolist())
    for place, i in enumerate(free):
        by = [rows[free[j]]["shot"] for j in np.flatnonzero(near[place]).tolist() if j in taken]
        rows[i]["status"] = "selected" if place in taken else "conflict"
        rows[i]["by"] = "" if place in taken else ";".join(by)
    return Chosen(one.name, rows, found.bound if mode == "max" else None)


def _write(out: Path, chosen: Sequence[Chosen], settings: dict[str, Any]) -> None:
    table = io.StringIO(newline="")
    names = [row for one in chosen for row in one.rows]
    writer = csv.DictWriter(
        table, list(names[0]) if names else ["sample", "shot", "status"], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(names)
    summary = {
        "settings": settings,
        "samples": [
            {
                "sample": one.sample,
                "selected": len(one.selected),
                "bound": one.bound,
                "proved": one.bound == len(one.selected),
                "counts": one.counts,
            }
            for one in chosen
        ],
    }
    with written_whole(out) as file:
        file.write(table.getvalue().encode())
    with written_whole(out.with_suffix(".json")) as file:
        file.write(json.dumps(summary, indent=2, ensure_ascii=False).encode() + b"\n")
