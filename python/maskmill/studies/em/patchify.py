"""Volumes, stacks and images to patches without near-duplicates: `maskmill em patchify`.

Stage 1 hashes every patch of every input and keeps no pixels, stage 2 chooses among the hashes in one place, stage 3
reads the chosen ones again and writes them. What a stage has done is kept in OUT/work until the end, so that a run that
was ended at any moment is resumed by giving its command again, and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import _jobs
from maskmill._version import __version__
from maskmill.studies.em import inputs as given
from maskmill.studies.em import legacy, names, plan, tasks
from maskmill.studies.em.inputs import Source
from maskmill.studies.em.select import Columns, Selection, chance_hits, origin, select
from maskmill.studies.em.settings import Settings
from maskmill.studies.em.shards import most_pages, shard_size
from maskmill.studies.em.store import REASONS, patch_path
from maskmill.studies.em.survey import Progress, Survey, cells_of, take
from maskmill.studies.em.writing import Output, Run, save

SHARD = 64 << 20
"""Greatest size of a shard."""


@dataclass
class Report:
    """What a run did: per input its counts, what failed, what is worth a warning."""

    counts: dict[str, dict[str, int]]
    failed: list[tuple[str, str]]
    ignored: list[tuple[str, str]]
    warnings: list[str]
    seconds: float = 0.0
    resumed: bool = False

    @property
    def kept(self) -> int:
        return sum(count["kept"] for count in self.counts.values())


def patchify(
    inputs: Sequence[str],
    out: str | Path,
    settings: Settings | None = None,
    *,
    memory: int | None = None,
    executor: _jobs.Executor | None = None,
    progress: Progress | None = None,
    retry: bool = False,
    overwrite: bool = False,
) -> Report:
    """Cut, hash, deduplicate, write. See `maskmill em patchify --help` and `store` for what comes out.

    Parameters
    ----------
    inputs : files, folders, URLs
    out : folder of the result
    settings : Settings
    memory : bytes that reading may take, 2 GiB by default; the result does not depend on it
    executor : where tasks are run; threads of this process by default. The result does not depend on it
    progress : called as work goes on
    retry : try again what failed before
    overwrite : begin anew, whatever is in `out`

    Raises
    ------
    FileNotFoundError, FormatError, ValueError
        If an input is missing, or `out` holds something else. One input that fails does not end the run: see
        `Report.failed`.
    """
    began = time.monotonic()
    settings = (
        legacy.settings(settings or Settings()) if settings and settings.legacy else settings or Settings()
    )
    tell = progress or (lambda *_: None)
    found, ignored = given.find(inputs, stacks=settings.stacks, options=dict(settings.options))
    marks = {source.path: given.fingerprint(source) for source in found}
    identity = {"verb": "patchify", "parameters": asdict(settings), "inputs": marks}
    if executor is None:
        with _jobs.executor() as threads:
            return patchify(
                inputs,
                out,
                settings,
                memory=memory,
                executor=threads,
                progress=progress,
                retry=retry,
                overwrite=overwrite,
            )
    tasks.forget()
    with Output(Path(out), identity, overwrite=overwrite, retry=retry) as output:
        if output.complete:
            return _report_of(output.run, ignored)
        survey = take(found, ignored, settings, marks, executor, tell)
        limits = _limits(memory, executor)
        digests = _hash(survey, settings, output, executor, limits, tell)
        tasks.free_scratch()
        rows = _rows(survey, settings, output)
        patch_names = PatchNames(rows, survey.sources)
        tell("choosing", 0, 1)
        chosen = _select(rows, survey, settings, patch_names)
        tell("choosing", 1, 1)
        written = _write(rows, chosen, survey, settings, patch_names, output, executor, limits, tell)
        tasks.forget()
        report = Report(_counts(rows, chosen, survey), survey.failed, ignored, survey.warnings)
        report.seconds = round(time.monotonic() - began, 3)
        save(
            output,
            rows,
            chosen,
            [s.dataset for s in survey.sources],
            [s.path for s in survey.sources],
            patch_names,
            settings.hash_size,
            lambda members: (
                written.columns(members)
                | _kept_columns(rows["source"][members], survey.sources, digests, settings)
                | _quality(patch_names, members, settings)
            ),
            asdict(report),
        )
        return report


def _report_of(run: Run, ignored: list[tuple[str, str]]) -> Report:
    told = run["report"]
    failed = [(path, reason) for path, reason in told["failed"]]
    return Report(told["counts"], failed, ignored, told["warnings"], told["seconds"], resumed=True)


# Stage 1


@dataclass(frozen=True)
class _Limits:
    """Bytes that blocks may take: those that a task works on, and those that are kept for later."""

    block: int
    cache: int

    def voxels(self, dtype: str) -> int:
        size = np.dtype(dtype).itemsize
        return max(1, self.block // (1 if size == 1 else size + 1))


def _limits(memory: int | None, executor: _jobs.Executor) -> _Limits:
    whole = 2 << 30 if memory is None else memory
    local = isinstance(executor, _jobs.Serial | _jobs.Threads)
    # Other executors' workers have processes, and a cache, of their own.
    return _Limits(whole // 2 // executor.workers, whole // 4 // (1 if local else executor.workers))


MOST_TASKS = 50_000


def _pieces(survey: Survey, settings: Settings, limits: _Limits) -> Iterable[tasks.Piece]:
    for number, source in enumerate(survey.sources):
        cells = cells_of(source, settings)
        most = plan.good_read(source.shape, source.chunks, settings.grid.crop, limits.voxels(source.dtype))
        for a, b in plan.runs(cells.box, most):
            part = cells.part(slice(a, b))
            yield tasks.Piece(number, source, part, tuple(plan.union(part.box).tolist()))


def _bundles(pieces: Iterable[tasks.Piece]) -> list[tuple[tasks.Piece, ...]]:
    """Small pieces together: a task is worth its handling."""
    bundles: list[list[tasks.Piece]] = []
    room = 0
    for piece in pieces:
        size = plan.voxels(np.array(piece.box))
        if size > room:
            bundles.append([])
            room = 1 << 25
        room -= size
        bundles[-1].append(piece)
    many = -(-len(bundles) // MOST_TASKS)
    return [tuple(p for b in bundles[a : a + many] for p in b) for a in range(0, len(bundles), max(1, many))]


def _hash(
    survey: Survey,
    settings: Settings,
    output: Output,
    executor: _jobs.Executor,
    limits: _Limits,
    tell: Progress,
) -> list[str]:
    """Write the parts that are missing, note what failed, and give the digests of the sources."""
    work: list[tasks.HashTask | tasks.DigestTask] = []
    paths = [source.path for source in survey.sources]
    if settings.digest:
        step = max(1, min(500, len(paths) // (4 * executor.workers)))
        work += [tasks.DigestTask(tuple(paths[a : a + step])) for a in range(0, len(paths), step)]
    stems = []
    for number, pieces in enumerate(_bundles(_pieces(survey, settings, limits))):
        stem = output.parts / f"{number:06d}-{_mark(pieces, settings)}"
        stems.append(stem)
        if not output.has_part(stem):
            work.append(
                tasks.HashTask(
                    str(stem),
                    pieces,
                    settings.hash_size,
                    settings.grid.crop,
                    settings.rule.described,
                    settings.padding,
                    limits.cache,
                )
            )
    digests: dict[str, str] = {}
    for done, (place, outcome) in enumerate(executor.map(tasks.stage1, work), 1):
        if isinstance(outcome, Exception):
            raise outcome
        task = work[place]
        if isinstance(task, tasks.DigestTask):
            digests.update(zip(task.paths, outcome, strict=True))
        tell("hashing", done, len(work))
    output.stems = stems
    failed = {number: reason for stem in stems for number, reason in output.failures(stem)}
    survey.failed = sorted([*survey.failed, *((paths[number], reason) for number, reason in failed.items())])
    output.failed_numbers = set(failed)
    return [digests.get(path, "") for path in paths]


def _mark(pieces: Sequence[tasks.Piece], settings: Settings) -> str:
    """What a part depends on."""
    digest = hashlib.blake2b(f"{__version__} {settings}".encode(), digest_size=8)
    for piece in pieces:
        digest.update(repr((piece.number, piece.source, piece.box)).encode())
    return digest.hexdigest()


# Stage 2


def _rows(survey: Survey, settings: Settings, output: Output) -> Columns:
    """All rows in natural order, but for those of sources that failed."""
    rows = tasks.read_parts(
        [output.part(stem) for stem in output.stems], settings.profile.words, settings.rule.described
    )
    if output.failed_numbers:
        good = ~np.isin(rows["source"], sorted(output.failed_numbers))
        rows = {name: column[good] for name, column in rows.items()}
    return rows


class PatchNames:
    """Names of patches, made when they are asked for: all at once they would take more memory than all else."""

    def __init__(self, rows: Columns, sources: Sequence[Source]) -> None:
        self._rows, self._sources = rows, sources

    def __len__(self) -> int:
        return len(self._rows["source"])

    def take(self, places: NDArray[np.int64], /) -> NDArray[np.object_]:
        """(N,) names of these rows."""
        out = np.empty(len(places), object)
        part = {name: self._rows[name][places] for name in tasks.PLACE}
        order = np.lexsort((part["axis"], part["source"]))
        part = {name: column[order] for name, column in part.items()}
        changes = np.flatnonzero(np.diff(part["source"]) | np.diff(part["axis"])) + 1
        ends = [0, *changes.tolist(), len(order)]
        for a, b in itertools.pairwise(ends if len(order) else []):
            source, axis = self._sources[int(part["source"][a])], int(part["axis"][a])
            boxes = np.stack([part[name][a:b] for name in ("y0", "y1", "x0", "x1")], -1)
            length = source.shape[max(axis, 0)]
            out[order[a:b]] = names.patch_names(source.name, axis, part["index"][a:b], length, boxes)
        return out


def _select(rows: Columns, survey: Survey, settings: Settings, patch_names: PatchNames) -> Selection:
    if settings.legacy:
        return legacy.choose(rows, survey.sources, settings.rule)
    scope = settings.rule.scope
    scopes = [{"file": s.path, "dataset": s.dataset, "all": ""}[scope] for s in survey.sources]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(scopes))}
    origins = [
        origin(numbers[name], s.name, s.key, s.image) for name, s in zip(scopes, survey.sources, strict=True)
    ]
    counts = np.bincount(rows["source"], minlength=len(origins))
    hits = 0.0
    for number in range(len(numbers)):
        members = [int(n) for n, o in zip(counts, origins, strict=True) if o.group == number]
        hits += chance_hits(members, settings.profile.bits, settings.rule.radius)
    if hits >= 1:
        survey.warnings.append(
            f"{hits:,.0f} pairs of unrelated patches are expected within {settings.rule.radius} of "
            f"{settings.profile.bits} bits by chance alone, and several times as many where pictures are alike; "
            "--hash-size 16 --min-distance 48 has none"
        )
    quality = _quality(patch_names, np.arange(len(patch_names)), settings).get("quality")
    overlaps = settings.grid.overlaps
    return select(rows, origins, patch_names, settings.rule, overlaps=overlaps, quality=quality)


def _quality(patch_names: PatchNames, members: NDArray[np.int64], settings: Settings) -> Columns:
    """The column of that name, if there is a table of scores."""
    return {"quality": scores(settings.scores, patch_names.take(members))} if settings.scores else {}


def scores(path: str, patch_names: Iterable[str]) -> NDArray[np.float64]:
    """The score of each patch by a table with the columns `name` and `score`; NaN where there is none."""
    from maskmill.studies.em.tables import read_table

    table = read_table(Path(path), {"name": "str", "score": "float64"})
    known = dict(zip(table["name"].tolist(), table["score"].tolist(), strict=True))
    return np.array([known.get(name, np.nan) for name in patch_names], np.float64)


# Stage 3


@dataclass(frozen=True)
class Written:
    """Where each patch was written: for every row the number of its file, and its page in that."""

    files: list[str]
    file: NDArray[np.int32]
    page: NDArray[np.int32]

    def columns(self, members: NDArray[np.int64]) -> Columns:
        """`shard` and `page` of the manifest."""
        return {
            "shard": np.array(self.files, object).take(self.file[members]),
            "page": self.page[members],
        }


def _write(
    rows: Columns,
    chosen: Selection,
    survey: Survey,
    settings: Settings,
    patch_names: PatchNames,
    output: Output,
    executor: _jobs.Executor,
    limits: _Limits,
    tell: Progress,
) -> Written:
    """Write what is missing of the kept patches."""
    files = _files(rows, chosen.kept, survey.sources, settings, patch_names)
    n = len(patch_names)
    written = Written([name for name, _ in files], np.zeros(n, np.int32), np.zeros(n, np.int32))
    digest = hashlib.blake2b(digest_size=16)
    for number, (name, members) in enumerate(files):
        written.file[members], written.page[members] = number, np.arange(len(members))
        digest.update(f"{name}\0".encode() + members.tobytes())
    output.begin_writing(digest.hexdigest(), written.files)
    itemsize = max((np.dtype(source.dtype).itemsize for source in survey.sources), default=1)
    most = max(1, limits.block // (1 if itemsize == 1 else itemsize + 1))

    def size(members: NDArray[np.int64]) -> int | None:
        if settings.layout == "pickle":
            return None
        first = members[0]
        height, width = (int(rows[f"{a}1"][first]) - int(rows[f"{a}0"][first]) for a in "yx")
        return shard_size(len(members), height, width)

    def task(name: str, members: NDArray[np.int64]) -> tasks.ShardTask:
        part = {column: rows[column][members] for column in tasks.PLACE}
        used = {int(n): survey.sources[int(n)] for n in np.unique(part["source"])}
        texts = tuple(patch_names.take(members).tolist()) if settings.layout == "pickle" else None
        return tasks.ShardTask(str(output.path / name), used, part, limits.cache, most, texts)

    missing = [(name, members) for name, members in files if not output.is_written(name, size(members))]
    work = itertools.starmap(task, missing)
    for done, (_, outcome) in enumerate(executor.map(tasks.stage3, work), 1):
        if isinstance(outcome, Exception):
            raise outcome
        tell("writing", done, len(missing))
    return written


def _files(
    rows: Columns,
    kept: NDArray[np.int64],
    sources: Sequence[Source],
    settings: Settings,
    patch_names: PatchNames,
) -> list[tuple[str, NDArray[np.int64]]]:
    """Names of the files to write, each with its rows, page by page."""
    if settings.layout == "pickle":
        return _pickles(rows, kept, sources)
    stored = kept[tasks.storage_order({name: rows[name][kept] for name in tasks.PLACE}, settings.grid.crop)]
    if settings.layout == "files":
        datasets = [source.dataset for source in sources]
        owners, texts = rows["source"][stored].tolist(), patch_names.take(stored).tolist()
        paths = map(patch_path, (datasets[owner] for owner in owners), texts)
        return list(zip(paths, np.split(stored, len(stored)), strict=True)) if len(stored) else []
    datasets = list(dict.fromkeys(source.dataset for source in sources))
    number = {name: place for place, name in enumerate(datasets)}
    of_source = np.array([number[source.dataset] for source in sources], np.int64)
    key = (
        np.stack(
            [
                of_source[rows["source"][stored]],
                rows["y1"][stored] - rows["y0"][stored],
                rows["x1"][stored] - rows["x0"][stored],
            ],
            -1,
        )
        if len(stored)
        else np.empty((0, 3), np.int64)
    )
    kinds, kind = np.unique(key, axis=0, return_inverse=True)
    out = []
    for place, (dataset, height, width) in enumerate(kinds.tolist()):
        members = stored[kind.ravel() == place]
        most = most_pages(height, width, SHARD)
        for n, a in enumerate(range(0, len(members), most)):
            out.append((f"patches/{datasets[dataset]}-{height}x{width}-{n:05d}.tiff", members[a : a + most]))
    return out


def _pickles(
    rows: Columns, kept: NDArray[np.int64], sources: Sequence[Source]
) -> list[tuple[str, NDArray[np.int64]]]:
    """One for each volume and each group of images, in order of rank; also where nothing was kept."""
    owners = [f"{source.dataset if source.image else source.name}.pkl" for source in sources]
    kinds = Counter(
        (owner, source.image) for owner, source in dict(zip(owners, sources, strict=True)).items()
    )
    number = {name: place for place, name in enumerate(dict.fromkeys(owners))}
    if len({(owner, s.image) for owner, s in zip(owners, sources, strict=True)}) > len(kinds):
        raise ValueError("a volume and a group of images would share a pickle: rename one of them")
    of = np.array([number[owner] for owner in owners], np.int64)[rows["source"][kept]] if len(kept) else kept
    return [(name, kept[of == place]) for name, place in number.items()]


def _counts(rows: Columns, chosen: Selection, survey: Survey) -> dict[str, dict[str, int]]:
    """Per input: patches that were cut, kept, and dropped by reason. They must add up."""
    counts = {}
    kinds = 1 + len(REASONS)
    number = rows["source"].astype(np.int64) * kinds + chosen.reason + 1
    table = np.bincount(number, minlength=kinds * len(survey.sources)).reshape(-1, kinds)
    for source, numbers in zip(survey.sources, table.tolist(), strict=True):
        count = {"patches": sum(numbers), **dict(zip(("kept", *REASONS), numbers, strict=True))}
        counts[source.path] = count
    if sum(count["kept"] for count in counts.values()) != len(chosen.kept):
        raise AssertionError("patches were kept twice")
    if sum(count["patches"] for count in counts.values()) != len(rows["source"]):
        raise AssertionError("patches were lost on the way")
    return counts


def _kept_columns(
    owner: NDArray[Any], sources: Sequence[Source], digests: list[str], settings: Settings
) -> Columns:
    """Columns of the manifest that tell of the source, for patches of these sources."""

    def of_source(values: list[Any], kind: Any) -> NDArray[Any]:
        column = np.empty(len(values), kind)
        column[:] = values
        return column[owner] if len(owner) else column[:0]

    spacing = [source.spacing or (np.nan,) * 3 for source in sources]
    return {
        "digest": of_source(digests, object),
        "dtype": of_source([s.dtype for s in sources], object),
        "scaling": of_source([s.scaling for s in sources], object),
        **{f"spacing_{a}": of_source([s[i] for s in spacing], float) for i, a in enumerate("zyx")},
        "hash": np.full(len(owner), str(settings.profile), object),
    }
