"""Label images as PNG: whatever bits they have, pixels are numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.io._palette import read_indexed, write_indexed
from maskmill.io.images import read_image

_PALETTE = 3


def read_labels(path: Path) -> NDArray[Any]:
    """The numbers of a label image, (H, W): gray of 8 or 16 bits; indices of a palette; red + 256 green + 65536 blue.

    Raises
    ------
    FormatError
        If it is no image, or damaged.
    """
    with open(path, "rb") as file:
        head = file.read(26)
    if head.startswith(b"\x89PNG") and head[25:] == bytes([_PALETTE]):
        return read_indexed(path)
    image = read_image(path)
    if image.dtype.kind not in "ui":
        raise FormatError(f"{path}: expected a label image of integers, found {image.dtype}")
    if image.ndim == 2:
        return image
    if image.dtype != np.uint8 or image.shape[2] < 3:
        raise FormatError(
            f"{path}: expected gray, a palette or 8-bit RGB, found {image.shape[2]} x {image.dtype}"
        )
    rgb = image[..., :3].astype(np.int32)
    if np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2]):
        gray: NDArray[Any] = rgb[..., 0]  # a gray picture that was saved as RGB
        return gray
    numbers: NDArray[Any] = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
    return numbers


def write_labels(path: Path, labels: NDArray[Any], *, palette: bool = False) -> None:
    """Write numbers as PNG: 8 bits, or 16 above 255; with `palette`, 8-bit indices of Pascal VOC's colours."""
    import cv2

    highest, most = int(labels.max(initial=0)), 255 if palette else 65535
    if highest > most:
        raise ValueError(
            f"{path}: numbers{' with a palette' * palette} must be at most {most}, not {highest}"
        )
    image = np.ascontiguousarray(labels, np.uint16 if highest > 255 else np.uint8)
    with written_whole(path) as file:
        if palette:
            write_indexed(file, image)
        else:
            file.write(cv2.imencode(".png", image)[1].tobytes())
