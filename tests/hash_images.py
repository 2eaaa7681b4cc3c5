"""Images on which hashes are compared with the reference packages: crops of real ones, noise, and degenerate ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg"}


def real(folder: Path, n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """n crops of the images below a folder, from each in turn: gray, RGB or RGBA, of sides 1 .. 400, some whole."""
    from PIL import Image

    pool = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            try:
                image = np.asarray(Image.open(path))
            except OSError:  # some are truncated on purpose
                continue
            if image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2:] in ((3,), (4,))):
                pool.append(image)
        if len(pool) == 150:
            break
    for k in range(n if pool else 0):
        image = pool[k % len(pool)]
        if k < len(pool) and image.size < 1_500_000:
            yield image
            continue
        side = 400 if k % 10 else 20
        h, w = (int(rng.integers(1, min(side, length) + 1)) for length in image.shape[:2])
        if k % 3 == 0:
            h = w = min(h, w)
        y, x = (
            int(rng.integers(0, length - size + 1))
            for length, size in zip(image.shape[:2], (h, w), strict=True)
        )
        yield image[y : y + h, x : x + w]


def random(n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Noise of sides 1 .. 300, fine or coarse, flat in one axis, tall and wide."""
    for k in range(n):
        h, w = rng.integers(1, 300, 2) if k % 4 else rng.integers(1, 20, 2)
        if k % 7 == 0:
            h, w = (int(rng.integers(300, 1500)), int(rng.integers(1, 12)))[:: 1 if k % 2 else -1]
        colour = [3] if k % 11 == 0 else []
        step = int(rng.integers(1, 9))
        coarse = rng.integers(0, 256, (-(-h // step), -(-w // step), *colour), np.uint8)
        yield coarse.repeat(step, 0).repeat(step, 1)[:h, :w]


def degenerate() -> Iterator[np.ndarray]:
    """Flat, striped, symmetric and tiny."""
    for side in (1, 2, 7, 8, 32, 64, 100, 224):
        yield from (np.full((side, side), value, np.uint8) for value in (0, 1, 2, 100, 127, 128, 254, 255))
        yield np.full((side, 2 * side), 77, np.uint8)
    y, x = np.mgrid[:224, :224]
    for period in (2, 3, 4, 7, 16, 28, 32, 56, 112):
        for stripes in (x // period % 2, y // period % 2, (x // period + y // period) % 2):
            for low, high in ((0, 255), (100, 101), (30, 220)):
                yield np.where(stripes == 0, low, high).astype(np.uint8)
    ramp = (x + y) // 2
    disc = np.hypot(x - 111.5, y - 111.5)
    for image in (ramp, 223 - ramp, disc, 255 - disc, abs(x - y), np.minimum(x, 223 - x)):
        yield image.astype(np.uint8)
    half = np.random.default_rng(3).integers(0, 256, (224, 112), np.uint8)
    yield np.hstack([half, half[:, ::-1]])
    yield np.vstack([half, half[::-1]])
    quarter = half[:112]
    yield np.vstack([np.hstack([quarter, quarter[:, ::-1]]), np.hstack([quarter[::-1], quarter[::-1, ::-1]])])
    for shape in ((1, 1), (1, 2), (2, 1), (1, 300), (300, 1), (3, 4000), (4000, 3), (2000, 1500)):
        yield np.random.default_rng(shape[0]).integers(0, 256, shape, np.uint8)
