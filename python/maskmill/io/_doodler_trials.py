"""Trials of Doodler's results: what is in them, checked, and unpacked when it is asked for."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import NOT_AN_ARRAY, FormatError, open_zip
from maskmill.io._doodler_settings import colour_map, named_settings
from maskmill.io._parse import MAX_SIDE

if TYPE_CHECKING:
    import zipfile

MAX_BYTES = 1 << 31
"""Of one array: twenty classes of a picture of 100 million pixels."""

MAX_TOTAL = 1 << 35
"""Of all arrays of a file: members of a small archive may share the bytes that they are unpacked from."""

MAX_CLASSES = 255
MAX_NAME = 1000


@dataclass(frozen=True)
class Declared:
    """An array of an `.npz`, not read yet: the member that it is in, shape and type."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Trial:
    """One labelling of a picture. Arrays are read from the file whenever they are asked for.

    Attributes
    ----------
    path : Path
    prefix : str
        Zeros before the names of its variables: "" for the newest.
    arrays : dict
        Shapes and types of its variables, by their names without prefix.
    classes : tuple of str
        As the file says, otherwise as `read_trials` was told.
    era : str
        When Doodler wrote settings of this kind.
    settings : dict of str to float
        By name, in the order of the file.
    """

    path: Path
    prefix: str
    arrays: Mapping[str, Declared]
    classes: tuple[str, ...]
    era: str
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)"""
        return self.arrays["label"].shape[:2]  # type: ignore[return-value]

    def array(self, name: str) -> NDArray[Any]:
        """A variable as it is in the file."""
        where = f"{self.path}: {self.prefix}{name}"
        if name not in self.arrays:
            raise FormatError(f"{where}: expected an array, found none")
        with opened(self.path) as archive:
            return _read(archive, self.arrays[name], where)

    def image(self) -> NDArray[np.uint8]:
        """(H, W) or (H, W, bands): the picture that the label lies upon.

        `image`, or if there is none `orig_image`, unless that is still to be turned as EXIF says.
        """
        for name in ("image", "orig_image"):
            if name in self.arrays and self.arrays[name].shape[:2] == self.size:
                found = self.array(name)
                if found.dtype != np.uint8 or found.ndim not in (2, 3) or 0 in found.shape:
                    raise FormatError(
                        f"{self.path}: {self.prefix}{name}: expected an image of 8 bits, found {found.dtype} of "
                        f"{found.shape}"
                    )
                return found
        raise FormatError(
            f"{self.path}: {self.prefix}image: expected an image as large as the label, found none"
        )

    def labels(self) -> NDArray[np.uint8]:
        """(H, W) uint8: the class + 1, 0 where there is none."""
        found = self.array("label")
        return _labels(found, self.classes, f"{self.path}: {self.prefix}label")

    def one_hot(self) -> NDArray[np.uint8]:
        """(H, W, N) uint8, N being the number of classes: the file's label has fewer if the last ones do not occur."""
        numbers = np.arange(1, len(self.classes) + 1, dtype=np.uint8)
        return np.equal(self.labels()[..., None], numbers).view(np.uint8)

    def doodles(self) -> NDArray[np.uint8]:
        """(H, W) uint8: the class + 1 of what was drawn, 0 where nothing was."""
        found = self.array("doodles")
        if int(found.max(initial=0)) > len(self.classes) or int(found.min(initial=0)) < 0:
            raise FormatError(
                f"{self.path}: {self.prefix}doodles: expected classes up to {len(self.classes)}, found "
                f"{found.min()} to {found.max()}"
            )
        return found.astype(np.uint8, copy=False)


def read_trials(path: Path, *, classes: Sequence[str] = (), only: str | None = None) -> list[Trial]:
    """The trials of a result, the newest first.

    Parameters
    ----------
    path : Path
        A `.npz` file.
    classes : sequence of str
        Names for files that have none (before June 2021); numbers by default.
    only : str, optional
        The prefix of the one trial to read.

    Raises
    ------
    FormatError
        If the file is damaged, an array is not what it should be or declares more than it has, or names of classes are
        pickled.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "coast_ann.npz"
    >>> label = np.eye(2, dtype=np.uint8)[[[0, 0, 1], [0, 1, 1]]]
    >>> doodles = np.array([[1, 0, 0], [0, 0, 2]], np.uint8)
    >>> np.savez(path, image=np.zeros((2, 3, 3), np.uint8), label=label, doodles=doodles, classes=["water", "land"])
    >>> [trial] = read_trials(path)
    >>> trial.classes, trial.labels().tolist()
    (('water', 'land'), [[1, 1, 2], [1, 2, 2]])
    """
    with opened(path) as archive:
        return trials_of(archive, path, declared_arrays(archive, path), classes, only)


