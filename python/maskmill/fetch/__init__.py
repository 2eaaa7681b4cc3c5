"""The published data sets of five families of studies: downloaded through pooch, continued, verified, unpacked safely.

`published` lists them without a network, `fetch` brings them; `maskmill fetch` is the same from the command line.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from maskmill._files import FormatError, locked, need, open_zip, written_whole
from maskmill.fetch.catalog import FAMILIES, Published, published, select
from maskmill.fetch.download import FetchError, Resuming, Unreachable, check_space
from maskmill.fetch.unzip import Unzipped, unzip

__all__ = [
    "FAMILIES",
    "RECORD",
    "FetchError",
    "Fetched",
    "Published",
    "Resuming",
    "Unreachable",
    "Unzipped",
    "fetch",
    "published",
    "select",
    "unzip",
]

RECORD = "maskmill-fetch.json"
"""The file beside the data with what was fetched from where, and the checksums."""

_WORK = ".maskmill-fetch"
"""The folder, within that of the data, of what is under way: parts, their versions, the lock."""

Progress = Callable[[str, str, int, int], None]
"""Called with "download", "verify" or "unzip", the file's name, bytes done, bytes of the whole (0: unknown)."""


@dataclass(frozen=True)
class Fetched:
    """What became of one file."""

    file: Published
    path: Path | None
    """The file, None if it failed or if there is only a page to read."""
    new: bool
    """It was downloaded just now, and not there already."""
    unzipped: Unzipped | None
    error: Exception | None
    """Why it failed, None if it did not."""


def fetch(
    family: str,
    names: Sequence[str] = (),
    to: Path | str | None = None,
    *,
    mirror: str | None = None,
    extract: bool = True,
    timeout: float = 60.0,
    retries: int = 5,
    progress: Progress | None = None,
) -> Iterator[Fetched]:
    """Download published data sets, one after the other; what is there already is verified instead.

    The SHA-256 of a file is recorded when it is fetched for the first time, in ``<to>/maskmill-fetch.json``, and
    verified whenever it is fetched again. Interrupted downloads and unpackings are continued. One file's failure does
    not stop the others, unless there is no way to the server.

    Parameters
    ----------
    family : {"coast", "flakes", "zircon", "core", "em"}
    names : sequence of str
        Which data sets: names with or without suffix, or patterns; all of the family by default.
    to : Path, optional
        The folder, made if need be; by default one named like the family.
    mirror : str, optional
        An address of a folder on the web that has the files, to be asked instead of the publishers.
    extract : bool
        Unpack ``.zip`` files, each into a folder of its name.
    timeout : float
        Seconds without a byte after which a server is asked again.
    retries : int
        How often.
    progress : callable, optional
        Called with "download", "verify" or "unzip", the name, the bytes done, and the bytes of the whole (0: unknown).

    Yields
    ------
    Fetched
        For each data set, as it is done.

    Raises
    ------
    ValueError
        The family or a name is unknown, or another process is fetching to this folder.
    FormatError
        The record is damaged.
    ImportError
        pooch is missing.

    Examples
    --------
    >>> for fetched in fetch("core", to="cores"):        # a page to read: nothing is downloaded
    ...     print(fetched.file.url, fetched.path)
    https://doi.org/10.1594/PANGAEA.881718 None
    """
    files = select(family, names)
    if not timeout > 0:
        raise ValueError(f"timeout must be more than 0, not {timeout}")
    if retries < 0:
        raise ValueError(f"retries must be 0 or more, not {retries}")
    addresses = [file.address(mirror) for file in files]
    folder = Path(family if to is None else to)
    return _fetch_all(folder, files, addresses, extract, (timeout, retries), progress or (lambda *_: None))


def _fetch_all(
    folder: Path,
    files: list[Published],
    addresses: list[str],
    extract: bool,
    patience: tuple[float, int],
    progress: Progress,
) -> Iterator[Fetched]:
    yield from (Fetched(file, None, False, None, None) for file in files if file.is_page)
    wanted = [(file, address) for file, address in zip(files, addresses, strict=True) if not file.is_page]
    if not wanted:
        return
    work = folder / _WORK
    work.mkdir(parents=True, exist_ok=True)
    with locked(work / "lock", f"{folder}: another maskmill fetch is at work there: wait for it"):
        for stale in work.glob("tmp*"):  # pooch's, of a call that was killed
            stale.unlink()
        record = _Record(folder / RECORD)
        missing = [file for file, _ in wanted if not (folder / file.name).exists()]
        have = sum(part.stat().st_size for part in work.glob("*.part"))
        check_space(
            folder, sum(file.about for file in missing) - have, f"what is missing of {files[0].family}"
        )
        for file, address in wanted:
            outcome = _fetch_one(folder, file, address, record, extract, patience, progress)
            yield outcome
            if isinstance(outcome.error, Unreachable):
                break


