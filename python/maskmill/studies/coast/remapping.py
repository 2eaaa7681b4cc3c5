"""`remap`: results with other classes, lossless; `preview`: what would become of which classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.io.doodler import coloured, one_hot, write_arrays
from maskmill.studies.coast.labelled import Labelled, find_sources, labelled
from maskmill.studies.coast.ledger import Failure, Progress, Report, Row, Source, on_each
from maskmill.studies.coast.mapping import Remap, built_in
from maskmill.studies.coast.timeline import unique_names


def remap(
    path: str | Path,
    folder: str | Path,
    config: Remap | None = None,
    *,
    classes: Sequence[str] = (),
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write results whose labels and doodles have other classes, all trials of them.

    What a class becomes is looked up by the names that each file has, never by a list of the whole data set. The new
    files name all new classes, in the same order, whichever of them occur.

    Parameters
    ----------
    path : path
        A result, or a folder with such files or folders of them.
    folder : path
        To write to. Given again after an interruption, it goes on.
    config : Remap, optional
        By default the superclasses of Coast Train.
    classes : sequence of str
        Names for files that have none.

    Raises
    ------
    ValueError
        If the folder was used for something else. A class that the map does not have is a failure of its file, and
        names both.

    Examples
    --------
    >>> import tempfile
    >>> from maskmill.studies.coast import read, remap
    >>> place = Path(tempfile.mkdtemp())
    >>> label = np.eye(3, dtype=np.uint8)[[[0, 1, 2]]]
    >>> np.savez(place / "dune_db.npz", label=label, classes=["water", "surf", "sand"])
    >>> remap(place / "dune_db.npz", place / "out").failed
    []
    >>> [trial] = read(place / "out")
    >>> [trial.classes[k - 1] for k in trial.labels()[0]]
    ['water', 'whitewater', 'sediment']
    """
    config = config or built_in()
    folder = Path(folder)
    return on_each(
        find_sources(path),
        folder,
        partial(_remap, folder, config, classes),
        verb="remap",
        settings={"config": config.to_json(), "classes": list(classes)},
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )


def _remap(folder: Path, config: Remap, classes: Sequence[str], source: Source) -> list[Row]:
    found = labelled(source, "all", classes, config)
    out = folder / f"{source.name}.npz"
    write_arrays(out, (pair for one in found for pair in _arrays(one)))
    rows = [one.row(one.labels()) for one in found]
    for one, row in zip(found, rows, strict=True):
        row["files"], row["name"], row["from"] = [out.name], source.name, list(one.trial.classes)
    return rows


def _arrays(one: Labelled) -> Iterator[tuple[str, NDArray[Any]]]:
    """The variables of a trial, those that tell of classes made anew."""
    trial, prefix = one.trial, one.trial.prefix
    names = np.array(one.classes)
    for name in trial.arrays:
        if name == "label":
            yield prefix + name, one_hot(one.labels())
        elif name == "doodles":
            yield prefix + name, one.doodles()
        elif name == "classes":
            yield prefix + name, names
        elif name == "color_doodles":
            if len(one.classes) <= 24 and "doodles" in trial.arrays:
                yield prefix + name, coloured(one.doodles(), one.image(), len(one.classes))
        elif name != "color_label":  # which would be of the old classes
            yield prefix + name, trial.array(name)
    if "classes" not in trial.arrays:
        yield f"{prefix}classes", names


@dataclass
class Preview:
    """What would become of classes.

    Attributes
    ----------
    rows : list of dict
        Of each class by its old name: becomes (None: nothing says what), files and pixels that have it, and files that
        have it in their list of classes.
    files : int
    lists : int
        How many lists of classes the files have.
    failed : list of (input, reason)
    """

    rows: list[Row] = field(default_factory=list)
    files: int = 0
    lists: int = 0
    failed: list[Failure] = field(default_factory=list)

    @property
    def merges(self) -> dict[str, list[str]]:
        """Old classes of each new one that would have several."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            found.setdefault(str(row["becomes"]), []).append(row["class"])
        return {new: old for new, old in found.items() if len(old) > 1 and new != "None"}

    @property
    def unmapped(self) -> list[str]:
        return [row["class"] for row in self.rows if row["becomes"] is None]


def preview(
    path: str | Path,
    config: Remap | None = None,
    *,
    classes: Sequence[str] = (),
    progress: Progress | None = None,
) -> Preview:
    """What `remap` would do with the newest trials; nothing is written.

    Examples
    --------
    >>> import tempfile
    >>> from maskmill.studies.coast.remapping import preview
    >>> place = Path(tempfile.mkdtemp())
    >>> label = np.eye(3, dtype=np.uint8)[[[0, 1, 2]]]
    >>> np.savez(place / "dune_db.npz", label=label, classes=["sand", "gravel", "ufo"])
    >>> found = preview(place)
    >>> found.merges, found.unmapped
    ({'sediment': ['gravel', 'sand']}, ['ufo'])
    """
    config = config or built_in()
    found = Preview()
    rows: dict[str, Row] = {}
    lists = set()
    given = find_sources(path)
    for done, source in enumerate(given, 1):
        try:
            [one] = labelled(source, "newest", classes)
            pixels = np.bincount(one.labels().ravel(), minlength=len(one.classes) + 1).tolist()[1:]
        except (OSError, ValueError) as error:
            found.failed.append(Failure(str(source.path), str(error)))
        else:
            found.files += 1
            lists.add(one.classes)
            for name, shown, n in zip(one.classes, unique_names(one.classes), pixels, strict=True):
                new = {"class": shown, "becomes": config[name], "listed": 0, "files": 0, "pixels": 0}
                row = rows.setdefault(shown, new)
                row["listed"] += 1
                row["files"] += n > 0
                row["pixels"] += n
        if progress is not None:
            progress(done, len(given), source.path.name)
    order = [*config.classes, None]
    found.rows = sorted(rows.values(), key=lambda row: (order.index(row["becomes"]), row["class"]))
    found.lists = len(lists)
    return found
