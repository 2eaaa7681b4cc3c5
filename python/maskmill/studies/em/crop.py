"""Random cubes of a volume that is too large to use whole: planned, then taken one by one, with resume.

cem-dataset's ngff_download and crop_rois_from_volume, with one contrast for all cubes of a volume, padding that is told
from the voxels before they are inverted, and a plan that says what was taken and why.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.io.intensity import Scaling
from maskmill.io.volumes import unique_names, write_volume
from maskmill.studies.em import rois
from maskmill.studies.em.origins import file_origin
from maskmill.studies.em.plans import (
    BLOCK,
    SAMPLES,
    Cube,
    Folder,
    Origin,
    Plan,
    Readable,
    Wish,
    fit_contrast,
    make_plan,
    parameters_of,
)

MISSES_IN_A_ROW = 8
"""After so many failures of the network, one behind the other, the rest of a volume is not tried."""

Progress = Callable[[int], object]
"""Called with voxels as they are written, and with what remains of a cube that failed or was there."""


@dataclass(frozen=True)
class Job:
    """One volume to take from.

    Attributes
    ----------
    label
        What its files are called.
    address
        Path or URL.
    wish
    open
        Reads its metadata.
    whole
        Take all of it instead of cubes.
    """

    label: str
    address: str
    wish: Wish
    open: Callable[[], Origin]
    whole: bool = False


@dataclass(frozen=True)
class Failure:
    """A cube, or a whole volume, that could not be had."""

    volume: str
    address: str
    cube: str | None
    reason: str


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its plan (None for a whole volume, or if it failed before), and what failed."""

    job: Job
    plan: Plan | None
    shape: tuple[int, int, int] | None
    failures: list[Failure]


