"""What an evaluation found: as text, JSON, and a page (`page`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.densify.legend import Legend

MEASURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1"}
"""Attributes of `Score`, and what they are called."""

LEAK = "measures memory, not knowledge: neighbours of training pixels are nearly copies of them"


@dataclass(frozen=True)
class Score:
    """Of one split.

    Attributes
    ----------
    name : str
    confusion : (L, L) int64
        Pixels held out by their class (row) and the label given (column). Classes that were not tested have no row.
    blobs : tuple of L int
        How many of each class were held out.
    """

    name: str
    confusion: NDArray[np.int64]
    blobs: tuple[int, ...]

    @property
    def _tested(self) -> NDArray[np.bool_]:
        tested: NDArray[np.bool_] = self.confusion.sum(axis=1) > 0
        return tested

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> NDArray[np.float64]:
        """(L,) share of a class's pixels that got its label; NaN where it was not tested."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def precision(self) -> NDArray[np.float64]:
        """(L,) share of a label's pixels that are of its class; NaN where nothing got it, or it was not tested."""
        shares = _ratio(np.diag(self.confusion), self.confusion.sum(axis=0))
        known: NDArray[np.float64] = np.where(self._tested, shares, np.nan)
        return known

    @property
    def f1(self) -> NDArray[np.float64]:
        """(L,) harmonic mean of both: 0 if nothing is right; NaN where the class was not tested."""
        both = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        tested: NDArray[np.float64] = np.where(
            self._tested, _ratio(2 * np.diag(self.confusion), both), np.nan
        )
        return tested

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes tested."""
        return float(self.recall[self._tested].mean())

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes tested."""
        return float(self.f1[self._tested].mean())

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **{m: getattr(self, m) for m in MEASURES}, "blobs": sum(self.blobs),
                "pixels": int(self.confusion.sum())}  # fmt: skip


def _ratio(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)
    return shares


