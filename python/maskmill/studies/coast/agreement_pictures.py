"""Pictures of agreement between labelers: histograms, confusion, bias, and maps of where they disagree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import written_whole
from maskmill.io._palette import write_indexed
from maskmill.studies.coast.comparison import share
from maskmill.studies.coast.drawing import BLUE, ORANGE, figure, label_colours, save
from maskmill.studies.coast.interrater import Agreement, ImageMaps

BINS = 9


def iou_histogram(found: Agreement, path: Path) -> None:
    """How many pairs have which mean IoU, and which kappa: 9 bins from 0 to 1."""
    made, panels = figure(1, 2, (9, 3.6), sharey=True)
    for panel, name, label in zip(
        panels.flat, ("mean_iou", "kappa"), ("mean IoU", "Cohen's kappa"), strict=True
    ):
        values = found.pairs[name]
        known = values[np.isfinite(values)]
        panel.hist(np.clip(known, 0, 1), np.linspace(0, 1, BINS + 1), color=BLUE, edgecolor="white")
        if len(known):
            panel.axvline(known.mean(), color="black", linewidth=1)
            panel.set_title(f"mean {known.mean():.3f} of {len(known)} pairs", fontsize=10)
        panel.set(xlabel=f"{label} of two labelers of an image", xlim=(0, 1))
        panel.yaxis.get_major_locator().set_params(integer=True)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0, 0].set_ylabel("Number of pairs")
    save(made, path)


def iou_disagreement(found: Agreement, path: Path) -> None:
    """Pairs by mean IoU and by the share of pixels of two opinions: 9 x 9 bins."""
    made, panels = figure(1, 1, (6, 4.8))
    panel = panels[0, 0]
    x, y = found.pairs["mean_iou"], 100 * (1 - found.pairs["agreement"])
    known = np.isfinite(x) & np.isfinite(y)
    top = max(5.0, 5 * np.ceil(y[known].max(initial=0) / 5))
    counts, *edges = np.histogram2d(x[known], y[known], BINS, [[0, 1], [0, top]])
    shown = panel.pcolormesh(
        *edges, np.where(counts, counts, np.nan).T, cmap="Blues", vmin=0, edgecolor="#eeeeee", linewidth=0.5
    )
    panel.scatter(x[known], y[known], s=9, color=ORANGE, linewidths=0, label="a pair")
    panel.legend(fontsize=8, frameon=False)
    scale = made.colorbar(shown, ax=panel, label="Number of pairs")
    scale.locator.set_params(integer=True)
    panel.set(xlabel="mean IoU of two labelers", ylabel="Pixels that they label differently (%)")
    save(made, path)


def confusion_matrix(found: Agreement, path: Path) -> None:
    """All pixels by the class of the first and of the second labeler; colours are shares of the rows."""
    counts = found.confusions.sum(0)
    shares = share(counts, counts.sum(1, keepdims=True))
    side = 2.6 + 0.62 * len(found.classes)
    made, panels = figure(1, 1, (side + 0.8, side))
    panel = panels[0, 0]
    shown = panel.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    for (i, j), n in np.ndenumerate(counts):
        if n:
            dark = shares[i, j] > 0.55
            panel.text(
                j, i, _short(n), ha="center", va="center", fontsize=7, color="white" if dark else "black"
            )
    ticks = range(len(found.classes))
    panel.set_xticks(ticks, found.classes, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    panel.set_yticks(ticks, found.classes, fontsize=8)
    panel.set(xlabel="second labeler", ylabel="first labeler", title="Pixels")
    made.colorbar(shown, ax=panel, label="Share of the first labeler's class (%)", shrink=0.85)
    save(made, path)


def _short(n: int) -> str:
    """Of a number, three digits.

    >>> _short(417001), _short(28), _short(1464000000)
    ('417k', '28', '1.46G')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:.3g}{unit}"
    return str(n)


def bias(found: Agreement, path: Path) -> None:
    """Of each labeler, the share of pixels of each class less that by the other labelers of the same images."""
    names = list(dict.fromkeys(found.labelers["labeler"].tolist()))
    values = 100 * found.labelers["bias"].reshape(len(names), len(found.classes))
    most = max(1.0, float(np.abs(np.nan_to_num(values)).max(initial=0)))
    made, panels = figure(
        1, 1, (3.4 + 0.62 * len(found.classes) + 0.05 * max(map(len, names)), 1.8 + 0.42 * len(names))
    )
    panel = panels[0, 0]
    shown = panel.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.6 * most else "black"
        panel.text(j, i, f"{value:+.1f}", ha="center", va="center", fontsize=7, color=colour)
    ticks = range(len(found.classes))
    panel.set_xticks(ticks, found.classes, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    panel.set_yticks(range(len(names)), names, fontsize=8)
    made.colorbar(shown, ax=panel, label="Percentage points more\nthan the other labelers")
    save(made, path)


PICTURES = {
    "iou_histogram": iou_histogram,
    "iou_disagreement": iou_disagreement,
    "confusion": confusion_matrix,
    "bias": bias,
}


def write_maps(folder: Path, image: str, maps: ImageMaps, classes: tuple[str, ...]) -> None:
    """The majority and the estimated truth (palette PNGs: 0 for none, class + 1), ties, and how many disagree.

    `<image>_ties.png` has 1 where several classes have the most votes: there, the majority is the first of them.
    `<image>_disagreement.png` has the number of labelers that are not with the majority, 255 where one gave no class.
    """
    colours = label_colours(len(classes))
    for name, labels in (("majority", maps.majority()), ("truth", maps.truth())):
        _write(folder / f"{image}_{name}.png", labels, colours)
    _write(folder / f"{image}_ties.png", maps.tied(), np.array([(255, 255, 255), (178, 24, 43)], np.uint8))
    raters = len(maps.labelers)
    against = maps.disagreement() * raters
    numbers = np.where(np.isfinite(against), np.rint(np.nan_to_num(against)), 255).astype(np.uint8)
    reds = np.zeros((256, 3), np.uint8)
    reds[:raters] = np.linspace((255, 255, 255), (178, 24, 43), raters).astype(np.uint8)
    _write(folder / f"{image}_disagreement.png", numbers, reds)


def _write(path: Path, numbers: NDArray[Any], colours: NDArray[np.uint8]) -> None:
    with written_whole(path) as file:
        write_indexed(file, numbers.astype(np.uint8), colours)
