"""Image pyramids in folders and on servers, read box by box through TensorStore, with time-outs and plain messages."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need
from maskmill.io.multiscale import Level, Pyramid, describe

_PREFIXES = {"precomputed": "precomputed", "n5": "n5", "zarr": "zarr", "zarr2": "zarr", "zarr3": "zarr"}
_CHUNK = 1 << 31  # bytes; what claims to be larger is a damaged file
_POLL = 0.2  # seconds between looks at whether the user wants to stop


class Stopped(Exception):
    """The user wants no more."""


@dataclass(frozen=True)
class Patience:
    """How servers are treated.

    Attributes
    ----------
    timeout
        Seconds that one read may take.
    retries
        How often a failed or stalled request is tried again, after waiting longer each time.
    connections
        Requests under way at once.
    endpoint
        Server of s3:// addresses, if it is not Amazon's: "https://s3.embl.de".
    first_wait, longest_wait
        Seconds before the first retry, and the most before a later one.
    """

    timeout: float = 60.0
    retries: int = 5
    connections: int = 16
    endpoint: str | None = None
    first_wait: float = 0.5
    longest_wait: float = 20.0

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ValueError(f"the timeout must be more than 0 s, not {self.timeout}")
        if self.retries < 0:
            raise ValueError(f"the retries must be 0 or more, not {self.retries}")
        if self.connections < 1:
            raise ValueError(f"the connections must be 1 or more, not {self.connections}")


def split_address(address: str) -> tuple[str, str | None]:
    """An address without the format before it, and that format.

    Examples
    --------
    >>> split_address("precomputed://https://host/em"), split_address("s3://bucket/em.n5/")
    (('https://host/em', 'precomputed'), ('s3://bucket/em.n5', None))
    """
    format = None
    head, separator, rest = address.partition("://")
    if separator and head.lower() in _PREFIXES:
        format = _PREFIXES[head.lower()]
        # "precomputed://bucket/..." without a scheme of its own is CloudVolume's old way to say gs://
        address = rest if "://" in rest or rest.startswith(("/", ".")) else f"gs://{rest}"
    return address.rstrip("/"), format


def kvstore(address: str, endpoint: str | None = None) -> dict[str, Any]:
    """TensorStore's key-value store of an address: http, https, s3 and gs without credentials, file, or a path.

    Examples
    --------
    >>> kvstore("gs://bucket/em")
    {'driver': 'http', 'base_url': 'https://storage.googleapis.com', 'path': 'bucket/em/'}
    >>> kvstore("s3://bucket/em")["aws_credentials"]
    {'type': 'anonymous'}
    """
    parts = urlsplit(address)
    scheme, path = parts.scheme.lower(), parts.path.strip("/")
    inside = f"{path}/" if path else ""
    if scheme in ("http", "https"):
        if not parts.netloc:
            raise ValueError(f"{address}: an address must name a host")
        query = f"?{parts.query}" if parts.query else ""
        return {"driver": "http", "base_url": f"{scheme}://{parts.netloc}{query}", "path": inside}
    if scheme in ("gs", "s3") and not parts.netloc:
        raise ValueError(f"{address}: an address must name a bucket")
    if scheme == "gs":
        return {
            "driver": "http",
            "base_url": "https://storage.googleapis.com",
            "path": f"{parts.netloc}/{inside}",
        }
    if scheme == "s3":
        place = {"endpoint": endpoint, "aws_region": "us-east-1"} if endpoint else {}
        # Public data: a user's own keys would be sent to, and refused by, the buckets of others.
        anonymous = {"aws_credentials": {"type": "anonymous"}}
        return {"driver": "s3", "bucket": parts.netloc, "path": inside, **anonymous, **place}
    if scheme and len(scheme) > 1 and scheme != "file":  # one letter is a drive of Windows
        raise ValueError(f"{address}: an address must begin with http, https, s3, gs or file, not {scheme}")
    folder = Path(parts.path if scheme == "file" else address)
    if not folder.exists():
        raise FileNotFoundError(2, "No such file or directory", str(folder))
    return {"driver": "file", "path": f"{folder.resolve().as_posix()}/"}


@dataclass
class Source:
    """A pyramid somewhere. Its metadata are read when it is made, its voxels when they are asked for.

    Parameters
    ----------
    address
        http, https, s3, gs or file, or a path; "precomputed://", "n5://" or "zarr://" before it say what it is.
    patience
    stop
        When it is set, reads end with `Stopped`.
    format
        "zarr", "n5" or "precomputed", if it is known and the address does not say it.

    Raises
    ------
    FileNotFoundError, PermissionError, TimeoutError, ConnectionError
        If the server has nothing there, gives nothing, or is silent or away; the message has the address.
    FormatError
        If what is there is none of the formats.
    """

    address: str
    patience: Patience = field(default_factory=Patience)
    stop: threading.Event = field(default_factory=threading.Event)
    format: str | None = None
    pyramid: Pyramid = field(init=False)

    def __post_init__(self) -> None:
        self.address, said = split_address(self.address)
        format = said or self.format
        self._base = kvstore(self.address, self.patience.endpoint)
        self._refused: OSError | None = None
        store = self.trying(
            self.address, lambda context: _tensorstore().KvStore.open(self._base, context=context)
        )
        self._metadata: dict[str, Any] = {}
        try:
            self.pyramid = describe(self.address, lambda key: self._json(store, key), format)
        except FormatError:
            if self._refused is not None:
                raise self._refused from None
            raise

    def _json(self, store: Any, key: str) -> Any:
        if key not in self._metadata:
            try:
                found = self.trying(f"{self.address}/{key}", lambda _: store.read(key))
            except PermissionError as error:  # some buckets say so of whatever is missing
                self._refused, self._metadata[key] = error, None
                return None
            value = None
            if found.state == "value":
                try:
                    value = json.loads(found.value)
                except ValueError:
                    raise FormatError(
                        f"{self.address}/{key}: expected JSON, found {bytes(found.value[:40])!r}"
                    ) from None
                if not isinstance(value, dict):
                    raise FormatError(f"{self.address}/{key}: expected an object, found {str(value)[:40]}")
            self._metadata[key] = value
        return self._metadata[key]

    def trying(self, what: str, begin: Callable[[Any], Any]) -> Any:
        """What the future that `begin` makes in a context gives; begun again, in another context, while it stalls."""
        wait = self.patience.first_wait
        for attempt in range(self.patience.retries + 1):
            try:
                return self._await(begin(self._context()))
            except TimeoutError:
                if attempt == self.patience.retries:
                    times = "once" if attempt == 0 else f"{attempt + 1} times"
                    raise TimeoutError(
                        f"{what}: no whole answer within {self.patience.timeout:g} s, tried {times}"
                    ) from None
                if self.stop.wait(wait):
                    raise Stopped from None
                wait = min(2 * wait, self.patience.longest_wait)
            except (ValueError, OSError) as error:
                raise plain(error, what) from None
        raise AssertionError("not reached")

    def _await(self, future: Any) -> Any:
        end = time.monotonic() + self.patience.timeout
        while True:
            if self.stop.is_set():
                future.cancel()
                raise Stopped
            left = end - time.monotonic()
            try:
                return future.result(timeout=max(0.0, min(_POLL, left)))
            except TimeoutError:
                if left <= _POLL:
                    future.cancel()
                    raise

    def _context(self) -> Any:
        """A context of its own for each try: what stalls is shared by nobody."""
        p = self.patience
        retries = {
            "max_retries": p.retries,
            "initial_delay": f"{round(1000 * p.first_wait)}ms",
            "max_delay": f"{round(1000 * p.longest_wait)}ms",
        }
        limits = {"limit": p.connections}
        return _tensorstore().Context(
            {
                "http_request_retries": retries,
                "s3_request_retries": retries,
                "http_request_concurrency": limits,
                "s3_request_concurrency": limits,
                "cache_pool": {"total_bytes_limit": 0},
            }
        )

    def open(self, level: int) -> RemoteArray:
        """One level's array.

        Raises
        ------
        ValueError
            If there is no such level.
        """
        levels = self.pyramid.levels
        if not 0 <= level < len(levels):
            raise ValueError(f"{self.address}: the level must be 0 to {len(levels) - 1}, not {level}")
        return RemoteArray(self, levels[level])


class RemoteArray:
    """A level of a pyramid as a volume: `read` gives boxes of (z, y, x), whatever the order on the server.

    Attributes
    ----------
    shape, chunks : (int, int, int)
        Along z, y, x.
    dtype : numpy.dtype
    channels : int
        How many there are; one is read.
    voxel : (float or None, ...)
        Size along z, y, x as the metadata have it.
    unit : str or None
        "nm", or None.
    offset : (int, int, int)
        Where the first voxel lies in the coordinates of the source, along z, y, x.
    """

    def __init__(self, source: Source, level: Level, channel: int = 0) -> None:
        self._source, self._level, self._channel = source, level, channel
        base = dict(source._base)
        base["path"] += f"{level.path}/" if level.path else ""
        self._spec: dict[str, Any] = {"driver": level.driver, "kvstore": base}
        if level.scale_index is not None:
            self._spec["scale_index"] = level.scale_index
        self.address = f"{source.address}/{level.path}".rstrip("/")
        stored = source.trying(self.address, self._open)
        self.channels = int(stored.shape[level.axes.index("c")]) if "c" in level.axes[: stored.ndim] else 1
        grain = stored.chunk_layout.read_chunk.shape or stored.shape
        if math.prod(map(int, grain)) * stored.dtype.numpy_dtype.itemsize > _CHUNK:
            raise FormatError(
                f"{self.address}: expected chunks below 2 GiB, found {tuple(grain)} of {stored.dtype}"
            )
        array = self._array = self._oriented(stored)
        self.shape = _three(array.shape)
        self.chunks = _three([max(1, n or 1) for n in array.chunk_layout.read_chunk.shape or array.shape])
        dtype = np.dtype(array.dtype.numpy_dtype)
        if dtype.kind not in "buif":
            raise FormatError(f"{self.address}: expected voxels of integers or floats, found {dtype}")
        self.dtype = dtype.newbyteorder("=")
        self.voxel, self.unit = level.voxel, level.unit

    def _open(self, context: Any) -> Any:
        return _tensorstore().open(self._spec, open=True, read=True, context=context)

    def _oriented(self, array: Any) -> Any:
        """The array with its dimensions z, y, x, counted from 0; of others, the chosen channel or the first."""
        ts, axes = _tensorstore(), self._level.axes
        if array.ndim != len(axes):
            raise FormatError(
                f"{self.address}: expected {len(axes)} axes ({axes}), found shape {tuple(array.shape)}"
            )
        if "z" not in axes:
            array, axes = array[ts.newaxis], f"z{axes}"
        if 0 in array.shape:
            raise FormatError(f"{self.address}: expected voxels, found shape {tuple(array.shape)}")
        origin = [int(start) for start in array.domain.origin]
        self.offset = tuple(origin[axes.index(axis)] for axis in "zyx")
        for dim in reversed(range(len(axes))):
            if axes[dim] not in "zyx":
                wanted = origin[dim] + (self._channel if axes[dim] == "c" else 0)
                array, axes = array[ts.d[dim][wanted]], axes[:dim] + axes[dim + 1 :]
        array = array.transpose([axes.index(axis) for axis in "zyx"])
        return array[ts.d[:].translate_to[0]]

    def read(self, box: Sequence[int]) -> NDArray[Any]:
        """The voxels of a box (z0, z1, y0, y1, x0, x1).

        Raises
        ------
        FileNotFoundError, PermissionError, TimeoutError, ConnectionError
            If the server does not give them.
        FormatError
            If it gives something damaged.
        """
        z0, z1, y0, y1, x0, x1 = box

        attempts = iter((self._array,))

        def begin(context: Any) -> Any:
            # After a stall, with connections of its own: those of the first try may be lost.
            array = next(attempts, None)
            if array is None:
                array = self._array = self._oriented(self._source._await(self._open(context)))
            return array[z0:z1, y0:y1, x0:x1].read(order="C")

        found = np.asarray(self._source.trying(self.address, begin))
        return np.ascontiguousarray(found, self.dtype)


def _tensorstore() -> Any:
    return need("tensorstore", "em")


def _three(numbers: Sequence[int]) -> tuple[int, int, int]:
    z, y, x = numbers
    return int(z), int(y), int(x)


_KINDS: dict[str, type[Exception]] = {
    "NOT_FOUND": FileNotFoundError,
    "PERMISSION_DENIED": PermissionError,
    "UNAUTHENTICATED": PermissionError,
    "ABORTED": ConnectionError,
    "UNAVAILABLE": ConnectionError,
    "DEADLINE_EXCEEDED": TimeoutError,
    "RESOURCE_EXHAUSTED": ConnectionError,
}


def plain(error: Exception, what: str) -> Exception:
    """TensorStore's error as one of ours, without what only its developers understand."""
    text = re.sub(r"\s*\[(tensorstore_spec|curl_code|source locations)=.*", "", str(error), flags=re.S)
    kind, separator, rest = text.partition(": ")
    cls = _KINDS.get(kind, FormatError)
    if separator and kind.isupper():
        text = rest
    text = re.sub(r'^Error opening "\w+" driver: ', "", text)
    if isinstance(error, OSError) and not separator:
        return error
    return cls(text if what in text else f"{what}: {text}")
