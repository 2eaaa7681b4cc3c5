"""Many result files, one task each: several at a time, noted as they are done, so that an interrupted run goes on.

The folder that is written to has a manifest, as `manifest.json` and `manifest.csv`: the verb and its settings, and for
each source its SHA-256 and what was made of it. While a verb runs, finished sources are lines of `.unfinished.jsonl`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from maskmill import _jobs
from maskmill._files import FormatError, written_whole
from maskmill.dataset import Table, objects
from maskmill.io._parse import dump_json, load_json, mapping, parse_json, safe_name, sequence, text, wrong
from maskmill.io._tables import write_table

Row = dict[str, Any]
"""What was made of one trial: `files` are names below the folder; other fields become columns of the CSV."""
Work = Callable[["Source"], list[Row]]
Progress = Callable[[int, int, str], None]
"""Called with how many are done, how many there are, and the name of the one that was done last."""

MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished.jsonl"


class Source(NamedTuple):
    """A file to work on: where it is, what its results are called, and other files that they are made of."""

    path: Path
    name: str
    also: tuple[Path, ...] = ()


class Failure(NamedTuple):
    input: str
    reason: str


@dataclass
class Report:
    """What became of the files.

    Attributes
    ----------
    folder : Path
    rows : list of dict
        Of all trials, those that were there already included, in the order of the files.
    done, unchanged : int
        Files that were worked on now, and those of which nothing had to be made again.
    failed : list of (input, reason)
    """

    folder: Path
    rows: list[Row] = field(default_factory=list)
    done: int = 0
    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)


def sources(files: Sequence[Path], root: Path | None = None) -> list[Source]:
    """What the results of files are called: as the files, without suffix (and `.archive`); with the folder before it,
    and `__` between, where two would be called the same.

    Examples
    --------
    >>> [source.name for source in sources([Path("a/x_db.npz"), Path("b/x_db.npz"), Path("b/y_db.npz")], Path("."))]
    ['a__x_db', 'b__x_db', 'y_db']
    """
    stems = [path.stem.removesuffix(".archive") for path in files]
    met = Counter(map(str.lower, stems))
    found = []
    for path, stem in zip(files, stems, strict=True):
        whole = path.relative_to(root) if root is not None and path.is_relative_to(root) else path
        name = "__".join([*whole.parent.parts[-3:], stem]) if met[stem.lower()] > 1 else stem
        found.append(Source(path, name))
    names = [source.name.lower() for source in found]
    twice = next((source for source in found if names.count(source.name.lower()) > 1), None)
    if twice is not None:
        raise ValueError(
            f"{twice.path}: must have a name of its own; another file is called {twice.name}, too"
        )
    return found


def sha256(*paths: Path) -> str:
    """Of a file, or of several, one behind the other."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def on_each(
    given: Sequence[Source],
    folder: Path,
    work: Work,
    *,
    verb: str,
    settings: Mapping[str, Any],
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Do the work on each source, and keep the manifest of the folder.

    Sources whose contents are the same as when they were done before, and whose files are still there, are passed
    over. What fails is noted, and stops no other.

    Parameters
    ----------
    given : sequence of Source
    folder : Path
        Made if need be.
    work : function of a Source, which gives rows
        Of the top level of a module (or a `functools.partial` of such), for processes.
    verb, settings : str, mapping
        What is done, for the manifest. A folder in which something else was done is refused.
    processes : int, optional
        Of this machine; threads of this process by default.
    overwrite : bool
        Do all of it again, whatever was done there before.

    Raises
    ------
    ValueError
        If the folder's manifest is of another verb, or of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.loads(dump_json(dict(settings)))
    known = {} if overwrite else _known(folder, verb, settings)
    report = Report(folder)
    tasks = [(source, folder, known.get(source.name)) for source in given]
    log = folder / _UNFINISHED
    with open(log, "wb") as file, _jobs.executor(processes) as executor:
        for name, one in [("", {"verb": verb, "settings": settings}), *known.items()]:
            file.write(dump_json({"source": name, **one}) + b"\n")
        for done, (k, outcome) in enumerate(executor.map(partial(_once, work), tasks), 1):
            source = given[k]
            if isinstance(outcome, OSError | ValueError | ImportError | MemoryError):
                report.failed.append(Failure(str(source.path), _sentence(outcome, source.path)))
                known.pop(source.name, None)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                new, known[source.name] = outcome
                report.done, report.unchanged = report.done + new, report.unchanged + (not new)
                file.write(dump_json({"source": source.name, **known[source.name]}) + b"\n")
                file.flush()
            if progress is not None:
                progress(done, len(given), source.path.name)
    _finish(folder, verb, settings, known)
    report.failed.sort()
    report.rows = [row for source in given if source.name in known for row in known[source.name]["rows"]]
    return report


