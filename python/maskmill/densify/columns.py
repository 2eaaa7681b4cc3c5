"""What describes a pixel to a classifier: columns of colour, filters, place, and what callers bring.

Columns are made for a window of an image, from the window and the margin that filters reach into: the same numbers
whatever the windows are, so that an image can be labelled tile by tile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill import features

if TYPE_CHECKING:
    from maskmill.densify.hypercolumns import Network

Box: TypeAlias = tuple[int, int, int, int]
"""Rows y0 to y1, columns x0 to x1."""

SIGMAS = (1.0, 2.0, 4.0, 8.0, 16.0)

GROUPS = ("lab", "filters", "bank", "location", "cnn")
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
        known = (*GROUPS, *self.own)
        unknown = [name for name in self.features if name not in known and not name.startswith("cnn:")]
        if unknown or not self.features:
            found = repr(unknown[0]) if unknown else "none"
            raise ValueError(f"features must be of {', '.join(known)}, or callables, not {found}")
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
        if name in self.own and not self._is_network(name):
            return getattr(self.own[name], "halo", None)
        if name in ("filters", "bank"):
            # Gaussians are cut at 4 sigma; differences of differences look two pixels farther.
            return int(4 * max(self.sigmas, default=0) + 0.5) + 2 * (name == "bank")
        return 0  # a network is given the whole image, and cuts that itself

    def _is_network(self, name: str) -> bool:
        return name.startswith("cnn") or hasattr(self.own.get(name), "sample")

    def opened(self, image: Any) -> Any:
        """The image, in memory if a network is to look at it: that needs the whole."""
        needs = any(self._is_network(name) for name in self.features)
        return np.asarray(image[:, :]) if needs and not isinstance(image, np.ndarray) else image

    def of(self, image: Any, box: Box, at: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Columns of the pixels of a box (h, w, F), or of those `at` (K, 2) rows and columns of the image (K, F).

        Raises
        ------
        ValueError
            If the image has other bands than the recipe, or pixels that are NaN or infinite.
        """
        groups = []
        for name in self.features:
            if name == "lab" and "filters" in self.features:
                continue  # they come with the filters
            if self._is_network(name):
                found = _hypercolumns(self.own.get(name, name), image, box, at)
            else:
                found = self._group(name, _Crop.of(image, box, self._reach(name), self.bands), at)
            groups.append(found)
        return np.concatenate(groups, axis=-1, dtype=np.float32)

    def _group(self, name: str, crop: _Crop, at: NDArray[np.int64] | None) -> NDArray[Any]:
        if name == "filters":
            found = _filters(crop.pixels, self.sigmas, crop.at(at))
            return crop.inner(found if "lab" in self.features else found[..., self.bands :], at)
        if name == "bank":
            return crop.inner(features.bank(crop.pixels, self.sigmas, at=crop.at(at)), at)
        if name == "lab":
            return crop.cut(colours(crop.pixels), at)
        if name == "location":
            return crop.cut(crop.location(), at)
        function: Any = self.own[name]
        found = np.asarray(function(crop.pixels))
        if found.shape[:2] != crop.pixels.shape[:2] or found.ndim != 3:
            expected = f"({crop.pixels.shape[0]}, {crop.pixels.shape[1]}, F)"
            raise ValueError(f"{name} must give an array {expected}, not {found.shape}")
        if found.dtype.kind not in "buif" or not np.isfinite(found).all():
            raise ValueError(f"{name} must give finite numbers")
        return crop.cut(found, at)


def own_name(feature: Any) -> str:
    """What a function or network that callers bring is called in a recipe."""
    if callable(feature):
        return f"<{getattr(feature, '__name__', type(feature).__name__)}>"
    if hasattr(feature, "sample") and hasattr(feature, "columns"):
        return f"<{feature.digest}>"
    raise TypeError(f"features must be names, functions or networks, not {type(feature).__name__}")


