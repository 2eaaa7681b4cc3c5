"""The folder that a run writes to: who may write, what an earlier run left, and how the result is made whole.

`run.json` says "running" until everything else is there, and then "complete". Every file is written under a temporary
name and renamed, so that at any moment a file is there whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._files import locked, written_whole
from maskmill._version import __version__
from maskmill.hashes import to_hex
from maskmill.studies.em.select import Columns, Selection, Texts
from maskmill.studies.em.store import AUDIT, MANIFEST, REASONS, read_run
from maskmill.studies.em.tables import find_table, read_table, write_blocks
from maskmill.studies.em.tasks import FAILED

Run: TypeAlias = dict[str, Any]


class Output:
    """OUT, locked as long as it is used as a context manager.

    Attributes
    ----------
    path, work, parts : Path
        OUT, OUT/work, OUT/work/parts.
    run : dict
        What an earlier run of the same command told.
    complete : bool
        Whether that run came to its end, and nothing is to be done.
    """

    def __init__(self, path: Path, identity: Run, *, overwrite: bool = False, retry: bool = False) -> None:
        self.path, self.work, self.parts = path, path / "work", path / "work" / "parts"
        self._identity = json.loads(json.dumps(identity))
        self._overwrite, self._retry = overwrite, retry
        self.run: Run = {}
        self.complete = self._new = False
        self.stems: list[Path] = []
        self.failed_numbers: set[int] = set()

    def __enter__(self) -> Output:
        self.path.mkdir(parents=True, exist_ok=True)
        self._check_what_is_there()
        self.work.mkdir(exist_ok=True)
        self._lock: IO[bytes] | None = locked(
            self.work / "lock",
            f"{self.path}: another maskmill em is writing to it: wait for it, or choose another folder",
        )
        try:
            self._begin()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, ValueError):
            self._withdraw()
        self._release()
        if kind is None and not (self.complete and self.run.get("report", {}).get("failed")):
            shutil.rmtree(self.work, ignore_errors=True)

    def _withdraw(self) -> None:
        """A run that was refused before it did anything leaves OUT as it was, for the next try."""
        if self._new and not any(self.parts.iterdir()):
            (self.path / "run.json").unlink(missing_ok=True)
            self._release()
            shutil.rmtree(self.work, ignore_errors=True)
            with suppress(OSError):  # others may have put files there
                self.path.rmdir()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _check_what_is_there(self) -> None:
        self.run = read_run(self.path) or {}
        if not self.run and any(entry.name != "work" for entry in self.path.iterdir()):
            raise ValueError(
                f"{self.path}: must be empty, or hold a run of maskmill em: choose another folder"
            )
        if self.run and not self._overwrite:
            self._check_identity()

    def _check_identity(self) -> None:
        for what in ("verb", "parameters", "inputs"):
            old, new = self.run.get(what), self._identity[what]
            if old != new:
                raise ValueError(
                    f"{self.path}: holds the result of other {what} ({_difference(old, new)}): choose another folder, "
                    "or --overwrite"
                )

    def _begin(self) -> None:
        self.run = read_run(self.path) or {}  # another process may have ended just now
        if self.run and not self._overwrite:
            self._check_identity()
        for stale in self.path.rglob(".*.part"):
            stale.unlink(missing_ok=True)
        if self._overwrite:
            self._remove_results()
            shutil.rmtree(self.parts, ignore_errors=True)
            self.run = {}
        self.complete = self.run.get("state") == "complete"
        if self.complete and self._retry and self.run["report"]["failed"]:
            self._forget_failures()
            self.complete = False
        self._new = not self.run
        if not self.complete:
            self.parts.mkdir(parents=True, exist_ok=True)
            self.run = {"state": "running", "maskmill": __version__, **self._identity}
            self._write_run()

    def _write_run(self) -> None:
        with written_whole(self.path / "run.json", sync=True) as file:
            file.write((json.dumps(self.run, indent=1) + "\n").encode())

    def _remove_results(self) -> None:
        """What runs wrote, and nothing else: somebody may have put other files there."""
        names: set[str] = set()
        listed = self.work / "files"
        if listed.exists():
            names.update(json.loads(listed.read_bytes()))
        manifest = find_table(self.path / "manifest")
        if manifest is not None:
            names.update(read_table(manifest, {"shard": "str"})["shard"].tolist())
        for name in sorted(names):
            if ".." not in Path(name).parts and not Path(name).is_absolute():
                (self.path / name).unlink(missing_ok=True)
        for name in ("manifest", "audit"):
            while (path := find_table(self.path / name)) is not None:
                path.unlink()
        (self.path / "failed.jsonl").unlink(missing_ok=True)

    def _forget_failures(self) -> None:
        for failure in self.parts.glob(f"*{FAILED}"):
            stem = failure.with_name(failure.name.removesuffix(FAILED))
            if (part := find_table(stem)) is not None:
                part.unlink()
            failure.unlink()

    # Parts

    def has_part(self, stem: Path) -> bool:
        return find_table(stem) is not None

    def part(self, stem: Path) -> Path:
        found = find_table(stem)
        if found is None:
            raise FileNotFoundError(2, "a part of the work was lost; give the command again", str(stem))
        return found

    def failures(self, stem: Path) -> list[tuple[int, str]]:
        """Numbers of the sources that failed in a part, with the reason."""
        path = Path(f"{stem}{FAILED}")
        if not path.exists():
            return []
        return [(int(number), reason) for number, reason in json.loads(path.read_bytes()).items()]

    def write_failures(self, stem: Path, failed: list[tuple[str, str]]) -> None:
        """Note what failed in a part, before the part itself."""
        if failed:
            with written_whole(Path(f"{stem}{FAILED}")) as file:
                file.write(json.dumps(failed).encode())

    def named_failures(self, stem: Path) -> list[tuple[str, str]]:
        """What `write_failures` noted."""
        path = Path(f"{stem}{FAILED}")
        return [(name, reason) for name, reason in json.loads(path.read_bytes())] if path.exists() else []

    # Pixels

    def begin_writing(self, selection: str, names: list[str]) -> None:
        """Files of another selection, of a run before a retry, are not taken for ours."""
        note = self.work / "selection"
        if not note.exists() or note.read_text() != selection:
            self._remove_results()
            with written_whole(self.work / "files") as file:
                file.write(json.dumps(names).encode())
            with written_whole(note) as file:
                file.write(selection.encode())

    def is_written(self, name: str, size: int | None = None) -> bool:
        """Whether a file is there, of this size if that is known: a power cut may leave a part of what was renamed."""
        try:
            return size in (None, (self.path / name).stat().st_size)
        except FileNotFoundError:
            return False


def _difference(old: Any, new: Any) -> str:
    """The first thing that differs, in few words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(key for key in old if key not in new)]:
            if old.get(key) != new.get(key):
                if key not in old or key not in new:
                    return f"{key} was {'added' if key in new else 'removed'}"
                return f"{key}: {_difference(old[key], new[key])}"
    return f"{old}, now {new}"


