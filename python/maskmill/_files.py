"""Files: written whole or not at all, read with errors that say which file and what was expected."""

from __future__ import annotations

import importlib
import io
import os
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import zipfile

# zipfile brings every compression with it, and is imported where a file is read.


class FormatError(ValueError):
    """A file is not what it should be. The message names the file, what was expected and what was found."""


def need(module: str, extra: str) -> Any:
    """Import an optional package, or say how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise ImportError(
            f"{name} is not installed; run: pip install 'maskmill[{extra}]' ({error})"
        ) from error


@contextmanager
def written_whole(path: Path, *, sync: bool = False) -> Iterator[IO[bytes]]:
    """A file to write to under a temporary name beside `path`, renamed at the end; after an error nothing remains.

    With `sync`, its bytes are on the disk before it is renamed: not even a power cut leaves a part of them.
    """
    # Not by tempfile: its files are for their owner only, and setting that right costs as much as writing a small file.
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    while True:
        name = path.parent / f".{path.name}.{os.urandom(6).hex()}.part"
        with suppress(FileExistsError):
            handle = os.open(name, flags, 0o666)
            break
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def locked(path: Path, busy: str) -> IO[bytes]:
    """A file that one process alone holds, made if need be; the system lets go of it however that process ends.

    ValueError with the text `busy` if another process holds it.
    """
    file = open(path, "a+b")  # noqa: SIM115
    try:
        try:
            import fcntl
        except ImportError:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ValueError(busy) from None
    return file


MAX_DIRECTORY = 1 << 25
"""Bytes of a zip archive's table of contents: some 300,000 members."""


class _SmallReads(io.FileIO):
    """A file of which nothing large is read at once: zipfile reads a table of contents whole, of whatever size."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > MAX_DIRECTORY:
            raise FormatError(
                f"{os.fspath(self.name)}: a zip archive with a table of contents of {size:,} bytes"
            )
        return super().read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0 and not 0 <= offset < 1 << 63:
            raise FormatError(f"{os.fspath(self.name)}: a zip archive with a member at byte {offset}")
        return super().seek(offset, whence)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive of which nothing is trusted yet: bounded memory, and no member packed but by deflate.

    zipfile unpacks bzip2 and LZMA in pieces as large as they please. Whoever reads members bounds their sizes.
    """
    import zipfile

    with _SmallReads(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except FormatError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, struct.error) as error:
            raise FormatError(f"{path}: not a readable zip archive ({error})") from None
        with archive:
            for member in archive.infolist():
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise FormatError(
                        f"{path}: {member.filename[:200]!r}: expected a member that is stored or deflated, "
                        f"found method {member.compress_type}"
                    )
            yield archive


_ALIGNMENT = 64
_PADDING = 0xD935  # the kind of extra field that Android's zipalign uses for this


def write_npz(file: IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    """An uncompressed `.npz` whose arrays lie where the processor likes them, so that they can be used as mapped."""
    import zipfile

    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
            info = zipfile.ZipInfo(f"{name}.npy")
            # Before the data: the local header of 30 bytes, the name, the 64-bit sizes (20), and this padding (4 + n).
            used = file.tell() + 30 + len(info.filename) + 20 + 4
            padding = -used % _ALIGNMENT
            info.extra = struct.pack("<HH", _PADDING, padding) + bytes(padding)
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(head.getvalue())
                member.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


NOT_AN_ARRAY = (ValueError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError, OverflowError)
"""What NumPy raises over headers of arrays that are none."""


def read_npz(path: Path, names: Sequence[str], *, mmap: bool) -> dict[str, NDArray[Any]]:
    """Arrays of an `.npz` file; mapped from disk if stored uncompressed and mmap is set. Never unpickles."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.getinfo(name + ".npy") for name in names}
            if mmap:
                return {name: _map_member(path, archive, info) for name, info in members.items()}
            arrays = {}
            for name, info in members.items():
                with archive.open(info) as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
            return arrays
    except FileNotFoundError:
        raise
    except KeyError as error:
        raise FormatError(f"{path}: expected arrays {', '.join(names)} ({error.args[0]})") from None
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, *NOT_AN_ARRAY) as error:
        raise FormatError(f"{path}: not a readable .npz file ({error})") from None


def _map_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    if info.compress_type != 0:  # zipfile.ZIP_STORED
        raise ValueError(f"{info.filename} is compressed: load without mmap")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read_header(member)
        header = member.tell()
    if dtype.hasobject:
        raise ValueError(f"{info.filename} holds Python objects")
    with open(path, "rb") as file:
        # The local header repeats the central one with a name and extra field of lengths of its own.
        file.seek(info.header_offset + 26)
        name_length, extra_length = np.frombuffer(file.read(4), "<u2").tolist()
    start = info.header_offset + 30 + name_length + extra_length + header
    if 0 in shape:
        return np.empty(shape, dtype)
    mapped = np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
    # np.savez puts arrays at any place; what is not aligned would be copied by every call.
    return mapped if mapped.flags.aligned else np.array(mapped)


def cache_folder() -> Path:
    """Where what can be made again is kept between runs: MASKMILL_CACHE, or where the system wants it.

    It need not exist yet.
    """
    asked = os.environ.get("MASKMILL_CACHE")
    if asked:
        return Path(asked)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "maskmill"
