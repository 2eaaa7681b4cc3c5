"""Flipbooks and sub-volumes around patches, cut from the volumes that the patches came from.

SAVEDIR/<exp>-LOC-<axis>_<start>-<stop>_<rows>_<columns>.tif   one for each patch that is not too near another one
SAVEDIR/subvolumes.parquet                                     what each is: volume, box, score (.csv without pyarrow)
SAVEDIR/failed.jsonl                                           volumes that failed, if any, and why
SAVEDIR/done/<volume>.json                                     what a run that is resumed need not do again
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress as ignore
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill._version import __version__
from maskmill.studies.em import subvolumes
from maskmill.studies.em.filter import read_record, remove_halves, write_failures
from maskmill.studies.em.names import FLAT_IMAGE, parse, stable_keys, subvolume_name
from maskmill.studies.em.sources import Failure, list_pictures, read_picture
from maskmill.studies.em.tables import find_table, read_table, write_table

SUFFIXES = {"tif": ".tif", "nrrd": ".nrrd", "mrc": ".mrc"}
TABLE = {
    "name": "str",
    "volume": "str",
    "axis": "int8",
    **dict.fromkeys(("z0", "z1", "y0", "y1", "x0", "x1"), "int64"),
    "score": "float64",
}


@dataclass(frozen=True)
class Parameters:
    """How sub-volumes are cut.

    Attributes
    ----------
    nz : int
        Slices of each.
    edge : "skip", "shift" or "pad"
        What becomes of windows beyond the ends; "pad" repeats the last slice.
    max_iou : float
        Of two boxes that overlap as much, the one that scores less is left out; 1 leaves out repeated ones alone.
    limit : int or None
        At most so many a data set, those that score most.
    seed : int
        Of the order among equal scores.
    dtype : "source" or "uint8"
    format : "tif", "nrrd" or "mrc"
    legacy_window : bool
        Windows as cem-dataset cuts them: one slice more for even nz, and never the last.
    columns : bool
        Windows as cem-dataset v0.1 makes them, from many patches one behind the other.
    """

    nz: int = 5
    edge: str = "skip"
    max_iou: float = 0.1
    limit: int | None = None
    seed: int = 0
    dtype: str = "source"
    format: str = "tif"
    legacy_window: bool = False
    columns: bool = False

    def check(self) -> None:
        """Raise ValueError for what is out of range."""
        if self.nz < 1:
            raise ValueError(f"nz must be 1 or more, not {self.nz}")
        if self.edge not in subvolumes.EDGES:
            raise ValueError(f"edge must be one of {', '.join(subvolumes.EDGES)}, not {self.edge!r}")
        if not 0 < self.max_iou <= 1:
            raise ValueError(f"max_iou must be above 0 and at most 1, not {self.max_iou}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be 1 or more, not {self.limit}")
        if self.dtype not in ("source", "uint8"):
            raise ValueError(f"dtype must be source or uint8, not {self.dtype!r}")
        if self.format not in SUFFIXES:
            raise ValueError(f"format must be one of {', '.join(SUFFIXES)}, not {self.format!r}")
        if self.legacy_window and (self.columns or self.edge != "skip"):
            raise ValueError("legacy windows go with neither columns nor another edge than skip")


@dataclass(frozen=True)
class Patch:
    """A patch, by its name: where it was cut."""

    dataset: str
    exp: str
    axis: int
    index: int
    tile: tuple[int, int, int, int]
    score: float
    source: str  # the file it was cut from, "" if not known
    scaling: str  # how that became 8 bits, as JSON; "" if not known


@dataclass
class Cut:
    """What is to be cut from a volume: parallel arrays, in order of rank."""

    path: Path
    exp: str
    stamp: str
    shape: NDArray[np.int64]
    axis: NDArray[np.int64]
    boxes: NDArray[np.int64]
    score: NDArray[np.float64]
    scaling: str


@dataclass
class Summary:
    """What a run did.

    Attributes
    ----------
    patches : int
        How many were found.
    written, resumed : int
        Sub-volumes that were written, and those there already.
    overlapping, outside : int
        Left out as too near to another one, or as their window is not within the volume.
    orphans : dict
        Volumes that patches name and no folder has; how many patches.
    ignored : int
        Pictures that are no patches of volumes.
    failed : list of Failure
    """

    patches: int = 0
    written: int = 0
    resumed: int = 0
    overlapping: int = 0
    outside: int = 0
    orphans: dict[str, int] = field(default_factory=dict)
    ignored: int = 0
    failed: list[Failure] = field(default_factory=list)


def reconstruct(
    filtered: str | Path,
    volumes: Sequence[str | Path],
    savedir: str | Path,
    parameters: Parameters = Parameters(),
    *,
    workers: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> Summary:
    """Cut sub-volumes around patches, the cut axis first, from volumes of any readable format.

    A run that was stopped goes on where it was when it is called again.

    Parameters
    ----------
    filtered : path
        A tree `<dataset>/<name>.tiff`. Scores and sources are taken from the tables that `em filter` leaves there.
    volumes : paths
        Folders with the volumes, which are found by name.
    savedir : path
        A folder; made if missing.
    parameters : Parameters
    workers : int
        Threads.
    progress : callable, optional
        Called with volumes done, volumes in all, and the name of the next.

    Raises
    ------
    FileNotFoundError, FormatError, ValueError
        If a folder is missing, a table is damaged, two volumes have one name, or a parameter is out of range.
    """
    parameters.check()
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, not {workers}")
    summary, savedir = Summary(), Path(savedir)
    patches = find_patches(Path(filtered), summary)
    by_volume = _match(patches, find_volumes(volumes), summary)
    cuts = []
    for path, found in by_volume.items():
        try:
            cuts.append(_plan(path, found, parameters, summary))
        except (FormatError, OSError) as error:
            summary.failed.append(Failure(str(path), str(error)))
    if parameters.limit is not None:
        _limit(cuts, {path: found[0].dataset for path, found in by_volume.items()}, parameters.limit)
    (savedir / "done").mkdir(parents=True, exist_ok=True)
    for folder in (savedir, savedir / "done"):
        remove_halves(folder)
    done = []
    for place, cut in enumerate(cuts):
        if progress:
            progress(place, len(cuts), cut.exp)
        try:
            _cut(savedir, cut, parameters, workers, summary)
        except (FormatError, OSError, ValueError) as error:
            if isinstance(error, OSError) and str(error.filename or savedir).startswith(str(savedir)):
                raise  # what is written, not what is read: all that follows would fail too
            summary.failed.append(Failure(str(cut.path), str(error)))
            continue
        done.append(cut)
    if progress:
        progress(len(cuts), len(cuts), "")
    _write_table(savedir, done)
    write_failures(savedir / "failed.jsonl", summary.failed)
    return summary


# What there is


def find_patches(folder: Path, summary: Summary) -> list[Patch]:
    """The patches of a tree, by their names. Those of 2-D images, and pictures with other names, are ignored."""
    known = _known(folder)
    out = []
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    for path in [picture for dataset in folders for picture in list_pictures(dataset)]:
        name = parse(path.stem)
        if name is None or name.axis == FLAT_IMAGE or name.index is None or name.stop is not None:
            summary.ignored += 1
            continue
        y1, x1 = name.y1, name.x1
        if y1 is None or x1 is None:  # version 0.1
            try:
                h, w = read_picture(path).shape
            except (OSError, ValueError) as error:
                summary.failed.append(Failure(str(path), str(error)))
                continue
            y1, x1 = name.y0 + h, name.x0 + w
        tile = (name.y0, y1, name.x0, x1)
        more = known.get((path.parent.name, path.stem), (1.0, "", ""))
        out.append(Patch(path.parent.name, name.exp, name.axis, name.index, tile, *more))
    summary.patches = len(out)
    return out


def _known(folder: Path) -> dict[tuple[str, str], tuple[float, str, str]]:
    """Score, source and scaling by data set and name, as far as tables in the folder tell."""
    out: dict[tuple[str, str], tuple[float, str, str]] = {}
    for stem, more in (("scores", ()), ("manifest", ("source", "scaling"))):
        path = find_table(folder / stem)
        if path is None:
            continue
        schema = {"dataset": "str", "name": "str", "score": "float64", **dict.fromkeys(more, "str")}
        table = read_table(path, schema)
        texts = [table[name].tolist() for name in more] or [[""] * len(table["name"])] * 2
        for dataset, name, score, source, scaling in zip(
            table["dataset"], table["name"], table["score"].tolist(), *texts, strict=True
        ):
            out[dataset, name] = (score if score == score else 1.0, source, scaling)
    return out


def find_volumes(folders: Sequence[str | Path]) -> dict[str, list[Path]]:
    """Volumes by name: that without its extension, and that which `em patchify` gives where two would share one."""
    from maskmill.io.volumes import base_name, list_volumes, unique_names

    out: dict[str, list[Path]] = {}
    for folder in folders:
        found = list_volumes(folder).found
        for path, name in zip(found, unique_names(found), strict=True):
            for known in {name, base_name(path)}:
                out.setdefault(known, []).append(path)
    return out


def _match(
    patches: Sequence[Patch], volumes: dict[str, list[Path]], summary: Summary
) -> dict[Path, list[Patch]]:
    """The patches of each volume."""
    out: dict[Path, list[Patch]] = {}
    chosen: dict[tuple[str, str], Path | None] = {}
    for patch in patches:
        key = patch.exp, patch.source
        if key not in chosen:
            chosen[key] = _volume_of(patch, volumes, summary)
        path = chosen[key]
        if path is not None:
            out.setdefault(path, []).append(patch)
        elif patch.exp not in {Path(failure.input).name for failure in summary.failed}:
            summary.orphans[patch.exp] = summary.orphans.get(patch.exp, 0) + 1
    return dict(sorted(out.items()))


def _volume_of(patch: Patch, volumes: dict[str, list[Path]], summary: Summary) -> Path | None:
    """By the source that the manifest tells, else by name; of names cut at another full stop, the longest."""
    source = Path(patch.source).name
    candidates = {path for paths in volumes.values() for path in paths if source and path.name == source}
    exact = {path for path in candidates if str(path) == patch.source}
    if not candidates:
        stems = [stem for stem in volumes if patch.exp == stem or patch.exp.startswith(stem + ".")]
        candidates = set(volumes[max(stems, key=len)]) if stems else set()
    candidates = exact or candidates
    if len(candidates) > 1:
        names = ", ".join(sorted(map(str, candidates)))
        summary.failed.append(
            Failure(patch.exp, f"patches of {patch.exp} could be of several volumes: {names}")
        )
        return None
    return next(iter(candidates), None)


# What is to be cut


def _plan(path: Path, patches: Sequence[Patch], parameters: Parameters, summary: Summary) -> Cut:
    from maskmill.io.volumes import open_volume

    with open_volume(path) as volume:
        shape = np.array(volume.shape)
    exp = patches[0].exp
    axis = np.array([patch.axis for patch in patches])
    index = np.array([patch.index for patch in patches])
    tiles = np.array([patch.tile for patch in patches], np.int64)
    score = np.array([patch.score for patch in patches], np.float64)
    if parameters.columns:
        axis, start, stop, count, tiles = subvolumes.columns(axis, index, tiles, parameters.nz)
        index, score, usable = start, count.astype(np.float64), np.ones(len(axis), np.bool_)
        stop = np.minimum(stop, shape[axis])
    else:
        start, stop, usable = subvolumes.windows(
            index, shape[axis], parameters.nz, edge=parameters.edge, legacy=parameters.legacy_window
        )
    boxes = subvolumes.boxes_of(axis, start, stop, tiles)
    usable &= _within(boxes, axis, shape)
    if parameters.columns:
        usable &= ((boxes[:, 1::2] - boxes[:, ::2]) >= max(parameters.nz // 2, 1)).all(axis=1)
    summary.outside += int((~usable).sum())
    key = stable_keys(exp, axis, index, tiles[:, 0], tiles[:, 2], seed=parameters.seed)
    order = np.lexsort((tiles[:, 3], tiles[:, 1], key, -score))
    order = order[usable[order]]
    inside = _clipped(boxes, shape)  # windows that are the same within the volume count as one
    kept = order[subvolumes.suppress(inside[order], parameters.max_iou)]
    summary.overlapping += len(order) - len(kept)
    status = path.stat()
    stamp = f"{status.st_size} {status.st_mtime_ns}"
    return Cut(path, exp, stamp, shape, axis[kept], boxes[kept], score[kept], patches[0].scaling)


def _clipped(boxes: NDArray[np.int64], shape: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.clip(boxes, 0, shape.repeat(2))


def _within(boxes: NDArray[np.int64], axis: NDArray[np.int64], shape: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether boxes are of this volume; along the axis that was cut they may reach beyond."""
    ends = boxes.reshape(-1, 3, 2)
    cut = np.arange(3) == axis[:, None]
    fits = (ends[..., 0] >= 0) & (ends[..., 1] <= shape) & (ends[..., 0] < ends[..., 1])
    out: NDArray[np.bool_] = (fits | cut).all(axis=1)
    return out


