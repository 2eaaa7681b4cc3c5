"""Classifiers of pixels: trained by scikit-learn or XGBoost, kept as plain arrays and asked without them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from maskmill._files import need
from maskmill._jobs import cpu_count
from maskmill.densify.discriminant import discriminant
from maskmill.densify.forest import Trees

Table = NDArray[np.float32]

NAMES = ("logistic", "discriminant", "trees", "forest", "boosting", "xgboost", "mlp")
"""Those that `train` knows by name."""


class Classifier(Protocol):
    """What turns rows of columns (N, F) into probabilities (N, L), float32."""

    kind: ClassVar[str]

    def __call__(self, table: Table) -> Table: ...


def softmax(scores: NDArray[Any]) -> Table:
    """Of rows; the greatest is subtracted first, so that nothing overflows."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Table = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "identity": lambda x: x,
}


@dataclass(frozen=True)
class Layers:
    """A perceptron: layers of weights (A, B) and biases (B,), then softmax. Of one layer: logistic regression."""

    kind: ClassVar[str] = "layers"
    weights: tuple[Table, ...]
    biases: tuple[Table, ...]
    activation: str = "relu"

    def __call__(self, table: Table) -> Table:
        act = _ACTIVATIONS[self.activation]
        for weights, biases in zip(self.weights[:-1], self.biases[:-1], strict=True):
            table = act(table @ weights + biases)
        return softmax(table @ self.weights[-1] + self.biases[-1])

    def arrays(self) -> dict[str, NDArray[Any]]:
        named = {f"weights{i}": array for i, array in enumerate(self.weights)}
        return named | {f"biases{i}": array for i, array in enumerate(self.biases)}

    def check(self, features: int, classes: int) -> None:
        """ValueError if the layers do not fit each other, the features and the classes."""
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(_ACTIVATIONS)}, not {self.activation!r}")
        if not self.weights or len(self.weights) != len(self.biases):
            raise ValueError("a layer lacks its weights or biases")
        width = features
        for weights, biases in zip(self.weights, self.biases, strict=True):
            if weights.ndim != 2 or weights.shape[0] != width or biases.shape != weights.shape[1:]:
                raise ValueError(f"a layer must take {width} values, not {weights.shape}")
            if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
                raise ValueError("a weight is not a number")
            width = weights.shape[1]
        if width != classes:
            raise ValueError(f"the last layer must give {classes} classes, not {width}")


@dataclass(frozen=True)
class Forest:
    """The mean of trees whose leaves have the shares of classes."""

    kind: ClassVar[str] = "forest"
    trees: Trees
    classes: int

    def __call__(self, table: Table) -> Table:
        mean = self.trees.sums(table, self.classes) / len(self.trees.root)
        return mean.astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return _arrays_of(self.trees)

    def check(self, features: int, classes: int) -> None:
        self.trees.check(features, classes)
        if not ((self.trees.value >= 0) & (self.trees.value <= 1)).all():
            raise ValueError("a probability is not within 0..1")


@dataclass(frozen=True)
class Boosted:
    """Sums of trees, each for one class, and softmax."""

    kind: ClassVar[str] = "boosted"
    trees: Trees
    base: NDArray[np.float64]
    """(L,): the scores before the first tree."""

    def __call__(self, table: Table) -> Table:
        return softmax(self.trees.sums(table, len(self.base)) + self.base)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {**_arrays_of(self.trees), "base": self.base}

    def check(self, features: int, classes: int) -> None:
        self.trees.check(features, classes)
        if self.base.shape != (classes,) or not np.isfinite(self.base).all():
            raise ValueError(f"there must be {classes} scores to begin with, not {self.base.shape}")


@dataclass(frozen=True)
class Foreign:
    """Any object with fit and predict_proba. It can be asked, but not saved: that would need a pickle."""

    kind: ClassVar[str] = "foreign"
    fitted: Any

    def __call__(self, table: Table) -> Table:
        return np.asarray(self.fitted.predict_proba(table), np.float32)


