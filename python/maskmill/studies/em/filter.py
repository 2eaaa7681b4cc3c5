"""Informative patches kept, the others listed: every patch gets a score, and what lies above the threshold is written.

OUT/<dataset>/<name>.tiff   the informative patches
OUT/scores.parquet          dataset, name, score, label and the model's digest, for every patch (.csv without pyarrow)
OUT/filter.json             parameters, versions and counts
OUT/failed.jsonl            what could not be read, if anything, and why
OUT/scores/<part>.json      what a run that is resumed need not do again

If the inputs are stores, OUT is one too: its manifest has the informative patches, with scores, its audit the others.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill._version import __version__
from maskmill.studies.em.forest import Forest
from maskmill.studies.em.sources import Failure, Item, Part, find_parts
from maskmill.studies.em.store import AUDIT, MANIFEST, patch_path, write_patch
from maskmill.studies.em.tables import Table, write_table

SCORES = {"dataset": "str", "name": "str", "score": "float64", "label": "str", "model": "str"}
LAYOUTS = ("files", "scores")


class Model(Protocol):
    """What tells informative patches."""

    @property
    def digest(self) -> str:
        """16 hex digits: scores of the same digest can be compared."""

    def scores(self, patches: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Probabilities that patches are informative, (N,) of 0 to 1."""


def load_model(which: str | Path = "default", *, workers: int = 1, device: str = "cpu") -> Model:
    """A filter by name or file.

    Parameters
    ----------
    which : str or path
        "default" (comes with maskmill), an `.npz` that `em train-filter` wrote, weights of a ResNet-34 with one output
        (`.pth`, `.pt`, `.safetensors`; needs torch), or such a network as `.onnx` (needs onnxruntime).
    workers : int
        Threads of onnxruntime.
    device : str
        Of torch: "cpu", "cuda", "cuda:1".

    Raises
    ------
    FileNotFoundError, FormatError, ImportError

    Examples
    --------
    >>> flat = np.full((224, 224), 90, np.uint8)
    >>> bool(load_model("default").scores([flat])[0] > 0.5)
    False
    """
    if str(which) == "default":
        return Forest.load(Path(__file__).with_name("default_filter.npz"))
    path = Path(which)
    if not path.exists():
        raise FileNotFoundError(2, "no such file", str(path))
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return Forest.load(path)
    from maskmill.studies.em.cnn import OnnxModel, TorchModel

    if suffix == ".onnx":
        return OnnxModel(path, workers=workers)
    if suffix in (".pth", ".pt", ".safetensors"):
        return TorchModel(path, device=device)
    raise FormatError(
        f"{path}: a filter must be 'default' or end with .npz, .pth, .pt, .safetensors or .onnx"
    )


@dataclass
class Summary:
    """What a run did.

    Attributes
    ----------
    good, bad : int
        Patches above the threshold, and not.
    resumed : int
        Parts that were done already.
    failed : list of Failure
    by_dataset : dict
        (good, bad) of each data set.
    """

    good: int = 0
    bad: int = 0
    resumed: int = 0
    failed: list[Failure] = field(default_factory=list)
    by_dataset: dict[str, tuple[int, int]] = field(default_factory=dict)


