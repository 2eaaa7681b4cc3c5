"""Classes by contrast: centres of the classes, the nearest one by Mahalanobis distance, of pixels and of flakes.

Thickness shows as contrast: flakes of one to four layers lie around as many centres. No network is needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _jobs
from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset
from maskmill.io._parse import integer, load_json, mapping, number, sequence, wrong
from maskmill.io.images import read_image
from maskmill.masks import Masks
from maskmill.studies.flakes.annotations import with_classes
from maskmill.studies.flakes.colours import (
    CHANNELS,
    Way,
    background,
    contrast,
    contrast_of_pixels,
    erode,
    photos_of,
    read_photo,
    substrate,
)
from maskmill.studies.flakes.inputs import Progress, pictures_of
from maskmill.studies.flakes.semantics import write_labels

LIMIT = 5.0
"""Pixels farther from all centres are background: five standard deviations."""


@dataclass(frozen=True, eq=False)
class Centres:
    """Where the classes are in contrast.

    Attributes
    ----------
    numbers : (C,) int64, of the classes; any from 1 on, and 0 for the substrate, which competes with them
    names : C names
    means : (C, 3) float64, blue, green, red
    covariances : (C, 3, 3) float64
    """

    numbers: NDArray[np.int64]
    names: tuple[str, ...]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]

    @classmethod
    def read(cls, path: str | Path) -> Centres:
        """Read a `contrast_dict.json`: class number -> contrast {b, g, r}, covariance_matrix 3 x 3, name (optional).

        Raises
        ------
        FormatError
            If it is none, or a matrix is not symmetric and positive; names the class.
        """
        content = mapping(load_json(Path(path)), str(path))
        rows = sorted((integer(key, f"{path}: class", low=0), key) for key in content)
        if not any(row for row, _ in rows):
            raise FormatError(f"{path}: expected classes, found none")
        names, means, covariances = [], [], []
        for row, key in rows:
            where = f"{path}: class {row}"
            entry = mapping(content[key], where)
            mean = mapping(entry.get("contrast"), f"{where}: contrast")
            means.append([number(mean.get(c), f"{where}: contrast: {c}") for c in CHANNELS])
            covariances.append(_matrix(entry.get("covariance_matrix"), f"{where}: covariance_matrix"))
            names.append(str(entry.get("name", f"Class {row}")))
        return cls(np.array([row for row, _ in rows]), tuple(names), np.array(means), np.array(covariances))

    def write(self, path: str | Path) -> None:
        """Write what `read` reads."""
        content = {
            str(row): {
                "name": name,
                "contrast": dict(zip(CHANNELS, mean, strict=True)),
                "covariance_matrix": covariance,
            }
            for row, name, mean, covariance in zip(
                self.numbers.tolist(), self.names, self.means.tolist(), self.covariances.tolist(), strict=True
            )
        }
        with written_whole(Path(path)) as file:
            file.write(json.dumps(content, indent=1, ensure_ascii=False).encode())

    @property
    def classes(self) -> dict[int, str]:
        """The name of each class by its number, without the substrate."""
        return {n: name for n, name in zip(self.numbers.tolist(), self.names, strict=True) if n}

    def distances(self, values: ArrayLike) -> NDArray[np.float64]:
        """(N, C) Mahalanobis distances of contrasts (N, 3) from the centres.

        Examples
        --------
        >>> import numpy as np
        >>> from maskmill.studies.flakes.classes import Centres
        >>> means, spread = np.array([[0, 0, 0], [0, -1, 0]]), np.array([np.eye(3)] * 2)
        >>> centres = Centres(np.array([1, 4]), ("thin", "thick"), means, spread)
        >>> centres.distances([[0, -0.25, 0]]).tolist(), centres.nearest([[0, -0.25, 0], [9, 9, 9]]).tolist()
        ([[0.25, 0.75]], [1, 0])
        """
        difference = np.asarray(values, np.float64)[:, None, :] - self.means
        # Of a triangular root of the inverse, the length is the distance.
        root = np.linalg.inv(np.linalg.cholesky(self.covariances))
        distances: NDArray[np.float64] = np.linalg.norm(np.einsum("cij,ncj->nci", root, difference), axis=2)
        return distances

    def nearest(self, values: ArrayLike, limit: float = LIMIT) -> NDArray[np.int64]:
        """(N,) the number of the nearest class, 0 where that is the substrate or farther than `limit`; of equally near
        ones the first."""
        distances = self.distances(values)
        found = self.numbers[distances.argmin(1)]
        return np.where(distances.min(1) <= limit, found, 0)  # NaN is not within


def _matrix(value: Any, where: str) -> NDArray[np.float64]:
    rows = [sequence(row, where) for row in sequence(value, where)]
    if [len(row) for row in rows] != [3, 3, 3]:
        raise wrong(where, "3 x 3 numbers", value)
    matrix = np.array([[number(cell, where) for cell in row] for row in rows])
    try:
        fine = np.allclose(matrix, matrix.T) and bool((np.diag(np.linalg.cholesky(matrix)) > 0).all())
    except np.linalg.LinAlgError:
        fine = False
    if not fine:
        raise wrong(where, "a symmetric, positive definite matrix", value)
    return matrix


def fit(
    dataset: Dataset,
    images: str | Path | None = None,
    *,
    way: str | Way = "training",
    min_pixels: int = 200,
    progress: Progress | None = None,
) -> Centres:
    """Centres and covariances of the classes of a data set, and of the substrate: give it the training split alone.

    Parameters
    ----------
    dataset, images, way : as in `colours.contrast`
    min_pixels : flakes with fewer pixels without their rim are not used

    Raises
    ------
    ValueError
        If a class has fewer than four pixels.
    """
    classes = len(dataset.categories)
    n, sums, squares = np.zeros(classes + 1), np.zeros((classes + 1, 3)), np.zeros((classes + 1, 3, 3))

    def learn(category: int, part: NDArray[np.float64]) -> None:
        n[category] += len(part)
        sums[category] += part.sum(0)
        squares[category] += part.T @ part

    for i, photo in enumerate(photos_of(dataset, images)):
        image = read_photo(dataset, i, photo)
        ground = background(image, way)
        if ground.usable:
            rows = dataset.rows_of_image(i)
            values, offsets = contrast_of_pixels(image, erode(dataset.masks[rows]), ground.colour)
            for row, first, last in zip(rows.tolist(), offsets, offsets[1:], strict=False):
                if last - first >= min_pixels:
                    learn(int(dataset.instances["category"][row]), values[first:last])
            learn(classes, substrate(image, way) / ground.colour - 1)
        if progress is not None:
            progress(i + 1, len(dataset), dataset.images["file_name"][i])
    names = [*dataset.categories["name"].tolist(), "substrate"]
    for name, count in zip(names, n.tolist(), strict=True):
        if count < 4:
            raise ValueError(f"class {name!r} must have pixels to learn from, not {count:.0f}")
    means = sums / n[:, None]
    covariances = squares / n[:, None, None] - np.einsum("ci,cj->cij", means, means)
    numbers = np.append(dataset.categories["id"], 0)
    order = np.argsort(numbers)
    return Centres(
        numbers[order],
        tuple(names[i] for i in order.tolist()),
        means[order],
        covariances[order]
        + 1e-8 * np.eye(3),  # grey values are whole numbers: a flake of one colour has none
    )


def assign(
    dataset: Dataset,
    centres: Centres,
    images: str | Path | None = None,
    *,
    limit: float = LIMIT,
    max_std: float | None = None,
    way: str | Way = "training",
    progress: Progress | None = None,
) -> tuple[Dataset, list[dict[str, Any]]]:
    """Give each flake the class whose centre is nearest to its mean contrast; the others are left out, and listed.

    Parameters
    ----------
    limit : largest Mahalanobis distance
    max_std : float, optional
        Flakes whose contrast has a larger standard deviation in a channel are of more than one thickness.

    Returns
    -------
    dataset : the flakes that have a class
    rejected : list of dict
        id, image, area, contrast (blue, green, red), nearest (number of the nearest class), distance, reason.
    """
    table, _ = contrast(dataset, images, way=way, progress=progress)
    inner = table["n_eroded"] > 0
    mean = np.stack([np.where(inner, table[f"mean_{c}_eroded"], table[f"mean_{c}"]) for c in CHANNELS], 1)
    std = np.stack([table[f"std_{c}"] for c in CHANNELS], 1).max(1, initial=0)
    distances = centres.distances(mean)
    number_, near = centres.nearest(mean, limit), distances.argmin(1)
    uneven = std > max_std if max_std is not None else np.zeros(len(std), bool)
    rejected = []
    for i in np.flatnonzero((number_ == 0) | uneven).tolist():
        reason = f"its contrast is farther than {limit:g} from all classes"
        if distances[i, near[i]] <= limit:
            reason = "its contrast is that of the substrate"
        if np.isnan(mean[i]).any():
            reason = "its photo has no background"
        elif uneven[i]:
            reason = f"its contrast has a standard deviation of {std[i]:.3f}, above {max_std:g}"
        rejected.append(
            {
                "id": int(table["id"][i]),
                "image": table["image"][i],
                "area": int(table["area"][i]),
                "contrast": [round(v, 6) for v in mean[i].tolist()],
                "nearest": int(centres.numbers[near[i]]),
                "distance": float(distances[i, near[i]]),
                "reason": reason,
            }
        )
    kept = (number_ > 0) & ~uneven
    return with_classes(dataset.take(instances=kept), number_[kept], centres.classes), rejected


# Pixels: a network's work, without one


def classify_pixels(
    image: ArrayLike, colour: ArrayLike, centres: Centres, *, limit: float = LIMIT
) -> NDArray[np.int64]:
    """(H, W) the class of each pixel of a photo, 0 for none: a semantic mask without network.

    Parameters
    ----------
    image : (H, W, 3) uint8, red first
    colour : (3,) blue, green, red of the background
    """
    height, width = np.shape(image)[:2]
    found = np.zeros((height, width), np.int64)
    for top in range(0, height, 128):  # distances are many floats a pixel
        part = np.asarray(image)[top : top + 128, :, 2::-1].reshape(-1, 3)
        values = part / np.asarray(colour, np.float64) - 1
        found[top : top + 128] = centres.nearest(values, limit).reshape(-1, width)
    return found


def classify_flakes(
    image: ArrayLike,
    masks: Masks,
    colour: ArrayLike,
    centres: Centres,
    *,
    limit: float = LIMIT,
    min_share: float = 0.5,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The class of each flake by the majority of its pixels, and the share of these. Only pixels of flakes are read.

    Parameters
    ----------
    min_share : float
        Flakes of whose pixels a lesser share is of one class have none (0). So have those with a majority of none.

    Returns
    -------
    numbers : (N,) int64
    share : (N,) float64
    """
    values, offsets = contrast_of_pixels(image, masks, colour)
    nearest = centres.nearest(values, limit)
    numbers = np.unique(np.append(centres.numbers, 0))
    flake = np.repeat(np.arange(len(masks)), np.diff(offsets))
    counts = np.stack([np.bincount(flake[nearest == k], minlength=len(masks)) for k in numbers.tolist()], 1)
    share = counts.max(1) / np.maximum(np.diff(offsets), 1)
    return np.where(share >= min_share, numbers[counts.argmax(1)], 0), share


