"""Colour contrast of flakes to the substrate: background, flat field, statistics of each flake.

The contrast of a pixel is image / background - 1 for each channel. Channels are blue, green, red, in this order, as in
MaskTerial, whose two ways to find the background ("training" for its data sets, "inference" for its predictions) are
one function here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check, _jobs
from maskmill._device import on_host
from maskmill._files import FormatError
from maskmill.dataset import Dataset, Reference, Table, objects
from maskmill.masks import Masks
from maskmill.studies.flakes.annotations import class_ids
from maskmill.studies.flakes.inputs import Progress, source_of

CHANNELS = ("b", "g", "r")
MIN_SHARE = 0.2
"""A background that covers less of the image is probably none."""
LOWEST, HIGHEST = 20, 230
"""Darker and brighter pixels are dust, scratches and overexposure."""


class Way(NamedTuple):
    """How the background is found.

    band : half width of the grey values around the mode that belong to it
    erosions : by a square of 3 x 3 pixels, of each channel's background
    joint : whether a pixel must be background in all channels
    clamp : whether the band stays within 20 to 230
    """

    band: int = 10
    erosions: int = 3
    joint: bool = True
    clamp: bool = False


WAYS = {"training": Way(), "inference": Way(5, 0, False, True)}


@dataclass(frozen=True)
class Background:
    """Attributes
    ----------
    colour : (3,) float64, blue, green, red
    mode : (3,) int, the most frequent grey value of each channel
    pixels : (3,) int, that the colour is the mean of
    share : float
        Pixels that are background in all channels, of all.
    warning : str
        What is suspicious, or "".
    """

    colour: NDArray[np.float64]
    mode: NDArray[np.int64]
    pixels: NDArray[np.int64]
    share: float
    warning: str

    @property
    def usable(self) -> bool:
        """Whether one may divide by the colour."""
        return bool((self.colour >= 1).all())


def background(image: ArrayLike, way: str | Way = "training") -> Background:
    """The colour of the substrate in a photo.

    Parameters
    ----------
    image : (H, W, 3) uint8, red first as `maskmill.io.images.read_image` gives it
    way : {"training", "inference"} or Way

    Notes
    -----
    Of each channel, the most frequent grey value between 20 and 230 (of equal ones the lowest) and a band around it;
    the colour is the mean of the pixels within. As in MaskTerial, which then rounds to half precision for predictions;
    here nothing is rounded.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.studies.flakes.colours import background
    >>> image = np.full((40, 40, 3), (100, 120, 140), np.uint8)
    >>> image[:10] = 30
    >>> background(image).colour.tolist()
    [140.0, 120.0, 100.0]
    """
    import cv2

    way = way_of(way)
    planes = [np.ascontiguousarray(plane) for plane in np.moveaxis(_bgr(image), 2, 0)]
    modes, parts = _bands(planes, way)
    every = cv2.bitwise_and(cv2.bitwise_and(parts[0], parts[1]), parts[2])
    masks = [every] * 3 if way.joint else parts
    pixels = np.array([cv2.countNonZero(mask) for mask in masks])
    colour = np.array([cv2.mean(plane, mask)[0] for plane, mask in zip(planes, masks, strict=True)])
    share = cv2.countNonZero(every) / max(every.size, 1)
    return Background(colour, np.array(modes), pixels, share, _warning(colour, share))


def substrate(image: ArrayLike, way: str | Way = "training", *, most: int = 10_000) -> NDArray[np.uint8]:
    """(P, 3) blue, green, red of pixels that are background in all channels: at most so many, evenly spaced."""
    bgr = _bgr(image)
    _, parts = _bands([np.ascontiguousarray(plane) for plane in np.moveaxis(bgr, 2, 0)], way_of(way))
    index = np.flatnonzero(parts[0] & parts[1] & parts[2])
    index = index[:: max(1, -(-len(index) // most))]
    pixels: NDArray[np.uint8] = bgr[index // bgr.shape[1], index % bgr.shape[1]]
    return pixels


def way_of(way: str | Way) -> Way:
    """A way by its name."""
    if isinstance(way, str):
        _check.choice(way, "way", dict.fromkeys(WAYS, 0))
        return WAYS[way]
    return way


def _bands(planes: Sequence[NDArray[np.uint8]], way: Way) -> tuple[list[int], list[NDArray[np.uint8]]]:
    """Of each channel the most frequent grey value, and where the background is: 255 there, else 0."""
    import cv2

    modes, parts = [], []
    for plane in planes:
        mode = LOWEST + int(np.argmax(_histogram(plane)[LOWEST : HIGHEST + 1]))
        low, high = mode - way.band, mode + way.band
        if way.clamp:
            low, high = max(low, LOWEST), min(high, HIGHEST)
        part = cv2.inRange(plane, np.array([low]), np.array([high]))
        if way.erosions:
            part = cv2.erode(part, np.ones((3, 3), np.uint8), iterations=way.erosions)
        modes.append(mode)
        parts.append(np.asarray(part))
    return modes, parts


def _histogram(plane: NDArray[np.uint8]) -> NDArray[Any]:
    """(256,) how often each grey value is there."""
    import cv2

    if plane.size < 1 << 24:  # OpenCV counts in single precision
        return np.asarray(cv2.calcHist([plane], [0], None, [256], [0, 256])).ravel()
    return np.bincount(plane.ravel(), minlength=256)


def _warning(colour: NDArray[np.float64], share: float) -> str:
    if not (colour >= 1).all():
        return "no background was found: a mean is below 1"
    if share < MIN_SHARE:
        return f"only {share:.1%} of the image is background"
    return ""


def _bgr(image: ArrayLike) -> NDArray[np.uint8]:
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] < 3:
        raise ValueError(f"image must be (H, W, 3) of uint8, not {pixels.dtype} {pixels.shape}")
    bgr: NDArray[np.uint8] = pixels[..., 2::-1]
    return bgr


def flat_field(image: ArrayLike, flat: ArrayLike, *, highest: int = 241) -> NDArray[np.uint8]:
    """A photo without vignette: image / flat x the mean of flat, for each channel; clipped, and truncated to uint8.

    Parameters
    ----------
    image, flat : (H, W, 3)
        The photo, and one of nothing but substrate. Pixels of flat that are 0 become `highest`.
    """
    photo, light = np.asarray(image, np.float64), on_host(flat, "flat", np.float64)
    if photo.shape != light.shape:
        raise ValueError(f"flat must have the shape of the image, {photo.shape}, not {light.shape}")
    even = np.divide(photo, light, out=np.full_like(photo, np.inf), where=light > 0)
    flattened: NDArray[np.uint8] = np.clip(even * light.mean(axis=(0, 1)), 0, highest).astype(np.uint8)
    return flattened


# Flakes


def erode(masks: Masks, times: int = 3) -> Masks:
    """Flakes without their rim, by a cross of 3 x 3 pixels so many times; the border of the image is no rim."""
    for _ in range(times):
        masks = masks.erode(1, "disc")
    return masks


def pixels_of(masks: Masks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Foreground pixels of masks of one size, counted down the columns; and where each mask's begin, (N + 1,)."""
    runs = masks.counts.astype(np.int64)
    per_mask = np.diff(masks.offsets)
    first = np.repeat(masks.offsets[:-1], per_mask)
    ends = np.cumsum(runs)
    base = np.concatenate([[0], ends])[first]  # pixels of all masks before
    foreground = (np.arange(len(runs)) - first) % 2 == 1
    lengths, starts = runs[foreground], (ends - runs - base)[foreground]
    offsets = np.concatenate([[0], np.cumsum(masks.area.astype(np.int64))])
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) - np.repeat(before - starts, lengths), offsets