def _limit(cuts: Sequence[Cut], datasets: dict[Path, str], limit: int) -> None:
    """Keep those of each data set that score most; among equals, those that come first in their volume."""
    for dataset in set(datasets.values()):
        own = [cut for cut in cuts if datasets[cut.path] == dataset]
        score = np.concatenate([cut.score for cut in own]) if own else np.zeros(0)
        rank = np.concatenate([np.arange(len(cut.score)) for cut in own]) if own else np.zeros(0)
        chosen = np.zeros(len(score), np.bool_)
        chosen[np.lexsort((rank, -score))[:limit]] = True
        for cut, mask in zip(
            own, np.split(chosen, np.cumsum([len(cut.score) for cut in own])[:-1]), strict=True
        ):
            cut.axis, cut.boxes, cut.score = cut.axis[mask], cut.boxes[mask], cut.score[mask]


# Cutting


def _names(cut: Cut) -> list[str]:
    """Names of sub-volumes: of windows that reach beyond the ends, the slices that there are."""
    out = []
    for axis, box in zip(cut.axis.tolist(), _clipped(cut.boxes, cut.shape).tolist(), strict=True):
        rows, cols = (other for other in range(3) if other != axis)
        tile = (box[2 * rows], box[2 * rows + 1], box[2 * cols], box[2 * cols + 1])
        out.append(subvolume_name(cut.exp, axis, box[2 * axis], box[2 * axis + 1], tile))
    return out


