"""Augmentations of training, as czd_large's models had them; all that is random is drawn before anything is done.

So a draw can be repeated, told and taken back: places on the augmented picture are found on the clip, and on the stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._check import floats
from maskmill.masks import Masks

RADII, ALIASES = (3, 4, 6, 8, 10, 12), (0.1, 0.5)
"""Of the disks that blur tiles, and of the blur of the disks themselves, in pixels."""

_LIGHTING = 100.0
_DIRECTIONS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
_SPREADS = np.array([0.2175, 0.0188, 0.0045])
# Principal components of the colours of ImageNet: Krizhevsky, Sutskever, Hinton 2012, section 4.1.


@dataclass(frozen=True)
class Augmentation:
    """What is done to a picture, in this order. See `draw`.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the picture.
    defocus : (int, float, (int, int, int, int)) or None
        Radius and alias of a blur, and the tile that is blurred: top, bottom, left, right. Its edge is hard.
    lighting : (float, float, float)
        What is added to red, green and blue, of 255.
    contrast : float
        By which differences from the mean are multiplied.
    crop : (int, int, int, int)
        Top, bottom, left, right.
    flip : (bool, bool)
        Left and right, top and bottom.
    angle : float
        Degrees, as seen counterclockwise about the middle of the crop; what is turned out of it is lost.
    out : (int, int)
        Rows and columns of what comes out.
    """

    shape: tuple[int, int]
    defocus: tuple[int, float, tuple[int, int, int, int]] | None
    lighting: tuple[float, float, float]
    contrast: float
    crop: tuple[int, int, int, int]
    flip: tuple[bool, bool]
    angle: float
    out: tuple[int, int]

    def matrix(self) -> NDArray[np.float64]:
        """(2, 3) from places in the picture to places in what comes out: (x, y) in pixels, the corner is (0, 0)."""
        top, bottom, left, right = self.crop
        angle = np.deg2rad(self.angle)
        mirror = np.diag([-1.0 if self.flip[0] else 1.0, -1.0 if self.flip[1] else 1.0])
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float64)
        stretch = np.diag([self.out[1] / (right - left), self.out[0] / (bottom - top)])
        linear = np.asarray(stretch @ turn @ mirror, np.float64)
        middle = np.array([left + right, top + bottom]) / 2
        moved = np.array(self.out[::-1]) / 2 - linear @ middle
        return np.column_stack([linear, moved])

    def places(self, xy: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) places in the picture to places in what comes out."""
        matrix = self.matrix()
        return np.asarray(floats(xy, 2, "xy") @ matrix[:, :2].T + matrix[:, 2], np.float64)

    def back(self, xy: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) places in what came out to places in the picture: the inverse of `places`."""
        matrix = self.matrix()
        moved = np.linalg.solve(matrix[:, :2], (floats(xy, 2, "xy") - matrix[:, 2]).T)
        return np.asarray(moved.T, np.float64)

    def image(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The picture, augmented; interpolated linearly, once.

        Parameters
        ----------
        pixels : (..., rows, columns) or (..., rows, columns, channels) array of 8 or 16 bits
            Of 3 or 4 channels, red first; a fourth one, alpha, keeps its values. Of more axes, all pictures alike.

        Returns
        -------
        array of the same type, with the rows and columns of `out`
        """
        pixels = np.asarray(pixels)
        if pixels.dtype not in (np.uint8, np.uint16):
            raise TypeError(f"pixels must be of 8 or 16 bits, not {pixels.dtype}")
        if pixels.shape[-2:] == self.shape and pixels.shape[-3:-1] != self.shape:
            return self.image(pixels[..., None])[..., 0]
        if pixels.ndim < 3 or pixels.shape[-3:-1] != self.shape:
            raise ValueError(
                f"pixels must be of {self.shape[0]} x {self.shape[1]}, not of shape {pixels.shape}"
            )
        if pixels.ndim > 3:
            made = np.stack([self.image(one) for one in pixels.reshape(-1, *pixels.shape[-3:])])
            return made.reshape(*pixels.shape[:-3], *made.shape[1:])
        most = np.iinfo(pixels.dtype).max
        values = pixels.astype(np.float32)
        colours = values[..., :3] if pixels.shape[2] == 4 else values
        self._blur(colours)
        light = np.array(self.lighting, np.float32) * (most / 255)
        colours += light if colours.shape[2] == 3 else light.mean()
        np.clip(colours, 0, most, out=colours)
        mean = colours.mean()
        colours[...] = mean + (colours - mean) * self.contrast
        warped = self._warped(values, linear=True)
        whole: NDArray[Any] = np.rint(np.clip(warped, 0, most)).astype(pixels.dtype)
        return whole

    def masks(self, masks: Masks) -> Masks:
        """Masks of the picture: a pixel that comes out is in a mask if the place of its centre is."""
        if len(masks) and not (masks.sizes == self.shape).all():
            raise ValueError(
                f"masks must be of {self.shape[0]} x {self.shape[1]}, not of {masks.sizes[0].tolist()}"
            )
        made = np.zeros((len(masks), *self.out), np.uint8)
        for i in range(len(masks)):
            made[i] = self._warped(masks[i : i + 1].decode()[0].astype(np.uint8)[..., None], linear=False)[
                ..., 0
            ]
        return Masks.encode(made)

    def _blur(self, colours: NDArray[np.float32]) -> None:
        if self.defocus is None:
            return
        import cv2

        radius, alias, (top, bottom, left, right) = self.defocus
        reach = np.arange(-radius, radius + 1)
        disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.float32)
        disk = cv2.GaussianBlur(np.pad(disk, 1), (3, 3), alias)
        blurred = cv2.filter2D(colours, -1, disk / disk.sum()).reshape(colours.shape)
        colours[top:bottom, left:right] = blurred[top:bottom, left:right]

    def _warped(self, values: NDArray[Any], *, linear: bool) -> NDArray[Any]:
        import cv2

        top, bottom, left, right = self.crop
        matrix = self.matrix()
        matrix[:, 2] += matrix[:, :2] @ [left, top]  # of the crop alone: nothing from beyond it
        matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV's places are of pixels' centres
        flags = cv2.INTER_LINEAR if linear else cv2.INTER_NEAREST
        part = np.ascontiguousarray(values[top:bottom, left:right])
        size = (self.out[1], self.out[0])
        planes = [cv2.warpAffine(part[..., i], matrix, size, flags=flags) for i in range(part.shape[2])]
        return np.stack(planes, axis=-1)


