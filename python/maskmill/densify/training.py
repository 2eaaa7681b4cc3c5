"""From painted pixels to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host, refuse_gpu
from maskmill.densify.blobs import Painted, capped, held_blobs, painted, splittable
from maskmill.densify.classifiers import softmax, train
from maskmill.densify.columns import SIGMAS, Columns, Own, own_name
from maskmill.densify.legend import Legend
from maskmill.densify.model import Model

Features: TypeAlias = "str | Own | Sequence[str | Own]"
WINDOW = 2048
"""Training columns are made in windows of this side."""


def fit(
    images: Any,
    labels: Any,
    *,
    features: Features = ("lab", "filters"),
    classifier: Any = "logistic",
    options: Mapping[str, Any] | None = None,
    sigmas: Sequence[float] = SIGMAS,
    per_class: int | None = 2000,
    calibrate: bool = False,
    names: Any = None,
    seed: int = 0,
) -> Model:
    """Learn classes of pixels from strokes painted on one image, or on several.

    Parameters
    ----------
    images : (H, W) or (H, W, bands), or a list of such
        Anything with a shape that gives an array for `image[y0:y1, x0:x1]`: np.memmap and zarr, too.
    labels : (H, W) integers, or a list of such
        What is painted: 0 is nothing, classes may be any numbers above.
    features : names of groups of columns, or functions
        "lab": colour. "filters": Gaussian means and local standard deviations at `sigmas`. "location": row and column,
        from 0 to 1. "cnn", or with taps "cnn:b0,b2,b4": layers of EfficientNet-Lite0 (`hypercolumns`). A function takes
        an image (H, W, bands) and gives (H, W, F); also a `hypercolumns.Network`; see `Columns`.
    classifier : {"logistic", "discriminant", "trees", "forest", "boosting", "xgboost", "mlp"} or an object
        Multinomial logistic regression; linear discriminants that know which pixels are of one stroke (`discriminant`);
        extra trees; random forest; gradient boosting by histograms (scikit-learn), or by XGBoost; a perceptron with
        layers of 100 and 60. Or any object with fit and predict_proba.
    options : mapping, optional
        For the constructor of scikit-learn's or XGBoost's class, such as {"C": 0.1}.
    sigmas : sequence of float
        Scales of filters in pixels.
    per_class : int or None
        At most so many pixels of each class are used, drawn by `seed`.
    calibrate : bool
        Fit a temperature (Guo et al. 2017, arXiv:1706.04599) on held-out blobs: probabilities then say how often they
        are right; labels stay the same.
    names : mapping of labels to names, or whatever else `Legend.of` takes, optional
        With its colours.
    seed : int
        Same seed, same model (with the same version of scikit-learn).

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        If sizes of images and labels differ, images differ in bands, or fewer than two classes are painted.
    TypeError
        If labels are not integers.
    ImportError
        If scikit-learn is not installed: pip install 'maskmill[densify]'.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import densify
    >>> image = np.full((40, 60, 3), (200, 180, 140), np.uint8)
    >>> image[:, 30:] = 60, 70, 160
    >>> strokes = np.zeros((40, 60), np.uint8)
    >>> strokes[5, 5:15], strokes[30, 40:55] = 2, 7
    >>> model = densify.fit(image, strokes, features="lab")
    >>> densify.predict(model, image).labels[0, ::12].tolist()
    [2, 2, 2, 7, 7]
    """
    pictures, marks = paired(images, labels)
    columns = recipe(features, bands(pictures[0]), sigmas)
    pixels = painted(marks)
    if len(pixels.classes) < 2:
        found = ", ".join(map(str, pixels.classes.tolist())) or "none"
        raise ValueError(f"labels must have two classes or more, not {found}")
    rows = capped(pixels, per_class, seed)
    table = columns_of(columns, pictures, rows)
    how = {"classifier": classifier, "seed": seed, "options": options}
    temperature = _temperature(columns, rows, table, how) if calibrate else 1.0
    model = _trained(columns, rows, table, Legend.of(names), how, temperature)
    return _with_counts(model, pixels, rows, how)


def trained(
    columns: Columns,
    rows: Painted,
    table: NDArray[np.float32],
    how: Mapping[str, Any],
    *,
    calibrate: bool = False,
) -> Model:
    """A model of rows whose columns are known; classes that have no row are left out. Calibrated if it can be."""
    temperature = _temperature(columns, rows, table, how) if calibrate and splittable(rows) else 1.0
    return _trained(columns, rows, table, Legend({}), how, temperature)


def _trained(
    columns: Columns,
    rows: Painted,
    table: NDArray[np.float32],
    legend: Legend,
    how: Mapping[str, Any],
    temperature: float,
) -> Model:
    present, target = np.unique(rows.target, return_inverse=True)
    mean = table.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = table.std(axis=0, dtype=np.float64)
    # Constant columns say nothing: their standardised values are 0.
    scale = np.where(spread > 1e-7 * np.maximum(1, np.abs(mean)), spread, 1).astype(np.float32)
    standard = (table - mean) / scale
    made = train(
        how["classifier"], standard, target, seed=int(how["seed"]), options=how["options"], blob=rows.blob
    )
    classes = rows.classes[present]
    return Model(columns, classes, legend.with_ids(classes.tolist()), made, mean, scale, temperature)


def _with_counts(model: Model, pixels: Painted, rows: Painted, how: Mapping[str, Any]) -> Model:
    counts = {
        str(label): {
            "painted": int((pixels.target == k).sum()),
            "used": int((rows.target == k).sum()),
            "blobs": len(pixels.blobs_of(k)),
        }
        for k, label in enumerate(pixels.classes.tolist())
    }
    named = how["classifier"] if isinstance(how["classifier"], str) else type(how["classifier"]).__name__
    about = {
        "classes": counts,
        "classifier": named,
        "options": {key: repr(value) for key, value in (how["options"] or {}).items()},
        "seed": int(how["seed"]),
        "versions": {name: _version(name) for name in ("maskmill", "scikit-learn", "numpy")},
    }
    return replace(model, about=about)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _temperature(
    columns: Columns, rows: Painted, table: NDArray[np.float32], how: Mapping[str, Any]
) -> float:
    """What logarithms of probabilities are to be divided by, so that held-out blobs are the most likely."""
    if not splittable(rows):
        raise ValueError("to calibrate, a class must have two blobs or more, and none has")
    held = np.isin(rows.blob, held_blobs(rows, 0.3, np.random.default_rng(int(how["seed"]))))
    model = trained(columns, rows.take(~held), table[~held], how)
    logs = np.log(np.clip(model.probabilities(table[held]), 1e-7, 1)).astype(np.float64)
    # Classes with a blob left are all classes: none loses its last one.
    target = rows.target[held]
    candidates = np.geomspace(0.2, 20, 93)
    loss = [
        -np.log(np.clip(softmax(logs / t)[np.arange(len(target)), target], 1e-7, 1)).mean()
        for t in candidates
    ]
    return float(candidates[int(np.argmin(loss))])


# Images, labels, columns


def paired(images: Any, labels: Any) -> tuple[list[Any], list[NDArray[np.int64]]]:
    """Images and labels as lists; what does not fit is refused."""
    pictures = [images] if hasattr(images, "shape") else list(images)
    marks = [labels] if hasattr(labels, "shape") else list(labels)
    if len(pictures) != len(marks) or not pictures:
        raise ValueError(f"there must be a label image for each image, not {len(marks)} for {len(pictures)}")
    checked = [_checked(image, mark, i) for i, (image, mark) in enumerate(zip(pictures, marks, strict=True))]
    if len({bands(image) for image in pictures}) > 1:
        raise ValueError(f"images must have the same bands, not {', '.join(str(bands(p)) for p in pictures)}")
    return pictures, checked


def bands(image: Any) -> int:
    return int(image.shape[2]) if len(image.shape) == 3 else 1


def _checked(image: Any, mark: ArrayLike, i: int) -> NDArray[np.int64]:
    check_image(image, f"image {i}")
    array = on_host(mark, "labels")
    if array.dtype.kind not in "bui":
        raise TypeError(f"labels {i} must be integers, not {array.dtype}")
    if array.shape != tuple(image.shape[:2]):
        raise ValueError(
            f"labels {i} must have the shape of the image, {tuple(image.shape[:2])}, not {array.shape}"
        )
    if array.size and (array.min() < 0 or array.max() > 65535):
        raise ValueError(f"labels {i} must be 0 to 65535, not {array.min()} to {array.max()}")
    return array.astype(np.int64)


def check_image(image: Any, name: str) -> None:
    """Shape and type, before any of its pixels is read."""
    refuse_gpu(image, name)
    if not hasattr(image, "shape") or not hasattr(image, "dtype"):
        raise TypeError(f"{name} must be an array, not {type(image).__name__}")
    if len(image.shape) not in (2, 3) or 0 in image.shape:
        raise ValueError(f"{name} must be (H, W) or (H, W, bands) and have pixels, not {tuple(image.shape)}")
    if np.dtype(image.dtype).kind not in "buif":
        raise TypeError(f"{name} must be numbers, not {image.dtype}")


def recipe(features: Features, bands: int, sigmas: Sequence[float]) -> Columns:
    """Columns by names, functions and networks. A function is called <its name>, a network <its digest>."""
    alone = isinstance(features, str) or not isinstance(features, Sequence)
    given: Any = [features] if alone else features
    named = [feature if isinstance(feature, str) else own_name(feature) for feature in given]
    own = {name: feature for name, feature in zip(named, given, strict=True) if not isinstance(feature, str)}
    return Columns(tuple(named), bands, tuple(map(float, sigmas)), own)


def columns_of(columns: Columns, images: Sequence[Any], rows: Painted) -> NDArray[np.float32]:
    """(N, F) columns of painted pixels; of a large image only windows that have some are read."""
    parts: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    for i, image in enumerate(images):
        mine = np.flatnonzero(rows.image == i)
        if not len(mine):
            continue
        image = columns.opened(image)
        height, width = image.shape[:2]
        windows = rows.at[mine] // WINDOW
        for window in np.unique(windows, axis=0):
            inside = mine[(windows == window).all(axis=1)]
            y, x = (window * WINDOW).tolist()
            box = (y, min(y + WINDOW, height), x, min(x + WINDOW, width))
            parts.append((inside, columns.of(image, box, rows.at[inside])))
    width = parts[0][1].shape[1]
    out = np.empty((len(rows), width), np.float32)
    for inside, found in parts:
        if found.shape[1] != width:
            raise ValueError(f"features must give {width} columns for all images, not {found.shape[1]}")
        out[inside] = found
    return out