def _cut(savedir: Path, cut: Cut, parameters: Parameters, workers: int, summary: Summary) -> None:
    """Write the sub-volumes of one volume, or find that they are there."""
    from maskmill.io.intensity import Scaling, fit_scaling
    from maskmill.io.volumes import open_volume

    suffix, names = SUFFIXES[parameters.format], _names(cut)
    record = savedir / "done" / f"{cut.path.name}.json"
    text = f"{cut.stamp} {cut.scaling} {parameters} {names} {__version__}"
    state = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    last = read_record(record)
    if last.get("state") == state:
        summary.resumed += len(names)
        return
    files = [name + suffix for name in names]
    for file in set(last.get("files", ())) - set(files):  # of other parameters
        with ignore(FileNotFoundError):
            os.unlink(savedir / Path(file).name)
    _write_json(record, {"state": "", "files": files})
    with open_volume(cut.path) as volume:
        scaling = None
        if parameters.dtype == "uint8" and volume.dtype != np.uint8:
            scaling = Scaling.from_json(cut.scaling) if cut.scaling else fit_scaling(volume, "dtype")

        def write(i: int) -> None:
            axis, box = int(cut.axis[i]), cut.boxes[i]
            block = _read(volume, box)
            _write(savedir / files[i], block if scaling is None else scaling.apply(block), axis, volume)

        in_storage_order = np.lexsort((cut.boxes[:, 4], cut.boxes[:, 2], cut.boxes[:, 0])).tolist()
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(write, in_storage_order):
                summary.written += 1
    _write_json(record, {"state": state, "files": files})


