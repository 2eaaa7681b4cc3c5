"""k-shot sets: a few flakes of each class, several times."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import _check
from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset
from maskmill.io import maskterial
from maskmill.studies.flakes.annotations import read_annotations, write_annotations
from maskmill.studies.flakes.inputs import Progress

SHOTS = (1, 2, 3, 5, 10)
RUNS = 10
SEED = 42
MODES = {"compat": 0, "instances": 1, "images": 2, "balanced": 3}
MANIFEST = "kshot_manifest.json"


@dataclass(frozen=True, eq=False)
class Shot:
    """One draw.

    Attributes
    ----------
    k, run : which
    rows : (N,) rows of the flakes on the images that were drawn, in the order of the file to write
    ignored : (N,) bool, flakes that are there because their image is, and do not count
    picked : dict
        How many count, of each class.
    short : dict
        Classes that have less than k, and how many they have.
    """

    k: int
    run: int
    rows: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    picked: dict[str, int]
    short: dict[str, int]


@dataclass
class ShotReport:
    """What was written: the manifest of each folder, and a sentence for each shortage."""

    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    shortages: list[str] = field(default_factory=list)


def kshot(
    folders: str | Path | Sequence[str | Path],
    *,
    mode: str = "compat",
    shots: Sequence[int] = SHOTS,
    runs: int = RUNS,
    seed: int = SEED,
    nested: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ShotReport:
    """Write `RLE_annotations/<k>_shot/run_<r>/`: subsets of the training files of 300 pixels, with classes and without.

    Parameters
    ----------
    folders : one layout or several
        Mode "compat" draws for all with one sequence of random numbers, so their order matters; the published sets were
        drawn in the order GrapheneH, GrapheneL, GrapheneM, hBN_Thin, MoSe2, WS2, WSe2, WSe2L.
    mode : {"compat", "instances", "images", "balanced"}
        See `draw`.
    shots : flakes (or images) of each class
    nested : bool
        Make the 1-shot set of a run a part of its 2-shot set, and so on. Not in mode "compat", which never was.
    strict : bool
        Refuse a class that has too few, instead of telling.
    overwrite : bool
        Replace k-shot folders that are there.

    Raises
    ------
    ValueError
        On wrong parameters, folders that have such sets already, and (`strict`) shortages.
    """
    _check.choice(mode, "mode", MODES)
    if not shots or min(shots) < 1 or runs < 1:
        raise ValueError(f"shots and runs must be 1 or more, not {list(shots)} and {runs}")
    if nested and mode == "compat":
        raise ValueError("nested must not be with mode 'compat', whose draws are not nested")
    places = [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
    report = ShotReport()
    with_class = [read_annotations(_source(place, True)) for place in places]
    chance = np.random.RandomState(seed) if mode == "compat" else None
    done, total = 0, len(places) * len(shots) * runs
    for place, dataset in zip(places, with_class, strict=True):
        _clear(place, overwrite)
        twin = _twin(place, dataset)
        draws = []
        for shot in draw(dataset, mode, shots, runs, seed=seed, nested=nested, chance=chance):
            for name, count in shot.short.items():
                sentence = f"{place}: class {name!r} has {count} of {shot.k}"
                if strict:
                    raise ValueError(sentence)
                if sentence not in report.shortages:
                    report.shortages.append(sentence)
            draws.append(_write(place, dataset, twin, shot))
            done += 1
            if progress is not None:
                progress(done, total, f"{place.name} {shot.k}-shot run {shot.run}")
        report.manifests[str(place)] = manifest = {
            "mode": mode,
            "seed": seed,
            "nested": nested,
            "shots": list(shots),
            "runs": runs,
            "sources": {_source(place, c).name: _sha256(_source(place, c)) for c in (True, False)},
            "draws": draws,
        }
        with written_whole(place / "RLE_annotations" / MANIFEST) as file:
            file.write(json.dumps(manifest, indent=1).encode())
    return report


def draw(
    dataset: Dataset,
    mode: str = "compat",
    shots: Sequence[int] = SHOTS,
    runs: int = RUNS,
    *,
    seed: int = SEED,
    nested: bool = False,
    chance: Any = None,
) -> Iterator[Shot]:
    """Draw k-shot sets, run by run.

    Parameters
    ----------
    mode : {"compat", "instances", "images", "balanced"}
        "compat": bit for bit as MaskTerial's script draws: k flakes of each class by one shuffled list, and all flakes
        on their images, in shuffled order. "instances": exactly k flakes of each class; what else is on their images is
        ignored. "images": k images of each class, complete. "balanced": complete images, as few as give k flakes of
        each class, with as few more as can be; each image counts for all its classes.
    chance : np.random.RandomState, optional
        Of mode "compat": goes on where it is.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill import Dataset, Masks
    >>> from maskmill.studies.flakes.shots import draw
    >>> masks = Masks.encode(np.ones((4, 1, 1), bool))
    >>> images = {"file_name": ["a", "b"], "height": [1, 1], "width": [1, 1]}
    >>> dataset = Dataset(images, {"name": ["flake"]}, {"image": [0, 0, 1, 1], "category": [0, 0, 0, 0]}, masks)
    >>> shot, = draw(dataset, "instances", [1], 1)
    >>> len(shot.rows), shot.picked, int(shot.ignored.sum())
    (2, {'flake': 1}, 1)
    """
    names = dataset.categories["name"].tolist()
    category, image = dataset.instances["category"], dataset.instances["image"]
    available = _available(dataset, mode)
    if mode == "compat":
        chosen = _compat(dataset, shots, runs, chance or np.random.RandomState(seed))
    else:
        chosen = _seeded(dataset, mode, sorted(shots), runs, seed, nested)
    for run, k, order, picked in chosen:
        rows = order[np.isin(image[order], image[picked])] if mode != "images" else order
        ignored = ~np.isin(rows, picked) if mode == "instances" else np.zeros(len(rows), bool)
        counts = np.bincount(category[rows[~ignored]], minlength=len(names)).tolist()
        yield Shot(
            k,
            run,
            rows,
            ignored,
            dict(zip(names, counts, strict=True)),
            {name: n for name, n in zip(names, available, strict=True) if n < k},
        )


Choice = tuple[int, int, NDArray[np.int64], NDArray[np.int64]]
"""run, k, an order of rows, and those of them that were picked."""


def _compat(dataset: Dataset, shots: Sequence[int], runs: int, chance: Any) -> Iterator[Choice]:
    category = dataset.instances["category"]
    order = np.arange(len(category))
    for run in range(runs):
        for k in shots:
            chance.shuffle(order)  # the list that was shuffled before, as the original does
            in_order = category[order]
            picked = [order[np.flatnonzero(in_order == c)[:k]] for c in range(len(dataset.categories))]
            yield run, k, order.copy(), np.concatenate([*picked, order[:0]])


def _seeded(
    dataset: Dataset, mode: str, shots: Sequence[int], runs: int, seed: int, nested: bool
) -> Iterator[Choice]:
    everything = np.arange(len(dataset.instances))
    table = _table(dataset)
    for run in range(runs):
        images: list[int] = []
        for k in shots:
            chance = np.random.default_rng([seed, run] if nested else [seed, run, k])
            if mode == "instances":
                shuffled = chance.permutation(everything)
                in_order = dataset.instances["category"][shuffled]
                picked = [shuffled[np.flatnonzero(in_order == c)[:k]] for c in range(table.shape[1])]
                yield run, k, everything, np.concatenate([*picked, everything[:0]])
                continue
            if mode == "images":
                shuffled = chance.permutation(len(table))
                images = np.unique([i for c in table.T for i in shuffled[c[shuffled] > 0][:k]]).tolist()
            else:
                images = _balanced(table, k, images if nested else [], chance)
            rows = everything[np.isin(dataset.instances["image"], images)]
            yield run, k, rows, rows


def _balanced(
    table: NDArray[np.int64], k: int, images: Sequence[int], chance: np.random.Generator
) -> list[int]:
    """Images that give k of each class where there are as many: each time the one that adds most and exceeds least."""
    chosen = list(images)
    free = np.ones(len(table), bool)
    free[chosen] = False
    luck = chance.random(len(table))
    while True:
        lacking = np.maximum(np.minimum(k, table.sum(0)) - table[chosen].sum(0), 0)
        useful = np.minimum(table, lacking).sum(1)
        more = np.maximum(table - lacking, 0).sum(1)
        able = np.flatnonzero(free & (useful > 0))
        if not len(able):
            return chosen
        best = able[np.lexsort((luck[able], (more - useful)[able]))[0]]
        chosen.append(int(best))
        free[best] = False


def _table(dataset: Dataset) -> NDArray[np.int64]:
    """(images, classes): flakes."""
    shape = len(dataset), len(dataset.categories)
    cell = dataset.instances["image"] * shape[1] + dataset.instances["category"]
    return np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)


def _available(dataset: Dataset, mode: str) -> list[int]:
    table = _table(dataset)
    return (table > 0 if mode == "images" else table).sum(0).tolist()  # type: ignore[no-any-return]


# Files


def _source(folder: Path, with_class: bool) -> Path:
    return maskterial.Variant("train", "300", with_class).path(folder)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _twin(folder: Path, dataset: Dataset) -> Dataset:
    """The class-agnostic file, which must have the same ids."""
    path = _source(folder, False)
    twin = read_annotations(path)
    other = np.setxor1d(dataset.instances["id"], twin.instances["id"])
    if len(other):
        raise FormatError(
            f"{path}: expected the annotation ids of {_source(folder, True).name}, found one side alone has {other[0]}"
        )
    return twin


def _clear(folder: Path, overwrite: bool) -> None:
    there = [path for _, _, path in maskterial.shot_folders(folder)]
    manifest = folder / "RLE_annotations" / MANIFEST
    if manifest.exists() and not overwrite:
        raise ValueError(f"{manifest}: is there already: overwrite it, or take another folder")
    manifest.unlink(missing_ok=True)
    for path in there:
        shutil.rmtree(path)


def _write(folder: Path, dataset: Dataset, twin: Dataset, shot: Shot) -> dict[str, Any]:
    """The two files of a draw, and its line of the manifest."""
    place = maskterial.shot_folder(folder, shot.k, shot.run)
    part = _part(dataset, shot.rows, shot.ignored)
    ids = part.instances["id"]
    rows = np.flatnonzero(np.isin(twin.instances["id"], ids))
    same = _part(twin, rows, np.isin(twin.instances["id"][rows], ids[shot.ignored]))
    write_annotations(part, place / _source(folder, True).name)
    write_annotations(same, place / _source(folder, False).name)
    return {
        "k": shot.k,
        "run": shot.run,
        "images": part.images["id"].tolist(),
        "annotations": ids.tolist(),
        "ignored": ids[shot.ignored].tolist(),
        "classes": shot.picked,
        "short": shot.short,
    }


def _part(dataset: Dataset, rows: NDArray[np.int64], ignored: NDArray[np.bool_]) -> Dataset:
    """Flakes with their images; ignored ones are crowds, as COCO has what does not count."""
    images = np.unique(dataset.instances["image"][rows])
    part = dataset.take(images=images, instances=rows)
    return part.replace(instances=part.instances.with_columns(iscrowd=part.instances["iscrowd"] | ignored))