@dataclass(frozen=True)
class Report:
    """Of `evaluate`. `str()` is the text, `to_json` the whole, `write_report` writes either, or a page with pictures.

    Attributes
    ----------
    settings : dict
        Features, columns, classifier, and what was held out.
    classes : tuple of int
        Labels.
    legend : Legend
    pixels, blobs : tuple of int
        What is painted, by class.
    scores : tuple of Score
        One for each split.
    random_pixels : Score or None
        5 % of the pixels held out at random: no measure of quality, but of how much such a split flatters.
    curve : dict
        Scores by how many blobs of each class there were to train with.
    crf : tuple of (Score, Score, dict or None)
        For each split: all pixels of the blobs held out, without and with the CRF, and its arguments; None if the
        choice on training blobs was to do without.
    """

    settings: Mapping[str, Any]
    classes: tuple[int, ...]
    legend: Legend
    pixels: tuple[int, ...]
    blobs: tuple[int, ...]
    scores: tuple[Score, ...]
    random_pixels: Score | None = None
    curve: Mapping[int, list[Score]] = field(default_factory=dict)
    crf: tuple[tuple[Score, Score, dict[str, Any] | None], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""
        return tuple(self.legend.name(label) for label in self.classes)

    @property
    def untestable(self) -> tuple[int, ...]:
        """Labels that no split could test."""
        seen = self.total.confusion.sum(axis=1)
        return tuple(label for label, n in zip(self.classes, seen, strict=True) if n == 0)

    @property
    def total(self) -> Score:
        """All splits together."""
        blobs = tuple(np.sum([score.blobs for score in self.scores], axis=0).tolist())
        return Score("all", np.sum([score.confusion for score in self.scores], axis=0), blobs)

    def mean(self, measure: str) -> float:
        """Over splits, of "accuracy", "balanced_accuracy" or "macro_f1"."""
        return float(np.mean([getattr(score, measure) for score in self.scores]))

    def spread(self, measure: str) -> float:
        """Standard deviation over splits."""
        return float(np.std([getattr(score, measure) for score in self.scores]))

    def to_dict(self) -> dict[str, Any]:
        """What can be written as JSON; numbers that are none are None."""
        total = self.total
        columns = {"precision": total.precision, "recall": total.recall, "f1": total.f1}
        tested = total.confusion.sum(axis=1).tolist()
        rows = []
        for k, label in enumerate(self.classes):
            row = {"class": label, "name": self.names[k], "blobs": self.blobs[k], "pixels": self.pixels[k],
                   "tested_blobs": total.blobs[k], "tested_pixels": tested[k]}  # fmt: skip
            rows.append({**row, **{name: _number(values[k]) for name, values in columns.items()}})
        return {
            "settings": dict(self.settings),
            "summary": {m: {"mean": self.mean(m), "sd": self.spread(m)} for m in MEASURES},
            "untestable": list(self.untestable),
            "classes": rows,
            "splits": [score.to_dict() for score in self.scores],
            "confusion": total.confusion.tolist(),
            "random_pixels": None
            if self.random_pixels is None
            else {**self.random_pixels.to_dict(), "warning": LEAK},
            "learning_curve": {str(n): [s.to_dict() for s in scores] for n, scores in self.curve.items()},
            "crf": [
                {"without": a.to_dict(), "with": b.to_dict(), "arguments": chosen}
                for a, b, chosen in self.crf
            ],
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False)

    def __str__(self) -> str:
        return "\n".join([*self._head(), "", *self._table(), *self._rest()])

    def _head(self) -> list[str]:
        of = self.settings
        lines = [
            f"{', '.join(of['features'])} ({of['columns']} columns), {of['classifier']}; "
            f"held out: {of['blocks']}, {len(self.scores)} splits"
        ]
        for measure, name in MEASURES.items():
            each = [getattr(score, measure) for score in self.scores]
            lines.append(
                f"  {name:18}{self.mean(measure):.3f} ± {self.spread(measure):.3f}  [{min(each):.3f} - {max(each):.3f}]"
            )
        if self.untestable:
            listed = ", ".join(_called(label, self.legend.name(label)) for label in self.untestable)
            lines.append(f"  not tested, as held-out strokes would leave nothing to learn from: {listed}")
        if self.random_pixels is not None:
            lines.append(f"  random pixels      {self.random_pixels.accuracy:.3f}: {LEAK}")
        return lines

    def _table(self) -> list[str]:
        total = self.total
        tested = total.confusion.sum(axis=1)
        width = max(5, *(len(_called(*pair)) for pair in zip(self.classes, self.names, strict=True)))
        lines = [f"{'class':{width}}  blobs   pixels  precision  recall     F1  tested: blobs, pixels"]
        for k, pair in enumerate(zip(self.classes, self.names, strict=True)):
            numbers = [_shown(values[k]) for values in (total.precision, total.recall, total.f1)]
            lines.append(
                f"{_called(*pair):{width}}  {self.blobs[k]:5}  {self.pixels[k]:7}  {numbers[0]:>9}  {numbers[1]:>6}  "
                f"{numbers[2]:>5}  {total.blobs[k]:>13}  {int(tested[k]):>6}"
            )
        return lines

    def _rest(self) -> list[str]:
        lines = []
        if self.curve:
            lines += ["", "accuracy by how many blobs of each class there are to learn from"]
            for n, scores in sorted(self.curve.items()):
                each = [score.accuracy for score in scores]
                lines.append(f"  {n:5}  {np.mean(each):.3f} ± {np.std(each):.3f}")
        if self.crf:
            lines += ["", "all pixels of the strokes held out: accuracy without and with the CRF"]
            for plain, smooth, chosen in self.crf:
                said = "none chosen" if chosen is None else ", ".join(f"{k} {v}" for k, v in chosen.items())
                lines.append(f"  {plain.accuracy:.3f}  {smooth.accuracy:.3f}  {said or 'defaults'}")
            before, after = (
                [score.accuracy for score in scores] for scores in list(zip(*self.crf, strict=True))[:2]
            )
            lines.append(f"  {np.mean(before):.3f}  {np.mean(after):.3f}  mean")
        return lines


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _shown(value: Any) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _called(label: int, name: str) -> str:
    return name if name == f"Label {label}" else f"{label} {name}"