def filter_patches(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    model: str | Path | Model = "default",
    threshold: float = 0.5,
    layout: str = "files",
    workers: int = 1,
    batch_size: int = 128,
    progress: Callable[[int, int, str], None] | None = None,
) -> Summary:
    """Score patches, and write the informative ones as `<out>/<dataset>/<name>.tiff`.

    A run that was stopped goes on where it was when it is called again. Parts whose input, model and parameters are
    unchanged are not done again.

    Parameters
    ----------
    inputs : paths
        As `find_parts` takes them.
    out : path
        A folder; made if missing.
    model : str, path or Model
        As `load_model` takes it.
    threshold : float
        Patches that score more than this are informative; 0 to 1.
    layout : "files" or "scores"
        Whether the informative patches are written, or scores alone.
    workers : int
        Threads.
    batch_size : int
        Patches that are scored at once.
    progress : callable, optional
        Called with parts done, parts in all, and the name of the next.

    Returns
    -------
    Summary

    Raises
    ------
    FileNotFoundError, FormatError, ValueError
        If an input is missing, of another kind, or there are two of one name; or a parameter is out of range.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be within 0..1, not {threshold}")
    for name, number in (("workers", workers), ("batch_size", batch_size)):
        if number < 1:
            raise ValueError(f"{name} must be 1 or more, not {number}")
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    parts, out = find_parts(inputs), Path(out)
    chosen = load_model(model, workers=workers) if isinstance(model, (str, Path)) else model
    run = _Run(out, chosen, threshold, layout, workers, batch_size)
    (out / "scores").mkdir(parents=True, exist_ok=True)
    for folder in (out, out / "scores"):
        remove_halves(folder)
    summary = Summary()
    rows: list[tuple[Part, dict[str, Any]]] = []
    for place, part in enumerate(parts):
        if progress:
            progress(place, len(parts), part.key)
        try:
            done = run.part(part, summary)
        except (FormatError, OSError) as error:
            if isinstance(error, OSError) and _is_ours(error, out):
                raise
            summary.failed.append(Failure(str(part.path), str(error)))
            continue
        rows.append((part, done))
    if progress:
        progress(len(parts), len(parts), "")
    _finish(out, run, rows, summary)
    return summary


def _is_ours(error: OSError, out: Path) -> bool:
    """Whether it is about what is written: then all that follows would fail too."""
    return error.filename is None or str(error.filename).startswith(str(out))


@dataclass
class _Run:
    out: Path
    model: Model
    threshold: float
    layout: str
    workers: int
    batch_size: int
    taken: dict[str, dict[str, str]] = field(default_factory=dict)
    """Data set and name of every patch so far, and the part that has it."""

    def part(self, part: Part, summary: Summary) -> dict[str, Any]:
        """Names, scores and labels of a part, from the last run if nothing changed."""
        patch_path(part.dataset, part.key)  # a name that no folder can have is told before the work
        record = self.out / "scores" / f"{part.key}.json"
        state = self._state(part)
        last = read_record(record)
        if last.get("state") == state and not last.get("failed"):
            summary.resumed += 1
            self.taken.setdefault(part.dataset, {}).update(dict.fromkeys(last["names"], part.key))
            return last
        if last:  # should this run be stopped, neither state holds
            _write_json(record, {**last, "state": ""})
        remove_halves(self.out / part.dataset)
        failed: list[Failure] = []
        done: dict[str, Any] = {"state": state, "names": [], "scores": [], "good": []}
        try:
            for batch, scores in self._scored(part, failed):
                self._keep(part, batch, scores, done)
        except FormatError:
            self._remove(part, done["names"])
            raise
        if last:  # patches that an earlier run with other parameters wrote, and this one would not have
            now = {n for n, good in zip(done["names"], done["good"], strict=True) if good}
            self._remove(
                part, {*last.get("names", ()), *done["names"]} - (now if self.layout == "files" else set())
            )
        if self.layout == "files":
            (self.out / part.dataset).mkdir(exist_ok=True)  # even if it stays empty
        done["failed"] = failed
        _write_json(record, done)
        summary.failed.extend(failed)
        return done

    def _keep(self, part: Part, batch: list[Item], scores: NDArray[np.float64], done: dict[str, Any]) -> None:
        taken = self.taken.setdefault(part.dataset, {})
        for item, score in zip(batch, scores.tolist(), strict=True):
            if taken.setdefault(item.name, part.key) != part.key:
                raise FormatError(
                    f"{part.path}: its patch {item.name!r} has the name of one of {taken[item.name]!r}, "
                    f"of the same data set"
                )
            good = score > self.threshold
            done["names"].append(item.name)
            done["scores"].append(score)
            done["good"].append(good)
            if good and self.layout == "files":
                write_patch(self.out, part.dataset, item.name, item.patch)

    def _remove(self, part: Part, names: Iterable[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(self.out / patch_path(part.dataset, name))

    def _state(self, part: Part) -> str:
        text = f"{part.stamp} {self.model.digest} {self.threshold} {self.layout} {__version__}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _scored(self, part: Part, failed: list[Failure]) -> Iterator[tuple[list[Item], NDArray[np.float64]]]:
        """Batches and their scores, in order; a few are under way at a time, so that memory stays small."""
        waiting: deque[tuple[list[Item], Future[NDArray[np.float64]]]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            for batch in _batches(part.items(failed), max(1, self.batch_size // self.workers)):
                waiting.append((batch, pool.submit(self.model.scores, [item.patch for item in batch])))
                if len(waiting) > 2 * self.workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()


def remove_halves(folder: Path) -> None:
    """Remove what a run that was killed had begun to write."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def read_record(path: Path) -> dict[str, Any]:
    """What a run left about a part of its work; empty if nothing, or damaged."""
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):  # a damaged one is as none
        return {}
    return record if isinstance(record, dict) else {}


