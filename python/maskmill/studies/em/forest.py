"""A forest of decision trees on features of patches: trained by scikit-learn, kept and asked without it."""

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

from maskmill._files import FormatError, need, read_npz, written_whole
from maskmill.densify.classifiers import trees_of
from maskmill.densify.forest import Trees
from maskmill.studies.em.features import FEATURES, features

_ARRAYS = ("root", "feature", "threshold", "left", "right", "value", "about")


@dataclass(frozen=True)
class Forest:
    """Trees whose nodes lie one after another.

    Attributes
    ----------
    root : (T,) int32
        First node of each tree.
    feature : (M,) int16
        Which feature a node looks at; -1 in leaves.
    threshold : (M,) float64
        Values up to it go left.
    left, right : (M,) int32
        Where to go on. A leaf points to itself.
    value : (M,) float64
        Share of informative patches in a leaf.
    names : tuple of str
        The features.
    about : dict
        How it was trained: what a reader of a result may want to know.
    """

    root: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    names: tuple[str, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities, (N,) of 0 to 1, for a table (N, F) of features: the mean over the trees."""
        return self._trees().sums(table.astype(np.float32), 1)[:, 0] / len(self.root)

    def _trees(self) -> Trees:
        columns = np.zeros(len(self.root), np.int32)
        parts = (self.root, self.feature, self.threshold, self.left, self.right)
        return Trees(*parts, self.value[:, None], columns)

    def scores(self, patches: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Probabilities that patches are informative, (N,) of 0 to 1."""
        return self(features(patches, self.names))

    @property
    def digest(self) -> str:
        """16 hex digits that name this forest: scores of the same digest can be compared."""
        whole = hashlib.blake2b("\n".join(self.names).encode(), digest_size=8)
        for array in (self.root, self.feature, self.threshold, self.left, self.right, self.value):
            whole.update(np.ascontiguousarray(array).tobytes())
        return whole.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write an `.npz` of plain arrays."""
        about = json.dumps({**self.about, "features": list(self.names)}, sort_keys=True)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            root=self.root,
            feature=self.feature,
            threshold=self.threshold,
            left=self.left,
            right=self.right,
            value=self.value,
            about=np.frombuffer(about.encode(), np.uint8),
        )
        with written_whole(Path(path)) as file:
            file.write(buffer.getbuffer())

    @classmethod
    def load(cls, path: str | Path) -> Forest:
        """Read what `save` wrote.

        Raises
        ------
        FormatError
            If it is something else, or damaged.
        """
        path = Path(path)
        arrays = read_npz(path, _ARRAYS, mmap=False)
        try:
            about = json.loads(arrays.pop("about").astype(np.uint8).tobytes())
            names = tuple(map(str, about.pop("features")))
            types = {"root": np.int32, "feature": np.int16, "left": np.int32, "right": np.int32}
            forest = cls(
                **{name: array.astype(types.get(name, np.float64)) for name, array in arrays.items()},
                names=names,
                about=about,
            )
            forest._check()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FormatError(f"{path}: not a filter that maskmill wrote ({error})") from None
        return forest

    def _check(self) -> None:
        """A damaged file must not send the evaluation round in circles."""
        if self.value.shape != self.feature.shape:
            raise ValueError("its arrays differ in length")
        self._trees().check(len(self.names), 1)
        unknown = [name for name in self.names if name not in FEATURES]
        if unknown:
            raise ValueError(f"it needs the feature {unknown[0]!r}, which this version does not have")
        if not ((self.value >= 0) & (self.value <= 1)).all():
            raise ValueError("a probability is not within 0..1")


def fit(
    table: NDArray[np.float64],
    informative: NDArray[np.bool_],
    names: Sequence[str],
    *,
    seed: int = 1227,
    about: Mapping[str, Any] | None = None,
) -> Forest:
    """Train a forest as cem-dataset v0.1 does: 100 trees of depth 8, nodes of fewer than 8 not split, classes balanced.

    Parameters
    ----------
    table : (N, F) float64
        Features, as `features` gives them.
    informative : (N,) bool
        The labels; both must occur.
    names : sequence of str
        Of the features.
    seed : int
        Same seed, same forest (with the same scikit-learn).

    Raises
    ------
    ValueError
        If only one label occurs.
    ImportError
        If scikit-learn is not installed.
    """
    informative = np.asarray(informative, np.bool_)
    if informative.all() or not informative.any():
        raise ValueError("labels must be of both kinds, good and bad; there is one kind only")
    ensemble = need("sklearn.ensemble", "em")
    model = ensemble.RandomForestClassifier(
        n_estimators=100, max_depth=8, min_samples_split=8, class_weight="balanced", random_state=seed
    )
    model.fit(table, informative)
    trees = trees_of(model, np.float64)
    leaves, nodes = np.flatnonzero(trees.feature < 0), np.arange(len(trees.feature), dtype=np.int32)
    left, right, value = trees.left.copy(), trees.right.copy(), np.zeros(len(nodes))
    value[leaves] = trees.value[trees.left[leaves], 1]
    left[leaves] = right[leaves] = nodes[leaves]
    return Forest(
        trees.root, trees.feature, trees.threshold, left, right, value, tuple(names), dict(about or {})
    )
