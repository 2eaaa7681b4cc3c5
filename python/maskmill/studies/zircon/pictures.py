"""Plots of agreement and of sizes, as PNG, SVG or PDF by the suffix of the file. They need Matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import need, written_whole
from maskmill.dataset import Table
from maskmill.studies.zircon.comparison import ALL, Agreement

AXES = ("long", "short")
_DOTS = {"s": 5, "alpha": 0.35, "linewidths": 0, "rasterized": True}


def bland_altman(found: Agreement, path: Path) -> None:
    """Differences over means of both measurements, with bias and limits of agreement, for both axes."""
    figure, panels = _figure(1, 2, (11, 4.6))
    reference, measured = _successes(found)
    for k, (panel, axis) in enumerate(zip(panels.flat, AXES, strict=True)):
        mean, difference = (reference[:, k] + measured[:, k]) / 2, measured[:, k] - reference[:, k]
        panel.scatter(mean, difference, color="tab:blue", **_DOTS)
        row = next(r for r in found.axes if r["Group"] == ALL and r["Axis"] == axis)
        lines = (("upper limit (µm)", "--"), ("bias (µm)", "-"), ("lower limit (µm)", "--"))
        for name, style in lines:
            if math.isfinite(row[name]):
                panel.axhline(row[name], color="black", linestyle=style, linewidth=1)
                panel.annotate(
                    f"{name.removesuffix(' (µm)')} {row[name]:.1f}",
                    (1, row[name]),
                    xycoords=("axes fraction", "data"),
                    xytext=(-4, 3),
                    textcoords="offset points",
                    ha="right",
                    fontsize=8,
                    bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
                )
        panel.axhline(0, color="grey", linewidth=0.5)
        panel.set(
            title=f"{axis} axis, {row['n']:,} grains",
            xlabel=f"mean of both {axis} axes (µm)",
            ylabel="measured - reference (µm)",
        )
    _save(figure, path)


def scatter(found: Agreement, path: Path) -> None:
    """Measured over reference, with the line of equality and the symmetric border of 20 %."""
    figure, panels = _figure(1, 2, (10, 5))
    reference, measured = _successes(found)
    for k, (panel, axis) in enumerate(zip(panels.flat, AXES, strict=True)):
        panel.scatter(reference[:, k], measured[:, k], color="tab:blue", **_DOTS)
        top = 1.05 * max(reference[:, k].max(initial=1), measured[:, k].max(initial=1))
        line = np.array([0, top])
        panel.plot(line, line, color="black", linewidth=1)
        for share in (0.8, 1.2):
            panel.plot(line, share * line, color="grey", linewidth=0.8, linestyle=":")
        row = next(r for r in found.axes if r["Group"] == ALL and r["Axis"] == axis)
        panel.set(
            title=f"{axis} axis, r = {row['correlation']:.3f}",
            xlabel="reference (µm)",
            ylabel="measured (µm)",
            xlim=(0, top),
            ylim=(0, top),
            aspect="equal",
        )
    _save(figure, path)


def by_sample(found: Agreement, path: Path) -> None:
    """Bias of every sample with its confidence interval, sorted."""
    figure, panels = _figure(1, 2, (11, max(3.0, 1.6 + 0.22 * len(found.summary))), sharey=True)
    rows = [r for r in found.axes if r["Group"] != ALL]
    order = sorted(
        {r["Group"] for r in rows},
        key=lambda name: next(r["bias (µm)"] for r in rows if r["Group"] == name and r["Axis"] == "long"),
    )
    for panel, axis in zip(panels.flat, AXES, strict=True):
        mine = {r["Group"]: r for r in rows if r["Axis"] == axis}
        bias = np.array([mine[name]["bias (µm)"] for name in order])
        low = np.array([mine[name]["bias from (µm)"] for name in order])
        high = np.array([mine[name]["bias to (µm)"] for name in order])
        panel.errorbar(
            bias, range(len(order)), xerr=[bias - low, high - bias], fmt="o", markersize=4, capsize=2
        )
        panel.axvline(0, color="grey", linewidth=0.8)
        panel.set(title=f"{axis} axis", xlabel="bias and its confidence interval (µm)")
    panels.flat[0].set_yticks(range(len(order)), order, fontsize=8)
    _save(figure, path)


def distributions(measured: Mapping[str, Table], path: Path) -> None:
    """Long and short axes, area, and short over long axis of the grains of each part."""
    figure, panels = _figure(2, 2, (11, 8))
    shown = {part: _shown(table) for part, table in measured.items()}
    for panel, name in zip(panels.flat, next(iter(shown.values())), strict=True):
        values = {part: columns[name] for part, columns in shown.items()}
        whole = np.concatenate(list(values.values()))
        # As many classes as the smaller part can fill.
        fewest = min((len(found) for found in values.values() if len(found)), default=1)
        edges = np.histogram_bin_edges(whole, bins=min(max(math.isqrt(fewest), 5), 40))
        for part, found in values.items():
            if len(found):
                panel.hist(
                    found, edges, density=True, histtype="step", label=f"{part}, {len(found):,} grains"
                )
        panel.set(xlabel=name, ylabel="density")
        if any(map(len, values.values())):
            panel.legend(fontsize=8)
    _save(figure, path)


def _successes(found: Agreement) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    good = found.pairs.take(found.pairs.succeeded)
    return good.reference * good.unit, good.measured * good.unit


def _shown(grains: Table) -> dict[str, NDArray[np.float64]]:
    columns = {
        "long axis (µm)": grains["best_long"],
        "short axis (µm)": grains["best_short"],
        "equivalent diameter (µm)": grains["equivalent_diameter"],
        "short / long axis": grains["best_short"] / grains["best_long"],
    }
    return {name: values[np.isfinite(values)] for name, values in columns.items()}


def _figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """Without pyplot, which keeps figures and is not for threads."""
    figure = need("matplotlib.figure", "plot").Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def _save(figure: Any, path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"{path}: a plot must be .png, .svg or .pdf, not {suffix or 'without suffix'}")
    with written_whole(path) as file:
        figure.savefig(file, format=suffix[1:], dpi=130)
