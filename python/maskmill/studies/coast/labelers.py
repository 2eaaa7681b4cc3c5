"""Who labelled what: labels of one image by several labelers, found in folders and tables, in one space of classes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dataset import Table, objects
from maskmill.io.doodler import Trial, read_trials
from maskmill.studies.coast.comparison import Labels
from maskmill.studies.coast.file_rules import locate
from maskmill.studies.coast.records import present
from maskmill.studies.coast.trials import find, name_of


@dataclass(frozen=True)
class Labelling:
    """Labels of an image by one labeler.

    Attributes
    ----------
    image, labeler : str
        What to call them.
    trial : Trial
    """

    image: str
    labeler: str
    trial: Trial

    @property
    def where(self) -> str:
        return f"{self.trial.path}: {self.trial.prefix}label"


def labellings(
    source: str | Path | Sequence[str | Path], *, by: str = "name", trials: str = "newest"
) -> list[list[Labelling]]:
    """Groups of labels of one image by two or more labelers.

    Parameters
    ----------
    source : path of a folder, or several of files and folders
    by : {"name", "pixels"}
        Files are of one image if their names are the same up to the labeler (`_ID3`, or whatever stands behind the last
        `_`), or if their pictures are.
    trials : {"newest", "all"}
        With "all", older trials count as labelers, too.

    Raises
    ------
    FormatError
        A file is damaged, or labels of one image differ in size; names the file.
    """
    if by not in ("name", "pixels"):
        raise ValueError(f"by must be name or pixels, not {by!r}")
    if trials not in ("newest", "all"):
        raise ValueError(f"trials must be newest or all, not {trials!r}")
    given = [source] if isinstance(source, str | Path) else source
    files = [file for path in given for file in find(Path(path))]
    found: dict[str, list[tuple[str, Trial]]] = {}
    for file in dict.fromkeys(files):
        name = name_of(file)
        read = read_trials(file)
        image = name.stem if by == "name" else _digest(read[0])
        for trial in reversed(read if trials == "all" else read[:1]):
            found.setdefault(image, []).append((name.user, trial))
    groups = [_group(image, members) for image, members in found.items() if len(members) > 1]
    if by == "pixels":  # the name of the first file is easier to read than a digest
        groups = [
            [Labelling(name_of(group[0].trial.path).stem, m.labeler, m.trial) for m in group]
            for group in groups
        ]
    return groups


def _digest(trial: Trial) -> str:
    if "image" not in trial.arrays:
        raise FormatError(f"{trial.path}: expected an image to compare with others, found none")
    pixels = trial.array("image")
    return hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode() + pixels.tobytes()).hexdigest()


def _group(image: str, members: Sequence[tuple[str, Trial]]) -> list[Labelling]:
    """Labelers are told apart by what is behind their name: the date of the session, and the trial."""
    users = [user for user, _ in members]
    made = []
    for user, trial in members:
        labeler = user or trial.path.stem
        if users.count(user) > 1:
            date = name_of(trial.path).date
            labeler += f" {date:%Y-%m-%d-%H-%M}" if date is not None else ""
            of_file = [t for _, t in members if t.path == trial.path]
            labeler += f" trial {of_file.index(trial) + 1}" if len(of_file) > 1 else ""
        made.append(Labelling(image, labeler, trial))
    size = made[0].trial.size
    for other in made[1:]:
        if other.trial.size != size:
            raise FormatError(
                f"{other.where}: expected {size} pixels as {made[0].trial.path}, found {other.trial.size}"
            )
    return sorted(made, key=lambda labelling: labelling.labeler)


def of_records(records: Table, folder: str | Path) -> list[list[Labelling]]:
    """The same by the rows of record tables, from files anywhere in a folder. Rows without file are passed over."""
    files, _ = locate(records, folder)
    groups = []
    for rows in _shared(records):
        there = [i for i in rows if len(files[i]) == 1]
        if len(there) > 1:
            members = [(f"ID{records['labeler'][i]}", read_trials(files[i][0])[0]) for i in there]
            groups.append(_group(str(records["image"][there[0]]), members))
    return groups


def _shared(records: Table) -> list[list[int]]:
    """Rows of images that several labelers have, by record set."""
    found: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(zip(records["record_set"], records["image"], strict=True)):
        found.setdefault(key, []).append(i)
    return [rows for rows in found.values() if len({int(records["labeler"][i]) for i in rows}) > 1]


def pairs(records: Table, mapping: Mapping[str, str | None] | None = None) -> Table:
    """Pairs of rows of one image by different labelers, and what the tables alone tell of their agreement.

    Parameters
    ----------
    mapping : dict of str to str, optional
        The common class of each class, None to leave it out; others keep their names.

    Returns
    -------
    Table
        ``record_set``, ``image``, ``first`` and ``second`` (labelers), ``first_classes`` and ``second_classes`` (that
        occur), ``same_classes`` (share of the classes that occur in either which both have: 1 for the same), and the
        two doodled shares.
    """
    common = mapping or {}
    names = [
        tuple(dict.fromkeys(c for name in row if (c := common.get(name, name)) is not None))
        for row in present(records)
    ]
    density = records["doodle_spatial_density"]
    rows = [
        {
            "record_set": records["record_set"][i],
            "image": records["image"][i],
            "first": int(records["labeler"][i]),
            "second": int(records["labeler"][j]),
            "first_classes": ", ".join(names[i]),
            "second_classes": ", ".join(names[j]),
            "same_classes": _jaccard(set(names[i]), set(names[j])),
            "first_doodled": float(density[i]),
            "second_doodled": float(density[j]),
        }
        for group in _shared(records)
        for i, j in combinations(sorted(group, key=lambda row: int(records["labeler"][row])), 2)
    ]
    columns = ("record_set", "image", "first", "second", "first_classes", "second_classes")
    numbers = ("same_classes", "first_doodled", "second_doodled")
    return Table(
        {name: objects([row[name] for row in rows]) for name in columns}
        | {name: np.array([row[name] for row in rows], float) for name in numbers}
    )


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a | b else math.nan


@dataclass(frozen=True)
class Space:
    """The classes that all labels are brought to before they are compared.

    Attributes
    ----------
    classes : tuple of str
    mapping : dict of str to str
        The class of each class of a file that has another name; None leaves it out.
    """

    classes: tuple[str, ...]
    mapping: Mapping[str, str | None]

    def labels(self, labelling: Labelling) -> Labels:
        """(H, W) uint8: class + 1 of the space, 0 for none and for what is left out."""
        found = labelling.trial.labels()
        numbers = [0, *(self.number(name) for name in labelling.trial.classes)]
        table: NDArray[np.uint8] = np.array(numbers, np.uint8)
        return table[found]

    def number(self, name: str) -> int:
        common = self.mapping.get(name, name)
        return 0 if common is None else self.classes.index(common) + 1


def common_space(
    groups: Sequence[Sequence[Labelling]], mapping: Mapping[str, str | None] | None = None
) -> Space:
    """The space of classes of all labels.

    Parameters
    ----------
    mapping : dict of str to str, optional
        For each class of the files, the class that it means; None leaves its pixels out. Names that are a class of the
        space may be left away. Without a mapping, files must have the same names, in any order.

    Raises
    ------
    ValueError
        A class has none to go to, or files have different names and there is no mapping; names the file.
    """
    members = [labelling for group in groups for labelling in group]
    lists = [labelling.trial.classes for labelling in members]
    if mapping is None:
        for labelling in members:
            other = sorted(set(lists[0]) ^ set(labelling.trial.classes))
            if other:
                raise ValueError(
                    f"{labelling.trial.path}: its classes are not those of {members[0].trial.path.name} "
                    f"({', '.join(map(repr, other))} in one of them alone): give a mapping to common classes"
                )
        return Space(tuple(dict.fromkeys(lists[0])) if lists else (), {})
    targets = dict.fromkeys(mapping.values())
    for labelling in members:
        for name in labelling.trial.classes:
            if name not in mapping and name not in targets:
                raise ValueError(f"{labelling.trial.path}: no common class is given for {name!r}")
    used = dict.fromkeys(mapping.get(name, name) for names in lists for name in names)
    return Space(tuple(name for name in used if name is not None), dict(mapping))
