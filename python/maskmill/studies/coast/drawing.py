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
        made.savefig(file, format=suffix[1:], dpi=110, metadata=undated[suffix])


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
    top = 1.15 * max([*heights, *(p for p in published or () if math.isfinite(p)), 1])
    panel.bar(range(len(names)), heights, color=colour, width=0.78)
    panel.set_ylim(0, top)
    lines = [*(published or [math.nan] * len(names))]
    for i, (height, line) in enumerate(zip(heights, lines, strict=True)):
        differs = math.isfinite(line) and line != height
        if differs:
            panel.hlines(line, i - 0.46, i + 0.46, color=ORANGE, linewidth=1.6)
            _number(panel, i, line, inside=line < height, colour="white" if line < height else ORANGE)
        if height:  # the line's number would be upon this one, if they are near each other
            inside = differs and 0 < line - height < 0.09 * top < height
            _number(panel, i, height, inside=inside, colour="white" if inside else "black")
    panel.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def _number(panel: Any, i: int, value: float, *, inside: bool, colour: str) -> None:
    """A number above a bar's end, or below it, within the bar."""
    panel.annotate(
        f"{value:,.10g}",
        (i, value),
        xytext=(0, -2 if inside else 2),
        textcoords="offset points",
        ha="center",
        va="top" if inside else "bottom",
        fontsize=7,
        color=colour,
    )
