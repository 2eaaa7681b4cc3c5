"""What is at the inputs, before anything is cut: which planes, by which scaling, and what cannot be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import _jobs
from maskmill.io.intensity import fit_scaling
from maskmill.studies.em import inputs, legacy, plan
from maskmill.studies.em.inputs import Source
from maskmill.studies.em.settings import Settings

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@dataclass
class Survey:
    """What was found at the inputs."""

    sources: list[Source]
    failed: list[tuple[str, str]]
    ignored: list[tuple[str, str]]
    warnings: list[str]


def look(given: Sequence[str], settings: Settings, executor: _jobs.Executor) -> Survey:
    """What would be cut: for `--dry-run`."""
    settings = legacy.settings(settings) if settings.legacy else settings
    found, ignored = inputs.find(given, stacks=settings.stacks, options=dict(settings.options))
    marks = {source.path: inputs.fingerprint(source) for source in found}
    return take(found, ignored, settings, marks, executor, lambda *_: None)


def patch_count(source: Source, settings: Settings) -> int:
    return int(cells_of(source, settings).count.sum())


def take(
    found: list[Source],
    ignored: list[tuple[str, str]],
    settings: Settings,
    marks: dict[str, str],
    executor: _jobs.Executor,
    tell: Progress,
) -> Survey:
    result = Survey([], [], ignored, [])
    probed: list[Source] = []
    step = max(1, min(200, len(found) // (4 * executor.workers)))
    batches = [found[a : a + step] for a in range(0, len(found), step)]
    for done, (place, outcome) in enumerate(executor.map(_probe, batches), 1):
        if isinstance(outcome, Exception):
            raise outcome
        for source, answer in zip(batches[place], outcome, strict=True):
            if isinstance(answer, str):
                result.failed.append((source.path, answer))
            else:
                probed.append(replace(answer, mark=marks[source.path]))
        tell("looking at inputs", min(done * step, len(found)), len(found))
    probed.sort(key=lambda source: source.path)  # as they came depends on the executor
    named = legacy.named(probed) if settings.legacy else inputs.named(probed)
    sizes = inputs.voxel_sizes(settings.voxel_size)
    for source in named:
        size = sizes.get(source.name, sizes.get("", source.spacing))
        try:
            axes = _axes(source, size, settings, result.warnings)
        except ValueError as error:
            result.failed.append((source.path, str(error)))
            continue
        result.sources.append(replace(source, spacing=size, axes=axes))
    _fit(result, settings, executor, tell)
    result.failed.sort()
    return result


def _probe(sources: list[Source]) -> list[Source | str]:
    """Each as its header has it, or why it cannot be read."""
    out: list[Source | str] = []
    for source in sources:
        try:
            out.append(inputs.probe(source))
        except (OSError, ValueError, ImportError) as error:
            out.append(str(error) or type(error).__name__)
    return out


def _axes(
    source: Source, size: plan.Spacing | None, settings: Settings, warnings: list[str]
) -> tuple[int, ...]:
    if source.image:
        return (0,)
    if settings.legacy:
        return tuple(legacy.axes_to_cut(settings.axes, size, source.name))
    if inputs.is_video(source):
        return tuple(axis for axis in settings.axes if axis == 0)
    if size is None and settings.unknown == "xy" and set(settings.axes) != {0}:
        warnings.append(
            f"{source.path}: its voxel size is not known, so that only xy planes are cut; see --voxel-size"
        )
    axes = plan.axes_to_cut(settings.axes, size, tolerance=settings.tolerance, unknown=settings.unknown)
    if not axes:
        warnings.append(
            f"{source.path}: no plane asked for has pixels that are square enough; see --tolerance"
        )
    return tuple(axes)


def _fit(result: Survey, settings: Settings, executor: _jobs.Executor, tell: Progress) -> None:
    """One scaling for all of a data set that has one type of voxels."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, source in enumerate(result.sources):
        groups[source.dataset, source.dtype].append(place)
    jobs = [
        (tuple(result.sources[i] for i in members), settings.policy, settings.values, settings.nonfinite)
        for members in groups.values()
    ]
    scaled = list(result.sources)
    bad = set()
    for done, (place, outcome) in enumerate(executor.map(_fitted, jobs), 1):
        for member in list(groups.values())[place]:
            if isinstance(outcome, Exception):
                result.failed.append((scaled[member].path, str(outcome)))
                bad.add(member)
            else:
                scaled[member] = replace(scaled[member], scaling=outcome)
        tell("fitting grey values", done, len(jobs))
    result.sources = [source for place, source in enumerate(scaled) if place not in bad]


def _fitted(job: tuple[tuple[Source, ...], str, tuple[float, ...], int | None]) -> str:
    sources, policy, values, nonfinite = job
    if policy in ("dtype", "cem", "window"):  # nothing to be read
        return fit_scaling(np.empty(0, sources[0].dtype), policy, values, nonfinite=nonfinite).to_json()

    def blocks() -> Iterable[NDArray[Any]]:
        for source in sources:
            with source.open() as volume:
                yield from volume.slabs()

    return fit_scaling(blocks, policy, values, nonfinite=nonfinite).to_json()


def cells_of(source: Source, settings: Settings) -> plan.Cells:
    found = plan.cells(source.shape, source.axes, settings.grid)
    if source.image:  # its one slice is never the one that cem-dataset leaves out
        return plan.cells(source.shape, (0,), replace(settings.grid, last_slice=True, step=1))
    return found
