"""`maskmill zircon tables`: what a training set holds, as the tables that are published with it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskmill._files import FormatError
from maskmill.dataset import Dataset, Table
from maskmill.studies.zircon.content import Content, contents
from maskmill.studies.zircon.headings import read_named
from maskmill.studies.zircon.pairs import sample_of

if TYPE_CHECKING:
    import os

BREAKDOWN = (
    "Sample",
    "Source facility",
    "Image size (pixels)",
    "Image scale (µm/pixel)",
    "Training set images",
    "Validation set images",
    "Training set annotations",
    "Validation set annotations",
)
"""Columns of the published table, a row per sample."""

COUNTS = BREAKDOWN[4:]


@dataclass(frozen=True)
class Tables:
    """What `tables` made.

    Attributes
    ----------
    breakdown : Table
        The 8 published columns, a row per sample, sorted by name.
    facilities : Table
        A row per facility and one of all: samples, images and annotations of both parts, and their sums.
    legacy : Table
        The four counts per facility, as the older data set was summed up.
    content : Content or None
        What is in the images, where these were given: annotations per image, sizes of grains, what touches the edge,
        the difference between the parts, duplicates.
    """

    breakdown: Table
    facilities: Table
    legacy: Table
    content: Content | None


def tables(
    train: Dataset | str | os.PathLike[str],
    validation: Dataset | str | os.PathLike[str] | None = None,
    *,
    facility: str | Mapping[str, str] = "",
    sample: str | None = None,
    scale: float | Mapping[str, float] | None = None,
    images: Sequence[str | os.PathLike[str]] | None = None,
) -> Tables:
    """Make the tables of a training set.

    Parameters
    ----------
    train, validation : Dataset or path of annotations, as `maskmill.io.read` takes it
        Or one path, of a breakdown in CSV, whose sums are made.
    facility : str or {sample: facility}
        Who made the images of all samples, or of each.
    sample : str, optional
        A regular expression with one group, the sample's name in a file name. By default the attribute "sample" of an
        image, else its folder where the name begins with it, as `clip` has it, else what stands before "-Spot",
        "_Spot" or " Spot".
    scale : float or {sample: float}, optional
        µm per pixel, where the annotations do not say.
    images : two paths, or one for both, optional
        Folders of the images, where they are not beside the annotations.

    Raises
    ------
    FormatError
        If a file cannot be read; or if a file name has no sample in it, which it names.

    Examples
    --------
    >>> from maskmill import Dataset, Masks
    >>> from maskmill.studies.zircon import tables
    >>> images = {"file_name": ["A-Spot 1.png", "A-Spot 2.png"], "height": [4, 4], "width": [4, 4], "scale": [0.5, 0.5]}
    >>> train = Dataset(images, {"name": ["grain"]}, {"image": [0, 1]}, Masks.empty([[4, 4], [4, 4]]))
    >>> tables(train, train.take([0]), facility="ALC").breakdown.row(0)["Image size (pixels)"]
    '4 x 4'
    """
    if validation is None:
        if isinstance(train, Dataset):
            raise ValueError("validation must be given, or train be the path of a breakdown in CSV")
        made = read_breakdown(Path(train))
        return Tables(made, facility_summary(made), legacy_summary(made), None)
    folders: list[Any] = [*images] if images else [None]
    if len(folders) > 2:
        raise ValueError(f"images must be one folder or two, not {len(folders)}")
    parts = {"training": _dataset(train, folders[0]), "validation": _dataset(validation, folders[-1])}
    samples = {part: [_sample(row, sample) for row in dataset.images] for part, dataset in parts.items()}
    parts = {part: _scaled(dataset, samples[part], scale) for part, dataset in parts.items()}
    made = make_breakdown(parts, samples, facility)
    return Tables(made, facility_summary(made), legacy_summary(made), contents(parts, samples))


def _dataset(source: Dataset | str | os.PathLike[str], images: Any) -> Dataset:
    from maskmill import io

    if isinstance(source, Dataset):
        return source
    return io.read(source) if images is None else io.read(source, images=Path(images))


def _sample(image: dict[str, Any], pattern: str | None) -> str:
    known = (image["attributes"] or {}).get("sample")
    if pattern is None and isinstance(known, str) and known:
        return known
    *folders, name = re.split(r"[\\/]", image["file_name"])
    if pattern is None:
        found = (
            folders[-1] if folders and re.match(re.escape(folders[-1]) + "[-_ ]", name) else sample_of(name)
        )
    else:
        match = re.search(pattern, name)
        found = (match[1] if match and match.re.groups else "") or ""
    if not found:
        raise FormatError(
            f"image {image['file_name'] or image['id']!r}: expected a name with its sample in it "
            f"({pattern or 'as in SAMPLE-Spot 1.png'}), found none"
        )
    return found


def _scaled(dataset: Dataset, samples: Sequence[str], scale: float | Mapping[str, float] | None) -> Dataset:
    if scale is None:
        return dataset
    given = [scale.get(name, math.nan) if isinstance(scale, Mapping) else scale for name in samples]
    known = dataset.images["scale"]
    filled = np.where(np.isnan(known), given, known)
    return dataset.replace(images=dataset.images.with_columns(scale=filled))


def make_breakdown(
    parts: Mapping[str, Dataset], samples: Mapping[str, Sequence[str]], facility: str | Mapping[str, str]
) -> Table:
    """The published table of the parts training and validation."""
    names = sorted({name for part in parts for name in samples[part]})
    rows = []
    for name in names:
        counts: list[int] = []
        annotations: list[int] = []
        sizes: Counter[str] = Counter()
        scales: Counter[str] = Counter()
        for part, dataset in parts.items():
            mine = np.array([s == name for s in samples[part]], bool)
            counts.append(int(mine.sum()))
            annotations.append(int(mine[dataset.instances["image"]].sum()))
            images = dataset.images.take(mine)
            sizes.update(f"{w} x {h}" for w, h in zip(images["width"], images["height"], strict=True))
            scales.update("" if math.isnan(s) else f"{s:.3f}" for s in images["scale"].tolist())
        where = facility if isinstance(facility, str) else facility.get(name, "")
        rows.append((name, where, _common(sizes), _common(scales), *counts, *annotations))
    return _table(BREAKDOWN, rows)


def _common(values: Counter[str]) -> str:
    return next(iter(values)) if len(values) == 1 else "various"


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    return Table({name: [row[i] for row in rows] for i, name in enumerate(names)}, len(rows))


def read_breakdown(path: Path) -> Table:
    """A breakdown in CSV, sorted by sample.

    Raises
    ------
    FormatError
        If a column is not there, or a count is none; names line and column.
    """
    rows = []
    for row in read_named(path, {name: (name,) for name in BREAKDOWN}, {}):
        counts = []
        for name in COUNTS:
            value = row.number(name, least=0)
            if value != int(value):
                raise row.fault(name, "a whole number")
            counts.append(int(value))
        if not re.fullmatch(r"\d{1,7} x \d{1,7}|various", row["Image size (pixels)"]):
            raise row.fault("Image size (pixels)", "a size such as 268 x 268")
        rows.append((*(row[name] for name in BREAKDOWN[:4]), *counts))
    rows.sort(key=lambda cells: str(cells[0]))
    twice = [name for name, n in Counter(cells[0] for cells in rows).items() if n > 1]
    if twice:
        raise FormatError(f"{path}: Sample: expected one row per sample, found several of {twice[0]!r}")
    return _table(BREAKDOWN, rows)


def facility_summary(breakdown: Table) -> Table:
    """Images and annotations of both parts by facility, with sums to the right and below."""
    names = ("Source facility", "Samples", *COUNTS[:2], "Total images", *COUNTS[2:], "Total annotations")

    def row(name: str, mine: Any) -> tuple[Any, ...]:
        images, more, annotations, others = (int(breakdown[column][mine].sum()) for column in COUNTS)
        total = (images + more, annotations, others, annotations + others)
        return name, int(np.sum(mine)), images, more, *total

    return _table(names, [row(name, mine) for name, mine in _by_facility(breakdown)])


def legacy_summary(breakdown: Table) -> Table:
    """The four counts by facility and in all."""

    def row(name: str, mine: Any) -> tuple[Any, ...]:
        return name, *(int(breakdown[column][mine].sum()) for column in COUNTS)

    return _table(("Source facility", *COUNTS), [row(name, mine) for name, mine in _by_facility(breakdown)])


def _by_facility(breakdown: Table) -> list[tuple[str, Any]]:
    where = breakdown["Source facility"]
    groups = [(name, where == name) for name in sorted(set(where.tolist()))]
    return [*groups, ("Total", np.ones(len(breakdown), bool))]


def differences(found: Table, expected: Table) -> list[str]:
    """What two breakdowns say differently, a line each."""
    mine = {row["Sample"]: row for row in found}
    theirs = {row["Sample"]: row for row in expected}
    lines = [f"{name}: not expected" for name in mine.keys() - theirs.keys()]
    lines += [f"{name}: not there" for name in theirs.keys() - mine.keys()]
    for name in mine.keys() & theirs.keys():
        for column in BREAKDOWN[2:]:
            if mine[name][column] != theirs[name][column]:
                lines.append(f"{name}: {column}: {mine[name][column]}, expected {theirs[name][column]}")
    return sorted(lines)
