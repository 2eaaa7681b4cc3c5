"""False finds told from flakes by their shape: a logistic regression on outline and solidity.

Dirt and residue are ragged: long outlines, hollow hulls. MaskTerial calls this the L2 filter. A model is three numbers
in a JSON file, not a pickle.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill import _check
from maskmill._device import on_host
from maskmill._files import FormatError, need, written_whole
from maskmill.dataset import Dataset
from maskmill.io._labels import read_values
from maskmill.io._parse import load_json, mapping, number, safe_name, text
from maskmill.masks import Masks
from maskmill.studies.flakes.predictions import shape_features

_RULES = {"exact": 0, "maskterial": 1}


@dataclass(frozen=True)
class ShapeFilter:
    """Attributes
    ----------
    outline, solidity : weights of the features, see `predictions.shape_features`
    intercept : float
    rule : {"exact", "maskterial"}
        How the features are measured.
    """

    outline: float
    solidity: float
    intercept: float
    rule: str = "exact"

    @classmethod
    def read(cls, path: str | Path) -> ShapeFilter:
        """Read what `write` wrote.

        Raises
        ------
        FormatError
            If it is none; names the field.
        """
        content = mapping(load_json(Path(path)), str(path))
        rule = text(content.get("rule"), f"{path}: rule")
        if rule not in _RULES:
            raise FormatError(f"{path}: rule: expected 'exact' or 'maskterial', found {rule!r}")
        keys = ("outline", "solidity", "intercept")
        outline, solidity, intercept = (number(content.get(key), f"{path}: {key}") for key in keys)
        return cls(outline, solidity, intercept, rule)

    def write(self, path: str | Path) -> None:
        """Write a JSON file."""
        with written_whole(Path(path)) as file:
            file.write(json.dumps(asdict(self), indent=1).encode())

    def false_probability(self, masks: Masks) -> NDArray[np.float64]:
        """(N,) the probability of being no flake; 1 for what has no area.

        Examples
        --------
        >>> import numpy as np
        >>> from maskmill import Masks
        >>> from maskmill.studies.flakes.shape_filter import ShapeFilter
        >>> square, comb = np.ones((20, 20), bool), np.ones((20, 20), bool)
        >>> comb[:18, 1::2] = False
        >>> ShapeFilter(2.0, -1.0, -10.0).false_probability(Masks.encode([square, comb])).round(2).tolist()
        [0.03, 1.0]
        """
        outline, solidity = shape_features(masks, self.rule).T
        score = outline * self.outline + solidity * self.solidity + self.intercept
        with np.errstate(over="ignore"):
            probability = 1 / (1 + np.exp(-score))
        return np.where(np.isfinite(score), probability, 1.0)

    def apply(self, dataset: Dataset, threshold: float = 0.5) -> Dataset:
        """Without what is no flake with a probability of `threshold` or more."""
        return dataset.take(instances=self.false_probability(dataset.masks) < threshold)


def fit_shapes(masks: Masks, false: ArrayLike, *, rule: str = "exact") -> ShapeFilter:
    """Learn a filter from masks that people looked at.

    Parameters
    ----------
    masks : Masks of N
        What has no area is not used.
    false : (N,) bool, which are no flakes

    Raises
    ------
    ValueError
        If there are not both kinds.

    Notes
    -----
    As MaskTerial: logistic regression with L2 penalty (C = 1), classes weighted to be of equal size.
    """
    _check.choice(rule, "rule", _RULES)
    linear = need("sklearn.linear_model", "flakes")
    features, labels = shape_features(masks, rule), on_host(false, "false", bool)
    usable = np.isfinite(features).all(1)
    features, labels = features[usable], labels[usable]
    if not labels.any() or labels.all():
        raise ValueError(f"masks must be flakes and false finds, not {len(labels)} of one kind")
    model = linear.LogisticRegression(C=1.0, class_weight="balanced", max_iter=10_000, tol=1e-8)
    model.fit(features, labels)
    outline, solidity = model.coef_[0].tolist()
    return ShapeFilter(outline, solidity, float(model.intercept_[0]), rule)


def read_false_finds(folder: str | Path) -> tuple[Masks, NDArray[np.bool_]]:
    """One split of MaskTerial's set of false finds: `annotations.json` (name -> label) and `masks/<name>.png`.

    Returns
    -------
    masks : Masks
    false : (N,) bool, labels that are not 0

    Raises
    ------
    FormatError
        If the file is none, or a mask is damaged; names it.
    """
    path = Path(folder) / "annotations.json"
    parts, false = [], []
    for name, label in mapping(load_json(path), str(path)).items():
        where = f"{path}: {name[:80]!r}"
        place = Path(folder) / "masks" / safe_name(name, where)
        file = place if place.suffix == ".png" else place.with_name(place.name + ".png")
        if not file.is_file():
            raise FormatError(f"{where}: expected {file}, found no such file")
        parts.append(Masks.encode(read_values(file) > 0))
        false.append(_label(label, where) != 0)
    return Masks.concatenate(parts), np.array(false, bool)


def _label(value: Any, where: str) -> float:
    return float(value) if isinstance(value, bool) else number(value, where)
