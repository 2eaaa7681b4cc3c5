"""How good dense labels are: scored on strokes that the model has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill.crf import Trial, search
from maskmill.densify.blobs import Painted, Split, capped, held_blobs, painted, splits
from maskmill.densify.columns import SIGMAS, Columns
from maskmill.densify.legend import Legend
from maskmill.densify.model import Model
from maskmill.densify.prediction import predict
from maskmill.densify.report import Report, Score
from maskmill.densify.smoothing import energies, levels, smoothed
from maskmill.densify.training import Features, bands, columns_of, paired, recipe, trained

Progress: TypeAlias = Callable[[int, int, str], None]

BLOCKS = ("blobs", "spatial", "leave-one-out", "pixels")


def evaluate(
    images: Any,
    labels: Any,
    *,
    features: Features = ("lab", "filters"),
    classifier: Any = "logistic",
    options: Mapping[str, Any] | None = None,
    sigmas: Sequence[float] = SIGMAS,
    per_class: int | None = 2000,
    sampling_seed: int = 0,
    blocks: str = "blobs",
    splits: int = 5,
    seed: int = 100,
    held_out: float = 0.3,
    gap: int = 0,
    curve: bool = True,
    crf: Mapping[str, Any] | str | None = None,
    calibrate: bool = False,
    names: Any = None,
    progress: Progress | None = None,
) -> Report:
    """Train and score again and again, each time with other strokes held out.

    Parameters
    ----------
    images, labels, features, classifier, options, sigmas, per_class, names
        As of `fit`.
    sampling_seed : int
        Draws the pixels of each class, and is the classifier's seed: the `seed` of `fit`.
    blocks : {"blobs", "spatial", "leave-one-out", "pixels"}
        What is held out. "blobs": of each class with two blobs (4-connected strokes) or more the share `held_out` of
        them, at least one, drawn by `seed`, `seed` + 1, ... "spatial": one of `splits` blocks along the longer axis
        after the other. "leave-one-out": each blob once. "pixels": the share `held_out` of pixels, wherever they are.
        That is what papers often report, and it measures memory: neighbours are nearly copies.
    splits : int
        How many times; not for "leave-one-out".
    seed : int
    held_out : float
        Above 0 and below 1.
    gap : int
        With "spatial": pixels less than so many away from the block are not trained with.
    curve : bool
        Also train with at most 1, 2, 4, ... blobs of each class, for the learning curve.
    crf : mapping or "search", optional
        Also score a dense CRF with these arguments of `maskmill.crf.refine`, on all pixels of the strokes held out.
        "search": for each split the best of what `maskmill.crf.search` tries, by a share of its training blobs that is
        held out for that. Takes minutes.
    calibrate : bool
        Calibrate the models whose probabilities the CRF gets, as `fit` does. Scores without a CRF stay the same.
    progress : callable, optional
        Called with the trainings done, how many there are, and what comes next.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If no class has two blobs, or nothing is left to train with or to score.

    Notes
    -----
    Classes with one blob cannot be tested: it is in training always, and they are listed and left out of averages.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import densify
    >>> image = np.full((40, 60, 3), (200, 180, 140), np.uint8)
    >>> image[:, 30:] = 60, 70, 160
    >>> strokes = np.zeros((40, 60), np.uint8)
    >>> strokes[5, 5:15] = strokes[15, 5:15] = 2
    >>> strokes[30, 40:55] = strokes[35, 40:55] = 7
    >>> report = densify.evaluate(image, strokes, features="lab", splits=2)
    >>> report.mean("accuracy"), report.untestable
    (1.0, ())
    """
    _check(blocks, splits, held_out, gap, crf)
    pictures, marks = paired(images, labels)
    columns = recipe(features, bands(pictures[0]), sigmas)
    whole = painted(marks)
    if len(whole.classes) < 2:
        raise ValueError(f"labels must have two classes or more, not {len(whole.classes)}")
    rows = capped(whole, per_class, sampling_seed)
    work = _Work(
        pictures,
        whole,
        rows,
        columns,
        columns_of(columns, pictures, rows),
        {"classifier": classifier, "seed": sampling_seed, "options": options},
        held_out,
        seed,
        calibrate,
    )
    named = classifier if isinstance(classifier, str) else type(classifier).__name__
    settings = {"features": list(columns.features), "columns": work.table.shape[1], "classifier": named,
                "blocks": blocks, "seed": seed, "held_out": held_out, "gap": gap,
                "per_class": per_class, "sampling_seed": sampling_seed}  # fmt: skip
    return work.run(blocks, splits, gap, curve, crf, settings, Legend.of(names), progress)


def _check(blocks: str, count: int, held_out: float, gap: int, crf: Any) -> None:
    if blocks not in BLOCKS:
        raise ValueError(f"blocks must be one of {', '.join(BLOCKS)}, not {blocks!r}")
    if count < 1 or (blocks == "spatial" and count < 2):
        raise ValueError(f"splits must be {'2' if blocks == 'spatial' else '1'} or more, not {count}")
    if not 0 < held_out < 1:
        raise ValueError(f"held_out must be above 0 and below 1, not {held_out}")
    if gap < 0:
        raise ValueError(f"gap must be 0 or more, not {gap}")
    if isinstance(crf, str) and crf != "search":
        raise ValueError(f"crf must be arguments or 'search', not {crf!r}")


@dataclass(frozen=True)
class _Work:
    """What all splits share."""

    images: list[Any]
    whole: Painted
    """All painted pixels."""
    rows: Painted
    """Those that are used."""
    columns: Columns
    table: NDArray[np.float32]
    how: Mapping[str, Any]
    share: float
    seed: int
    calibrate: bool

    def run(
        self,
        blocks: str,
        count: int,
        gap: int,
        curve: bool,
        crf: Mapping[str, Any] | str | None,
        settings: dict[str, Any],
        legend: Legend,
        progress: Progress | None,
    ) -> Report:
        sizes = [(int(image.shape[0]), int(image.shape[1])) for image in self.images]
        divided = partial(splits, self.rows, seed=self.seed, gap=gap, sizes=sizes)
        made = list(divided(blocks, count=count, share=self.share))
        scores, random = [], None
        smooth: list[tuple[Score, Score, dict[str, Any] | None]] = []
        learning: dict[int, list[Score]] = {}
        for i, split in enumerate(made):
            if progress:
                progress(i, len(made), split.name)
            score = self._score(split)
            if score is None:
                continue
            scores.append(score)
            if curve and blocks != "leave-one-out":
                self._learn(split, i, learning)
            if crf is not None:
                smooth.append(self._smoothed(split, i, crf))
        if not scores:
            raise ValueError(
                "a class must have two blobs or more to be tested: none is both in training and held out"
            )
        if blocks != "pixels":
            (leaking,) = divided("pixels", count=1, share=0.05)
            random = self._score(leaking)
        if progress:
            progress(len(made), len(made), "")
        return Report(
            settings=settings,
            classes=tuple(self.rows.classes.tolist()),
            legend=legend.with_ids(self.rows.classes.tolist()),
            pixels=tuple(np.bincount(self.whole.target, minlength=len(self.rows.classes)).tolist()),
            blobs=tuple(len(self.whole.blobs_of(k)) for k in range(len(self.rows.classes))),
            scores=tuple(scores),
            random_pixels=random,
            curve=learning,
            crf=tuple(smooth),
        )

    def _model(self, training: NDArray[np.bool_], *, calibrate: bool = False) -> Model | None:
        """None if fewer than two classes are left."""
        if len(np.unique(self.rows.target[training])) < 2:
            return None
        mine, table = self.rows.take(training), self.table[training]
        return trained(self.columns, mine, table, self.how, calibrate=calibrate)

    def _score(self, split: Split) -> Score | None:
        """None if no class is both in training and held out."""
        model = self._model(split.training)
        held = self._testable(split)
        if model is None or not held.any():
            return None
        best = model.classes[model.probabilities(self.table[held]).argmax(axis=1)]
        return self._told(self.rows.take(held), best, split.name)

    def _testable(self, split: Split) -> NDArray[np.bool_]:
        """Pixels held out whose class is in training."""
        return split.held_out & np.isin(self.rows.target, self.rows.target[split.training])

    def _told(self, held: Painted, labels: NDArray[np.int64], name: str) -> Score:
        n = len(held.classes)
        confusion = np.zeros((n, n), np.int64)
        np.add.at(confusion, (held.target, np.searchsorted(held.classes, labels)), 1)
        return Score(name, confusion, tuple(len(held.blobs_of(k)) for k in range(n)))

    def _learn(self, split: Split, i: int, learning: dict[int, list[Score]]) -> None:
        """Scores with few blobs of each class, the same held out."""
        random = np.random.default_rng(self.seed + i)
        mine = self.rows.take(split.training)
        order = [random.permutation(mine.blobs_of(k)) for k in range(len(mine.classes))]
        most = max(map(len, order))
        for n in _powers(most):
            few = np.isin(self.rows.blob, np.concatenate([numbers[:n] for numbers in order])) & split.training
            score = self._score(Split(few, split.held_out, split.name))
            if score is not None:
                learning.setdefault(n, []).append(score)

    # With a CRF

    def _smoothed(
        self, split: Split, i: int, crf: Mapping[str, Any] | str
    ) -> tuple[Score, Score, dict[str, Any] | None]:
        """Scores on all pixels of what is held out, without and with a CRF, and which CRF that was."""
        chosen = self._chosen(split, i) if isinstance(crf, str) else dict(crf)
        model = self._model(split.training, calibrate=self.calibrate)
        assert model is not None
        held = self.whole.take(np.isin(self.whole.blob, self.rows.blob[self._testable(split)]))
        labels = np.empty((2, len(held)), np.int64)
        for image, mine, found in self._predicted(model, held):
            y, x = held.at[mine].T
            after = found if chosen is None else smoothed(found, self.images[image], chosen)
            for row, p in enumerate((found, after)):
                labels[row, mine] = model.classes[p[y, x].argmax(axis=1)]
        plain, smooth = (self._told(held, row, split.name) for row in labels)
        return plain, smooth, chosen

    def _predicted(
        self, model: Model, held: Painted
    ) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.float32]]]:
        """Of each image that has some of these pixels: its number, which they are, and probabilities (H, W, L)."""
        for i in np.unique(held.image).tolist():
            found = predict(model, self.images[i]).probabilities
            assert found is not None
            yield i, held.image == i, found

    def _chosen(self, split: Split, i: int) -> dict[str, Any] | None:
        """The CRF that does best on training blobs held out from training; None if doing without does."""
        mine = self.rows.take(split.training)
        inner = held_blobs(mine, self.share, np.random.default_rng([self.seed + i, 1]))
        model = self._model(split.training & ~np.isin(self.rows.blob, inner), calibrate=self.calibrate)
        if model is None or not len(inner):
            return None
        held = self.whole.take(np.isin(self.whole.blob, inner))
        scores: dict[str, float] = {}
        tried: dict[str, Trial] = {}
        for image, few, found in self._predicted(model, held):
            known = np.zeros(found.shape[:2], np.int64)
            y, x = held.at[few].T
            known[y, x] = 1 + np.searchsorted(model.classes, held.classes[held.target[few]])
            for trial in search(energies(found), levels(self.images[image]), known):
                key = repr(trial[1:])
                tried[key] = trial
                scores[key] = scores.get(key, 0.0) + trial.score * len(y)
        best = tried[max(scores, key=lambda key: scores[key])]
        if best.gaussian is None and best.bilateral is None:
            return None
        return {"gaussian": best.gaussian, "bilateral": best.bilateral}


def _powers(most: int) -> Iterator[int]:
    """1, 2, 4, ... and the most."""
    n = 1
    while n < most:
        yield n
        n *= 2
    yield most
