"""Unpacking of archives that nobody has looked at: nothing is written outside of the folder, and nothing endlessly."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskmill._files import FormatError, open_zip
from maskmill.fetch.download import check_space

if TYPE_CHECKING:
    import zipfile

Progress = Callable[[int, int], None]
"""Called with the bytes that are unpacked and the bytes of all."""

MAX_RATIO = 100
"""Bytes unpacked per byte packed, of a whole archive: photographs have 1, label images up to some 50, bombs 1,000."""

FREE_BYTES = 1 << 26
"""Up to so many bytes the ratio does not matter."""

_BLOCK = 1 << 20
_PART = ".maskmill-unzip.part"


@dataclass(frozen=True)
class Unzipped:
    """What came of an archive."""

    folder: Path
    files: int
    """In the archive."""
    written: int
    """Of them, those that were not there already."""


def unzip(archive: Path, into: Path, *, progress: Progress | None = None) -> Unzipped:
    """Unpack an archive into the folder ``into/<its name without .zip>``.

    If all that is in it lies in one folder of that very name, there is no second one within. Files appear whole or not
    at all; those that are there already, with the content of the archive, are left alone, so that an interrupted call
    is continued by the same call.

    Parameters
    ----------
    archive : Path
        A ``.zip`` file.
    into : Path
        An existing folder.
    progress : callable, optional
        Called with the bytes that are unpacked, and with those of all.

    Raises
    ------
    FormatError
        A name leads elsewhere (absolute, ``..``, a drive), a member is a link, a device or encrypted, two members are
        one file where upper and lower case are the same, or all is more than `MAX_RATIO` times the archive: nothing is
        written then. Or a member is damaged, or is not as large as the archive says.
    FileExistsError
        A file is there already and has another content.
    FetchError
        The disk has not enough room.

    Examples
    --------
    >>> import tempfile, zipfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with zipfile.ZipFile(folder / "grains.zip", "w") as archive:
    ...     archive.writestr("grains/a.txt", "zircon")
    >>> unzip(folder / "grains.zip", folder).files
    1
    >>> (folder / "grains" / "a.txt").read_text()
    'zircon'
    """
    import zipfile

    try:
        with open_zip(archive) as packed:
            root, targets = _plan(archive, packed, into)
            sizes = sum(member.file_size for member in targets.values())
            check_space(into, sizes - _already(targets), archive.name)
            root.mkdir(exist_ok=True)
            done = written = 0
            for target, member in targets.items():
                written += _unpack(archive, packed, member, target, root)
                done += member.file_size
                if progress is not None:
                    progress(done, sizes)
            return Unzipped(root, len(targets), written)
    except FormatError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise FormatError(
            f"{archive}: a damaged archive ({error}); delete it, and the next fetch downloads it again"
        ) from None


def _plan(archive: Path, packed: zipfile.ZipFile, into: Path) -> tuple[Path, dict[Path, zipfile.ZipInfo]]:
    """The folder of all, and where each member goes, after every check that needs no unpacking."""
    members = [member for member in packed.infolist() if not _checked(archive, member).endswith("/")]
    names = [_parts(member) for member in members]
    stem = archive.stem
    root = into / stem
    if all(len(parts) > 1 and parts[0] == stem for parts in names):
        names = [parts[1:] for parts in names]
    _check_clashes(archive, names)
    packed_size = archive.stat().st_size
    if sum(member.compress_size for member in members) > packed_size:
        raise FormatError(f"{archive}: members overlap: this is no ordinary archive")
    size = sum(member.file_size for member in members)
    if size > max(FREE_BYTES, MAX_RATIO * packed_size):
        raise FormatError(
            f"{archive}: {packed_size:,} bytes unpack to {size:,}, more than {MAX_RATIO} times as many: not unpacked"
        )
    return root, {root.joinpath(*parts): member for parts, member in zip(names, members, strict=True)}


def _checked(archive: Path, member: zipfile.ZipInfo) -> str:
    """The name of a member, if it is a plain file or folder with a name that leads nowhere else."""
    name = member.filename.replace("\\", "/")
    where = f"{archive}: {name[:200]!r}"
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        raise FormatError(f"{where}: expected a name within the archive, found an absolute one")
    if ".." in name.split("/"):
        raise FormatError(f"{where}: expected a name within the archive, found one that leads out of it")
    if (
        re.search(r"[\x00-\x1f\x7f]", name)
        or not _parts(member)
        or any(len(part.encode()) > 255 for part in _parts(member))
    ):
        raise FormatError(f"{where}: expected the name of a file")
    if _parts(member)[-1] == _PART:
        raise FormatError(f"{where}: this name is needed while unpacking")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise FormatError(f"{where}: expected a file or a folder, found a {_KINDS.get(kind, 'special file')}")
    if member.flag_bits & 1:
        raise FormatError(f"{where}: is encrypted")
    return name


_KINDS = {stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "pipe", stat.S_IFBLK: "device", stat.S_IFCHR: "device"}


def _parts(member: zipfile.ZipInfo) -> list[str]:
    return [part for part in member.filename.replace("\\", "/").split("/") if part not in ("", ".")]


def _check_clashes(archive: Path, names: list[list[str]]) -> None:
    """Refuse two members for one file, also where "A" and "a" are one (macOS, Windows), and a file that is a folder."""
    files: dict[tuple[str, ...], list[str]] = {}
    folders: dict[tuple[str, ...], tuple[str, ...]] = {}
    for parts in names:
        key = tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)
        other = files.setdefault(key, parts)
        if other is not parts:
            raise FormatError(f"{archive}: {'/'.join(other)!r} and {'/'.join(parts)!r} would be one file")
        for depth in range(1, len(key)):
            own = tuple(parts[:depth])
            if folders.setdefault(key[:depth], own) != own:
                raise FormatError(
                    f"{archive}: {'/'.join(folders[key[:depth]])!r} and {'/'.join(own)!r} would be one folder"
                )
    both = next((key for key in files if key in folders), None)
    if both is not None:
        raise FormatError(f"{archive}: {'/'.join(files[both])!r} is both a file and a folder")


def _already(targets: dict[Path, zipfile.ZipInfo]) -> int:
    return sum(member.file_size for target, member in targets.items() if os.path.isfile(target))


def _unpack(
    archive: Path, packed: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, root: Path
) -> bool:
    """Write one member; False if it is there already."""
    if not os.path.realpath(target).startswith(os.path.realpath(root) + os.sep):
        raise FormatError(f"{target}: a link that leads out of {root}: remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if target.is_file() and target.stat().st_size == member.file_size and _crc(target) == member.CRC:
            return False
        raise FileExistsError(f"{target}: is there already, and is not what {archive} holds: move it away")
    # One name for all: what a killed call leaves, the next one overwrites.
    part = root / _PART
    part.unlink(missing_ok=True)
    left = member.file_size
    with packed.open(member) as source, open(part, "xb") as file:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                break
            file.write(block)
    if left != 0:
        part.unlink()
        raise FormatError(
            f"{archive}: {member.filename!r}: does not unpack to the {member.file_size:,} bytes it declares"
        )
    os.replace(part, target)
    return True


def _crc(path: Path) -> int:
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc
