"""`maskmill core classify`: a rock class for every pixel of a photo, from a few that were painted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import densify
from maskmill._files import written_whole
from maskmill.densify.classmaps import write_class_map, write_probabilities
from maskmill.densify.labels import Labels, checked_photo, read_labels
from maskmill.densify.legend import Legend
from maskmill.io.images import read_image
from maskmill.masks import Masks
from maskmill.studies.core.profiles import Profile, own_columns
from maskmill.studies.core.profiles import profile as profile_of

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Classified:
    """Attributes
    ----------
    values : (H, W) uint8 or uint16
        Ids of classes: every pixel has one.
    probabilities : (H, W, L) float32
    classes : (L,) int64
        Ids that the last axis is of.
    legend : Legend
    model : densify.Model
    painted : Labels or None
        What it was trained with.
    report : dict
        Settings, shares of classes, seconds.
    """

    values: NDArray[Any]
    probabilities: NDArray[np.float32]
    classes: NDArray[np.int64]
    legend: Legend
    model: densify.Model
    painted: Labels | None = None
    report: dict[str, Any] = field(default_factory=dict)

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        kinds: Sequence[str] = (".png", ".tif", ".h5"),
        probabilities: str | None = ".h5",
        dtype: Any = np.float16,
    ) -> None:
        """Write classes.png (with colours), .tif, .h5, their legend, painted.png, probabilities, model, report.json.

        Parameters
        ----------
        folder : made if need be
        kinds : of class maps
        probabilities : {".h5", ".npz"} or None
        dtype : {np.float16, np.float32}
            Of the probabilities in `.npz`.
        """
        out = Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        for kind in kinds:
            write_class_map(out / f"classes{kind}", self.values, self.legend)
        if self.painted is not None:
            write_class_map(out / "painted.png", self.painted.values, self.painted.legend)
        if probabilities is not None:
            path = out / f"probabilities{probabilities}"
            write_probabilities(path, self.probabilities, self.classes, dtype=dtype)
        self.model.save(out / "model.npz")
        with written_whole(out / "report.json") as file:
            file.write(json.dumps(self.report, indent=1, ensure_ascii=False).encode())


def classify(
    photo: ArrayLike | str | os.PathLike[str],
    labels: Any = None,
    *,
    profile: str | Profile = "default",
    model: densify.Model | str | os.PathLike[str] | None = None,
    legend: Any = None,
    merge: Mapping[str, str] | None = None,
    conflict: str = "error",
    crf: Mapping[str, Any] | bool = True,
    pin: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Classified:
    """Classify every pixel of a photo of a core.

    Parameters
    ----------
    photo : path, or (H, W) or (H, W, 1 | 3 | 4) array of 8 or 16 bits
    labels : whatever `read_labels` takes, or `Labels`
        What was painted. Not needed with a model.
    profile : {"default", "original"} or Profile
        As `profiles.profile` tells.
    model : Model or path, optional
        Of an earlier `classify`: nothing is trained.
    legend, merge, conflict : as of `read_labels`
    crf : bool or mapping
        Smooth by a dense CRF: the profile's, none, or with these arguments of `maskmill.crf.refine`.
    pin : bool
        Keep the labels of painted pixels, whatever the classifier says of them.
    seed : int
        Same seed, same result.
    progress : callable, optional
        Called with steps done, all steps, and the name of the next.

    Returns
    -------
    Classified

    Raises
    ------
    ValueError, TypeError
        If sizes of photo and labels differ, or fewer than two classes were painted.
    FormatError
        If a file is not what it should be.
    ImportError
        If an extra is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.studies.core import classify
    >>> photo = np.full((64, 48, 3), (205, 180, 145), np.uint8)
    >>> photo[32:] = 60, 70, 75
    >>> strokes = np.zeros((64, 48), np.uint8)
    >>> strokes[4:9, 5:40] = strokes[20:25, 5:40] = 1
    >>> strokes[40:45, 5:40] = strokes[55:60, 5:40] = 2
    >>> found = classify(photo, strokes, legend=["Carb-Tan", "Impact-Dark"], crf=False)
    >>> found.values[::16, 0].tolist(), found.legend.name(2)
    ([1, 1, 2, 2], 'Impact-Dark')
    """
    say = progress or (lambda done, total, name: None)
    chosen = profile_of(profile)
    say(0, 4, "read")
    image, painted, path = opened(photo, labels, legend, merge=merge, conflict=conflict)
    started = perf_counter()
    say(1, 4, "train")
    trained = _model(model, chosen, image, painted, legend, seed)
    taught = perf_counter()
    say(2, 4, "classify")
    smooth = chosen.crf if crf is True else None if crf is False else crf
    pinned = painted.values if pin and painted is not None else None
    result = densify.predict(trained, image, crf=smooth, pinned=pinned)
    seconds = {"train": taught - started, "classify": perf_counter() - taught}
    say(4, 4, "")
    names = dict(zip(trained.classes.tolist(), trained.names, strict=True))
    named = painted.legend if painted is not None else Legend.of(legend)
    named = Legend(
        {**{n: name for n, name in names.items() if n not in named.names}, **named.names}, named.colours
    )
    assert result.probabilities is not None
    report = {
        "photo": None if path is None else str(path),
        "size": list(image.shape[:2]),
        "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
        "profile": chosen.name if model is None else "of the model",
        "features": list(trained.columns.features),
        "crf": None if smooth is None else dict(smooth.items()),
        "pinned": pin,
        "seed": seed,
        "model": trained.digest,
        "training": dict(trained.about),
        "labels": None if painted is None else {"conflicts": painted.conflicts, "notes": list(painted.notes)},
        "result": result.report,
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
    }
    return Classified(result.labels, result.probabilities, result.classes, named, trained, painted, report)


def opened(
    photo: Any, labels: Any, legend: Any = None, **options: Any
) -> tuple[NDArray[np.uint8], Labels | None, Path | None]:
    """A photo (H, W, 3), its labels, and where it is from."""
    path = Path(photo) if isinstance(photo, str | os.PathLike) else None
    image = checked_photo(photo if path is None else read_image(path))
    height, width = image.shape[:2]
    if labels is None:
        return image, None, path
    if not isinstance(labels, Labels):
        return image, read_labels(labels, size=(height, width), photo=path, legend=legend, **options), path
    if labels.values.shape != (height, width):
        found = " x ".join(map(str, labels.values.shape))
        raise ValueError(f"labels must have the size of the photo, {height} x {width}, not {found}")
    return image, labels, path


def _model(
    model: Any, chosen: Profile, image: NDArray[Any], painted: Labels | None, legend: Any, seed: int
) -> densify.Model:
    if isinstance(model, str | os.PathLike):
        return densify.load(Path(model), own=own_columns())
    if model is not None:
        return model  # type: ignore[no-any-return]
    if painted is None:
        raise ValueError("labels must be given where there is no model")
    if not (painted.values > 0).any():
        raise ValueError("labels must have painted pixels, and have none")
    names = {number: painted.legend.name(number) for number in painted.legend}
    calibrate = chosen.calibrate and _testable(painted.values)
    return densify.fit(image, painted.values, **chosen.training, calibrate=calibrate, names=names, seed=seed)


def _testable(values: NDArray[Any]) -> bool:
    """Whether a class has two blobs: otherwise nothing can be held out to calibrate by."""
    masks, _ = Masks.from_labels(values)
    _, of = masks.components(connectivity=4)
    return bool((np.bincount(of) > 1).any())
