"""Pictures of a classified core: the map along depth, sizes of clasts, scores. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import need
from maskmill.dataset import Table
from maskmill.densify.legend import Legend
from maskmill.studies.core.logs import sorting_curve
from maskmill.studies.core.scale import Scale
from maskmill.studies.core.shapes import Shapes

LEAK = "#c0392b"
NONE = (222, 226, 235)
"""Where there is no class: not black, which may be a class."""
MOST = 2400
"""Rows of a photo that a picture shows; of larger ones every n-th pixel."""


def png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def class_map(
    photo: NDArray[Any] | None,
    classes: NDArray[Any],
    legend: Legend,
    scale: Scale | None,
    logs: Table | None,
    painted: NDArray[Any] | None = None,
) -> Any:
    """Photo, labels and class map side by side, shares of classes along depth beside them, and the legend."""
    height, width = classes.shape
    strips = {"photo": photo, "painted": _coloured(painted, legend), "classes": _coloured(classes, legend)}
    shown = {title: image for title, image in strips.items() if image is not None}
    tall = min(max(9.0 * height / max(width * 3, 1) + 1.5, 5.0), 22.0)
    strip = (tall - 1.5) * width / height
    wide = [*([max(strip, 0.6)] * len(shown)), *([3.2] if logs is not None else [])]
    figure = _figure(sum(wide) + 3.0, tall)
    axes = figure.subplots(1, len(wide), width_ratios=wide, squeeze=False, sharey=True)[0]
    top, bottom, unit = _depths(height, scale)
    for panel, (title, image) in zip(axes, shown.items(), strict=False):
        step = max(1, height // MOST)
        panel.imshow(
            image[::step, ::step],
            extent=(0, width * (scale.mm if scale else 1), bottom, top),
            aspect="auto",
            interpolation="nearest",
        )
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("mm" if scale else "px", fontsize=8)
        panel.tick_params(labelsize=8)
    axes[0].set_ylabel(f"depth ({unit})")
    axes[0].ticklabel_format(axis="y", useOffset=False)
    if logs is not None:
        _shares(axes[-1], logs, legend)
    _legend(figure, classes, legend)
    return figure


def _depths(height: int, scale: Scale | None) -> tuple[float, float, str]:
    if scale is None:
        return 0.0, float(height), "px"
    return float(scale.depth(0)), float(scale.depth(height)), "m"


def _coloured(classes: NDArray[Any] | None, legend: Legend) -> NDArray[np.uint8] | None:
    if classes is None:
        return None
    table: NDArray[np.uint8] = legend.table(int(classes.max(initial=0)) + 1)
    table[0] = NONE
    found: NDArray[np.uint8] = table[classes]
    return found


def _shares(panel: Any, logs: Table, legend: Legend) -> None:
    """Shares of classes in each bin, one on top of the other."""
    ids = np.unique(logs["class"])
    share = logs["fraction"].reshape(-1, len(ids))
    top, bottom = (logs[name].reshape(-1, len(ids))[:, 0] for name in ("depth_top", "depth_bottom"))
    left = np.zeros(len(share))
    for k, number in enumerate(ids.tolist()):
        panel.barh(
            (top + bottom) / 2,
            share[:, k],
            height=bottom - top,
            left=left,
            color=_shade(legend, number),
            linewidth=0,
        )
        left += share[:, k]
    panel.set(xlim=(0, 1), xlabel="share of the area")
    panel.set_title("classes along depth", fontsize=10)
    panel.tick_params(labelsize=8)


def _legend(figure: Any, classes: NDArray[Any], legend: Legend) -> None:
    patch = need("matplotlib.patches", "core").Patch
    numbers, pixels = np.unique(classes, return_counts=True)
    handles = [
        patch(
            facecolor=_shade(legend, n),
            edgecolor="0.4",
            linewidth=0.5,
            label=f"{n} {legend.name(n)}, {count / classes.size:.1%}",
        )
        for n, count in zip(numbers.tolist(), pixels.tolist(), strict=True)
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)


def _shade(legend: Legend, number: int) -> tuple[float, ...]:
    return tuple(value / 255 for value in (legend.colour(number) if number else NONE))


# Clasts


def sizes(shapes: Shapes) -> Any:
    """Cumulative sizes of clasts, sorting curves and dips, a line for each class."""
    figure = _figure(13, 4.4)
    by_size, curve, dips = figure.subplots(1, 3)
    table = shapes.table
    for number in np.unique(table["class"]).tolist():
        rows = table.take(table["class"] == number)
        style = {"color": _line(shapes.legend, number), "linewidth": 1.6}
        size = np.sort(rows["equivalent_diameter"])
        label = f"{shapes.legend.name(number)} ({len(rows)})"
        by_size.step(size, np.arange(1, len(size) + 1) / len(size), where="post", label=label, **style)
        if len(rows) > 1:
            area, perimeter = sorting_curve(rows["area"], rows["perimeter"])
            curve.plot(np.append(0, area), np.append(0, perimeter), **style)
    by_size.set(xlabel="equivalent diameter (mm)", ylabel="share of clasts not larger", ylim=(0, 1.02))
    if len(table):
        by_size.set_xscale("log")
        by_size.legend(fontsize=7, frameon=False, loc="upper left")
    curve.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=":")
    curve.set(xlabel="cumulative area, largest first", ylabel="cumulative perimeter", title="sorting")
    long = table.take((table["aspect"] >= 1.2) & (table["edges"] == 0))
    dips.hist(long["dip"], np.arange(-90, 91, 15), weights=long["area"], color="#4477aa", edgecolor="white")
    dips.set(
        xlabel="dip of the long axis (°), right positive", ylabel="area (mm²)", xticks=range(-90, 91, 45)
    )
    dips.set_title(f"{len(long)} clasts with aspect ≥ 1.2", fontsize=10)
    return figure


def _line(legend: Legend, number: int) -> tuple[float, ...]:
    """The class's colour, darker where it would not be seen on white."""
    shade = _shade(legend, number)
    light = 0.3 * shade[0] + 0.6 * shade[1] + 0.1 * shade[2]
    return tuple(value * min(1.0, 0.7 / max(light, 1e-6)) for value in shade)


