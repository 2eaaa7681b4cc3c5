"""A model: which columns a pixel is described by, and a trained classifier of them. One file, without pickles."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.densify._archive import read_arrays
from maskmill.densify.classifiers import Classifier, Foreign, Layers, Table, from_arrays, softmax
from maskmill.densify.columns import Columns, Own, own_name
from maskmill.densify.legend import Legend

VERSION = 1


@dataclass(frozen=True)
class Model:
    """What `fit` gives and `predict` takes.

    Attributes
    ----------
    columns : Columns
        How pixels are described.
    classes : (L,) int64
        Labels, rising, as they were painted.
    legend : Legend
        Names and colours of the classes.
    classifier : Classifier
        From standardised columns to probabilities.
    mean, scale : (F,) float32
        Columns are standardised by (x - mean) / scale.
    temperature : float
        Logarithms of probabilities are divided by it: 1 unless the model was calibrated.
    about : dict
        How it was trained: pixels and blobs of each class, seeds, versions of packages.
    """

    columns: Columns
    classes: NDArray[np.int64]
    legend: Legend
    classifier: Classifier
    mean: Table
    scale: Table
    temperature: float = 1.0
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""
        return tuple(self.legend.name(int(label)) for label in self.classes)

    def probabilities(self, table: Table) -> Table:
        """(N, L) float32 probabilities of rows of columns (N, F)."""
        found = self.classifier((table - self.mean) / self.scale)
        if self.temperature == 1:
            return found
        return softmax(np.log(np.clip(found, 1e-7, 1)) / np.float32(self.temperature))

    @property
    def digest(self) -> str:
        """16 hex digits that name this model: equal digests, equal probabilities."""
        return _digest(self._arrays(), self._recipe())

    def _arrays(self) -> dict[str, NDArray[Any]]:
        if isinstance(self.classifier, Foreign):
            kind = type(self.classifier.fitted).__name__
            raise ValueError(
                f"a model can be saved if its classifier is one of ours, not an object of {kind}"
            )
        own: Any = self.classifier
        arrays = {f"classifier_{name}": array for name, array in own.arrays().items()}
        return {**arrays, "classes": self.classes, "mean": self.mean, "scale": self.scale}

    def _recipe(self) -> dict[str, Any]:
        own = self.classifier
        shape = {"layers": len(own.weights), "activation": own.activation} if isinstance(own, Layers) else {}
        return {
            "format": "maskmill densify",
            "version": VERSION,
            "features": list(self.columns.features),
            "bands": self.columns.bands,
            "sigmas": list(self.columns.sigmas),
            "names": {str(i): self.legend.names[i] for i in self.legend.ids},
            "colours": {str(i): list(colour) for i, colour in sorted(self.legend.colours.items())},
            "classifier": {"kind": own.kind, "classes": len(self.classes), **shape},
            "temperature": self.temperature,
        }

    def save(self, path: str | Path) -> None:
        """Write an `.npz` of plain arrays, with the recipe and a hash of both as JSON inside.

        Raises
        ------
        ValueError
            If the classifier is an object that is known by its name only: keeping that would need a pickle.
        """
        arrays, recipe = self._arrays(), self._recipe()
        about = json.dumps(
            {**recipe, "about": dict(self.about), "digest": _digest(arrays, recipe)}, sort_keys=True
        )
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays, recipe=np.frombuffer(about.encode(), np.uint8))  # type: ignore[arg-type,unused-ignore]
        with written_whole(Path(path)) as file:
            file.write(buffer.getbuffer())


def _digest(arrays: Mapping[str, NDArray[Any]], recipe: Mapping[str, Any]) -> str:
    whole = hashlib.blake2b(json.dumps(recipe, sort_keys=True).encode(), digest_size=8)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        whole.update(f"{name} {array.dtype.str} {array.shape}".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()


def load(path: str | Path, *, own: Sequence[Own] = ()) -> Model:
    """Read a model that was saved. Nothing of the file is run.

    Parameters
    ----------
    path : str or Path
    own : sequence of functions and networks
        Those that the model was trained with, if there were any: the file has their names only.

    Raises
    ------
    FormatError
        If the file is something else, damaged, or of a version to come.
    ValueError
        If it needs a function or network that is not given.
    """
    path = Path(path)
    arrays = read_arrays(path)
    try:
        recipe = json.loads(arrays.pop("recipe").astype(np.uint8).tobytes())
        if recipe["format"] != "maskmill densify" or recipe["version"] != VERSION:
            raise ValueError(f"its version is {recipe['version']!r}, and this reads {VERSION}")
        about, digest = recipe.pop("about"), recipe.pop("digest")
        if digest != _digest(arrays, recipe):
            raise ValueError("its hash is another one: it was changed or is damaged")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not a model that maskmill wrote ({error})") from None
    given = {own_name(feature): feature for feature in own}
    missing = [name for name in recipe["features"] if str(name).startswith("<") and name not in given]
    if missing:
        raise ValueError(f"{path}: own must have {missing[0].strip('<>')}, which it was trained with")
    try:
        return _model(arrays, recipe, about, given)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FormatError(f"{path}: not a model that maskmill wrote ({error})") from None


def _model(
    arrays: dict[str, NDArray[Any]], recipe: dict[str, Any], about: Any, own: Mapping[str, Any]
) -> Model:
    features = tuple(map(str, recipe["features"]))
    columns = Columns(
        features,
        int(recipe["bands"]),
        tuple(map(float, recipe["sigmas"])),
        {name: function for name, function in own.items() if name in features},
    )
    classes = arrays["classes"].astype(np.int64, casting="same_kind")
    mean, scale = (arrays[name].astype(np.float32) for name in ("mean", "scale"))
    legend = Legend(
        {int(i): str(name) for i, name in recipe["names"].items()},
        {int(i): (int(r), int(g), int(b)) for i, (r, g, b) in recipe["colours"].items()},
    )
    if classes.ndim != 1 or len(classes) < 2 or (np.diff(classes) <= 0).any() or classes[0] < 1:
        raise ValueError("its classes do not rise from 1")
    if mean.ndim != 1 or mean.shape != scale.shape or not (np.isfinite(mean).all() and (scale > 0).all()):
        raise ValueError("its columns cannot be standardised")
    if not 0 < float(recipe["temperature"]) < 1e6:
        raise ValueError("its temperature is not above 0")
    said = recipe["classifier"]
    plain = {n.removeprefix("classifier_"): a for n, a in arrays.items() if n.startswith("classifier_")}
    classifier: Any = from_arrays(str(said["kind"]), plain, {**said, "classes": len(classes)})
    classifier.check(len(mean), len(classes))
    return Model(columns, classes, legend, classifier, mean, scale, float(recipe["temperature"]), dict(about))
