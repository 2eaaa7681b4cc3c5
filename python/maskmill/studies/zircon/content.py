"""What is in the images of a training set: grains per image, their sizes, differences between the parts, duplicates."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.dataset import Dataset, Table
from maskmill.studies.zircon.grains import measure

QUARTILES = ("min", "25 %", "median", "75 %", "max")

SIZES = (0.0, 30.0, 63.0, 125.0, 250.0, math.inf)
"""Borders of classes of the long axis in µm: silt, then the sands of Udden and Wentworth."""


@dataclass(frozen=True)
class Content:
    """Tables of one row per part, and per sample of a part.

    Attributes
    ----------
    images : Table
        Annotations per image: how many images, how many without any, quartiles.
    grains : Table
        Quartiles of area and best axes in pixels and µm, how many touch the edge of their image, classes of size.
    tests : Table
        Whether the parts differ: two-sample Kolmogorov-Smirnov, with its asymptotic probability.
    duplicates : Table
        Images with the same name, the same bytes (where the files are known) or the same annotations, not none.
    measured : dict of Table
        All grains of each part, as `measure` gives them.
    """

    images: Table
    grains: Table
    tests: Table
    duplicates: Table
    measured: dict[str, Table]


def contents(parts: Mapping[str, Dataset], samples: Mapping[str, Sequence[str]]) -> Content:
    """Look into all images of all parts."""
    measured = {part: measure(dataset) for part, dataset in parts.items()}
    counts = {
        part: np.bincount(dataset.instances["image"], minlength=len(dataset.images))
        for part, dataset in parts.items()
    }
    images, grains = [], []
    for part, dataset in parts.items():
        of_image = np.array(samples[part], object)
        of_grain = of_image[dataset.instances["image"]]
        groups = [("all", np.ones(len(of_image), bool), np.ones(len(of_grain), bool))]
        groups += [(name, of_image == name, of_grain == name) for name in sorted(set(samples[part]))]
        for name, mine, own in groups:
            images.append({"Part": part, "Sample": name, **_per_image(counts[part][mine])})
            grains.append({"Part": part, "Sample": name, **_sizes(measured[part].take(own))})
    return Content(_table(images), _table(grains), _tests(counts, measured), _duplicates(parts), measured)


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    return Table({name: [row[name] for row in rows] for name in rows[0]})


def _per_image(counts: NDArray[np.int64]) -> dict[str, Any]:
    found = {
        "Images": len(counts),
        "Annotations": int(counts.sum()),
        "Without annotations": int((counts == 0).sum()),
    }
    return found | {f"Per image, {name}": value for name, value in _quartiles(counts).items()}


def _quartiles(values: NDArray[Any]) -> dict[str, float]:
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    found = np.percentile(known, [0, 25, 50, 75, 100]) if len(known) else np.full(5, np.nan)
    return dict(zip(QUARTILES, found.tolist(), strict=True))


def _sizes(grains: Table) -> dict[str, Any]:
    n = len(grains)
    um = grains["scale"]
    long = grains["best_long"]
    columns = {
        "Area (pixels)": grains["pixels"].astype(float),
        "Area (µm^2)": grains["area"],
        "Long axis (pixels)": long / um,
        "Long axis (µm)": long,
        "Short axis (pixels)": grains["best_short"] / um,
        "Short axis (µm)": grains["best_short"],
    }
    out: dict[str, Any] = {
        "Grains": n,
        "Touching the edge (%)": 100 * float(grains["edges"].mean()) if n else math.nan,
    }
    for name, values in columns.items():
        out |= {f"{name}, {which}": value for which, value in _quartiles(values).items()}
    for low, high in zip(SIZES, SIZES[1:], strict=False):
        name = f"{low:g} to {high:g} µm" if high < math.inf else f"{low:g} µm and more"
        out[name] = int(((long >= low) & (long < high)).sum())
    return out


def _tests(counts: Mapping[str, NDArray[np.int64]], measured: Mapping[str, Table]) -> Table:
    first, second = measured
    rows = []
    for name, a, b in (
        ("annotations per image", counts[first], counts[second]),
        ("long axis (µm)", measured[first]["best_long"], measured[second]["best_long"]),
        ("short axis (µm)", measured[first]["best_short"], measured[second]["best_short"]),
        ("area (µm^2)", measured[first]["area"], measured[second]["area"]),
    ):
        statistic, probability = kolmogorov_smirnov(a, b)
        rows.append({"Of": name, "Largest difference": statistic, "Probability": probability})
    return _table(rows)


def kolmogorov_smirnov(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, float]:
    """Largest difference of the two distributions, and the probability of a larger one between samples of one
    population (asymptotic, with Stephens' correction for small samples); NaN where one is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.studies.zircon.content import kolmogorov_smirnov
    >>> kolmogorov_smirnov(np.arange(50), np.arange(50))
    (0.0, 1.0)
    """
    first, second = (np.sort(np.asarray(v, float)) for v in (a, b))
    first, second = first[np.isfinite(first)], second[np.isfinite(second)]
    if not len(first) or not len(second):
        return math.nan, math.nan
    at = np.concatenate([first, second])
    shares = [np.searchsorted(v, at, "right") / len(v) for v in (first, second)]
    statistic = float(np.abs(shares[0] - shares[1]).max())
    root = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    x = (root + 0.12 + 0.11 / root) * statistic
    if x < 0.2:  # the series needs ever more terms, and its sum is 1
        return statistic, 1.0
    k = np.arange(1, 101)
    return statistic, float(np.clip(2 * np.sum((-1.0) ** (k - 1) * np.exp(-2 * (k * x) ** 2)), 0, 1))


def _duplicates(parts: Mapping[str, Dataset]) -> Table:
    seen: dict[tuple[str, Any], tuple[str, str]] = {}
    rows = []
    for part, dataset in parts.items():
        for name, marks in zip(dataset.images["file_name"].tolist(), _marks(dataset), strict=True):
            for kind, mark in marks:
                if (kind, mark) in seen:
                    rows.append((kind, *seen[kind, mark], part, name))
                seen.setdefault((kind, mark), (part, name))
    names = ("Same", "Part", "Image", "Other part", "Other image")
    return Table({name: [row[i] for row in rows] for i, name in enumerate(names)}, len(rows))


def _marks(dataset: Dataset) -> Iterator[list[tuple[str, Any]]]:
    """Of each image what another one should not have."""
    for i, image in enumerate(dataset.images):
        marks: list[tuple[str, Any]] = [("name", image["file_name"])] if image["file_name"] else []
        path = Path(image["pixels"].path) if image["pixels"] is not None else None
        if path is not None and path.is_file():
            marks.append(("picture", _digest(path)))
        rows = dataset.rows_of_image(i)
        if len(rows):
            masks = dataset.masks[rows]
            runs = (masks.counts.tobytes(), masks.offsets.tobytes(), masks.sizes.tobytes())
            marks.append(("annotations", hashlib.sha256(b"|".join(runs)).digest()))
        yield marks


def _digest(path: Path) -> bytes:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.digest()
