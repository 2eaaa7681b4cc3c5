"""What readers of annotations share: JSON that may be hostile, fields of the right kind, names of files that stay where
they should."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dataset import Dataset, Reference
from maskmill.dataset.sizes import image_size
from maskmill.io.images import IMAGE_SUFFIXES, read_image

__all__ = ["Images", "dump_json", "load_json", "load_text", "parse_json", "safe_name"]

MAX_SIDE = 1 << 24
"""Sides of images above this are taken for mistakes (the largest scanners give a million pixels)."""

SUFFIXES = (*IMAGE_SUFFIXES, ".gif", ".jp2", ".npy", ".mrc")
"""What names of images end with."""


def load_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """A text file, of which a byte order mark is no part."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path}: expected text in {encoding.removesuffix('-sig')}, found byte 0x{data[error.start]:02x} "
            f"at {error.start}"
        ) from None


def load_json(path: Path) -> Any:
    """A JSON file: UTF-8, with or without a byte order mark; NaN and Infinity are read, for the fields' own checks."""
    return parse_json(path.read_bytes(), str(path))


def parse_json(data: bytes, where: str) -> Any:
    """JSON text; `where` names it in errors."""
    import orjson

    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{where}: expected JSON, found bytes that are no UTF-16 ({error})") from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in data and b"Infinity" not in data:
            raise FormatError(f"{where}: expected JSON ({error})") from None
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: expected JSON ({error})") from None


def dump_json(content: Any, *, indent: bool = False) -> bytes:
    """JSON text, compact unless it is for people; what JSON has no word for becomes text."""
    import orjson

    options = orjson.OPT_SERIALIZE_NUMPY | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return orjson.dumps(content, default=str, option=options)
    except TypeError:  # integers of more than 64 bits, halves of characters
        layout: dict[str, Any] = {"indent": 2} if indent else {"separators": (",", ":")}
        return json.dumps(content, default=_plain, **layout).encode()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


# Fields. `where` is the file and the item, such as "a.json: images[3]"; the field's name is added to it.


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def wrong(where: str, expected: str, found: Any) -> FormatError:
    """The error that says what was expected, and what was found."""
    return FormatError(f"{where}: expected {expected}, found {_shown(found)}")


def mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(where, "an object", value)
    return value


