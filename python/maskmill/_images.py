"""Images of 8 bits: as the kernels of hashes take them, other types only with a stated scaling; as people see them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._device import as_array, as_cupy, is_on_gpu, library, on_host

Scaling: TypeAlias = str | tuple[float, float]


def uint8_images(images: Any, scaling: Scaling | None) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
    """An (N, H, W[, C]) array or a list of (H, W[, C]) arrays, uint8; on a GPU if they are there."""
    if is_on_gpu(images):
        images = as_cupy(images)
    if (isinstance(images, np.ndarray) and images.dtype != object) or is_on_gpu(images):
        if images.ndim not in (3, 4):
            raise ValueError(
                f"images must be (N, H, W), (N, H, W, 3 | 4) or a list of images, not of shape {images.shape}"
            )
        if images.ndim == 4 and images.shape[3] not in (3, 4):
            raise ValueError(f"images must have 3 or 4 channels, not {images.shape[3]}")
        if len(images) and 0 in images.shape:
            raise ValueError(f"images must have pixels, not the shape {images.shape}")
        if images.dtype == np.uint8:
            found: NDArray[np.uint8] = images
            return found
        return [_uint8(image, scaling, i) for i, image in enumerate(images)]
    return [_uint8(_image(image, i), scaling, i) for i, image in enumerate(images)]


def _image(image: Any, i: int) -> NDArray[Any]:
    if hasattr(image, "convert") and hasattr(image, "getpalette"):
        raise TypeError(f"image {i} must be an array; of a Pillow image: np.asarray(image.convert('RGB'))")
    array: NDArray[Any] = as_array(image)
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(
            f"image {i} must be (H, W) or (H, W, 3 | 4) and have pixels, not of shape {array.shape}"
        )
    return array


def _uint8(image: NDArray[Any], scaling: Scaling | None, i: int) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * np.uint8(255)
    if image.dtype.kind not in "uif":
        raise TypeError(f"image {i} must be numbers, not {image.dtype}")
    if scaling is None:
        raise TypeError(
            f"image {i} must be uint8, not {image.dtype}; or say how to scale it: scaling='dtype', ..."
        )
    if scaling == "dtype" and image.dtype.kind != "f":
        info = np.iinfo(image.dtype)
        unsigned = image.astype(image.dtype.newbyteorder("=")).view(f"u{image.dtype.itemsize}")
        if info.min < 0:
            unsigned = unsigned ^ unsigned.dtype.type(1 << (info.bits - 1))  # shifted: the least value is 0
        scaled: NDArray[np.uint8] = (unsigned // unsigned.dtype.type(((1 << info.bits) - 1) // 255)).astype(
            np.uint8
        )
        return scaled
    there = library(image)
    values = image.astype(np.float64)
    if not there.isfinite(values).all():
        raise ValueError(f"image {i} must be finite")
    lo, hi = (0.0, 1.0) if scaling == "dtype" else (values.min(), values.max())
    if isinstance(scaling, tuple):
        lo, hi = scaling
    elif scaling == "dtype" and (values.min() < 0 or values.max() > 1):
        raise ValueError(
            f"image {i} must be within 0 and 1 for scaling 'dtype', not {values.min():g} and {values.max():g}"
        )
    if hi == lo:
        flat: NDArray[np.uint8] = there.zeros(image.shape, np.uint8)
        return flat
    window: NDArray[np.uint8] = there.clip(there.floor((values - lo) * 255 / (hi - lo)), 0, 255).astype(
        np.uint8
    )
    return window


def checked_scaling(scaling: Any) -> Scaling | None:
    if scaling is None or scaling in ("dtype", "minmax"):
        return None if scaling is None else str(scaling)
    try:
        lo, hi = map(float, scaling)
    except (TypeError, ValueError):
        raise ValueError(f"scaling must be 'dtype', 'minmax' or (lo, hi), not {scaling!r}") from None
    if not (np.isfinite([lo, hi]).all() and lo < hi):
        raise ValueError(f"scaling must have lo < hi, both finite, not {scaling!r}")
    return lo, hi


def to_rgb8(image: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of any image; other than 8 bits: from its 0.5 to its 99.5 percentile."""
    image = on_host(image, "image")
    image = image[..., None] if image.ndim == 2 else image
    image = np.repeat(image[..., :1], 3, 2) if image.shape[2] < 3 else image[..., :3]
    if image.dtype == bool:
        return np.asarray(image * 255, np.uint8)
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    finite = image[np.isfinite(image)] if image.dtype.kind == "f" else image
    low, high = np.percentile(finite, [0.5, 99.5]) if finite.size else (0, 1)
    scaled = (np.nan_to_num(image).astype(np.float32) - low) * (255 / max(float(high - low), 1e-12))
    return np.asarray(np.clip(scaled, 0, 255), np.uint8)