def _fetch_one(
    folder: Path,
    file: Published,
    address: str,
    record: _Record,
    extract: bool,
    patience: tuple[float, int],
    progress: Progress,
) -> Fetched:
    path, unzipped = folder / file.name, None
    try:
        new = not path.exists()
        if new:
            _download(path, file.name, address, record, patience, progress)
        _verify(path, file.name, address, record, progress)
        if extract and path.suffix == ".zip":
            unzipped = unzip(
                path, folder, progress=lambda done, size: progress("unzip", file.name, done, size)
            )
    except (OSError, ValueError) as error:
        return Fetched(file, None, False, None, error)
    return Fetched(file, path, new, unzipped, None)


def _download(
    path: Path, name: str, address: str, record: _Record, patience: tuple[float, int], progress: Progress
) -> None:
    """pooch brings and verifies it in the working folder; it is moved to its place when it is known to be good."""
    pooch = need("pooch", "fetch")
    timeout, retries = patience
    work = path.parent / _WORK
    downloader = Resuming(
        work / f"{name}.part",
        timeout=timeout,
        retries=retries,
        progress=lambda have, size: progress("download", name, have, size),
    )
    known = record.entries.get(name)
    with _quiet(pooch.get_logger()):
        try:
            done = pooch.retrieve(
                address, known and f"sha256:{known.sha256}", fname=name, path=work, downloader=downloader
            )
        except ValueError:
            if known is None:
                raise
            raise FormatError(
                f"{address}: is not the file that was fetched on {known.fetched[:10]}: its SHA-256 is not "
                f"{known.sha256}; if its publisher has changed it, take {name!r} out of {record.path}"
            ) from None
    if name.endswith(".zip"):
        try:
            with open_zip(Path(done)):
                pass
        except FormatError:
            os.unlink(done)
            raise
    os.replace(done, path)


def _verify(path: Path, name: str, address: str, record: _Record, progress: Progress) -> None:
    """Compare with what was recorded, or record it."""
    known = record.entries.get(name)
    if known is None and name.endswith(".zip"):
        with open_zip(path):  # what is no archive is not recorded as the right one
            pass
    found = _sha256(path, lambda done, size: progress("verify", name, done, size))
    if known is None:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        record.add(name, _Entry(address, path.stat().st_size, found, now))
    elif found != known.sha256:
        raise FormatError(
            f"{path}: was changed since it was fetched on {known.fetched[:10]}: expected SHA-256 {known.sha256}, "
            f"found {found}; delete it, and the next fetch downloads it again"
        )


def _sha256(path: Path, progress: Callable[[int, int], None]) -> str:
    import hashlib

    digest, size, done = hashlib.sha256(), path.stat().st_size, 0
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            done += len(block)
            progress(done, size)
    return digest.hexdigest()


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """pooch tells of every download, and advises to note its checksum, which is done here."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class _Entry:
    url: str
    bytes: int
    sha256: str
    fetched: str
    """When, in UTC."""


class _Record:
    """What was fetched to a folder, in a file that people can read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, _Entry] = {}
        if path.exists():
            try:
                content: dict[str, Any] = json.loads(path.read_bytes())
                self.entries = {name: _Entry(**entry) for name, entry in content["files"].items()}
                if not all(
                    isinstance(value, str) for e in self.entries.values() for value in (e.sha256, e.fetched)
                ):
                    raise TypeError("sha256 and fetched must be texts")
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise FormatError(
                    f"{path}: not a record of maskmill fetch ({error}): restore it, or delete it and give up comparing "
                    "with what was fetched before"
                ) from None

    def add(self, name: str, entry: _Entry) -> None:
        self.entries[name] = entry
        content = {"files": {name: asdict(self.entries[name]) for name in sorted(self.entries)}}
        with written_whole(self.path) as file:
            file.write(json.dumps(content, indent=2).encode() + b"\n")