def classify(
    dataset: Dataset,
    centres: Centres,
    images: str | Path | None = None,
    *,
    limit: float = LIMIT,
    min_share: float = 0.5,
    way: str | Way = "inference",
    progress: Progress | None = None,
) -> Dataset:
    """Flakes with the class of the majority of their pixels, as `classify_flakes`; those of none are left out.

    Parameters
    ----------
    dataset : Dataset
        Such as predictions that know no classes.
    images, way : as in `colours.contrast`

    Returns
    -------
    Dataset
        Flakes on photos without a usable background have no class.
    """
    numbers = np.zeros(len(dataset.instances), np.int64)
    for i, photo in enumerate(photos_of(dataset, images)):
        rows = dataset.rows_of_image(i)
        if len(rows):
            image = read_photo(dataset, i, photo)
            ground = background(image, way)
            if ground.usable:
                masks = dataset.masks[rows]
                numbers[rows], _ = classify_flakes(
                    image, masks, ground.colour, centres, limit=limit, min_share=min_share
                )
        if progress is not None:
            progress(i + 1, len(dataset), dataset.images["file_name"][i])
    found = numbers > 0
    return with_classes(dataset.take(instances=found), numbers[found], centres.classes)


def segment(
    photos: str | Path,
    folder: str | Path,
    centres: Centres,
    *,
    limit: float = LIMIT,
    way: str | Way = "inference",
    palette: bool = False,
    progress: Progress | None = None,
) -> list[tuple[str, str]]:
    """Write a semantic mask for each photo of a folder: the class of each pixel by its contrast, `<stem>.png`.

    Returns
    -------
    list of (name, reason)
        Photos without a usable background, whose masks are empty.
    """
    pictures = pictures_of(Path(photos))
    Path(folder).mkdir(parents=True, exist_ok=True)

    def work(stem: str) -> str:
        image = read_image(pictures[stem])
        if image.ndim != 3:
            raise FormatError(f"{pictures[stem]}: expected a photo in colours, found {image.shape}")
        ground = background(image, way)
        found = np.zeros(image.shape[:2], np.int64)
        if ground.usable:
            found = classify_pixels(image, ground.colour, centres, limit=limit)
        write_labels(Path(folder) / f"{stem}.png", found, palette=palette)
        return "" if ground.usable else ground.warning

    told = []
    with _jobs.Threads() as threads:
        for done, (i, warning) in enumerate(threads.map(work, list(pictures)), 1):
            if isinstance(warning, Exception):
                raise warning
            name = list(pictures.values())[i].name
            if warning:
                told.append((name, warning))
            if progress is not None:
                progress(done, len(pictures), name)
    return sorted(told)