def _arrays_of(trees: Trees) -> dict[str, NDArray[Any]]:
    return {field.name: getattr(trees, field.name) for field in fields(trees)}


def from_arrays(kind: str, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> Classifier:
    """What `arrays` of a classifier gave, made a classifier again. KeyError, ValueError if it cannot be."""
    if kind == Layers.kind:
        count = int(about["layers"])
        weights, biases = (
            tuple(np.ascontiguousarray(arrays[f"{name}{i}"], np.float32) for i in range(count))
            for name in ("weights", "biases")
        )
        return Layers(weights, biases, str(about["activation"]))
    if kind not in (Forest.kind, Boosted.kind):
        raise ValueError(f"its classifier is {kind!r}, which this version does not know")
    types = {"feature": np.int16, "threshold": np.float64, "value": np.float32}
    trees = Trees(
        **{
            f.name: arrays[f.name].astype(types.get(f.name, np.int32), casting="same_kind")
            for f in fields(Trees)
        }
    )
    if kind == Forest.kind:
        return Forest(trees, int(about["classes"]))
    return Boosted(trees, arrays["base"].astype(np.float64))


# Training


def train(
    classifier: Any,
    table: Table,
    target: NDArray[np.intp],
    *,
    seed: int,
    options: Mapping[str, Any] | None = None,
    blob: NDArray[np.int64] | None = None,
) -> Classifier:
    """Train a classifier, and make it plain arrays where it is of a kind that can be.

    Parameters
    ----------
    classifier : one of `NAMES`, or an object with fit(table, target) and predict_proba(table)
        An object is fitted as it is; where it has `get_params` and `set_params` a copy is, so that it stays unfitted.
    table : (N, F) float32
    target : (N,) integers
        0, 1, ... L - 1; each must occur.
    seed : int
        Of classifiers by name: same seed, same classifier.
    options : mapping, optional
        For the constructor of scikit-learn's or XGBoost's class, over our defaults; or for `discriminant`.
    blob : (N,) int64, optional
        The stroke of each row, which only "discriminant" asks for; by default those of a class are one.

    Raises
    ------
    ValueError
        If the name is not known, or an option is not.
    ImportError
        If scikit-learn (XGBoost for "xgboost") is not installed.
    """
    if not isinstance(classifier, str):
        return plain(_fitted(classifier, table, target), table)
    if classifier not in NAMES:
        raise ValueError(
            f"classifier must be one of {', '.join(NAMES)} or an object with fit, not {classifier!r}"
        )
    try:
        if classifier == "discriminant":
            found = discriminant(table, target, target if blob is None else blob, **dict(options or {}))
            return Layers((found[0],), (found[1],), "identity")
        unfitted = _made(classifier, seed, dict(options or {}))
    except TypeError as error:
        raise ValueError(f"options must be those of the classifier {classifier!r} ({error})") from None
    if classifier == "mlp":  # which knows no weights of classes: rows of small classes are repeated
        rows = _balanced(target)
        return plain(_quietly(unfitted, table[rows], target[rows]), table)
    if classifier == "xgboost":
        weight = (len(target) / np.bincount(target))[target]
        return plain(unfitted.fit(table, target, sample_weight=weight / weight.mean()), table)
    return plain(_quietly(unfitted, table, target), table)


def _fitted(classifier: Any, table: Table, target: NDArray[np.intp]) -> Any:
    if not (hasattr(classifier, "fit") and hasattr(classifier, "predict_proba")):
        raise TypeError(
            f"classifier must be a name or have fit and predict_proba, not {type(classifier).__name__}"
        )
    if hasattr(classifier, "get_params"):
        classifier = need("sklearn.base", "densify").clone(classifier)
    classifier.fit(table, target)
    return classifier


def _made(name: str, seed: int, options: dict[str, Any]) -> Any:
    """An unfitted classifier of scikit-learn or XGBoost."""
    if name == "xgboost":
        given = {"n_estimators": 100, "max_depth": 6, "random_state": seed, "n_jobs": cpu_count(), **options}
        return need("xgboost", "densify").XGBClassifier(**given)
    if name == "logistic":
        given = {"C": 0.01, "class_weight": "balanced", "max_iter": 1000, **options}
        return need("sklearn.linear_model", "densify").LogisticRegression(**given)
    if name == "mlp":
        given = {"hidden_layer_sizes": (100, 60), "alpha": 1e-3, "random_state": seed, **options}
        return need("sklearn.neural_network", "densify").MLPClassifier(**given)
    ensemble = need("sklearn.ensemble", "densify")
    if name == "boosting":
        given = {"class_weight": "balanced", "early_stopping": False, "random_state": seed, **options}
        return ensemble.HistGradientBoostingClassifier(**given)
    made = ensemble.ExtraTreesClassifier if name == "trees" else ensemble.RandomForestClassifier
    given = {"n_estimators": 100, "min_samples_leaf": 2, "class_weight": "balanced", "random_state": seed}
    return made(**{**given, "n_jobs": cpu_count(), **options})


def _balanced(target: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows, those of small classes as often as those of the greatest."""
    most = np.bincount(target).max()
    return np.concatenate([np.resize(np.flatnonzero(target == k), most) for k in range(target.max() + 1)])


def _quietly(unfitted: Any, table: Table, target: NDArray[np.intp]) -> Any:
    """Fit without the warning that the last step was not the smallest: the scores say what a classifier is worth."""
    import warnings

    exceptions = need("sklearn.exceptions", "densify")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        return unfitted.fit(table, target)


# From scikit-learn's and XGBoost's objects


def plain(fitted: Any, table: Table) -> Classifier:
    """A fitted object as plain arrays, if it is of a kind that is known and then gives the same; else as it is.

    What is read are in part private attributes: that they mean what they meant is seen on rows of `table`.
    """
    converter = _CONVERTERS.get(type(fitted).__name__)
    wanted = np.asarray(fitted.predict_proba(table[:64]))
    if converter is None:
        return Foreign(fitted)
    try:
        made = converter(fitted)
        made.check(table.shape[1], wanted.shape[1])
        same = np.allclose(made(table[:64]), wanted, atol=1e-4)
    except (AttributeError, KeyError, IndexError, ValueError):
        same = False
    return made if same else Foreign(fitted)


def _of_linear(fitted: Any) -> Layers:
    weights, biases = np.asarray(fitted.coef_).T, np.asarray(fitted.intercept_)
    return Layers(*_two_columns([weights], [biases]), "identity")


def _of_perceptron(fitted: Any) -> Layers:
    return Layers(*_two_columns(fitted.coefs_, fitted.intercepts_), str(fitted.activation))


def _two_columns(weights: Any, biases: Any) -> tuple[tuple[Table, ...], tuple[Table, ...]]:
    """Layers in float32. Of two classes one score is kept: softmax of (0, z) is the logistic function of z."""
    weights, biases = [np.asarray(w) for w in weights], [np.asarray(b) for b in biases]
    if weights[-1].shape[1] == 1:
        weights[-1] = np.concatenate([np.zeros_like(weights[-1]), weights[-1]], axis=1)
        biases[-1] = np.concatenate([np.zeros_like(biases[-1]), biases[-1]])
    as_float = [tuple(np.ascontiguousarray(a, np.float32) for a in arrays) for arrays in (weights, biases)]
    return as_float[0], as_float[1]


def joined(trees: list[dict[str, NDArray[Any]]], columns: list[int], dtype: Any = np.float32) -> Trees:
    """Trees from feature, threshold, left, right (within the tree; feature -1 in leaves) and value (of each node)."""
    parts: dict[str, list[NDArray[Any]]] = {field.name: [] for field in fields(Trees)}
    nodes = leaves = 0
    for tree in trees:
        leaf = tree["feature"] < 0
        number = leaves + np.cumsum(leaf) - 1
        parts["root"].append(np.array([nodes]))
        parts["feature"].append(tree["feature"])
        parts["threshold"].append(np.where(leaf, 0.0, tree["threshold"]))
        parts["left"].append(np.where(leaf, number, nodes + tree["left"]))
        parts["right"].append(np.where(leaf, 0, nodes + tree["right"]))
        parts["value"].append(tree["value"][leaf])
        nodes, leaves = nodes + len(leaf), leaves + int(leaf.sum())
    parts["column"] = [np.asarray(columns)]
    types = {"feature": np.int16, "threshold": np.float64, "value": dtype}
    return Trees(**{name: np.concatenate(a).astype(types.get(name, np.int32)) for name, a in parts.items()})


def trees_of(fitted: Any, dtype: Any = np.float32) -> Trees:
    """Of a forest of scikit-learn's classifiers."""
    trees = []
    for tree in (estimator.tree_ for estimator in fitted.estimators_):
        votes = tree.value[:, 0, :]
        trees.append({
            "feature": np.where(tree.children_left < 0, -1, tree.feature),
            "threshold": tree.threshold,
            "left": tree.children_left,
            "right": tree.children_right,
            "value": votes / votes.sum(axis=1, keepdims=True),
        })  # fmt: skip
    return joined(trees, [0] * len(trees), dtype)


def _of_forest(fitted: Any) -> Forest:
    return Forest(trees_of(fitted), len(fitted.classes_))


def _of_histograms(fitted: Any) -> Boosted:
    """scikit-learn's HistGradientBoostingClassifier; of two classes it has one tree an iteration."""
    classes = len(fitted.classes_)
    trees, columns = [], []
    for iteration in fitted._predictors:
        for k, tree in enumerate(iteration):
            nodes = tree.nodes
            if nodes["is_categorical"].any():
                raise ValueError("categories are not known here")
            trees.append({
                "feature": np.where(nodes["is_leaf"], -1, nodes["feature_idx"].astype(np.int64)),
                "threshold": nodes["num_threshold"],
                "left": nodes["left"].astype(np.int64),
                "right": nodes["right"].astype(np.int64),
                "value": nodes["value"][:, None],
            })  # fmt: skip
            columns.append(k if len(iteration) > 1 else 1)
    base = np.ravel(fitted._baseline_prediction)
    return Boosted(joined(trees, columns), base if len(base) == classes else np.array([0.0, base[0]]))


def _of_xgboost(fitted: Any) -> Boosted:
    """XGBoost's model in JSON. Its rows go left below a float32, not up to it: the next lower float32 is the same."""
    model = json.loads(bytes(fitted.get_booster().save_raw(raw_format="json")))["learner"]
    if model["gradient_booster"]["name"] != "gbtree":
        raise ValueError("only trees are known here")
    classes = len(fitted.classes_)
    found = model["gradient_booster"]["model"]
    trees = []
    for tree in found["trees"]:
        below = np.nextafter(np.asarray(tree["split_conditions"], np.float32), np.float32(-np.inf))
        left = np.asarray(tree["left_children"], np.int64)
        trees.append({
            "feature": np.where(left < 0, -1, np.asarray(tree["split_indices"], np.int64)),
            "threshold": below.astype(np.float64),
            "left": left,
            "right": np.asarray(tree["right_children"], np.int64),
            "value": np.asarray(tree["split_conditions"], np.float64)[:, None],
        })  # fmt: skip
    columns = [1] * len(trees) if classes == 2 else [int(k) for k in found["tree_info"]]
    said = json.loads(str(model["learner_model_param"]["base_score"]))
    score = np.ravel(np.asarray(said, np.float64))
    if classes == 2:
        base = np.array([0.0, np.log(score[0] / (1 - score[0]))])
    else:
        base = np.resize(score, classes)
    return Boosted(joined(trees, columns), base)


_CONVERTERS: dict[str, Any] = {
    "LogisticRegression": _of_linear,
    "MLPClassifier": _of_perceptron,
    "ExtraTreesClassifier": _of_forest,
    "RandomForestClassifier": _of_forest,
    "HistGradientBoostingClassifier": _of_histograms,
    "XGBClassifier": _of_xgboost,
}
