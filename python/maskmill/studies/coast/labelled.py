"""Labelled pictures: the trials of a file that are wanted, with the classes that are wanted, and their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.io.doodler import Trial, colour_map
from maskmill.studies.coast.ledger import Row, Source, sources
from maskmill.studies.coast.mapping import Remap
from maskmill.studies.coast.timeline import UNLABELLED, counts
from maskmill.studies.coast.trials import find, name_of, read

TRIALS = ("newest", "all")
IGNORED = 255
"""Value of pixels without a class where ids begin at 0."""


@dataclass(frozen=True)
class Labelled:
    """A trial as it is handed on.

    Attributes
    ----------
    name : str
        What files made of it are called.
    trial : Trial
    number : int
        From 1, the oldest of its file.
    classes : tuple of str
        The file's, or those that they become.
    table : (n + 1,) uint8
        The class + 1 of each class + 1 of the file.
    """

    name: str
    trial: Trial
    number: int
    classes: tuple[str, ...]
    table: NDArray[np.uint8]

    def labels(self) -> NDArray[np.uint8]:
        """(H, W) class + 1, 0 where there is none."""
        return self.table[self.trial.labels()]

    def doodles(self) -> NDArray[np.uint8]:
        """(H, W) class + 1 of what was drawn, 0 where nothing was."""
        if "doodles" not in self.trial.arrays:
            return np.zeros(self.trial.size, np.uint8)
        return self.table[self.trial.doodles()]

    def image(self) -> NDArray[np.uint8]:
        """(H, W) or (H, W, bands), as the label lies upon it."""
        return self.trial.image()

    def row(self, labels: NDArray[np.uint8]) -> Row:
        """What a manifest says of it."""
        said = name_of(self.trial.path)
        drawn = counts(self.doodles(), self.classes)
        return {
            "files": [],
            "name": self.name,
            "trial": self.number,
            "prefix": self.trial.prefix,
            "user": said.user,
            "date": said.date.isoformat() if said.date else "",
            "era": self.trial.era,
            "settings": dict(self.trial.settings),
            "height": labels.shape[0],
            "width": labels.shape[1],
            "classes": list(self.classes),
            "pixels": counts(labels, self.classes),
            "drawn": {name: n for name, n in drawn.items() if name != UNLABELLED},
        }


def labelled(
    source: Source, trials: str = "newest", classes: Sequence[str] = (), remap: Remap | None = None
) -> list[Labelled]:
    """The trials of a file, the newest last; with `trials` "all" they are called `NAME_trial1` and so on."""
    if trials not in TRIALS:
        raise ValueError(f"trials must be newest or all, not {trials!r}")
    found = read(source.path, classes=classes)
    made = []
    for number, trial in enumerate(found, 1):
        if trials == "newest" and number < len(found):
            continue
        name = f"{source.name}_trial{number}" if trials == "all" else source.name
        if remap is None:
            table = np.arange(len(trial.classes) + 1).astype(np.uint8)
            made.append(Labelled(name, trial, number, trial.classes, table))
        else:
            table = remap.table(trial.classes, str(source.path))
            made.append(Labelled(name, trial, number, remap.classes, table))
    return made


def checked_base(base: int) -> int:
    if base not in (0, 1) or isinstance(base, bool):
        raise ValueError(f"base must be 0 or 1, not {base!r}")
    return int(base)


def values(labels: NDArray[np.uint8], base: int) -> NDArray[np.uint8]:
    """Classes + 1 as ids from `base`: of pixels without a class 0 with base 1, and `IGNORED` with base 0.

    >>> values(np.array([[1, 2, 0]], np.uint8), 0).tolist()
    [[0, 1, 255]]
    """
    return labels if base == 1 else labels - np.uint8(1)  # 0 becomes 255


def palette(n: int, base: int) -> NDArray[np.uint8]:
    """(256, 3) colours of ids from `base`, of n classes: G10 of Plotly up to 10, Light24 up to 24.

    Raises
    ------
    ValueError
        If there are more than 24.
    """
    made = np.zeros((256, 3), np.uint8)
    made[base : base + n] = colour_map(n)[:n]
    return made


def find_sources(path: str | Path) -> list[Source]:
    """The results at a path, and what files made of them are called."""
    return sources(find(Path(path)), Path(path))


def classes_table(rows: Sequence[Row], base: int) -> list[dict[str, Any]]:
    """Id, name and colour of the classes of each list of classes that rows have."""
    lists = list(dict.fromkeys(tuple(row["classes"]) for row in rows))
    return [
        {
            "list": k,
            "id": i + base,
            "name": name,
            "colour": "#" + bytes(colour_map(len(names))[i].tolist()).hex(),
        }
        for k, names in enumerate(lists, 1)
        for i, name in enumerate(names)
    ]
