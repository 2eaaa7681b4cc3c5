"""What a trial looks like: doodles and labels upon the image, and the names of the colours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskmill._images import to_rgb8
from maskmill.io.doodler import colour_map
from maskmill.io.pictures import write_picture
from maskmill.studies.coast.labelled import find_sources, labelled
from maskmill.studies.coast.ledger import Progress, Report, Row, Source, on_each
from maskmill.studies.coast.mapping import Remap

_GAP, _LINE = 8, 22


def overlay(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], n: int, alpha: float = 0.5
) -> NDArray[np.uint8]:
    """(H, W, 3): labels (class + 1) of n classes in their colours upon an image; where there is none, the image.

    >>> overlay(np.zeros((1, 2), np.uint8), np.array([[0, 1]], np.uint8), 2).tolist()
    [[[0, 0, 0], [26, 51, 102]]]
    """
    colours = np.concatenate([np.zeros((1, 3), np.uint8), colour_map(n)[:n]]).astype(np.float32)
    made = to_rgb8(image).astype(np.float32)
    painted = labels > 0
    made[painted] = (1 - alpha) * made[painted] + alpha * colours[labels[painted]]
    return np.rint(made).astype(np.uint8)


def beside(
    image: NDArray[np.uint8], doodles: NDArray[np.uint8], labels: NDArray[np.uint8], classes: Sequence[str]
) -> NDArray[np.uint8]:
    """Doodles upon the image, labels upon the image, side by side (one above the other if they are wide), and a legend.

    Small pictures are enlarged, so that they are at least 240 pixels high and wide.
    """
    n = len(classes)
    scale = max(1, -(-240 // min(image.shape[:2])) if max(image.shape[:2]) < 1000 else 1)
    panels = [overlay(image, doodles, n, 1.0), overlay(image, labels, n, 0.5)]
    panels = [panel.repeat(scale, 0).repeat(scale, 1) for panel in panels]
    axis = 1 if panels[0].shape[1] <= 1.5 * panels[0].shape[0] else 0
    gap = np.full_like(panels[0][:, :_GAP] if axis else panels[0][:_GAP], 255)
    both = np.concatenate([panels[0], gap[:, :_GAP] if axis else gap, panels[1]], axis)
    present = np.unique(np.concatenate([labels.ravel(), doodles.ravel()]))
    return np.concatenate([both, legend(classes, both.shape[1], present.tolist())])


def legend(classes: Sequence[str], width: int, present: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """(h, width, 3): all classes in their colours; those that do not occur (class + 1 not in `present`) in brackets."""
    import cv2

    lines: list[NDArray[np.uint8]] = []
    x = width
    font = cv2.FONT_HERSHEY_SIMPLEX
    for k, name in enumerate(classes):
        plain = (name or f"class {k + 1}").encode("ascii", "replace").decode()[:60]
        text = plain if present is None or k + 1 in present else f"({plain})"
        needed = 20 + cv2.getTextSize(text, font, 0.45, 1)[0][0] + 14
        if x + needed > width:
            lines.append(np.full((_LINE, width, 3), 255, np.uint8))
            x = _GAP // 2
        lines[-1][5:17, x : x + 12] = colour_map(len(classes))[k]
        cv2.putText(lines[-1], text, (x + 17, 16), font, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
        x += needed
    return np.concatenate(lines) if lines else np.empty((0, width, 3), np.uint8)


def show(
    path: str | Path,
    folder: str | Path,
    *,
    trials: str = "newest",
    remap: Remap | None = None,
    classes: Sequence[str] = (),
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write a picture of each trial, `NAME_disp.png`, as `beside` draws it. Parameters are those of `unpack`."""
    return on_each(
        find_sources(path),
        Path(folder),
        partial(_show, Path(folder), trials, classes, remap),
        verb="show",
        settings={"trials": trials, "classes": list(classes), "remap": remap and remap.to_json()},
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )


def _show(
    folder: Path, trials: str, classes: Sequence[str], remap: Remap | None, source: Source
) -> list[Row]:
    rows = []
    for one in labelled(source, trials, classes, remap):
        labels = one.labels()
        rows.append({**one.row(labels), "files": [f"{one.name}_disp.png"]})
        write_picture(
            folder / f"{one.name}_disp.png", beside(one.image(), one.doodles(), labels, one.classes)
        )
    return rows