def trials_of(
    archive: zipfile.ZipFile,
    path: Path,
    arrays: Mapping[str, Declared],
    classes: Sequence[str] = (),
    only: str | None = None,
) -> list[Trial]:
    """The trials that arrays with such names make up, the newest first."""
    found: dict[str, dict[str, Declared]] = {}
    for key, array in arrays.items():
        name = key.lstrip("0") or key[-1:]
        prefix = key.removesuffix(name)
        if only in (None, prefix):
            found.setdefault(prefix, {})[name] = array
    if not any("label" in of_trial for of_trial in found.values()):
        names = ", ".join(sorted({name for of_trial in found.values() for name in of_trial})[:9]) or "none"
        raise FormatError(
            f"{path}: expected the arrays of Doodler (label, doodles, ...), found {names[:200]}"
        )
    return [_trial(archive, path, prefix, found[prefix], classes) for prefix in sorted(found, key=len)]


def _trial(
    archive: zipfile.ZipFile, path: Path, prefix: str, arrays: dict[str, Declared], classes: Sequence[str]
) -> Trial:
    """A trial whose arrays are of the right kinds and fit one another."""
    where = f"{path}: {prefix}"
    label = arrays.get("label")
    if label is None:
        raise FormatError(f"{where}label: expected an array, found none in this trial")
    if label.dtype.kind not in "biu" or len(label.shape) not in (2, 3) or 0 in label.shape[:2]:
        raise FormatError(f"{where}label: expected (H, W, C) integers, found {label.dtype} of {label.shape}")
    for name in ("image", "doodles", "color_doodles"):
        other = arrays.get(name)
        if other is not None and other.shape[:2] != label.shape[:2]:
            raise FormatError(
                f"{where}{name}: expected {label.shape[:2]} pixels as label, found {other.shape[:2]}"
            )
    doodles = arrays.get("doodles")
    if doodles is not None and (doodles.dtype.kind not in "biu" or len(doodles.shape) != 2):
        raise FormatError(
            f"{where}doodles: expected (H, W) integers, found {doodles.dtype} of {doodles.shape}"
        )
    names = tuple(classes) if "classes" not in arrays else _names(archive, arrays["classes"], where)
    depth = label.shape[2] if len(label.shape) == 3 else 0
    if not names:
        names = tuple(str(i + 1) for i in range(min(max(depth, 1), MAX_CLASSES)))
    if depth > len(names) and depth != 3:  # three may be colours
        raise FormatError(
            f"{where}label: expected at most {len(names)} classes, as there are names, found {depth}"
        )
    era, settings = named_settings(_settings(archive, arrays.get("settings"), where))
    return Trial(path, prefix, arrays, names, era, settings)


def _names(archive: zipfile.ZipFile, array: Declared, where: str) -> tuple[str, ...]:
    if array.dtype.kind != "U" or len(array.shape) > 1:
        raise FormatError(f"{where}classes: expected a list of text, found {array.dtype} of {array.shape}")
    if math.prod(array.shape) > MAX_CLASSES or array.dtype.itemsize > 4 * MAX_NAME:
        raise FormatError(
            f"{where}classes: expected up to {MAX_CLASSES} names of up to {MAX_NAME} characters, "
            f"found {array.dtype} of {array.shape}"
        )
    found = np.atleast_1d(_read(archive, array, f"{where}classes"))
    if found.nbytes:
        codes = found.view(np.dtype(np.uint32).newbyteorder(found.dtype.byteorder))
        wrong = codes[(codes > 0x10FFFF) | (codes >> 11 == 0x1B)]  # beyond Unicode, and halves of characters
        if len(wrong):
            raise FormatError(f"{where}classes: expected text, found the character 0x{wrong[0]:x}")
    return tuple(found.tolist())


def _settings(archive: zipfile.ZipFile, array: Declared | None, where: str) -> list[float]:
    if array is None:
        return []
    if array.dtype.kind not in "fiu" or len(array.shape) != 1 or array.shape[0] > 100:
        raise FormatError(
            f"{where}settings: expected a list of numbers, found {array.dtype} of {array.shape}"
        )
    return [float(value) for value in _read(archive, array, f"{where}settings")]


# Arrays


