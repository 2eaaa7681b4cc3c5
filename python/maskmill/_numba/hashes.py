"""Perceptual hashes; the twin of cpp/kernels/hashes.hpp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._numba import _colorhash, _opencv, _segments
from maskmill._numba._dct import dct
from maskmill._numba._pdq import LUMAS, pdq
from maskmill._numba._resample import BILINEAR, LANCZOS, REGIMES, resize
from maskmill._numba._runs import Float64s, Int64s

Image: TypeAlias = NDArray[np.uint8]
Codes: TypeAlias = NDArray[np.uint64]

KINDS = ("ahash", "dhash", "dhash_v", "phash", "phash_simple", "whash")
PROFILES = ("imagehash", "imagededup", "cem", "opencv")


class Rule(NamedTuple):
    kind: str
    size: int
    profile: str
    regime: str
    crop: int


def hashes_images(images: Any, kind: str, size: int, profile: str, regime: str, crop: int) -> Codes:
    rule = _rule(kind, size, profile, regime, crop)
    return _codes(_views(images), rule)


def hashes_planes(
    volume: Image,
    axis: int,
    tiles: Int64s,
    slices: Int64s,
    kind: str,
    size: int,
    profile: str,
    regime: str,
    crop: int,
) -> Codes:
    rule = _rule(kind, size, profile, regime, crop)
    if volume.dtype != np.uint8:
        raise TypeError("volume must be an array of uint8")
    if volume.ndim != 3:
        raise ValueError("volume must have shape (D, H, W)")
    if axis not in (0, 1, 2):
        raise ValueError("axis must be 0, 1 or 2")
    if tiles.ndim != 2 or tiles.shape[1] != 4:
        raise ValueError("tiles must have shape (T, 4)")
    if slices.ndim != 1:
        raise ValueError("slices must be a vector")
    stack = np.moveaxis(volume, axis, 0)
    depth, height, width = stack.shape
    for i, (r0, r1, c0, c1) in enumerate(tiles.tolist()):
        if not (0 <= r0 < r1 <= height and 0 <= c0 < c1 <= width):
            raise ValueError(f"tile {i} must have pixels and be within ({height}, {width})")
    for i, s in enumerate(slices.tolist()):
        if not 0 <= s < depth:
            raise ValueError(f"slice {i} must be within 0 and {depth - 1}, not {s}")
    return _codes([stack[s, r0:r1, c0:c1] for r0, r1, c0, c1 in tiles for s in slices], rule)


def hashes_pdq(images: Any, luma: str, dihedral: bool) -> tuple[Codes, NDArray[np.uint8]]:
    if luma not in LUMAS:
        raise ValueError(f"unknown luma: {luma}")
    return pdq(_views(images), luma, dihedral)


def hashes_dihedral(images: Any, size: int, profile: str, regime: str, crop: int) -> Codes:
    if profile == "imagededup":
        raise ValueError(f"unknown profile: {profile}")
    rule = _rule("dhash", size, profile, regime, crop)
    out = []
    for image in map(gray, map(_flat, _views(images))):
        if profile == "cem":
            image = resize(image, crop, crop, BILINEAR, regime)
        wide = resize(image, size, size + 1, LANCZOS, regime)
        high = resize(image, size + 1, size, LANCZOS, regime)
        # Turned by 90 degrees, what was high is wide.
        grids = [
            wide,
            np.rot90(high),
            np.rot90(wide, 2),
            np.rot90(high, 3),
            np.flipud(wide),
            np.fliplr(wide),
            high.T,
            np.rot90(high, 2).T,
        ]
        out += [grid[:, 1:] > grid[:, :-1] for grid in grids]
    return _packed([bits.ravel() for bits in out], size**2).reshape(-1, 8, -(-(rule.size**2) // 64))


def hashes_colorhash(images: Any, binbits: int) -> Codes:
    if not 1 <= binbits <= 16:
        raise ValueError("binbits must be within 1 and 16")
    numbers = [_colorhash.numbers(image, gray(image), binbits) for image in map(_flat, _views(images))]
    return _packed([_colorhash.bits(values, binbits) for values in numbers], 14 * binbits)


def hashes_crop_resistant(
    images: Any, size: int, regime: str, side: int, threshold: int, least: int, limit: int
) -> tuple[Codes, Int64s]:
    rule = _rule("dhash", size, "imagehash", regime, 1)
    if not 1 <= side <= 4096:
        raise ValueError("segmentation_image_size must be within 1 and 4096")
    bits, offsets = [], [0]
    for image in map(gray, map(_flat, _views(images))):
        for box in _segments.boxes(resize(image, side, side, LANCZOS, regime), threshold, least, limit):
            y0, y1, x0, x1 = _segments.scaled(box, side, *image.shape)
            part = image[y0:y1, x0:x1]
            # A box without pixels has the code 0.
            bits.append(_bits(part, rule).ravel() if part.size else np.zeros(size**2, np.bool_))
        offsets.append(len(bits))
    return _packed(bits, size**2), np.array(offsets, np.int64)


def _rule(kind: str, size: int, profile: str, regime: str, crop: int) -> Rule:
    for value, what, known in (
        (kind, "hash", KINDS),
        (profile, "profile", PROFILES),
        (regime, "resize regime", REGIMES),
    ):
        if value not in known:
            raise ValueError(f"unknown {what}: {value}")
    if not 2 <= size <= 256:
        raise ValueError("hash_size must be within 2 and 256")
    if not 1 <= crop <= 65536:
        raise ValueError("crop must be within 1 and 65536")
    if profile == "opencv" and (kind not in ("ahash", "phash") or size != 8):
        raise ValueError("profile opencv has ahash and phash of size 8")
    return Rule(kind, size, profile, regime, crop)


def _views(images: Any) -> Sequence[Image]:
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8:
            raise TypeError("images must be arrays of uint8")
        if images.ndim not in (3, 4):
            raise ValueError("images must have shape (H, W) or (H, W, C)")
    elif not isinstance(images, list | tuple):
        raise TypeError("images must be an array or a list of arrays")
    for image in images:
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise TypeError("images must be arrays of uint8")
        if image.ndim not in (2, 3):
            raise ValueError("images must have shape (H, W) or (H, W, C)")
        if 0 in image.shape[:2]:
            raise ValueError("images must have pixels")
        if image.ndim == 3 and image.shape[2] not in (1, 3, 4):
            raise ValueError("images must have 3 or 4 channels")
    return list(images)


def _codes(images: Sequence[Image], rule: Rule) -> Codes:
    return _packed([_bits(_flat(image), rule).ravel() for image in images], rule.size**2)


def _packed(bits: Sequence[NDArray[np.bool_]], width: int) -> Codes:
    """(N, words): the first bit most significant; zeros at the end."""
    padded = np.zeros((len(bits), -(-width // 64) * 64), np.bool_)
    for row, values in zip(padded, bits, strict=True):
        row[:width] = values
    return np.packbits(padded, axis=1).view(">u8").astype(np.uint64)


def _flat(image: Image) -> Image:
    return image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image


def _bits(image: Image, rule: Rule) -> NDArray[np.bool_]:
    """(size, size)"""
    if rule.profile == "opencv":
        return _opencv.ahash_bits(image) if rule.kind == "ahash" else _opencv.phash_bits(image)
    dedup = rule.profile == "imagededup"
    if not dedup:
        image = gray(image)
    if rule.profile == "cem":
        image = resize(image, rule.crop, rule.crop, BILINEAR, rule.regime)
    height, width = _grid_size(rule, *image.shape[:2])
    if image.ndim == 3:  # imagededup: gray comes last
        channels = [resize(image[:, :, c], height, width, LANCZOS, rule.regime) for c in range(3)]
        grid = gray(np.stack(channels, axis=2))
    else:
        grid = resize(image, height, width, LANCZOS, rule.regime)
    if rule.kind == "dhash":
        return grid[:, 1:] > grid[:, :-1]
    if rule.kind == "dhash_v":
        return grid[1:] > grid[:-1]
    if rule.kind == "ahash":
        total = int(grid.sum(dtype=np.int64))
        return grid * np.int64(grid.size) >= total + (0 if dedup else 1)
    if rule.kind == "whash":
        return _whash_bits(grid, rule)
    return _phash_bits(grid, rule)


def gray(image: Image) -> Image:
    """Pillow's."""
    if image.ndim == 2:
        return image
    r, g, b = (image[:, :, c].astype(np.uint32) for c in range(3))
    return ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).astype(np.uint8)


