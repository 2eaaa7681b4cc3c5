"""`maskmill zircon agreement`: how far two sets of measurements agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Table
from maskmill.studies.zircon.pairs import Pairs, read_pairs, read_workbook

if TYPE_CHECKING:
    import os

SUMMARY = (
    "Sample",
    "n total",
    "n successful",
    "failure rate (%)",
    "avg. long axis error (µm)",
    "avg. short axis error (µm)",
    "avg. abs. long axis error (µm)",
    "avg. abs. short axis error (µm)",
    "long axis RMSE (µm)",
    "short axis RMSE (µm)",
    "avg. long axis % error",
    "avg. short axis % error",
    "avg. abs. long axis % error",
    "avg. abs. short axis % error",
    "long axis RMSE (%)",
    "short axis RMSE (%)",
    "long axis > 20% error",
    "short axis > 20% error",
    "Underest %",
    "avg. spot segmentation time (s)",
)
"""Columns of the published summaries."""

ALL = "All Samples"
SIZES = (0.0, 50.0, 100.0, 150.0, 200.0, math.inf)
"""µm of the reference's long axis."""


@dataclass(frozen=True)
class Agreement:
    """What `agreement` found.

    Attributes
    ----------
    summary : Table
        The 20 columns of the published summaries, a row per sample and one for all.
    axes : Table
        A row per sample and axis, and of all: mean (bias) with its confidence interval, median, standard deviation,
        limits of agreement, median of absolute errors (µm), Pearson's correlation, and the shares that are beyond the
        tolerance, above and below, by one rule for both.
    sizes : Table
        The same by size of the reference's long axis.
    pairs : Pairs
    """

    summary: Table
    axes: Table
    sizes: Table
    pairs: Pairs


def agreement(
    reference: Pairs | str | os.PathLike[str],
    measured: str | os.PathLike[str] | None = None,
    *,
    beyond: float = 20.0,
    sizes: Sequence[float] = SIZES,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    **columns: Any,
) -> Agreement:
    """Compare two sets of measurements of the same grains.

    Parameters
    ----------
    reference, measured : paths of CSV files, the first by hand for example
        Or one workbook (.xlsx) as colab_zirc_dims publishes them, or `Pairs`.
    beyond : float
        Per cent that are too much for the symmetric rule: an axis is beyond it where it is off by as much or more,
        above or below, whichever axis. (The published columns have their own: see Notes.)
    sizes : rising sequence of float
        Borders of the classes of size, µm.
    resamples, confidence, seed : int, float, int
        Of the bootstrap: grains are drawn with replacement; percentiles of the means.
    columns : key, long, short, sample
        As in `pairs.read_pairs`.

    Notes
    -----
    All is over successes, that is grains whose measured long axis is above 0; "All Samples" are the pooled grains.
    Errors are measured - reference in µm, or (measured - reference) / reference · 100. RMSE is over n, the standard
    deviation over n - 1, limits of agreement are bias ± 1.96 standard deviations (Bland and Altman 1986). The published
    columns count "> 20% error" from 20 on, and as underestimated what is short by 20 % or more in the long or by more
    than 20 % in the short axis.

    Examples
    --------
    >>> from maskmill.studies.zircon import agreement
    >>> from maskmill.studies.zircon.pairs import Pairs
    >>> pairs = Pairs.make([("A", "A-Spot 1", 100, 50, 110, 40, 1), ("A", "A-Spot 2", 80, 60, 80, 60, 1)], 1.0)
    >>> found = agreement(pairs)
    >>> found.summary.row(0)["avg. long axis error (µm)"], found.summary.row(0)["Underest %"]
    (5.0, 0.0)
    >>> found.axes.row(1)["below (%)"]
    50.0
    """
    pairs = _pairs(reference, measured, columns)
    if not (math.isfinite(beyond) and beyond > 0):
        raise ValueError(f"beyond must be above 0 per cent, not {beyond}")
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError("resamples must be 1 or more, confidence within 0 and 1")
    borders = np.asarray(sizes, float)
    if borders.ndim != 1 or len(borders) < 2 or not (np.diff(borders) > 0).all():
        raise ValueError(f"sizes must be two or more rising borders, not {list(sizes)}")
    groups = [(name, pairs.of(name)) for name in dict.fromkeys(pairs.sample.tolist())]
    groups.append((ALL, pairs))
    boot = (resamples, confidence, seed)
    classes = [
        (f"{low:g} to {high:g} µm", pairs.take((long >= low) & (long < high)))
        for long in [pairs.reference[:, 0] * pairs.unit]
        for low, high in zip(borders, borders[1:], strict=False)
    ]
    summary = _table([_summary(name, part) for name, part in groups], SUMMARY)
    axes = [_axis(name, part, axis, beyond, boot) for name, part in groups for axis in (0, 1)]
    by_size = [_axis(name, part, axis, beyond, boot) for name, part in classes for axis in (0, 1)]
    return Agreement(summary, _table(axes), _table(by_size), pairs)