def run_jobs(
    jobs: Sequence[Job],
    folder: str | Path,
    *,
    workers: int = 4,
    max_gb: float = 50.0,
    verify: bool = False,
    dry: bool = False,
    stop: threading.Event | None = None,
    began: Callable[[Job, int], object] = lambda job, total: None,
    progress: Progress = lambda _: None,
) -> list[Outcome]:
    """Take cubes, or the whole, of each volume; one that fails does not keep the others from being tried.

    Parameters
    ----------
    jobs
    folder
        Where the cubes go. `plans` in it says what was chosen; `failed.jsonl` what failed. What is there is kept.
    workers
        Cubes under way at once.
    max_gb
        GiB of the largest volume to take whole.
    verify
        Also compare the content of what is there with what was written.
    dry
        Only choose; nothing is written.
    stop
        Set it to stop from another thread.
    began
        Called with each job and how many voxels it is to give.
    progress
        Called with voxels as they are written.

    Returns
    -------
    One outcome for each job.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    stop = threading.Event() if stop is None else stop
    place = Folder(Path(folder))
    if not dry:
        place.prepare()
    outcomes = []
    for job in jobs:
        outcome = _run_job(job, place, dry, began, progress, workers, max_gb, verify, stop)
        outcomes.append(outcome)
        if not dry:
            _write_failures(place, job, outcome.failures)
    return outcomes


def _run_job(
    job: Job,
    place: Folder,
    dry: bool,
    began: Callable[[Job, int], object],
    progress: Progress,
    workers: int,
    max_gb: float,
    verify: bool,
    stop: threading.Event,
) -> Outcome:
    def failed(error: Exception) -> Outcome:
        reason = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            reason = f"{error.filename}: {error.strerror}"
        return Outcome(job, None, None, [Failure(job.label, job.address, None, reason)])

    try:
        origin = job.open()
    except (ValueError, OSError) as error:
        return failed(error)
    shape = origin.voxels.shape
    try:
        if job.whole:
            began(job, math.prod(shape))
            if not dry:
                take_whole(origin, job.wish, place, max_gb, verify=verify, progress=progress)
            return Outcome(job, None, shape, [])
        plan = make_plan(origin, job.wish, place, dry=dry)
        began(job, sum(cube.voxels for cube in plan.cubes))
        if dry:
            return Outcome(job, plan, shape, [])
        failures = take_cubes(
            origin, job.wish, plan, place, workers=workers, verify=verify, stop=stop, progress=progress
        )
        return Outcome(job, plan, shape, failures)
    except (ValueError, OSError) as error:
        if _is_ours(error):
            raise
        return failed(error)
    finally:
        origin.close()


def _write_failures(folder: Folder, job: Job, failures: Sequence[Failure]) -> None:
    """Bring `failed.jsonl` up to date for one job; what is said there of others stays."""
    path = folder.path / "failed.jsonl"
    others = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            if json.loads(line)["volume"] != job.label:
                others.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    lines = [*others, *(json.dumps(asdict(failure)) for failure in failures)]
    if not lines:
        path.unlink(missing_ok=True)
        return
    with written_whole(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def file_jobs(
    paths: Sequence[str | Path], wish: Wish, *, level: int = 0, dataset: str | None = None, channel: Any = 0
) -> list[Job]:
    """Jobs of volumes in files and folders.

    Raises
    ------
    FileNotFoundError
        If one of them is not there.
    ValueError
        If two would be called the same.
    """
    for path in paths:
        if not os.path.exists(path):
            raise FileNotFoundError(2, os.strerror(2), str(path))
    labels = [f"{name}_s{level}" if level else name for name in unique_names(paths)]

    def opener(label: str, path: str) -> Callable[[], Origin]:
        return lambda: file_origin(label, path, level, dataset=dataset, channel=channel)

    return [
        Job(label, str(path), wish, opener(label, str(path)))
        for label, path in zip(labels, paths, strict=True)
    ]


def take_cubes(
    origin: Origin,
    wish: Wish,
    plan: Plan,
    folder: Folder,
    *,
    workers: int = 4,
    verify: bool = False,
    stop: threading.Event | None = None,
    progress: Progress = lambda _: None,
) -> list[Failure]:
    """Write the cubes of a plan that are not there yet.

    Each appears whole under its name or not at all. Those that fail are returned, and tried again by the next call.
    """
    stop = threading.Event() if stop is None else stop
    done = folder.done(origin.name)
    missing = []
    for cube in plan.cubes:
        if folder.has(done.get(cube.file), verify=verify):
            progress(cube.voxels)
        else:
            missing.append(cube)
    missing.reverse()  # taken from the end
    failures: list[Failure] = []
    misses = 0
    running: dict[Future[None], Cube] = {}
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                while missing and len(running) < workers and misses < MISSES_IN_A_ROW:
                    cube = missing.pop()
                    running[pool.submit(_take, origin, wish, plan, cube, folder, progress)] = cube
                if not running:
                    break
                finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    cube = running.pop(future)
                    error = future.exception()
                    if error is None:
                        misses = 0
                        folder.note(origin.name, cube.file)
                        continue
                    if not isinstance(error, (OSError, ValueError)) or _is_ours(error):
                        raise error
                    misses = misses + 1 if isinstance(error, (ConnectionError, TimeoutError)) else 0
                    failures.append(Failure(origin.name, origin.address, cube.file, str(error)))
        except BaseException:
            stop.set()
            raise
    if missing:
        reason = f"not tried, after {misses} failures in a row, the last: {failures[-1].reason}"
        failures += [Failure(origin.name, origin.address, cube.file, reason) for cube in reversed(missing)]
    return failures


def _is_ours(error: BaseException) -> bool:
    """Whether it is the disk that failed: then no other cube can be written either."""
    return isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError)


def _take(origin: Origin, wish: Wish, plan: Plan, cube: Cube, folder: Folder, progress: Progress) -> None:
    z0, z1, y0, y1, x0, x1 = cube.box
    full = wish.probe != "overview" or cube.padding is None
    seen_other = full
    read = 0

    def slabs() -> Iterator[NDArray[Any]]:
        nonlocal seen_other, read
        for slab in _slabs(origin.voxels, cube.box):
            seen_other = seen_other or bool((slab != wish.padding_value).any())
            yield converted(slab, plan.scaling, invert=wish.invert)
            read += slab.size
            progress(slab.size)
        if not seen_other:
            raise FormatError(
                f"{origin.address}: expected specimen in {cube.file}, found padding alone: chunks are missing there"
            )

    try:
        _write_slabs(folder.path / cube.file, slabs(), origin, (z1 - z0, y1 - y0, x1 - x0), plan.scaling)
    except BaseException:
        progress(cube.voxels - read)
        raise


def take_whole(
    origin: Origin,
    wish: Wish,
    folder: Folder,
    max_gb: float,
    *,
    verify: bool = False,
    progress: Progress = lambda _: None,
) -> str:
    """Write a volume whole, slab by slab, unless it is there; the name of the file.

    Raises
    ------
    ValueError
        If it has more than so many GiB.
    """
    size = int(np.prod(origin.voxels.shape, dtype=object)) * (
        origin.voxels.dtype.itemsize if wish.keeps else 1
    )
    if size > max_gb * rois.GIB:
        raise ValueError(
            f"{origin.address}: the whole volume would be {size / rois.GIB:.1f} GiB, more than {max_gb:g}: "
            "crop it, or allow more with --max-gb"
        )
    file = f"{origin.name}.nrrd"
    whole = replace(wish, probe="none", region=None)
    old, parameters = folder.plan(origin.name), parameters_of(origin, whole)
    if (
        old is not None
        and old.parameters == parameters
        and folder.has(folder.done(origin.name).get(file), verify=verify)
    ):
        progress(size)
        return file
    d, h, w = origin.voxels.shape
    cube = Cube(file, (0, w), (0, h), (0, d), None)
    boxes = rois.roi_grid(origin.voxels.shape, wish.size)
    order = rois.roi_order(origin.name, boxes, wish.seed)[:SAMPLES]
    middles: list[Any] = [tuple(boxes[i].tolist()) for i in order]
    plan = Plan(parameters, (cube,), 1, 1, fit_contrast(origin, wish, middles))
    folder.save_plan(origin.name, plan)
    _take(origin, whole, plan, cube, folder, progress)
    folder.note(origin.name, file)
    return file


def _slabs(voxels: Readable, box: rois.Box) -> Iterator[NDArray[Any]]:
    """Whole slices of a box, as many at once as the grain and the memory allow."""
    z0, z1, y0, y1, x0, x1 = box
    plane = (y1 - y0) * (x1 - x0)
    depth = max(1, min(max(voxels.chunks[0], BLOCK // max(1, plane)), 32 * BLOCK // max(1, plane)))
    while z0 < z1:
        end = min(z1, z0 + depth)
        aligned = end // voxels.chunks[0] * voxels.chunks[0]
        end = aligned if z0 < aligned and end < z1 else end
        slab = np.empty((end - z0, y1 - y0, x1 - x0), voxels.dtype)
        for part in rois.blocks((z0, end, y0, y1, x0, x1), voxels.chunks, BLOCK):
            at = (
                slice(part[0] - z0, part[1] - z0),
                slice(part[2] - y0, part[3] - y0),
                slice(part[4] - x0, part[5] - x0),
            )
            slab[at] = voxels.read(part)
        yield slab
        z0 = end


def converted(voxels: NDArray[Any], scaling: Scaling | None, *, invert: bool) -> NDArray[Any]:
    """Voxels as they are written: scaled, then inverted."""
    out = voxels.view(np.uint8) if voxels.dtype.kind == "b" else voxels
    out = out if scaling is None else scaling.apply(out)
    if invert and out.dtype.kind == "f":
        raise ValueError("floats cannot be inverted: choose a contrast other than keep")
    return ~out if invert else out


def _write_slabs(
    path: Path,
    slabs: Iterator[NDArray[Any]],
    origin: Origin,
    shape: tuple[int, int, int],
    scaling: Scaling | None,
) -> None:
    dtype = origin.voxels.dtype if scaling is None and origin.voxels.dtype.kind != "b" else np.dtype(np.uint8)
    known = [size for size in origin.spacing if size is not None]
    spacing = tuple(known) if len(known) == 3 else None
    write_volume(path, slabs, shape, dtype, spacing=spacing, unit=origin.unit if spacing else None)
