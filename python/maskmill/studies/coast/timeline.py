"""What happened to a picture from trial to trial: labels, doodles and settings, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.io.doodler import Trial

UNLABELLED = "(none)"
"""How pixels without a class are called, where classes are told by name."""


@dataclass(frozen=True)
class Step:
    """A trial, beside the one before it.

    Attributes
    ----------
    trial : Trial
    number : int
        From 1, the oldest.
    labels, doodles : dict of str to int
        Pixels of each class that were labelled, and drawn; under `UNLABELLED` those of no class, if there are any.
    drawn, agreeing : int
        Pixels that were drawn, and those of them whose label is the class that was drawn.
    labels_changed, doodles_changed : int, optional
        Pixels whose class is another one than in the trial before; None for the first.
    settings_changed : dict of str to (float, float)
        Settings that are others than in the trial before: old and new value, NaN where there was none.
    """

    trial: Trial
    number: int
    labels: dict[str, int]
    doodles: dict[str, int]
    drawn: int
    agreeing: int
    labels_changed: int | None
    doodles_changed: int | None
    settings_changed: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        told = {key: value for key, value in vars(self).items() if key != "trial"}
        trial = self.trial
        about = {"prefix": trial.prefix, "size": list(trial.size), "classes": list(trial.classes)}
        return {**about, "era": trial.era, "settings": dict(trial.settings), **told}


def timeline(trials: Sequence[Trial]) -> list[Step]:
    """What each trial has, and what is other than in the one before.

    Parameters
    ----------
    trials : sequence of Trial
        Of one file, the newest last, as `read` gives them.

    Raises
    ------
    FormatError
        If labels or doodles are not what they should be.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from maskmill.studies.coast import read, timeline
    >>> path = Path(tempfile.mkdtemp()) / "dune_db.npz"
    >>> new, old = (np.eye(2, dtype=np.uint8)[ids] for ids in ([[0, 0, 1]], [[0, 1, 1]]))
    >>> doodles = np.array([[1, 0, 2]], np.uint8)
    >>> named = {"doodles": doodles, "classes": ["water", "land"], "0doodles": doodles, "0classes": ["water", "land"]}
    >>> np.savez(path, **named, **{"label": new, "0label": old})
    >>> [(step.labels, step.labels_changed) for step in timeline(read(path))]
    [({'water': 1, 'land': 2}, None), ({'water': 2, 'land': 1}, 1)]
    """
    steps: list[Step] = []
    before: tuple[Trial, NDArray[Any], NDArray[Any]] | None = None
    for number, trial in enumerate(trials, 1):
        labels = trial.labels()
        doodles = trial.doodles() if "doodles" in trial.arrays else np.zeros_like(labels)
        drawn = doodles > 0
        steps.append(
            Step(
                trial,
                number,
                counts(labels, trial.classes),
                {name: n for name, n in counts(doodles, trial.classes).items() if name != UNLABELLED},
                int(np.count_nonzero(drawn)),
                int(np.count_nonzero(drawn & (labels == doodles))),
                None if before is None else _changed(before[0], before[1], trial, labels),
                None if before is None else _changed(before[0], before[2], trial, doodles),
                {} if before is None else _settings_changed(before[0], trial),
            )
        )
        before = trial, labels, doodles
    return steps


def counts(labels: NDArray[Any], classes: Sequence[str]) -> dict[str, int]:
    """Pixels of each class of (H, W) classes + 1, and of none under `UNLABELLED`, if there are any.

    >>> counts(np.array([[1, 1, 0]]), ["water", "land"])
    {'water': 2, 'land': 0, '(none)': 1}
    """
    found = np.bincount(labels.ravel(), minlength=len(classes) + 1).tolist()
    named = dict(zip(unique_names(classes), found[1:], strict=True))
    return {**named, UNLABELLED: found[0]} if found[0] else named


def unique_names(classes: Sequence[str]) -> list[str]:
    """Names of classes, made different where they are the same or empty, by their number from 1.

    >>> unique_names(["water", "", "water"])
    ['water', '#2', 'water#3']
    """
    met: set[str] = set()
    names = []
    for k, name in enumerate(classes, 1):
        names.append(name if name and name not in met and name != UNLABELLED else f"{name}#{k}")
        met.add(names[-1])
    return names


def _changed(old: Trial, before: NDArray[Any], new: Trial, now: NDArray[Any]) -> int | None:
    """Pixels of which the name of the class is another one; None if the pictures have other sizes."""
    if before.shape != now.shape:
        return None
    names = [*dict.fromkeys((*unique_names(old.classes), *unique_names(new.classes)))]
    common = [
        np.array([0, *(names.index(name) + 1 for name in unique_names(trial.classes))])
        for trial in (old, new)
    ]
    return int(np.count_nonzero(common[0][before] != common[1][now]))


def _settings_changed(old: Trial, new: Trial) -> dict[str, tuple[float, float]]:
    names = dict.fromkeys((*old.settings, *new.settings))
    pairs = {name: (old.settings.get(name, np.nan), new.settings.get(name, np.nan)) for name in names}
    return {name: (a, b) for name, (a, b) in pairs.items() if a != b and not (np.isnan(a) and np.isnan(b))}
