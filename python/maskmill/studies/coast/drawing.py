"""What the pictures have in common: figures that need no window, files as PNG, SVG or PDF, and colours of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import need, written_whole
from maskmill.io._doodler_settings import colour_map
from maskmill.io._palette import palette

BLUE, ORANGE, GREY = "#2b6ca3", "#d9702b", "#777777"
SUPERCLASS_COLOURS = {
    "water": "#2b6ca3",
    "whitewater": "#8ecae6",
    "sediment": "#e9c46a",
    "developed": "#b23a48",
    "vegetation": "#4a9d5b",
    "natural_terrain": "#a67c52",
    "other": "#8d8d8d",
}


def figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """A figure and its panels, as a 2-D array; without pyplot, which keeps figures and is not for threads."""
    made = need("matplotlib.figure", "plot").Figure(figsize=size, layout="constrained")
    need("matplotlib.backends.backend_agg", "plot").FigureCanvasAgg(made)
    return made, made.subplots(rows, columns, squeeze=False, **options)


def save(made: Any, path: Path) -> None:
    """As PNG, SVG or PDF by the suffix; the same figure gives the same bytes."""
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"{path}: a plot must be .png, .svg or .pdf, not {suffix or 'without suffix'}")
    undated = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with written_whole(path) as file:
        made.savefig(file, format=suffix[1:], dpi=130, metadata=undated[suffix])


def label_colours(n: int) -> NDArray[np.uint8]:
    """(n + 1, 3) colours of label images: black for none, then Doodler's; Pascal VOC's for more than 24 classes."""
    if n > 24:
        return palette(n + 1)
    return np.vstack([np.zeros((1, 3), np.uint8), colour_map(n)[:n]])


def bars(
    panel: Any,
    names: Sequence[str],
    heights: Sequence[float],
    *,
    colour: Any = BLUE,
    published: Sequence[float] | None = None,
) -> None:
    """Bars with their numbers above; what was published, where it differs, as a line across, with its number."""
    top = max([*heights, *(published or ()), 1])
    found = panel.bar(range(len(names)), heights, color=colour, width=0.78)
    panel.bar_label(found, labels=[f"{h:,.10g}" if h else "" for h in heights], fontsize=7, padding=1)
    for i, value in enumerate(published or ()):
        if value != heights[i] and math.isfinite(value):
            panel.hlines(value, i - 0.46, i + 0.46, color=ORANGE, linewidth=1.6)
            above = value > heights[i]
            panel.annotate(
                f"{value:,.10g}",
                (i, value),
                xytext=(0, 3 if above else -3),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                fontsize=7,
                color=ORANGE if above else "white",
            )
    panel.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
    panel.set_ylim(0, top * 1.15)
    panel.spines[["top", "right"]].set_visible(False)
