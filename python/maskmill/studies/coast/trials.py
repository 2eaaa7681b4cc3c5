"""Result files of Doodler, wherever they lie and however they are called, and their trials in order."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from maskmill._files import FormatError
from maskmill.io.doodler import Trial, is_result, read_trials

ARCHIVE = ".archive.npz"
"""What names of archives end with."""


@dataclass(frozen=True)
class Name:
    """What the name of a result file tells.

    Attributes
    ----------
    stem : str
        Of the image that was labelled.
    user : str
        Who labelled it: behind the last `_` of the file's name, "" without one. `ID3` in published files.
    date : datetime, optional
        When the session began, in the labeller's time, if the folder (`results2022-05-04-14-34`) tells.
    """

    stem: str
    user: str
    date: datetime | None


def name_of(path: Path) -> Name:
    """What the name of a result file, and of its folder, tells.

    Files that were put together from many folders may have the folder's name before their own, with `__` between.

    Examples
    --------
    >>> name_of(Path("results/results2022-05-04-14-34/2017-12-21_S2_rgb_db.npz"))
    Name(stem='2017-12-21_S2_rgb', user='db', date=datetime.datetime(2022, 5, 4, 14, 34))
    >>> name_of(Path("npz/chunk2_site66_ID3.npz"))
    Name(stem='chunk2_site66', user='ID3', date=None)
    """
    whole = path.stem.removesuffix(".archive")
    said = re.fullmatch(r"(?:results__)?(results\d{4}(?:-\d\d){4})__(.+)", whole, re.S)
    folder, name = said.groups() if said else (path.parent.name, whole)
    stem, _, user = name.rpartition("_")
    try:
        date = datetime.strptime(folder, "results%Y-%m-%d-%H-%M")
    except ValueError:
        date = None
    return Name(stem or user, user if stem else "", date)


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVE)


def find(path: Path) -> list[Path]:
    """Result files at `path`: itself, or those in a folder and its folders, sorted by name.

    What is made of results (labelgen, 4zoo) is passed over; archives are where there are no results.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    FormatError
        If a folder has none.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*.npz") if file.is_file())
    found = [file for file in files if is_result(file)] or [file for file in files if is_archive(file)]
    if not found:
        raise FormatError(f"{path}: expected results of Doodler (.npz), found none")
    return found


def read(path: Path, *, classes: Sequence[str] = ()) -> list[Trial]:
    """The trials of a result file, the newest last; of a folder, those of each of its files.

    Parameters
    ----------
    path : Path
        A `.npz` file, or a folder with such files or folders of them; of archives (`.archive.npz`) likewise.
    classes : sequence of str
        Names for files that have none (before June 2021); numbers by default.

    Returns
    -------
    list of Trial
        `trial.labels()` and `trial.doodles()` are (H, W) uint8 with the class + 1, and 0 for none;
        `trial.image()`, `trial.settings` by name, `trial.era`, `trial.classes`.

    Raises
    ------
    FormatError
        If a file is damaged, has no labels, or an array is not what it should be. Pickles are never loaded.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "dune_db.npz"
    >>> label = np.eye(2, dtype=np.uint8)[[[0, 0, 1], [0, 1, 1]]]
    >>> trial = {"label": label, "doodles": label[..., 1], "classes": ["water", "land"]}
    >>> np.savez(path, **trial, **{"0" + name: array for name, array in trial.items()})
    >>> [trial.prefix for trial in read(path)]
    ['0', '']
    """
    from maskmill.studies.coast.archives import read_archive  # which finds results by this module

    return [
        trial
        for file in find(path)
        for trial in reversed((read_archive if is_archive(file) else read_trials)(file, classes=classes))
    ]