# Scores


def scores(rows: Sequence[Mapping[str, Any]], leaking: Mapping[str, Any] | None) -> Any:
    """Bars of accuracy on held-out clasts; what random pixels say is hatched, as it leaks."""
    figure = _figure(9.5, 1.6 + 0.55 * (len(rows) + (leaking is not None)))
    panel = figure.subplots()
    labels = [f"{row['set']} ({row['columns']})" for row in rows]
    accuracy, spread = (_column(rows, name) for name in ("accuracy", "accuracy_sd"))
    before, after, random = (_column(rows, name) for name in ("all_pixels", "with_crf", "random_pixels"))
    y = np.arange(len(rows))
    panel.barh(y - 0.17, accuracy, 0.34, xerr=spread, color="#4477aa", label="held-out clasts")
    if np.isfinite(after).any():
        panel.barh(y + 0.18, after, 0.34, color="#66ccee", label="all their pixels, with CRF")
        panel.plot(before, y + 0.18, "|", color="black", markersize=12, label="all pixels, without CRF")
    tick = {"color": LEAK, "markersize": 12, "markeredgewidth": 2}
    panel.plot(random, y - 0.17, "|", label="random pixels: leaks", **tick)
    if leaking is not None:
        labels.append("original, scored by itself: LEAKS")
        style = {"facecolor": "none", "edgecolor": LEAK, "hatch": "///"}
        panel.barh(len(rows), leaking["accuracy"], 0.6, **style)
    panel.set_yticks(range(len(labels)), labels, fontsize=8)
    panel.invert_yaxis()
    panel.set(xlim=(0, 1), xlabel="accuracy")
    panel.grid(axis="x", alpha=0.3)
    panel.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    """NaN where nothing is said."""
    values = [row.get(name) for row in rows]
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _figure(width: float, height: float) -> Any:
    """Without pyplot, which keeps figures and is not for threads."""
    return need("matplotlib.figure", "core").Figure(figsize=(width, height), layout="constrained")
