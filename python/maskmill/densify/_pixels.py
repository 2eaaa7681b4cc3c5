"""Images of any kind as networks take them: floats of 0 to 255, three bands or one, normalised."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host
from maskmill._files import FormatError
from maskmill._images import Scaling

GREY = np.array((0.299, 0.587, 0.114), np.float32)
"""ITU-R BT.601, as Pillow and OpenCV make grey of colours."""


def checked_image(image: ArrayLike) -> NDArray[Any]:
    """(H, W, C): grey, grey alone in its axis, or RGB with anything (alpha) behind it."""
    array = on_host(image, "image")
    if array.dtype.kind not in "buif":
        raise TypeError(f"image must be numbers, not {array.dtype}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ValueError(f"image must be (H, W) or (H, W, 1 | 3 | 4), not of shape {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"image must have pixels, not the shape {array.shape}")
    return array[..., None] if array.ndim == 2 else array[..., :3]


class Levels(NamedTuple):
    """What becomes 0 and what becomes 255."""

    low: float
    high: float
    strict: bool = False
    """Whether pixels beyond are a fault; else they are 0 and 255."""


def levels(image: NDArray[Any], scaling: Scaling) -> Levels:
    """Of an image, by its type or itself."""
    if image.dtype == np.uint8:
        return Levels(0, 255)
    if image.dtype == np.bool_:
        return Levels(0, 1)
    if isinstance(scaling, tuple):
        return Levels(*scaling)
    if scaling == "minmax":
        _check_finite(image)
        least, greatest = float(image.min()), float(image.max())
        if not np.isfinite(greatest - least):
            raise ValueError(f"image must not reach from {least:g} to {greatest:g}")
        return Levels(least, greatest)
    if image.dtype.kind == "f":
        return Levels(0, 1, strict=True)
    info = np.iinfo(image.dtype)
    return Levels(info.min, info.max)


def _check_finite(image: NDArray[Any]) -> None:
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError("image must be finite")


class Pixels:
    """What happens to pixels before a network sees them.

    Parameters
    ----------
    metadata : dict
        Of an ONNX model: Image.BitmapPixelFormat and Image.NominalPixelRange, as ONNX' MetadataProps.md defines them.
    """

    def __init__(
        self,
        metadata: dict[str, str],
        where: str,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        order: str | None = None,
    ) -> None:
        kind = metadata.get("Image.BitmapPixelFormat", "Rgb8")
        span = metadata.get("Image.NominalPixelRange", "NominalRange_0_255")
        ranges = {"NominalRange_0_255": (0, 1), "Normalized_0_1": (0, 255), "Normalized_1_1": (127.5, 127.5)}
        orders = {"Rgb8": "RGB", "Bgr8": "BGR", "Gray8": "RGB"}
        if kind not in orders and order is None:
            raise FormatError(f"{where}: Image.BitmapPixelFormat must be {' or '.join(orders)}, not {kind!r}")
        if span not in ranges and (mean is None or std is None):
            raise FormatError(f"{where}: Image.NominalPixelRange must be {' or '.join(ranges)}, not {span!r}")
        if order not in (None, "RGB", "BGR"):
            raise ValueError(f"order must be 'RGB' or 'BGR', not {order!r}")
        default = ranges.get(span, (0, 1))
        self.order = order or orders[kind]
        self.mean = _three(default[0] if mean is None else mean, "mean")
        self.std = _three(default[1] if std is None else std, "std")
        if not all(self.std):
            raise ValueError(f"std must not be 0, not {self.std}")

    def prepare(self, part: NDArray[Any], levels: Levels, bands: int | None) -> NDArray[np.float32]:
        """A part of an image, (h, w, 3) or (h, w, 1) as the network asks."""
        x: NDArray[Any] = part.astype(np.float32)
        if part.dtype.kind == "f":
            _check_finite(part)
            least, greatest = float(part.min()), float(part.max())
            if levels.strict and (least < 0 or greatest > 1):
                raise ValueError(
                    f"floats must be within 0 and 1, not {least:g} and {greatest:g}; or say what they are: "
                    "scaling=(0, 255), ..."
                )
        if part.dtype != np.uint8:
            wide = np.clip(part.astype(np.float64), levels.low, levels.high) - levels.low
            x = (wide / max(levels.high - levels.low, 1e-300) * 255).astype(np.float32)
        if bands == 1 and x.shape[2] == 3:
            x = (x * GREY).sum(axis=2, keepdims=True, dtype=np.float32)
        elif bands != 1 and x.shape[2] == 1:
            x = np.broadcast_to(x, (*x.shape[:2], 3))
        elif self.order == "BGR":
            x = x[..., ::-1]
        if any(self.mean) or set(self.std) != {1.0}:
            n = x.shape[2]
            x = (x - np.array(self.mean[:n], np.float32)) / np.array(self.std[:n], np.float32)
        return x


def _three(value: ArrayLike, name: str) -> tuple[float, ...]:
    array = on_host(value, "labels")
    if array.dtype.kind not in "iuf" or array.shape not in ((), (1,), (3,)) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be a number or three, not {value!r}")
    return tuple(np.broadcast_to(array, 3).astype(float).tolist())