def _sentence(error: Exception, path: Path) -> str:
    """An error as one line, which names the file."""
    told = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        told = f"{error.filename}: {error.strerror}"
    told = " ".join(told.split()) or type(error).__name__
    return told if str(path) in told else f"{path}: {told}"


def _once(work: Work, task: tuple[Source, Path, Row | None]) -> tuple[bool, Row]:
    """Whether the task had to be done, and its outcome: as it is known, if the source is the same and all files are
    there."""
    source, folder, known = task
    digest = sha256(source.path, *source.also)
    if (
        known is not None
        and known["sha256"] == digest
        and all((folder / name).is_file() for name in _files(known))
    ):
        return False, known
    for name in _files(known) if known is not None else ():  # there may be fewer files now
        (folder / name).unlink(missing_ok=True)
    return True, {"sha256": digest, "rows": json.loads(dump_json(work(source)))}


def _files(outcome: Row) -> list[str]:
    return [name for row in outcome["rows"] for name in row["files"]]


# The manifest


def _known(folder: Path, verb: str, settings: Mapping[str, Any]) -> dict[str, Row]:
    """Outcomes by the name of the source, of a run that was finished and of one that was not."""
    found: dict[str, Row] = {}
    path = folder / MANIFEST
    if path.is_file():
        content = mapping(load_json(path), str(path))
        _same_work(path, content, verb, settings)
        for item in sequence(content.get("sources"), f"{path}: sources"):
            found.update([_outcome(item, str(path))])
    log = folder / _UNFINISHED
    if log.is_file():
        first, *lines = log.read_bytes().split(b"\n")
        with suppress(FormatError):  # the last line may be cut short
            _same_work(log, mapping(parse_json(first, str(log)), str(log)), verb, settings)
            for line in lines:
                found.update([_outcome(parse_json(line, str(log)), str(log))])
    return found


def _same_work(path: Path, content: Row, verb: str, settings: Mapping[str, Any]) -> None:
    was = content.get("settings")
    before = {"verb": content.get("verb"), **(was if isinstance(was, dict) else {})}
    now = {"verb": verb, **settings}
    other = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    if other:
        said = ", ".join(f"{name} {dump_json(before.get(name)).decode()[:80]}" for name in other)
        raise ValueError(f"{path.parent}: was begun with {said}; choose another folder, or overwrite")


def _outcome(item: Any, where: str) -> tuple[str, Row]:
    """An outcome in a manifest, of which nothing is trusted: what it lists may be deleted."""
    row = mapping(item, where)
    name, digest = text(row.get("source"), f"{where}: source"), text(row.get("sha256"), f"{where}: sha256")
    rows = [mapping(one, f"{where}: rows") for one in sequence(row.get("rows"), f"{where}: rows")]
    for one in rows:
        for file in sequence(one.get("files"), f"{where}: files"):
            safe_name(text(file, f"{where}: files"), f"{where}: files")
    if not name:
        raise wrong(where, "a source with a name", name)
    return name, {"sha256": digest, "rows": rows}


def _finish(folder: Path, verb: str, settings: Mapping[str, Any], known: Mapping[str, Row]) -> None:
    made = [{"source": name, **known[name]} for name in sorted(known)]
    with written_whole(folder / MANIFEST) as file:
        file.write(dump_json({"verb": verb, "settings": settings, "sources": made}, indent=True))
    rows = [
        {"source": one["source"], "sha256": one["sha256"], **{k: _flat(v) for k, v in row.items()}}
        for one in made
        for row in one["rows"]
    ]
    names = list(dict.fromkeys(key for row in rows for key in row))
    table = Table({name: objects([row.get(name, "") for row in rows]) for name in names or ["source"]})
    write_table(table, (folder / MANIFEST).with_suffix(".csv"))
    (folder / _UNFINISHED).unlink()


def _flat(value: Any) -> Any:
    """A cell of a table: lists are joined, what has names becomes `name=value`."""
    if isinstance(value, dict):
        return "; ".join(f"{key}={_flat(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(str(_flat(one)) for one in value)
    return value
