"""What describes a pixel to a classifier: columns of colour, filters, place, and what callers bring.

Columns are made for a window of an image, from the window and the margin that filters reach into: the same numbers
whatever the windows are, so that an image can be labelled tile by tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._files import need

if TYPE_CHECKING:
    from maskmill.densify.hypercolumns import Network

Box: TypeAlias = tuple[int, int, int, int]
"""Rows y0 to y1, columns x0 to x1."""

SIGMAS = (1.0, 2.0, 4.0, 8.0, 16.0)

GROUPS = ("lab", "filters", "location", "cnn")
"""Groups of columns that are known by name; of "cnn" the taps can be named, such as "cnn:b0,b2,b4"."""

KEPT = 1 << 24
"""Pixels of an image whose maps of a network are kept from one tile to the next. Of larger ones, the network is asked
again for each tile: maps of `b0` and `b2` take 22 bytes a pixel."""


Own: TypeAlias = "Callable[[NDArray[Any]], NDArray[Any]] | Network"


@dataclass(frozen=True)
class Columns:
    """A recipe for columns.

    Attributes
    ----------
    features : tuple of str
        Names of groups, of `GROUPS` or `own`.
    bands : int
        Of the images: 1 for gray ones.
    sigmas : tuple of float
        Scales of the filters in pixels.
    own : mapping of str to callable or Network
        Groups of columns that callers bring. A function of an image (H, W, bands) that gives (H, W, F) numbers: it gets
        the whole image, unless it says by an attribute `halo` how many pixels away it looks: then it gets windows. Or a
        `maskmill.densify.hypercolumns.Network`.
    """

    features: tuple[str, ...]
    bands: int
    sigmas: tuple[float, ...] = SIGMAS
    own: Mapping[str, Own] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [
            name for name in self.features if name.partition(":")[0] not in GROUPS and name not in self.own
        ]
        if unknown or not self.features:
            found = repr(unknown[0]) if unknown else "none"
            raise ValueError(
                f"features must be of {', '.join([*GROUPS, *self.own])}, or callables, not {found}"
            )
        if len(set(self.features)) < len(self.features):
            raise ValueError(f"features must be named once each, not {', '.join(self.features)}")
        if not all(0 < sigma <= 1000 for sigma in self.sigmas):
            raise ValueError(f"sigmas must be above 0 and up to 1000, not {self.sigmas}")

    @property
    def halo(self) -> int | None:
        """How many pixels away columns look; None if they need the whole image."""
        reach = [self._reach(name) for name in self.features]
        return None if None in reach else max(r for r in reach if r is not None)

    def _reach(self, name: str) -> int | None:
        if self._network(name):
            return 0  # it is given the whole image, and cuts that itself
        if name in self.own:
            return getattr(self.own[name], "halo", None)
        # SciPy and scikit-image cut Gaussians off at 4 sigma.
        return int(4 * max(self.sigmas, default=0) + 0.5) if name == "filters" else 0

    def _network(self, name: str) -> bool:
        return name.startswith("cnn") or hasattr(self.own.get(name), "sample")

    def of(self, image: Any, box: Box, at: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Columns of the pixels of a box (h, w, F), or of those `at` (K, 2) rows and columns of the image (K, F).

        Raises
        ------
        ValueError
            If the image has other bands than the recipe, or pixels that are NaN or infinite.
        """
        size = image.shape[:2]
        halo = max(size) if self.halo is None else self.halo
        y0, y1, x0, x1 = box
        top, left = max(y0 - halo, 0), max(x0 - halo, 0)
        crop = pixels(image, (top, min(y1 + halo, size[0]), left, min(x1 + halo, size[1])))
        if crop.shape[2] != self.bands:
            raise ValueError(f"image must have {self.bands} bands, not {crop.shape[2]}")
        place = _Place((top, left), size, (y0 - top, y1 - top, x0 - left, x1 - left),
                       None if at is None else at - (top, left))  # fmt: skip
        groups: list[NDArray[Any]] = []
        for name in self.features:
            if self._network(name):
                groups.append(_hypercolumns(self.own.get(name, name), image, box, at))
            else:
                groups.extend(self._group(name, crop, place))
        return np.concatenate(groups, axis=-1, dtype=np.float32)

    def _group(self, name: str, crop: NDArray[Any], place: _Place) -> Iterable[NDArray[Any]]:
        if name in self.own:
            function: Any = self.own[name]
            found = np.asarray(function(crop))
            if found.shape[:2] != crop.shape[:2] or found.ndim != 3:
                raise ValueError(
                    f"{name} must give an array ({crop.shape[0]}, {crop.shape[1]}, F), not {found.shape}"
                )
            if found.dtype.kind not in "buif" or not np.isfinite(found).all():
                raise ValueError(f"{name} must give finite numbers")
            yield place.of(found)
        elif name == "lab":
            yield place.of(colours(crop))
        elif name == "location":
            yield place.of(place.location(crop.shape[:2]))
        else:
            yield from (place.of(column[..., None]) for column in _filters(colours(crop), self.sigmas))