def contrast_of_flakes(image: ArrayLike, masks: Masks, colour: ArrayLike) -> dict[str, NDArray[Any]]:
    """Statistics of the contrast of each flake of one image. Only the pixels of flakes are read.

    Parameters
    ----------
    image : (H, W, 3) uint8, red first
    masks : Masks of N, of the image's size
    colour : (3,) blue, green, red of the background

    Returns
    -------
    dict of (N,) columns
        ``n``, and for each channel ``mean_b``, ``median_b``, ``std_b``, ``mad_b`` (median of the distances from the
        median) and ``entropy_b`` (bits, of the grey values); the same with ``_eroded`` behind of the flake without its
        rim of three pixels, which is blurred. NaN where there are no pixels.
    """
    found: dict[str, NDArray[Any]] = {}
    for suffix, part in (("", masks), ("_eroded", erode(masks))):
        values, offsets = _values(image, part)
        found["n" + suffix] = np.diff(offsets)
        for channel, name in enumerate(CHANNELS):
            for key, column in _statistics(
                values[:, channel], offsets, float(np.asarray(colour)[channel])
            ).items():
                found[f"{key}_{name}{suffix}"] = column
    return found


def _values(image: ArrayLike, masks: Masks) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(P, 3) blue, green, red of all flakes' pixels, one flake behind the other."""
    bgr = _bgr(image)
    if len(masks) and (masks.sizes != bgr.shape[:2]).any():
        raise ValueError(
            f"masks must have the size of the image, {bgr.shape[:2]}, not {masks.sizes[0].tolist()}"
        )
    index, offsets = pixels_of(masks)
    return bgr[index % bgr.shape[0], index // bgr.shape[0]], offsets


def contrast_of_pixels(
    image: ArrayLike, masks: Masks, colour: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(P, 3) contrasts of all pixels of flakes, one flake behind the other; and where each one's begin, (N + 1,)."""
    values, offsets = _values(image, masks)
    return values / np.asarray(colour, np.float64) - 1, offsets


def _statistics(
    values: NDArray[np.uint8], offsets: NDArray[np.int64], colour: float
) -> dict[str, NDArray[np.float64]]:
    """Of grey values, flake by flake, all by one histogram each: values are few, pixels many."""
    flake = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    histogram = np.bincount(flake * 256 + values, minlength=256 * (len(offsets) - 1)).reshape(-1, 256)
    grey = np.arange(256) / colour - 1
    n = histogram.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = histogram @ grey / n
        std = np.sqrt((histogram * (grey - mean[:, None]) ** 2).sum(1) / n)
        share = histogram / n[:, None]
        entropy = -(share * np.log2(share, out=np.zeros_like(share), where=share > 0)).sum(1)
    median, mad = np.full(len(n), np.nan), np.full(len(n), np.nan)
    for i in np.flatnonzero(n).tolist():
        median[i] = _median(grey, histogram[i])
        away = np.abs(grey - median[i])
        order = np.argsort(away, kind="stable")
        mad[i] = _median(away[order], histogram[i][order])
    return {
        "mean": mean,
        "median": median,
        "std": std,
        "mad": mad,
        "entropy": np.where(n > 0, entropy, np.nan),
    }


def _median(values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Of rising values, so many of each."""
    upto = np.cumsum(counts)
    n = int(upto[-1])
    middle = np.searchsorted(upto, [(n - 1) // 2, n // 2], side="right")
    return float(values[middle].mean())


def contrast(
    source: Dataset | str | Path,
    images: str | Path | None = None,
    *,
    way: str | Way = "training",
    flat: ArrayLike | None = None,
    progress: Progress | None = None,
) -> tuple[Table, Table]:
    """The contrast of every flake of a data set, and the background of every image.

    Parameters
    ----------
    source : Dataset, or path that `inputs.read_source` reads
    images : folder of the photos, optional
        By default where the source says.
    way : as in `background`
    flat : (H, W, 3) image of nothing but substrate, optional
        Applied to each photo by `flat_field`.

    Returns
    -------
    flakes : Table
        id, image (file name), class, area, and the columns of `contrast_of_flakes`; NaN where no background is usable.
    backgrounds : Table
        image, colour_b, colour_g, colour_r, mode_b, mode_g, mode_r, share, warning.

    Raises
    ------
    FileNotFoundError, FormatError
        If a photo is not there, or damaged, or of another size.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Dataset, Masks
    >>> from maskmill.dataset import Reference
    >>> from maskmill.studies.flakes import contrast
    >>> def photo(path, field):
    ...     image = np.full((40, 40, 3), 200, np.uint8)
    ...     image[10:30, 10:30] = 150, 160, 180
    ...     return image
    >>> masks = Masks.encode(photo("", "")[..., 0] < 200)
    >>> images = {"file_name": ["a.jpg"], "height": [40], "width": [40], "pixels": [Reference("a.jpg", "", photo)]}
    >>> flakes, photos = contrast(Dataset(images, {"name": ["flake"]}, {"category": [0]}, masks))
    >>> flakes["mean_r"].tolist(), flakes["n_eroded"].tolist(), photos["colour_r"].tolist()
    ([-0.25], [196], [200.0])
    """
    dataset = source if isinstance(source, Dataset) else source_of(source, images).dataset
    photos = photos_of(dataset, images)

    def work(i: int) -> tuple[dict[str, NDArray[Any]], Background]:
        image = read_photo(dataset, i, photos[i])
        if flat is not None:
            image = flat_field(image, flat)
        ground = background(image, way)
        colour = ground.colour if ground.usable else np.full(3, np.nan)
        return contrast_of_flakes(image, dataset.masks[dataset.rows_of_image(i)], colour), ground

    done: dict[int, Any] = {}
    with _jobs.Threads() as threads:
        for i, result in threads.map(work, range(len(dataset))):
            if isinstance(result, Exception):
                raise result
            done[i] = result
            if progress is not None:
                progress(len(done), len(dataset), dataset.images["file_name"][i])
    return _flake_table(dataset, [done[i][0] for i in range(len(dataset))]), _background_table(
        dataset, [done[i][1] for i in range(len(dataset))]
    )


def photos_of(dataset: Dataset, images: str | Path | None = None) -> list[Reference]:
    """A reference to the photo of each image, or FileNotFoundError."""
    from maskmill.io._parse import Images

    names = dataset.images["file_name"].tolist()
    found: list[Any] = dataset.images["pixels"].tolist()
    if images is not None:
        folder = Images(Path(images))
        found = [folder.reference(name) for name in names]
    for name, photo in zip(names, found, strict=True):
        if photo is None:
            raise FileNotFoundError(2, "no such photo", str(Path(images or "") / name))
    return found


def read_photo(dataset: Dataset, i: int, photo: Reference) -> NDArray[np.uint8]:
    """The photo of image i, red first; a FormatError if it has no colours, or another size than the annotations say."""
    image = photo.read()
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] < 3:
        raise FormatError(
            f"{photo}: expected a photo in colours of 8 bits, found {image.dtype} {image.shape}"
        )
    size = int(dataset.images["height"][i]), int(dataset.images["width"][i])
    if image.shape[:2] != size:
        raise FormatError(f"{photo}: expected {size[0]} x {size[1]} pixels, found {image.shape[:2]}")
    return image


def _flake_table(dataset: Dataset, parts: Sequence[dict[str, NDArray[Any]]]) -> Table:
    rows = np.concatenate([dataset.rows_of_image(i) for i in range(len(dataset))] or [np.zeros(0, np.int64)])
    table = {
        "id": dataset.instances["id"],
        "image": dataset.images["file_name"][dataset.instances["image"]],
        "class": class_ids(dataset),
        "area": dataset.masks.area.astype(np.int64),
    }
    for name in parts[0] if parts else ():
        column = np.concatenate([part[name] for part in parts])
        table[name] = np.empty_like(column)
        table[name][rows] = column
    return Table(table, len(rows))


def _background_table(dataset: Dataset, found: Sequence[Background]) -> Table:
    table: dict[str, Any] = {"image": dataset.images["file_name"]}
    for key in ("colour", "mode"):
        values = np.array([getattr(ground, key) for ground in found]).reshape(-1, 3)
        table |= {f"{key}_{name}": values[:, channel] for channel, name in enumerate(CHANNELS)}
    table["share"] = np.array([ground.share for ground in found])
    table["warning"] = objects([ground.warning for ground in found])
    return Table(table)