def draw(
    shape: tuple[int, int],
    seed: int,
    name: str = "",
    epoch: int = 0,
    *,
    edges: Sequence[int] = (400, 800),
) -> Augmentation:
    """Draw what is done to a picture; the same for the same seed, name and epoch, whatever else was drawn.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    seed : int
    name : str
        Of the picture.
    epoch : int
    edges : sequence of int
        What the shorter side of what comes out is chosen from.

    Notes
    -----
    A tile (a half or a quarter) is out of focus with probability 0.05; a crop of 95 % of either side; lighting along
    the colours of ImageNet with scale 100; contrast 0.85 to 1.15; flips with 0.5 each; a turn within 30 degrees with
    0.8.

    Examples
    --------
    >>> made = draw((300, 300), seed=1, name="A_Spot 7.png")
    >>> made == draw((300, 300), seed=1, name="A_Spot 7.png"), made.out[0] in (400, 800)
    (True, True)
    """
    rows, columns = shape
    if min(rows, columns) < 2:
        raise ValueError(f"shape must be 2 x 2 or more, not {rows} x {columns}")
    if not edges or min(edges) < 1:
        raise ValueError(f"edges must be 1 or more, not {tuple(edges)}")
    digest = hashlib.sha256(f"{seed}/{epoch}/{name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "little"))
    tiles = [(top, bottom, left, right) for top, bottom in _spans(rows) for left, right in _spans(columns)][
        1:
    ]
    blur = (
        RADII[rng.integers(len(RADII))],
        ALIASES[rng.integers(len(ALIASES))],
        tiles[rng.integers(len(tiles))],
    )
    focus = rng.random() >= 0.05
    red, green, blue = _DIRECTIONS @ (rng.normal(scale=_LIGHTING, size=3) * _SPREADS)
    contrast = rng.uniform(0.85, 1.15)
    down, across = (max(1, round(0.95 * side)) for side in shape)
    top, left = int(rng.integers(rows - down + 1)), int(rng.integers(columns - across + 1))
    flip = rng.random(2) < 0.5
    angle = rng.uniform(-30, 30)
    turned = rng.random() < 0.8
    edge = edges[int(rng.integers(len(edges)))]
    scale = edge / min(down, across)
    return Augmentation(
        shape=(rows, columns),
        defocus=None if focus else blur,
        lighting=(float(red), float(green), float(blue)),
        contrast=float(contrast),
        crop=(top, top + down, left, left + across),
        flip=(bool(flip[0]), bool(flip[1])),
        angle=float(angle) if turned else 0.0,
        out=(round(down * scale), round(across * scale)),
    )


def _spans(side: int) -> list[tuple[int, int]]:
    """The whole of a side, and either half."""
    return [(0, side), (0, side // 2), (side // 2, side)]