def own_name(feature: Any) -> str:
    """What a function or network that callers bring is called in a recipe."""
    if callable(feature):
        return f"<{getattr(feature, '__name__', type(feature).__name__)}>"
    if hasattr(feature, "sample") and hasattr(feature, "columns"):
        return f"<{feature.digest}>"
    raise TypeError(f"features must be names, functions or networks, not {type(feature).__name__}")


@dataclass(frozen=True)
class _Place:
    """Where what is wanted lies in a crop."""

    origin: tuple[int, int]
    """Of the crop in the image."""
    size: tuple[int, int]
    """Of the image."""
    box: Box
    at: NDArray[np.int64] | None

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        if self.at is not None:
            return array[self.at[:, 0], self.at[:, 1]]
        y0, y1, x0, x1 = self.box
        return array[y0:y1, x0:x1]

    def location(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Row and column of pixel centres, from 0 to 1 along the image."""
        axes = ((np.arange(n) + start + 0.5) / whole
                for n, start, whole in zip(shape, self.origin, self.size, strict=True))  # fmt: skip
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)


def pixels(image: Any, box: Box) -> NDArray[Any]:
    """A part of an image of any kind that can be cut, (h, w, bands). ValueError if it has no finite numbers."""
    y0, y1, x0, x1 = box
    found = np.asarray(image[y0:y1, x0:x1])
    if found.ndim == 2:
        found = found[..., None]
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise ValueError("image must be finite: it has pixels that are NaN or infinite")
    return found


def colours(image: NDArray[Any]) -> NDArray[np.float32]:
    """CIE LAB of an image of three bands, taken as sRGB; of others the bands as they are, integers from 0 to 100.

    D65, 2 degrees, as `skimage.color.rgb2lab`. Integers are divided by their largest value, floats reach from 0 to 1.
    """
    if image.dtype.kind == "f":
        share = image.astype(np.float64)
    else:
        top = 1 if image.dtype == bool else np.iinfo(image.dtype).max
        share = image.astype(np.float64) / top
    if image.shape[2] != 3:
        return (share if image.dtype.kind == "f" else 100 * share).astype(np.float32)
    if share.size and (share.min() < 0 or share.max() > 1):
        raise ValueError("image of three bands must be within 0 and 1 if it is of floats")
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    to_xyz = np.array(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    )
    white = np.array([0.95047, 1.0, 1.08883])
    ratio = linear @ to_xyz.T / white
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    lab = np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1
    )
    return lab.astype(np.float32)


@lru_cache(maxsize=4)
def _network(name: str, keeps: bool) -> Network:
    from maskmill.densify.hypercolumns import Network

    _, _, taps = name.partition(":")
    return Network(taps=taps.split(",") if taps else ("b0", "b2"), cache=1 if keeps else None)


def _hypercolumns(named: Any, image: Any, box: Box, at: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """What a network says of a box, or of pixels: the same bits whether its maps are kept or not."""
    whole = image if len(image.shape) == 2 else image[..., :3] if image.shape[2] > 2 else image[..., 0]
    small = image.shape[0] * image.shape[1] <= KEPT
    network = _network(named, small) if isinstance(named, str) else named
    y0, y1, x0, x1 = box
    found: NDArray[np.float32]
    if at is not None:
        found = network.sample(whole, at)
    elif small:
        found = network.columns(whole, rows=(y0, y1))[:, x0:x1]
    else:
        y, x = np.meshgrid(np.arange(y0, y1), np.arange(x0, x1), indexing="ij")
        found = network.sample(whole, np.stack([y, x], axis=-1).reshape(-1, 2)).reshape(*y.shape, -1)
    return found


def _filters(bands: NDArray[np.float32], sigmas: Sequence[float]) -> Iterable[NDArray[np.float32]]:
    """Gaussian means and local standard deviations: means of all scales and bands first."""
    gaussian_filter = need("scipy.ndimage", "densify").gaussian_filter

    deviations = []
    for sigma in sigmas:
        for band in np.moveaxis(bands.astype(np.float64), -1, 0):
            mean = gaussian_filter(band, sigma)
            yield mean.astype(np.float32)
            variance = gaussian_filter(band * band, sigma) - mean * mean
            deviations.append(np.sqrt(np.maximum(variance, 0)).astype(np.float32))
    yield from deviations
