"""Made patches that look like electron micrographs, or like what spoils them: what the default filter learns.

There is no free set of labelled patches to ship a filter trained on. So the default one learns from patches that are
drawn here, whose labels are certain: tissue (membranes, vesicles, mitochondria, granules; dim or strong, sharp or
soft, noisy, partly empty, either polarity) against resin, padding, noise, saturation, blur, dust, knife marks and
shading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Rng = np.random.Generator


def make(n: int, seed: int = 1227) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """n patches, every second one informative, and what each is.

    Examples
    --------
    >>> patches, kinds = make(4)
    >>> kinds[0], kinds[2], patches[0].dtype
    ('tissue', 'tissue', dtype('uint8'))
    """
    patches, kinds = [], []
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        kind = "tissue" if i % 2 == 0 else _names[int(rng.integers(len(_names)))]
        side = int(rng.choice([224, 224, 224, 160, 256]))
        shape = (side, side if rng.random() < 0.8 else int(rng.integers(side // 2, side)))
        image = tissue(shape, rng) if kind == "tissue" else UNINFORMATIVE[kind](shape, rng)
        patches.append(_grey(image))
        kinds.append(kind)
    return patches, kinds


def _grey(image: Image) -> NDArray[np.uint8]:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _field(shape: tuple[int, int], sigma: float, rng: Rng) -> Image:
    """Noise as smooth as sigma, of mean 0 and deviation 1."""
    import cv2

    # Drawn small and enlarged: a wide blur of a large image is slow.
    by = max(1, int(sigma / 3))
    small = (shape[0] // by + 8, shape[1] // by + 8)
    noise = rng.standard_normal(small, np.float32)
    if sigma > 0:
        noise = cv2.GaussianBlur(noise, (0, 0), sigma / by)
    noise = cv2.resize(noise, (small[1] * by, small[0] * by), interpolation=cv2.INTER_CUBIC)
    noise = noise[4 * by : 4 * by + shape[0], 4 * by : 4 * by + shape[1]]
    out: Image = (noise - noise.mean()) / (noise.std() + 1e-6)
    return out


def _noise(shape: tuple[int, int], rng: Rng) -> Image:
    """As detectors make it: white, or a little smooth; now and then from line to line."""
    noise = _field(shape, float(rng.choice([0, 0, 0.4, 0.7, 1.0])), rng)
    if rng.random() < 0.15:
        noise = noise + rng.standard_normal((shape[0], 1), np.float32) * np.float32(rng.uniform(0.2, 0.8))
    return noise


def _blur(image: Image, sigma: float) -> Image:
    import cv2

    if sigma < 0.2:
        return image
    out: Image = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return out


def _lines(shape: tuple[int, int], scale: float, width: float, rng: Rng) -> Image:
    """Thin curves, 0..1: where a smooth field passes through zero."""
    import cv2

    field = _field(shape, scale, rng)
    dy, dx = cv2.Sobel(field, cv2.CV_32F, 0, 1) / 8, cv2.Sobel(field, cv2.CV_32F, 1, 0) / 8
    distance = np.abs(field) / np.sqrt(dy**2 + dx**2 + 1e-5)
    out: Image = np.exp(-((distance / width) ** 2))
    return out


def _organelles(image: Image, rng: Rng) -> Image:
    """Ellipses: vesicles (a ring), lipid (filled), mitochondria (dark, striped)."""
    import cv2

    h, w = image.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    for _ in range(int(rng.integers(0, 14))):
        size = float(rng.choice([4, 8, 14, 24, 40])) * float(rng.uniform(0.7, 1.3))
        centre = rng.uniform(0, w), rng.uniform(0, h)
        angle, flat = rng.uniform(0, np.pi), rng.uniform(0.4, 1.0)
        along = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        across = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
        radius = np.sqrt(along**2 + (across / flat) ** 2)
        inside = 1 / (1 + np.exp(np.clip(radius - size, -20, 20)))
        rim = np.exp(-(((radius - size) / rng.uniform(1.0, 2.5)) ** 2))
        image = image - rim * rng.uniform(0.3, 1.2)
        what = rng.random()
        if what < 0.4:
            stripes = np.sin(
                along * (2 * np.pi / rng.uniform(4, 9))
                + 2 * cv2.GaussianBlur(_field((h, w), 6, rng), (0, 0), 1)
            )
            image = image + inside * (rng.uniform(-0.9, -0.1) + 0.35 * stripes)
        elif what < 0.7:
            image = image + inside * rng.uniform(-1.5, 1.2)
    return image.astype(np.float32)


def _structure(shape: tuple[int, int], rng: Rng) -> Image:
    """Cells cut through, of deviation 1."""
    scale = float(rng.choice([8, 14, 22, 35])) * float(rng.uniform(0.8, 1.25))
    width = float(rng.uniform(0.8, 3.0))
    image = np.float32(0.4) * _field(shape, 2 * scale, rng)  # compartments differ a little
    image = image + np.float32(rng.uniform(0.1, 0.6)) * np.sign(_field(shape, scale, rng))
    image = image - np.float32(rng.uniform(0.8, 2.0)) * _lines(shape, scale, width, rng)
    if rng.random() < 0.7:
        image = image - np.float32(rng.uniform(0.3, 1.2)) * _lines(shape, scale / 2, width * 0.8, rng)
    if rng.random() < 0.8:  # granules
        granules = np.clip(_field(shape, float(rng.uniform(0.8, 2.5)), rng) - 1.0, 0, None)
        image = image - np.float32(rng.uniform(0.1, 0.9)) * granules
    image = _organelles(image, rng)
    out: Image = (image - image.mean()) / image.std()
    return out


def _empty_part(shape: tuple[int, int], share: float, rng: Rng) -> NDArray[np.bool_]:
    """A region of about that share, with a smooth or a straight border."""
    h, w = shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    if rng.random() < 0.5:
        angle = float(rng.choice([0, np.pi / 2, np.pi, 1.5 * np.pi]))
        if rng.random() < 0.5:
            angle += float(rng.normal(0, 0.3))
        way = np.cos(angle) * x + np.sin(angle) * y + rng.uniform(0, 3) * _field(shape, 6, rng)
    else:
        way = _field(shape, h / 5, rng)
    out: NDArray[np.bool_] = way <= np.quantile(way, share)
    return out


def tissue(shape: tuple[int, int], rng: Rng) -> Image:
    """An informative patch: at most 60 % of it is empty, and its structure stands out of its noise."""
    contrast = float(np.exp(rng.uniform(np.log(4), np.log(55))))
    image = _blur(_structure(shape, rng), float(rng.uniform(0, 2.0))) * np.float32(contrast)
    if rng.random() < 0.3:
        empty = _empty_part(shape, float(rng.uniform(0.05, 0.6)), rng)
        image[empty] = contrast * rng.uniform(-1, 1.5)
    noise = contrast * float(rng.uniform(0.02, 0.9))
    image = image + np.float32(noise) * _noise(shape, rng)
    image = image * (-1 if rng.random() < 0.2 else 1) + np.float32(rng.uniform(60, 210))
    if rng.random() < 0.15:
        padded = _empty_part(shape, float(rng.uniform(0.03, 0.45)), rng)
        image[padded] = rng.choice([0.0, 255.0])
    return image


# What is not informative


def _ground(shape: tuple[int, int], rng: Rng) -> Image:
    """Resin: one grey with noise, perhaps slowly shaded."""
    image = np.full(shape, rng.uniform(15, 245), np.float32)
    noise = float(np.exp(rng.uniform(np.log(0.3), np.log(30))))
    image = image + np.float32(noise) * _noise(shape, rng)
    if rng.random() < 0.5:
        image = image + np.float32(noise * rng.uniform(0.1, 0.8)) * _field(
            shape, float(rng.uniform(30, 80)), rng
        )
    return image


def resin(shape: tuple[int, int], rng: Rng) -> Image:
    return _ground(shape, rng)


def padding(shape: tuple[int, int], rng: Rng) -> Image:
    """Filled with one value, but perhaps for a strip of tissue or resin."""
    image = np.full(shape, rng.choice([0, 0, 255, int(rng.integers(256))]), np.float32)
    if rng.random() < 0.6:
        other = tissue(shape, rng) if rng.random() < 0.6 else _ground(shape, rng)
        part = _empty_part(shape, float(rng.uniform(0.01, 0.15)), rng)
        image[part] = other[part]
    return image


def noise(shape: tuple[int, int], rng: Rng) -> Image:
    """Noise over the whole range, or structure drowned in it."""
    deviation = float(rng.uniform(15, 80))
    image = np.float32(deviation) * _field(shape, float(rng.choice([0, 0, 0.5, 1.0, 1.6])), rng)
    if rng.random() < 0.4:
        image = image + np.float32(deviation * rng.uniform(0.02, 0.12)) * _structure(shape, rng)
    return image + np.float32(rng.uniform(80, 175))


def saturated(shape: tuple[int, int], rng: Rng) -> Image:
    """Nearly all at one end of the range."""
    image = tissue(shape, rng)
    image = image - image.mean()
    edge = np.quantile(image, rng.uniform(0.9, 0.99))
    out: Image = image - edge
    return out if rng.random() < 0.5 else 255 - out


def out_of_focus(shape: tuple[int, int], rng: Rng) -> Image:
    """Tissue too blurred to see anything but its shading."""
    image = _blur(_structure(shape, rng), float(rng.uniform(7, 16)))
    image = (image - image.mean()) / (image.std() + 1e-6) * np.float32(rng.uniform(3, 35))
    image = image + np.float32(np.exp(rng.uniform(np.log(0.3), np.log(15)))) * _noise(shape, rng)
    out: Image = image + np.float32(rng.uniform(60, 200))
    return out


def dust(shape: tuple[int, int], rng: Rng) -> Image:
    """Resin with a few dark or bright spots."""
    image = _ground(shape, rng)
    h, w = shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        radius = np.hypot(y - rng.uniform(0, h), (x - rng.uniform(0, w)) * rng.uniform(0.7, 1.4))
        spot = radius + rng.uniform(0, 2) * _field(shape, 4, rng) < rng.uniform(3, 20)
        image[spot] = rng.choice([rng.uniform(0, 40), rng.uniform(215, 255)]) + rng.standard_normal()
    return image


def knife_marks(shape: tuple[int, int], rng: Rng) -> Image:
    """Resin with straight streaks, as knives, ion beams (curtains) and charging leave."""
    import cv2

    image = _ground(shape, rng)
    streaks = rng.standard_normal(max(shape) * 3).astype(np.float32)
    streaks = _blur(streaks[None], float(rng.uniform(0.3, 4)))[0]
    streaks = streaks / streaks.std() * float(rng.uniform(2, 25))
    if rng.random() < 0.5:
        streaks = streaks * (np.abs(streaks) > 2 * streaks.std())  # few
    wide = np.tile(streaks, (max(shape) * 3, 1))
    centre = wide.shape[0] / 2
    angle = float(rng.choice([0, 90])) + float(rng.normal(0, 10) if rng.random() < 0.5 else 0)
    turned = cv2.warpAffine(wide, cv2.getRotationMatrix2D((centre, centre), angle, 1.0), wide.shape)
    at = max(shape)
    out: Image = image + turned[at : at + shape[0], at : at + shape[1]]
    return out


def shading(shape: tuple[int, int], rng: Rng) -> Image:
    """Nothing but uneven light."""
    image = np.float32(rng.uniform(5, 50)) * _field(shape, float(rng.uniform(25, 90)), rng)
    image = image + np.float32(np.exp(rng.uniform(np.log(0.3), np.log(10)))) * _noise(shape, rng)
    return image + np.float32(rng.uniform(60, 200))


UNINFORMATIVE: dict[str, Callable[[tuple[int, int], Any], Image]] = {
    "resin": resin,
    "padding": padding,
    "noise": noise,
    "saturated": saturated,
    "out of focus": out_of_focus,
    "dust": dust,
    "knife marks": knife_marks,
    "shading": shading,
}
_names = list(UNINFORMATIVE)