def sequence(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(where, "an array", value)
    return value


def text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise wrong(where, "text", value)
    return value


def number(value: Any, where: str, *, low: float = -1e9, high: float = 1e9) -> float:
    """A finite number within limits; text that is one is accepted, as some tools write it."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise wrong(where, "a number", value) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(where, "a number", value)
    if not (low <= value <= high):
        raise wrong(where, f"a number from {low:g} to {high:g}", value)
    return float(value)


def integer(value: Any, where: str, *, low: int = -(2**63), high: int = 2**63 - 1) -> int:
    """A whole number within limits; 3.0 and "3" are accepted, as some tools write them."""
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d{1,19}\s*", value):
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(where, "a whole number", value)
    if not low <= value <= high:
        raise wrong(where, f"a whole number from {low} to {high}", value)
    return value


def side(value: Any, where: str) -> int:
    """Height or width of an image."""
    return integer(value, where, low=0, high=MAX_SIDE)


def vertices(xs: Any, ys: Any, where: str) -> NDArray[np.float64]:
    """(K, 2) from two arrays of numbers."""
    made = []
    for name, values in (("x", xs), ("y", ys)):
        items = sequence(values, f"{where} ({name})")
        try:
            array = np.asarray(items, np.float64)
            fine = array.ndim == 1 and bool((np.abs(array) <= 1e9).all())
        except (TypeError, ValueError, OverflowError):
            fine = False
        if not fine:
            for i, value in enumerate(items):
                number(value, f"{where} ({name}[{i}])")
            array = np.asarray([float(value) for value in items])
        made.append(array)
    if len(made[0]) != len(made[1]):
        raise FormatError(f"{where}: expected as many x as y, found {len(made[0])} and {len(made[1])}")
    return np.stack(made, 1)


def snapped(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates that were shares of an image's size, to the billionth of a pixel.

    To divide and to multiply leaves errors of 1e-13, which decide on which side of an edge the middle of a pixel lies
    where outlines run through middles.
    """
    return np.round(pixels, 9)


# Names of files


def safe_name(name: str, where: str) -> PurePosixPath:
    """A relative path that stays below the folder it is put into; either slash.

    Raises
    ------
    FormatError
        On absolute paths, drives, "..", and characters that no file name has.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or re.match(r"^[A-Za-z]:", name):
        raise wrong(where, "the name of a file below its folder", name)
    if any(ord(c) < 32 for c in name):
        raise wrong(where, "a file name without control characters", name)
    if len(name) > 2000 or max(len(part.encode("utf-8", "replace")) for part in path.parts) > 255:
        raise wrong(where, "a file name that file systems can hold", name)
    return path


def stem(name: str) -> str:
    """A name without the suffix of an image; other dots stay."""
    head, dot, suffix = name.rpartition(".")
    return head if head and f"{dot}{suffix}".lower() in SUFFIXES else name


def _last(name: str) -> str:
    """The last part of a name, without suffix."""
    return stem(name.replace("\\", "/").rpartition("/")[2])


def image_names(dataset: Dataset) -> list[str]:
    """File names, and the id as COCO writes it where an image has none: "000000000042"."""
    columns = (dataset.images["file_name"], dataset.images["id"].tolist())
    return [name or f"{i:012d}" for name, i in zip(*columns, strict=True)]


def unique_stems(dataset: Dataset) -> list[PurePosixPath]:
    """Where formats of one file per image put each: its name without suffix, folders kept; of a name that leads out of
    its folder, the last part.

    Raises
    ------
    ValueError
        If two images would have the same; names both.
    """
    found: dict[str, str] = {}
    stems = []
    for i, name in enumerate(image_names(dataset)):
        try:
            path = safe_name(name, "file_name")
        except FormatError:
            path = PurePosixPath(re.sub(r"[\x00-\x1f]", "", name.replace("\\", "/")).rpartition("/")[2])
        short = PurePosixPath(stem(str(path)))
        if not short.name or ".." in short.parts:
            raise ValueError(f"image {i}: must have a file name, not {name!r}")
        if str(short).lower() in found:
            raise ValueError(
                f"images must have names of their own, not {found[str(short).lower()]!r} and {name!r}"
            )
        found[str(short).lower()] = name
        stems.append(short)
    return stems


def read_pixels(path: str, field: str) -> NDArray[Any]:
    """`Reference` reader of image files."""
    return read_image(path)


class Images:
    """Finds the pictures that annotations name, never outside the folders it was given.

    Parameters
    ----------
    folders : paths
        Where to look, first come first served. Names are tried as they are, then by their last part alone, as
        annotations often name folders of other machines.
    sizes : mapping, optional
        (height, width) by file name, or by its last part with or without suffix: for pictures that are not there.
    """

    def __init__(self, *folders: Path | None, sizes: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._folders = [Path(folder) for folder in folders if folder is not None]
        self._found: dict[str, Path | None] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        for known in (_last, stem, str):  # the surest last
            self._sizes.update({known(name): size for name, size in (sizes or {}).items()})

    def find(self, name: str) -> Path | None:
        """The file of this name, None if there is none."""
        if not name or "\0" in name or len(name) > 4096:
            return None
        if name not in self._found:
            self._found[name] = self._sought(name.replace("\\", "/"))
        return self._found[name]

    def _sought(self, name: str) -> Path | None:
        parts = name.split("/")
        inside = parts[0] and ":" not in parts[0] and ".." not in parts
        for folder in self._folders:
            for part in dict.fromkeys((name, parts[-1]) if inside else parts[-1:]):
                if part and os.path.isfile(os.path.join(folder, part)):
                    return folder / part
        return None

    def reference(self, name: str) -> Reference | None:
        """Where the picture of this name is, None if it is not there."""
        found = self.find(name)
        return None if found is None else Reference(str(found), "", read_pixels)

    def size(self, name: str) -> tuple[int, int]:
        """(height, width) as `sizes` says or the picture's header, (0, 0) if neither does."""
        for key in dict.fromkeys((name, stem(name), _last(name))) if self._sizes else ():
            if key in self._sizes:
                h, w = self._sizes[key]
                return side(h, f"sizes[{key!r}]"), side(w, f"sizes[{key!r}]")
        found = self.find(name)
        return (0, 0) if found is None else image_size(found)


def keep_unknown(item: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any] | None:
    """What a reader does not know of, to be kept as attributes; None if there is nothing."""
    rest = {key: value for key, value in item.items() if key not in known}
    return rest or None