def _grid_size(rule: Rule, height: int, width: int) -> tuple[int, int]:
    """Of the small picture whose pixels decide the bits."""
    n = rule.size
    if rule.kind == "ahash":
        return n, n
    if rule.kind == "dhash":
        return n, n + 1
    if rule.kind == "dhash_v":
        return n + 1, n
    if rule.kind in ("phash", "phash_simple"):
        return 4 * n, 4 * n
    if rule.profile == "imagededup":
        return 32 * n, 32 * n
    side = max(n, 1 << (min(height, width).bit_length() - 1))
    return side, side


def _phash_bits(grid: Image, rule: Rule) -> NDArray[np.bool_]:
    n = rule.size
    values = grid.astype(np.float64)
    if rule.kind == "phash_simple":
        block = dct(values[:n].T).T[:, 1 : n + 1]
        above: NDArray[np.bool_] = block > np.ascontiguousarray(block).sum() / block.size
        return above
    block = dct(dct(values)[:n].T).T[:, :n]
    if rule.profile == "imagededup":
        return block >= np.median(block.ravel()[1:])
    return block > np.median(block)


def _whash_bits(grid: Image, rule: Rule) -> NDArray[np.bool_]:
    values = grid / 255.0
    if rule.profile != "imagededup":
        # The mean is taken out by way of the whole transform and back.
        details = []
        low = values
        while low.shape[0] > 1:
            low, *rest = _haar(low)
            details.append(rest)
        low = low * 0
        for rest in reversed(details):
            low = _haar_back(low, *rest)
        values = low
    while values.shape[0] > rule.size:
        values = _haar(values)[0]
    if rule.profile == "imagededup":
        return values >= np.median(values)
    return values > np.median(values)


HALF = 0.7071067811865476


def _haar(x: Float64s) -> tuple[Float64s, Float64s, Float64s, Float64s]:
    """One level: low in both axes, high in the second, high in the first, high in both."""
    low, high = HALF * x[1::2] + HALF * x[::2], -HALF * x[1::2] + HALF * x[::2]
    return (
        HALF * low[:, 1::2] + HALF * low[:, ::2],
        -HALF * low[:, 1::2] + HALF * low[:, ::2],
        HALF * high[:, 1::2] + HALF * high[:, ::2],
        -HALF * high[:, 1::2] + HALF * high[:, ::2],
    )


def _haar_back(ll: Float64s, lh: Float64s, hl: Float64s, hh: Float64s) -> Float64s:
    half = len(ll)
    low, high = np.empty((half, 2 * half)), np.empty((half, 2 * half))
    low[:, ::2], low[:, 1::2] = HALF * ll + HALF * lh, HALF * ll + -HALF * lh
    high[:, ::2], high[:, 1::2] = HALF * hl + HALF * hh, HALF * hl + -HALF * hh
    out = np.empty((2 * half, 2 * half))
    out[::2], out[1::2] = HALF * low + HALF * high, HALF * low + -HALF * high
    return out