def save(
    output: Output,
    rows: Columns,
    chosen: Selection,
    datasets: Sequence[str],
    sources: Sequence[str],
    patch_names: Texts,
    hash_size: int,
    kept_columns: Callable[[NDArray[np.int64]], Columns],
    report: dict[str, Any],
) -> None:
    """Write manifest, audit, failures and, last of all, that the run is complete.

    `kept_columns` gives, for some of the kept rows, the columns of the manifest that the audit lacks; of quality, score
    and label it need not know.
    """

    def blocks(
        rows_: NDArray[np.int64], more: Callable[[slice, NDArray[np.int64]], Columns]
    ) -> Iterator[Columns]:
        for start in range(0, max(1, len(rows_)), _BLOCK):
            part = slice(start, start + _BLOCK)
            members = rows_[part]
            yield _places(rows, members, datasets, sources, patch_names, hash_size) | more(part, members)

    def kept(part: slice, members: NDArray[np.int64]) -> Columns:
        unknown = np.full(len(members), np.nan)
        blank = {"quality": unknown, "score": unknown, "label": np.full(len(members), "", object)}
        return blank | kept_columns(members) | {"rank": part.start + np.arange(len(members))}

    def dropped(_: slice, members: NDArray[np.int64]) -> Columns:
        reason = np.array(REASONS, object)[chosen.reason[members]]
        return {"reason": reason, "leader": chosen.leader[members], "distance": chosen.distance[members]}

    write_blocks(output.path / "audit", blocks(np.flatnonzero(chosen.reason >= 0), dropped), AUDIT, sync=True)
    if report["failed"]:
        with written_whole(output.path / "failed.jsonl", sync=True) as file:
            for source, reason in report["failed"]:
                file.write((json.dumps({"source": source, "reason": reason}) + "\n").encode())
    write_blocks(output.path / "manifest", blocks(chosen.kept, kept), MANIFEST, sync=True)
    output.run |= {"state": "complete", "report": report}
    output._write_run()
    output.complete = True


_BLOCK = 1 << 14
"""Rows of a table that are in memory at once: texts take much of it."""


def _places(
    rows: Columns,
    members: NDArray[np.int64],
    datasets: Sequence[str],
    sources: Sequence[str],
    patch_names: Texts,
    hash_size: int,
) -> Columns:
    """The columns that manifest and audit share, for some of the patches that were cut."""
    owner = rows["source"][members]
    words = -(-(hash_size**2) // 64)
    codes = np.stack([rows[f"code{word}"][members] for word in range(words)], -1)

    def texts(values: Sequence[str]) -> Any:
        column = np.empty(len(values), object)
        column[:] = values
        return column

    return {
        "id": members,
        "dataset": texts(datasets)[owner] if len(owner) else texts([]),
        "name": patch_names.take(members),
        "source": texts(sources)[owner] if len(owner) else texts([]),
        **{name: rows[name][members] for name in ("axis", "index", "y0", "y1", "x0", "x1")},
        "code": texts(_hexadecimal(codes, hash_size**2)),
    }


def _hexadecimal(codes: NDArray[np.uint64], bits: int) -> list[str]:
    """`to_hex`, at once where codes fill their words."""
    if bits % 64:
        return to_hex(codes, bits)
    text, digits = codes.astype(">u8").tobytes().hex(), bits // 4
    return [text[a : a + digits] for a in range(0, len(text), digits)]