@dataclass(frozen=True)
class _Crop:
    """A box of an image with a margin, as far as the image reaches."""

    pixels: NDArray[Any]
    """(h, w, bands)"""
    origin: tuple[int, int]
    size: tuple[int, int]
    """Of the image."""
    box: Box
    """What is wanted, in the crop."""

    @classmethod
    def of(cls, image: Any, box: Box, halo: int | None, bands: int) -> _Crop:
        height, width = image.shape[:2]
        halo = max(height, width) if halo is None else halo
        y0, y1, x0, x1 = box
        top, left = max(y0 - halo, 0), max(x0 - halo, 0)
        found = np.asarray(image[top : min(y1 + halo, height), left : min(x1 + halo, width)])
        found = found[..., None] if found.ndim == 2 else found
        if found.shape[2] != bands:
            raise ValueError(f"image must have {bands} bands, not {found.shape[2]}")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ValueError("image must be finite: it has pixels that are NaN or infinite")
        return cls(found, (top, left), (height, width), (y0 - top, y1 - top, x0 - left, x1 - left))

    def at(self, at: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        """Rows and columns of the image as those of the crop."""
        return None if at is None else at - self.origin

    def inner(self, found: NDArray[Any], at: NDArray[np.int64] | None) -> NDArray[Any]:
        """What is wanted of an array of the crop's size; all of it, if it is of certain pixels."""
        y0, y1, x0, x1 = self.box
        inside: NDArray[Any] = found[y0:y1, x0:x1] if at is None else found
        return inside

    def cut(self, found: NDArray[Any], at: NDArray[np.int64] | None) -> NDArray[Any]:
        """What is wanted of an array of the crop's size."""
        if at is None:
            return self.inner(found, at)
        y, x = (at - self.origin).T
        some: NDArray[Any] = found[y, x]
        return some

    def location(self) -> NDArray[np.float32]:
        """Row and column of pixel centres, from 0 to 1 along the image."""
        axes = ((np.arange(n) + start + 0.5) / whole
                for n, start, whole in zip(self.pixels.shape, self.origin, self.size, strict=False))  # fmt: skip
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)


def colours(image: NDArray[Any]) -> NDArray[np.float32]:
    """CIE LAB of an image of three bands, taken as sRGB; of others the bands as they are, integers from 0 to 100.

    Integers are divided by their largest value, floats of three bands reach from 0 to 1.
    """
    if image.shape[2] == 3:
        return features.lab(_srgb(image))
    return image.astype(np.float32) if image.dtype.kind == "f" else (100 * _share(image)).astype(np.float32)


def _share(image: NDArray[Any]) -> NDArray[np.float64]:
    return image.astype(np.float64) / (1 if image.dtype == bool else np.iinfo(image.dtype).max)


def _srgb(image: NDArray[Any]) -> NDArray[Any]:
    """8 bits, or floats of 0 to 1."""
    if image.dtype.kind != "f":
        return image if image.dtype == np.uint8 else _share(image)
    if image.size and not 0 <= image.min() <= image.max() <= 1:
        raise ValueError("image of three bands must be within 0 and 1 if it is of floats")
    return image


def _filters(
    image: NDArray[Any], sigmas: Sequence[float], at: NDArray[np.int64] | None
) -> NDArray[np.float32]:
    """The colours themselves, their Gaussian means, and their local standard deviations."""
    if image.shape[2] == 3:
        return features.bank(_srgb(image), sigmas, profile="core", at=at)
    bands = colours(image)
    means = [features.gaussian(bands, sigma, border="reflect", at=at) for sigma in sigmas]
    deviations = [features.deviation(bands, sigma, at=at) for sigma in sigmas]
    plain = bands if at is None else bands[at[:, 0], at[:, 1]]
    return np.concatenate([plain, *means, *deviations], axis=-1)


@lru_cache(maxsize=4)
def _network(name: str, keeps: bool) -> Network:
    from maskmill.densify.hypercolumns import Network

    _, _, taps = name.partition(":")
    return Network(taps=taps.split(",") if taps else ("b0", "b2"), cache=1 if keeps else None)


def _hypercolumns(named: Any, image: Any, box: Box, at: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """What a network says of a box, or of pixels: the same bits whether its maps are kept or not."""
    whole = np.asarray(image[:, :])
    whole = whole if whole.ndim == 2 else whole[..., :3] if whole.shape[2] > 2 else whole[..., 0]
    small = image.shape[0] * image.shape[1] <= KEPT
    network = _network(named, small) if isinstance(named, str) else named
    found: NDArray[np.float32]
    if at is not None:
        found = network.sample(whole, at)
    else:
        found = network.columns(whole, box=box)
    return found
