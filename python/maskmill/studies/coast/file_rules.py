"""What rows of record tables and the files of labels say of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskmill._files import FormatError
from maskmill.dataset import Table
from maskmill.io.doodler import Trial, read_trials
from maskmill.studies.coast.records import NAMES
from maskmill.studies.coast.rules import Rule
from maskmill.studies.coast.trials import find

_TEXTS = {
    "file-missing": ("error", "there is no file of labels"),
    "file-ambiguous": ("warning", "several files have this name, and none lies where the row says"),
    "file-extra": ("warning", "a file of labels has no row"),
    "file-unreadable": ("error", "the file of labels is damaged, or none of Doodler's"),
    "file-size": ("error", "the image of the file has another size"),
    "file-bands": ("error", "the image of the file has another number of bands"),
    "file-classes": ("error", "the file has another list of classes"),
    "file-present": ("error", "in the file's label, other classes occur"),
    "file-doodled": (
        "warning",
        "another share of the file's pixels is doodled: they differ by 0.001 or more",
    ),
    "file-settings": ("warning", "the file has other settings"),
    "file-unlabelled": ("note", "pixels of the file's label have no class"),
}
RULES = tuple(Rule(name, severity, text) for name, (severity, text) in _TEXTS.items())

_SETTINGS = {
    "pen_width": "pen_width",
    "crf_theta": "CRF_theta",
    "crf_mu": "CRF_mu",
    "crf_downsample": "CRF_downsample_factor",
    "rf_downsample": "Classifier_downsample_factor",
    "gt_prob": "prob_of_unary_potential",
    "n_sigmas": "num_of_scales",
}
"""Settings of a file, and what tables call them."""


def locate(records: Table, folder: str | Path) -> tuple[list[list[Path]], list[Path]]:
    """The files of labels of each row, and those of no row.

    A row's file lies where the row says, seen from `folder`; else it is the one of that name anywhere in there. Several
    are given where that does not tell.
    """
    root = Path(folder)
    files = find(root)
    by_name: dict[str, list[Path]] = {}
    for file in files:
        by_name.setdefault(file.name, []).append(file)
    rows = []
    for name in records[NAMES[0]]:
        there = root / name.lstrip("/")
        candidates = by_name.get(there.name, [])
        rows.append([there] if there in candidates else candidates)
    used = {file for found in rows for file in found}
    return rows, [file for file in files if file not in used]


def check_file(row: dict[str, Any], path: Path) -> Iterator[tuple[str, str]]:
    """What the newest trial of a file and its row disagree about, as (rule, what was found)."""
    try:
        trial = read_trials(path)[0]
        labels, doodles = trial.labels(), trial.doodles() if "doodles" in trial.arrays else None
    except (FormatError, OSError) as error:
        yield "file-unreadable", str(error)
        return
    size = (row["ImageHeightPx"], row["ImageWidthPx"])
    if trial.size != size:
        yield "file-size", f"{trial.size[0]} x {trial.size[1]} pixels, in the row {size[0]:g} x {size[1]:g}"
    shape = trial.arrays["image"].shape if "image" in trial.arrays else ()
    bands = 1 if len(shape) == 2 else shape[-1] if shape else 0
    if bands and bands != row["ImageBands"]:
        yield "file-bands", f"{bands}, in the row {row['ImageBands']:g}"
    if "classes" in trial.arrays and trial.classes != row["classes_array"]:
        yield "file-classes", ", ".join(trial.classes)
    counts = np.bincount(labels.ravel())
    found = tuple((np.flatnonzero(counts[1:])).tolist())
    if found != row["classes_present_integer"]:
        yield "file-present", f"{_shown(found)}; in the row {_shown(row['classes_present_integer'])}"
    if doodles is not None:
        share = np.count_nonzero(doodles) / doodles.size
        if abs(share - row["doodle_spatial_density"]) >= 1e-3:
            yield "file-doodled", f"{share:.4f}, in the row {row['doodle_spatial_density']:.4f}"
    yield from _check_settings(row, trial)
    if counts[0]:
        yield "file-unlabelled", f"{counts[0]:,} of {labels.size:,} pixels"


def _check_settings(row: dict[str, Any], trial: Trial) -> Iterator[tuple[str, str]]:
    other = [
        f"{column} {trial.settings[name]:g}, in the row {row[column]:g}"
        for name, column in _SETTINGS.items()
        if name in trial.settings and trial.settings[name] != row[column]
    ]
    if other:
        yield "file-settings", "; ".join(other)


def _shown(indices: tuple[int, ...]) -> str:
    return ", ".join(map(str, indices)) or "none"


def check_files(
    records: Table, folder: str | Path, progress: Callable[[int, int, str], None] | None = None
) -> Iterator[tuple[str, int | None, str]]:
    """(rule, number of the row, what was found) of all rows and files; of a file without row, no number."""
    rows, extra = locate(records, folder)
    for i, files in enumerate(rows):
        if progress is not None:
            progress(i, len(rows), str(records["image"][i]))
        if not files:
            yield "file-missing", i, records[NAMES[0]][i]
        elif len(files) > 1:
            yield "file-ambiguous", i, ", ".join(map(str, files))
        else:
            for rule, found in check_file(records.row(i), files[0]):
                yield rule, i, found
    for file in extra:
        yield "file-extra", None, str(file)