def _write_json(path: Path, content: Any) -> None:
    with written_whole(path) as file:
        file.write(json.dumps(content).encode())


def _finish(out: Path, run: _Run, rows: list[tuple[Part, dict[str, Any]]], summary: Summary) -> None:
    """The table of all scores, the record of the run, and what failed."""
    columns: dict[str, list[Any]] = {name: [] for name in SCORES}
    for part, done in rows:
        dataset = part.dataset
        n, good = len(done["names"]), sum(done["good"])
        before = summary.by_dataset.get(dataset, (0, 0))
        summary.by_dataset[dataset] = before[0] + good, before[1] + n - good
        columns["dataset"] += [dataset] * n
        columns["name"] += done["names"]
        columns["score"] += done["scores"]
        columns["label"] += ["good" if is_good else "bad" for is_good in done["good"]]
        columns["model"] += [run.model.digest] * n
    summary.good = sum(good for good, _ in summary.by_dataset.values())
    summary.bad = sum(bad for _, bad in summary.by_dataset.values())
    write_table(out / "scores", columns, SCORES)
    record = {
        "maskmill": __version__,
        "model": run.model.digest,
        "trained on": getattr(run.model, "about", {}).get("trained on"),
        "threshold": run.threshold,
        "layout": run.layout,
        "good": summary.good,
        "bad": summary.bad,
        "failed": len(summary.failed),
    }
    with written_whole(out / "filter.json") as file:
        file.write(json.dumps(record, indent=2).encode())
    write_failures(out / "failed.jsonl", summary.failed)
    if rows and all(part.manifest for part, _ in rows):
        _write_store(out, run, rows, record)


def _write_store(
    out: Path, run: _Run, rows: list[tuple[Part, dict[str, Any]]], record: dict[str, Any]
) -> None:
    """The manifest of the informative patches and the audit of the others, as `open_store` reads them."""
    kept: list[Table] = []
    dropped: list[Table] = []
    for part, done in rows:
        assert part.manifest is not None
        table, good = part.manifest(), np.array(done["good"], np.bool_)
        table["score"] = np.array(done["scores"])
        table["label"] = np.where(good, "good", "bad").astype(object)
        if run.layout == "files":
            table["shard"] = np.array([patch_path(part.dataset, name) for name in table["name"]], object)
            table["page"] = np.zeros(len(good), np.int64)
        kept.append({name: table[name][good] for name in MANIFEST})
        table.update(reason=np.full(len(good), "classifier", object), leader=np.full(len(good), -1))
        table["distance"] = np.full(len(good), -1)
        dropped.append({name: table[name][~good] for name in AUDIT})
    for stem, tables, schema in (("manifest", kept, MANIFEST), ("audit", dropped, AUDIT)):
        columns = {name: np.concatenate([table[name] for table in tables]) for name in schema}
        write_table(out / stem, columns, schema)
    if run.layout == "files":  # else it has no pixels to be read
        _write_json(out / "run.json", {"state": "complete", **record})


def write_failures(path: Path, failed: Sequence[Failure]) -> None:
    """One JSON object a line, for each input that failed; no file if none did."""
    if not failed:
        path.unlink(missing_ok=True)
        return
    with written_whole(path) as file:
        for failure in failed:
            file.write(json.dumps(failure._asdict()).encode() + b"\n")