def read_arrays(path: Path, only: Container[str] | None = None) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of an `.npz` with their names, in the order of the file: nothing is unpickled, and sizes are checked.

    With `only`, those of these names; all members must be arrays nevertheless.

    Raises
    ------
    FormatError
        If the file is damaged, has pickled objects, something else than arrays, or two arrays of one name.
    """
    with opened(path) as archive:
        met = set()
        for member in archive.infolist():
            name, _, suffix = member.filename.rpartition(".")
            where = f"{path}: {member.filename[:100]!r}"
            if suffix != "npy" or name in met:
                found = "it twice" if name in met else "another file"
                raise FormatError(f"{where}: expected arrays (.npy) with names of their own, found {found}")
            met.add(name)
            if only is None or name in only:
                yield name, _read(archive, _declared(path, archive, member), where)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An `.npz` of which nothing is trusted; what is wrong with it while it is read becomes a FormatError."""
    import zipfile

    try:
        with open_zip(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if total > MAX_TOTAL:
                raise FormatError(
                    f"{path}: expected up to {MAX_TOTAL:,} bytes in all arrays, found {total:,}"
                )
            yield archive
    except FormatError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise FormatError(f"{path}: a damaged archive ({error})") from None


def declared_arrays(archive: zipfile.ZipFile, path: Path) -> dict[str, Declared]:
    """What the headers of all arrays say, by their names."""
    found = {}
    for member in archive.infolist():
        if member.filename.endswith(".npy") and member.filename != ".npy":
            found[member.filename.removesuffix(".npy")] = _declared(path, archive, member)
    return found


def _declared(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Declared:
    """What the header of an array says, if the archive agrees."""
    where = f"{path}: {member.filename[:100]!r}"
    with archive.open(member) as file:
        shape, dtype = _header(file, where)
        begin = file.tell()
    if not dtype.hasobject:
        size = math.prod(shape) * dtype.itemsize
        if size != member.file_size - begin:
            raise FormatError(
                f"{where}: expected {size:,} bytes for {dtype} of {shape}, found {member.file_size - begin:,}"
            )
        if size > MAX_BYTES or max(shape, default=0) > MAX_SIDE:
            raise FormatError(f"{where}: expected up to {MAX_BYTES:,} bytes, found {dtype} of {shape}")
    return Declared(member.filename, shape, dtype)


def _header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):  # what np.savez writes; headers of later ones may have any length
            raise ValueError(f"of version {version[0]}.{version[1]}, not 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except NOT_AN_ARRAY as error:
        raise FormatError(f"{where}: expected an array of NumPy ({str(error)[:200]})") from None
    if any(side < 0 for side in shape):
        raise FormatError(f"{where}: expected an array of NumPy, found the shape {shape}")
    return shape, dtype


def _read(archive: zipfile.ZipFile, array: Declared, where: str) -> NDArray[Any]:
    if array.dtype.hasobject:
        raise FormatError(f"{where}: expected numbers or text, found pickled objects, which are never loaded")
    with archive.open(array.key) as file:
        try:
            return np.lib.format.read_array(file, allow_pickle=False)  # type: ignore[no-any-return,unused-ignore]
        except ValueError as error:
            raise FormatError(f"{where}: expected an array of NumPy ({error})") from None


def _labels(label: NDArray[Any], classes: Sequence[str], where: str) -> NDArray[np.uint8]:
    """Class + 1 of what `label` may be: one-hot, colours, or (tolerated) the class itself."""
    n = len(classes)
    if label.ndim == 2:
        if int(label.min()) < 0 or int(label.max()) >= n:
            raise FormatError(f"{where}: expected classes 0 to {n - 1}, found {label.min()} to {label.max()}")
        return (label + 1).astype(np.uint8)
    if label.shape[2] == 3 and int(label.max()) > 1:
        return _decoded(label, n, where)
    if int(label.max(initial=0)) > 1 or int(label.min(initial=0)) < 0:
        raise FormatError(f"{where}: expected 0 and 1, found {label.min()} to {label.max()}")
    if label.shape[2] > n:
        raise FormatError(
            f"{where}: expected at most {n} classes, as there are names, found {label.shape[2]}"
        )
    made = np.zeros(label.shape[:2], np.uint8)
    for c in reversed(range(label.shape[2])):  # where there are several, the first one wins, as with argmax
        made[label[..., c] != 0] = c + 1
    return made


def _decoded(label: NDArray[Any], n: int, where: str) -> NDArray[np.uint8]:
    """Classes + 1 of an RGB label image; black is none."""
    if n > 24:
        raise FormatError(f"{where}: expected colours of up to 24 classes, found {n} names")
    made = np.zeros(label.shape[:2], np.uint8)
    known = (label == 0).all(-1)
    for c, colour in enumerate(colour_map(n)[:n], 1):
        same = (label == colour).all(-1)
        made[same] = c
        known |= same
    if not known.all():
        y, x = np.argwhere(~known)[0].tolist()
        raise FormatError(
            f"{where}: expected the colours of {n} classes, found {label[y, x].tolist()} at ({y}, {x})"
        )
    return made
