"""A downloader for pooch that goes on where it was interrupted, and says in a sentence what went wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from maskmill._files import written_whole

if TYPE_CHECKING:
    import requests

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes of the whole; 0 where that is not known."""

_BLOCK = 1 << 16
_RESERVE = 1 << 28
"""Bytes of the disk that a file of unknown size leaves free."""


class FetchError(OSError):
    """A file could not be downloaded. The message says why, and what can be done."""


class Unreachable(FetchError):
    """There is no way to the server; the next file will fare no better."""


class _Interrupted(FetchError):
    """What may be over in a moment: it is tried again."""

    wait: float | None = None
    """Seconds that the server asks to wait."""


@dataclass(frozen=True)
class _Version:
    """Which file on the server a part belongs to."""

    url: str
    size: int
    """Bytes of the whole, -1 where the server did not say."""
    etag: str
    modified: str

    @property
    def validator(self) -> str:
        """What If-Range takes: an ETag that is not weak, or a date."""
        return self.modified if not self.etag or self.etag.startswith("W/") else self.etag


class Resuming:
    """A downloader as pooch wants it: ``pooch.retrieve(..., downloader=Resuming(part))``.

    Bytes go to `part`; which version of the file they belong to is kept beside it, in ``<part>.json``. After an
    interruption of any kind the next call asks for what is missing (RFC 9110, Range) on condition that the file is
    still the same (If-Range). Where a server cannot do so, or the file has changed, it begins again.

    Parameters
    ----------
    part : Path
        Where the bytes are collected.
    timeout : float
        Seconds without a byte after which the server is asked again.
    retries : int
        How often, if not a byte arrives in between.
    progress : callable, optional
        Called with the bytes that are there and those of the whole (0: unknown).
    pause : float
        Seconds before the first repetition; each further one takes twice as long, up to a minute.
    """

    def __init__(
        self,
        part: Path,
        *,
        timeout: float = 60.0,
        retries: int = 5,
        progress: Progress | None = None,
        pause: float = 1.0,
    ) -> None:
        self.part = part
        self.timeout, self.retries, self.pause = timeout, retries, pause
        self._progress = progress or (lambda have, size: None)
        self._state = part.with_name(part.name + ".json")

    def __call__(self, url: str, output_file: str, pooch: object = None) -> None:
        """Download `url` to `output_file`."""
        import requests

        best, failures = self._have(), 0
        with requests.Session() as session:
            while True:
                try:
                    self._attempt(session, url)
                    break
                except _Interrupted as error:
                    have = self._have()
                    failures = 1 if have > best else failures + 1
                    best = max(best, have)
                    if failures > self.retries:
                        raise FetchError(f"{error}{self._kept()}") from None
                    time.sleep(error.wait or min(60.0, self.pause * 2 ** (failures - 1)))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    raise FetchError(f"{self.part.parent}: the disk is full{self._kept()}") from None
        os.replace(self.part, output_file)
        self._state.unlink()

    def _attempt(self, session: requests.Session, url: str) -> None:
        """Ask once for what is missing, and take what comes."""
        version, have = self._version(url), self._have()
        if version is not None and have == version.size:
            return
        headers = {"Accept-Encoding": "identity"}  # packed bytes could be neither counted nor continued
        if version is not None and version.validator and have > 0:
            headers |= {"Range": f"bytes={have}-", "If-Range": version.validator}
        with (
            _as_sentences(url, self.timeout),
            session.get(url, headers=headers, stream=True, timeout=self.timeout) as answer,
        ):
            _check(answer, url)
            if answer.status_code == 200:
                # The old bytes go first: a kill in between must not leave them with the new version's name.
                self.part.unlink(missing_ok=True)
                version, have = _version_of(answer, url), 0
                with written_whole(self._state) as file:
                    file.write(json.dumps(asdict(version)).encode())
            elif version is None or not _continues(answer, version, have):
                self._state.unlink(missing_ok=True)
                raise _Interrupted(f"{url}: the file changed while it was downloaded")
            self._take(answer, version, have)

    def _take(self, answer: requests.Response, version: _Version, have: int) -> None:
        """Write the body behind the first `have` bytes."""
        name = self.part.name.removesuffix(".part")
        check_space(self.part.parent, version.size - have, name)
        with open(self.part, "r+b" if have else "wb") as file:
            file.seek(have)
            for block in answer.iter_content(_BLOCK):
                if version.size < 0:
                    check_space(self.part.parent, _RESERVE, name)
                file.write(block)
                have += len(block)
                self._progress(have, max(0, version.size))
        if have < version.size:
            raise _Interrupted(
                f"{version.url}: the connection was cut after {have:,} of {version.size:,} bytes"
            )

    def _have(self) -> int:
        try:
            return self.part.stat().st_size
        except FileNotFoundError:
            return 0

    def _version(self, url: str) -> _Version | None:
        """What the part is a part of, None if that is not known."""
        with suppress(OSError, ValueError, TypeError):
            version = _Version(**json.loads(self._state.read_bytes()))
            if version.url == url:
                return version
        return None

    def _kept(self) -> str:
        if not self._state.exists():
            return ""
        return f"; {self._have():,} bytes are kept: give the command again to go on from there"


