"""Shots whose windows do not overlap: at random in a seeded order as published, or as many as there can be."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._check import floats, integers
from maskmill.studies.zircon.independent import Independent, max_independent_set
from maskmill.studies.zircon.places import (
    check_pattern,
    is_cut,
    read_shots,
    spot_rows,
    write_json,
    write_table,
)
from maskmill.studies.zircon.projects import Sample, read_project
from maskmill.studies.zircon.scanlists import STANDARDS
from maskmill.studies.zircon.stage import Transform

Mode = Literal["max", "random"]
Rule = Literal["both", "stage", "pixel"]
COLUMNS = (
    "sample", "shot", "description", "standard", "status", "by", "x", "y", "mosaic", "left", "top", "columns", "rows",
)  # fmt: skip
"""Of the table that is written."""


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
    check_pattern(pattern)
    samples = read_project(project)
    rejected = read_shots(Path(reject), samples) if reject is not None else set()
    chosen = []
    for number, one in enumerate(samples):
        if progress is not None:
            progress(number, len(samples), one.name)
        transform = one.transform(compat=compat, pixels=pixels)
        side = one.field if field is None else field
        rows = spot_rows(one, transform, side, pattern)
        _filter(rows, transform, standards=standards, rejected=rejected, edges=edges)
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


def _filter(
    rows: Sequence[dict[str, Any]],
    transform: Transform,
    *,
    standards: str,
    rejected: Collection[tuple[str, str]],
    edges: str,
) -> None:
    """Mark what is not to be chosen from."""
    for row in rows:
        if row["status"]:
            continue
        if standards == "out" and row["standard"]:
            row["status"] = "standard"
        elif standards == "only" and not row["standard"]:
            row["status"] = "grain"
        elif (row["sample"], row["shot"]) in rejected:
            row["status"] = "rejected"
        elif edges == "drop" and is_cut(row, transform):
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
    write_table(out, [row for one in chosen for row in one.rows], COLUMNS)
    write_json(out.with_suffix(".json"), summary)
