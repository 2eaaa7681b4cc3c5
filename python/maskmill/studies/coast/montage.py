"""Results as pictures to look at: image, label with the names of its classes, and both upon one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill._images import to_rgb8
from maskmill.io.doodler import Trial
from maskmill.studies.coast.drawing import label_colours

Picture = NDArray[np.uint8]

_SIDE = 480
_GAP = 8


def montage(trial: Trial, *, side: int = _SIDE, alpha: float = 0.5) -> Picture:
    """Image, label, overlay and the bar of classes of a trial, side by side.

    Parameters
    ----------
    trial : Trial
    side : int
        Pixels of the longer side of each picture.
    alpha : float
        How much of the label the overlay has.

    Returns
    -------
    (h, w, 3) uint8, red first
        Classes that do not occur are in the bar without their colour; pixels without class are black.

    Raises
    ------
    FormatError
        The trial has no image.
    """
    image = rgb(trial)
    labels = trial.labels()
    n = len(trial.classes)
    coloured = label_colours(n)[labels]
    mixed = np.where((labels > 0)[..., None], (1 - alpha) * image + alpha * coloured, image)
    shown = [
        fitted(image, side),
        fitted(coloured, side, smooth=False),
        fitted(np.rint(mixed).astype(np.uint8), side),
    ]
    height = max(shown[0].shape[0], 22 * n + 4)
    columns = [_column(picture, height) for picture in shown]
    shares = np.bincount(labels.ravel(), minlength=n + 1)[1:] / labels.size
    return np.hstack([*columns, _bar(trial.classes, shares, height)])


def rgb(trial: Trial) -> Picture:
    """The image of a trial as (H, W, 3) uint8: the first three bands, or gray."""
    if "image" not in trial.arrays:
        raise FormatError(f"{trial.path}: {trial.prefix}image: expected an array, found none")
    return to_rgb8(trial.array("image"))


def fitted(picture: Picture, side: int, *, smooth: bool = True) -> Picture:
    """The picture with its longer side of `side` pixels; labels without mixing their colours."""
    import cv2

    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 and smooth else cv2.INTER_NEAREST
    made: Picture = cv2.resize(np.ascontiguousarray(picture), size, interpolation=way)
    return made


def _column(picture: Picture, height: int) -> Picture:
    canvas = np.full((height, picture.shape[1] + _GAP, 3), 255, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    return canvas


def _bar(classes: tuple[str, ...], shares: NDArray[np.float64], height: int) -> Picture:
    """Names of the classes with their colours, and how much of the image each has."""
    import cv2

    texts = [
        f"{_ascii(name)}  {100 * s:.1f} %" if s else _ascii(name)
        for name, s in zip(classes, shares, strict=True)
    ]
    width = 40 + max(
        (cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0] for text in texts), default=0
    )
    canvas = np.full((height, width, 3), 255, np.uint8)
    for i, (text, share, colour) in enumerate(
        zip(texts, shares, label_colours(len(classes))[1:].tolist(), strict=True)
    ):
        top = 22 * i + 4
        cv2.rectangle(
            canvas, (4, top), (24, top + 15), colour if share else (205, 205, 205), -1 if share else 1
        )
        ink = (0, 0, 0) if share else (150, 150, 150)
        cv2.putText(canvas, text, (31, top + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42, ink, 1, cv2.LINE_AA)
    return canvas


def _ascii(name: str) -> str:
    """OpenCV draws no other letters."""
    return name[:60].encode("ascii", "replace").decode()