def check_space(folder: Path, needed: int, name: str) -> None:
    """Refuse to begin what cannot end for want of space on the disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FetchError(
            f"{folder}: {name} needs {needed:,} bytes more, and the disk has {free:,} free: make room, or choose "
            "another folder"
        )


def _continues(answer: requests.Response, version: _Version, have: int) -> bool:
    """Whether an answer of a part is the part that was asked for, of the same file."""
    found = re.fullmatch(
        r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", answer.headers.get("Content-Range", "")
    )
    if answer.status_code != 206 or found is None:
        return False
    first, last, size = found.groups()
    etag = answer.headers.get("ETag", version.etag)
    whole = version.size < 0 or (int(last) + 1 == version.size and size in ("*", str(version.size)))
    return int(first) == have and whole and etag == version.etag


def _version_of(answer: requests.Response, url: str) -> _Version:
    length = answer.headers.get("Content-Length", "")
    return _Version(
        url,
        int(length) if re.fullmatch("[0-9]{1,18}", length) else -1,
        answer.headers.get("ETag", ""),
        answer.headers.get("Last-Modified", ""),
    )


def _check(answer: requests.Response, url: str) -> None:
    """Raise what a status other than success, or a body other than the file, means."""
    status, host = answer.status_code, urlsplit(url).hostname
    if status == 416:  # the part is longer than the file is now
        return
    if status in (200, 206):
        if url.startswith("https:") and not answer.url.startswith("https:"):
            raise FetchError(f"{url}: {host} sends on to {answer.url}, which is not secure")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError(f"{url}: {host} sends it packed, which was not asked for")
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind == "text/html" and not urlsplit(url).path.endswith((".html", ".htm")):
            raise FetchError(
                f"{url}: {host} sent a web page instead of the file: open the address in a browser, it may ask for "
                "a login"
            )
        return
    if status == 429 or status >= 500:
        error = _Interrupted(f"{url}: {host} has a fault of its own ({status}): try again later")
        wait = answer.headers.get("Retry-After", "")
        error.wait = min(60.0, float(wait)) if re.fullmatch("[0-9]{1,9}", wait) else None
        raise error
    if status in (404, 410):
        raise FetchError(
            f"{url}: {host} has no such file ({status}); it may have moved: see docs/fetch.md on mirrors"
        )
    raise FetchError(f"{url}: {host} does not give it out (status {status})")


@contextmanager
def _as_sentences(url: str, timeout: float) -> Iterator[None]:
    """Within, failures of the network become sentences."""
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise _sentence(error, url, timeout) from None


def _sentence(error: requests.RequestException, url: str, timeout: float) -> FetchError:
    """What a failure of the network means."""
    from requests import exceptions

    host = urlsplit(url).hostname
    causes = list(_causes(error))
    if isinstance(error, exceptions.SSLError):
        return Unreachable(
            f"{url}: no secure connection to {host}: check this machine's clock, and its proxy or certificates "
            f"(REQUESTS_CA_BUNDLE) ({causes[-1]})"
        )
    if isinstance(error, exceptions.ProxyError):
        return Unreachable(f"{url}: the proxy does not connect to {host}: check HTTPS_PROXY ({causes[-1]})")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return Unreachable(f"{url}: the name {host} is not found: this machine is offline, or its DNS fails")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return Unreachable(f"{url}: {host} refuses the connection")
    if isinstance(error, exceptions.ConnectTimeout):
        return Unreachable(f"{url}: {host} did not answer within {timeout:g} s: is this machine online?")
    if isinstance(error, exceptions.Timeout) or any("timed out" in str(cause) for cause in causes):
        return _Interrupted(f"{url}: {host} sent nothing for {timeout:g} s")
    if isinstance(error, (exceptions.ConnectionError, exceptions.ChunkedEncodingError)):
        return _Interrupted(f"{url}: the connection to {host} was cut ({causes[-1]})")
    return FetchError(f"{url}: {causes[-1]}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what caused it, what caused that."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