def _pairs(reference: Any, measured: Any, columns: dict[str, Any]) -> Pairs:
    if isinstance(reference, Pairs):
        return reference
    if measured is not None:
        return read_pairs(Path(reference), Path(measured), **columns)
    if Path(reference).suffix.lower() not in (".xlsx", ".xlsm"):
        raise ValueError(f"{reference}: a second file must be given, or a workbook (.xlsx)")
    return read_workbook(Path(reference))


def _table(rows: list[dict[str, Any]], names: Sequence[str] = ()) -> Table:
    return Table({name: [row[name] for row in rows] for name in names or rows[0]})


def _errors(pairs: Pairs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 2) errors of successes, in µm and per cent; operations in the order of the published workbooks."""
    good = pairs.succeeded
    measured, reference = pairs.measured[good], pairs.reference[good]
    difference = measured - reference
    with np.errstate(divide="ignore", invalid="ignore"):
        return difference * pairs.unit, difference / reference * 100


def _mean(values: NDArray[Any]) -> float:
    return math.nan if len(values) == 0 else float(np.mean(values))


def _share(where: NDArray[np.bool_]) -> float:
    return math.nan if len(where) == 0 else 100 * int(where.sum()) / len(where)


def _summary(name: str, pairs: Pairs) -> dict[str, Any]:
    error, percent = _errors(pairs)
    good = pairs.succeeded
    n = len(pairs)
    values: list[Any] = [name, n, int(good.sum()), 100 * (n - int(good.sum())) / n if n else math.nan]
    for part in (error, percent):
        values += [_mean(part[:, axis]) for axis in (0, 1)]
        values += [_mean(np.abs(part[:, axis])) for axis in (0, 1)]
        values += [math.sqrt(_mean(part[:, axis] ** 2)) for axis in (0, 1)]
    values += [_share(np.abs(percent[:, axis]) >= 20) for axis in (0, 1)]
    # As published: with equality for the long axis only.
    values.append(_share((percent[:, 0] <= -20) | (percent[:, 1] < -20)))
    values.append(_mean(pairs.seconds[good & ~np.isnan(pairs.seconds)]))
    return dict(zip(SUMMARY, values, strict=True))


TOLERANCE = 1e-9
"""Per cent by which rounding may push what is exactly at the border: (0.08 - 0.1) / 0.1 is not -20 %."""


def _axis(name: str, pairs: Pairs, axis: int, beyond: float, boot: tuple[int, float, int]) -> dict[str, Any]:
    errors, percents = _errors(pairs)
    error, percent = errors[:, axis], percents[:, axis]
    n = len(error)
    bias = _mean(error)
    sd = float(np.std(error, ddof=1)) if n > 1 else math.nan
    low, high = _bootstrap(error, *boot)
    return {
        "Group": name,
        "Axis": ("long", "short")[axis],
        "n": n,
        "bias (µm)": bias,
        "bias from (µm)": low,
        "bias to (µm)": high,
        "median error (µm)": float(np.median(error)) if n else math.nan,
        "median abs. error (µm)": float(np.median(np.abs(error))) if n else math.nan,
        "sd (µm)": sd,
        "lower limit (µm)": bias - 1.96 * sd,
        "upper limit (µm)": bias + 1.96 * sd,
        "median % error": float(np.median(percent)) if n else math.nan,
        "correlation": _correlation(pairs, axis),
        "above (%)": _share(percent >= beyond - TOLERANCE),
        "below (%)": _share(percent <= -beyond + TOLERANCE),
        "beyond (%)": _share(np.abs(percent) >= beyond - TOLERANCE),
    }


def _correlation(pairs: Pairs, axis: int) -> float:
    good = pairs.succeeded
    a, b = pairs.reference[good, axis], pairs.measured[good, axis]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _bootstrap(
    values: NDArray[np.float64], resamples: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Percentile interval of the mean."""
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    at_once = max(1, 2_000_000 // n)
    means = [
        values[rng.integers(0, n, (min(at_once, resamples - k), n))].mean(1)
        for k in range(0, resamples, at_once)
    ]
    tail = 50 * (1 - confidence)
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return float(low), float(high)
