"""Pictures of data sets: masks upon their images, contact sheets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._images import to_rgb8
from maskmill._picture import colours
from maskmill.dataset import Dataset
from maskmill.dataset.shapes import BOX
from maskmill.masks import Masks

__all__ = ["contact_sheet", "overlay", "picture", "to_rgb8"]


def overlay(
    image: NDArray[Any], masks: Masks, *, colour: NDArray[np.uint8] | None = None, alpha: float = 0.35
) -> NDArray[np.uint8]:
    """Masks in colours upon an image, with bright outlines of two pixels.

    Parameters
    ----------
    image : (H, W[, C])
    masks : Masks of the image's size
    colour : (N, 3) uint8, optional
    alpha : how much of the surface's colour is seen

    Returns
    -------
    (H, W, 3) uint8, red first

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Masks
    >>> from maskmill.show import overlay
    >>> overlay(np.zeros((8, 8)), Masks.encode(np.eye(8, dtype=bool))).shape
    (8, 8, 3)
    """
    if masks.device != "cpu":
        raise TypeError("masks must be on the host, not on a GPU; masks.to('cpu') brings them there")
    made = to_rgb8(image).astype(np.float32)
    if len(masks) == 0:
        return made.astype(np.uint8)
    palette = np.concatenate([np.zeros((1, 3), np.uint8), colours(len(masks)) if colour is None else colour])
    for part, strength in ((masks, alpha), (masks.boundary(2), 1.0)):
        labels = part.labels()
        painted = labels > 0
        made[painted] = (1 - strength) * made[painted] + strength * palette[labels[painted]]
    return made.astype(np.uint8)


def picture(dataset: Dataset, i: int, *, side: int | None = None, boxes: bool = True) -> NDArray[np.uint8]:
    """Image i with its instances, one colour for each category (for each instance, if there is but one).

    A picture that is not there is gray. `side` is the longest side of the result, in pixels; bare bounding boxes are
    drawn as frames.
    """
    import cv2

    reference = dataset.images["pixels"][i]
    h, w = int(dataset.images["height"][i]), int(dataset.images["width"][i])
    image = np.full((h, w, 3), 96, np.uint8) if reference is None else to_rgb8(reference.read())
    if image.shape[:2] != (h, w):
        name = dataset.images["file_name"][i]
        raise ValueError(f"image {name!r} must be {h} x {w}, as its annotations say, not {image.shape[:2]}")
    rows = dataset.rows_of_image(i)
    few = len(dataset.categories) < 2
    palette = colours(max(len(rows) if few else len(dataset.categories), 1) + 1)
    colour = palette[np.arange(len(rows)) if few else dataset.instances["category"][rows]]
    made = overlay(image, dataset.masks[rows], colour=colour)
    for k, row in enumerate(rows.tolist()):
        if boxes and dataset.shapes.kind[row] == BOX and not np.isnan(dataset.instances["bbox"][row]).any():
            x, y, bw, bh = dataset.instances["bbox"][row]
            corners = (round(x), round(y)), (round(x + bw) - 1, round(y + bh) - 1)
            made = np.ascontiguousarray(made)
            cv2.rectangle(made, *corners, tuple(colour[k].tolist()), 2)
    return made if side is None else _fitted(made, side)


def _fitted(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    import cv2

    scale = side / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    )


def contact_sheet(
    dataset: Dataset, rows: Any = None, *, columns: int | None = None, side: int = 240
) -> NDArray[np.uint8]:
    """Many small pictures with their names below, and the colours of the categories.

    Parameters
    ----------
    rows : of images; the first 24 by default
    columns : of the sheet; about as many as rows by default
    side : longest side of one picture
    """
    chosen = list(range(min(24, len(dataset)))) if rows is None else [int(i) for i in rows]
    if not chosen:
        raise ValueError("rows must name at least one image")
    across = columns or math.ceil(math.sqrt(len(chosen)))
    gap, line = 8, 18
    legend = _legend(dataset, across * (side + gap) + gap)
    down = math.ceil(len(chosen) / across)
    sheet = np.full((down * (side + line + gap) + gap, across * (side + gap) + gap, 3), 250, np.uint8)
    for k, i in enumerate(chosen):
        small = picture(dataset, i, side=side)
        y, x = gap + (k // across) * (side + line + gap), gap + (k % across) * (side + gap)
        y0, x0 = y + (side - small.shape[0]) // 2, x + (side - small.shape[1]) // 2
        sheet[y0 : y0 + small.shape[0], x0 : x0 + small.shape[1]] = small
        _text(sheet, str(dataset.images["file_name"][i]), (x, y + side + 13), side)
    return np.concatenate([sheet, legend])


def _text(canvas: NDArray[np.uint8], text: str, at: tuple[int, int], width: int) -> int:
    """Draw text (what OpenCV's fonts have of it), its end if it is too long; gives its width."""
    import cv2

    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    plain = text.encode("ascii", "replace").decode()
    while len(plain) > 4 and cv2.getTextSize(plain, font, scale, 1)[0][0] > width:
        plain = "..." + plain.removeprefix("...")[1:]
    cv2.putText(canvas, plain, at, font, scale, (40, 40, 40), 1, cv2.LINE_AA)
    return int(cv2.getTextSize(plain, font, scale, 1)[0][0])


def _legend(dataset: Dataset, width: int) -> NDArray[np.uint8]:
    """The categories that have instances, in their colours; none where each instance has a colour of its own."""
    n = len(dataset.categories)
    if n < 2:
        return np.full((0, width, 3), 250, np.uint8)
    palette = colours(n + 1)
    lines = np.full((22, width, 3), 250, np.uint8)
    rows = [lines.copy()]
    x = 8
    for k in np.unique(dataset.instances["category"]).tolist():
        if k < 0:
            continue
        name = str(dataset.categories["name"][k])
        if x + 24 + 8 * len(name) > width and x > 8:
            rows.append(lines.copy())
            x = 8
        rows[-1][5:17, x : x + 12] = palette[k]
        x += 16 + _text(rows[-1], name, (x + 16, 15), width - 30) + 14
    return np.concatenate(rows)