def _read(volume: Any, box: NDArray[np.int64]) -> NDArray[Any]:
    """The voxels of a box; beyond the ends, the last slice again."""
    inside = _clipped(box, np.array(volume.shape))
    block: NDArray[Any] = volume.read(inside.tolist())
    beyond = np.abs(inside - box).reshape(3, 2)
    return np.pad(block, beyond.tolist(), mode="edge") if beyond.any() else block


def _write(path: Path, block: NDArray[Any], axis: int, volume: Any) -> None:
    from maskmill.io.volumes import write_volume

    spacing = None if volume.spacing is None else subvolumes.cut_axis_first(axis, volume.spacing)
    turned = np.ascontiguousarray(block.transpose(subvolumes.AXES_OF_CUT[axis]))
    write_volume(path, turned, spacing=spacing, unit=volume.unit)


def _write_json(path: Path, content: Any) -> None:
    with written_whole(path) as file:
        file.write(json.dumps(content).encode())


def _write_table(savedir: Path, cuts: Sequence[Cut]) -> None:
    columns: dict[str, list[Any]] = {name: [] for name in TABLE}
    for cut in cuts:
        columns["name"] += _names(cut)
        columns["volume"] += [str(cut.path)] * len(cut.axis)
        columns["axis"] += cut.axis.tolist()
        for place, name in enumerate(("z0", "z1", "y0", "y1", "x0", "x1")):
            columns[name] += cut.boxes[:, place].tolist()
        columns["score"] += cut.score.tolist()
    write_table(savedir / "subvolumes", columns, TABLE)
