"""The formats of annotations: one module each, found by name or by looking into the file."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from maskmill._files import FormatError

if TYPE_CHECKING:
    import os

    from maskmill.dataset import Dataset
    from maskmill.dataset.loss import LossReport

__all__ = ["Format", "formats", "read", "sniff", "write"]

MODULES: tuple[str, ...] = (
    "ilastik",
    "doodler",
    "label_studio",
    "via",
    "labelme",
    "panoptic",
    "coco_results",
    "sav",
    "coco",
    "voc",
    "cvat",
    "yolo",
    "maskterial",
    "imagej",
    "kaggle",
    "instance_pngs",
    "label_images",
)
"""Modules of this folder, in the order in which they look at a file: who is surer comes first. Each has FORMAT, and of
sniff(path, head), read(path, **options) and write(dataset, path, **options) what it can do. `head` is the beginning of
a file, b"" of a folder. `write` returns the rows of the instances in the order in which `read` finds them again."""

HEAD = 1 << 16


@dataclass(frozen=True)
class Format:
    """What a format is called, and what it can hold.

    Attributes
    ----------
    name : str
        For `read` and `write`.
    title : str
    suffixes : tuple of str
        What files of it end with; `write` takes the first format of a suffix when none is named.
    holds : frozenset of str, of `CAN_HOLD`
    single : bool
        Whether a file holds one image, so that several images are written to a folder.
    """

    name: str
    title: str
    suffixes: tuple[str, ...] = ()
    holds: frozenset[str] = frozenset()
    single: bool = False

    def __post_init__(self) -> None:
        unknown = self.holds - set(CAN_HOLD)
        if unknown:
            raise ValueError(f"holds must be of {', '.join(CAN_HOLD)}, not {', '.join(sorted(unknown))}")

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(f"maskmill.io.{_MODULE_OF[self.name]}")

    @property
    def reads(self) -> bool:
        return hasattr(self.module, "read")

    @property
    def writes(self) -> bool:
        return hasattr(self.module, "write")


CAN_HOLD = {
    "boxes": "bounding boxes of their own",
    "polygons": "vertices",
    "subpixel": "vertices between pixels",
    "curves": "circles and ellipses",
    "masks": "any set of pixels",
    "holes": "instances with holes",
    "parts": "instances of several parts",
    "overlap": "instances that overlap",
    "classes": "a class for each instance",
    "crowd": "crowd regions",
    "scores": "scores",
    "attributes": "free attributes",
    "keypoints": "keypoints",
    "semantic": "a class for each pixel",
    "empty": "images without instances",
}

_MODULE_OF: dict[str, str] = {}
_FORMATS: dict[str, Format] = {}


def _all() -> dict[str, Format]:
    if not _FORMATS:
        for name in MODULES:
            found: Format = importlib.import_module(f"maskmill.io.{name}").FORMAT
            _MODULE_OF[found.name] = name
            _FORMATS[found.name] = found
    return _FORMATS


def formats() -> tuple[Format, ...]:
    """All formats that `read` or `write` know.

    Examples
    --------
    >>> import maskmill.io
    >>> "coco" in [format.name for format in maskmill.io.formats()]
    True
    """
    return tuple(_all().values())


def _named(name: str, what: str) -> Format:
    able = [f.name for f in formats() if getattr(f, what)]
    if name not in able:
        raise ValueError(f"format must be one of {', '.join(able)}, not {name!r}")
    return _FORMATS[name]


def sniff(path: str | os.PathLike[str]) -> Format:
    """The format of a file or folder, by looking into it.

    Raises
    ------
    FormatError
        If it is of none that is known.
    """
    file = Path(path)
    head = b""
    if not file.is_dir():
        with open(file, "rb") as opened:
            head = opened.read(HEAD)
    for found in formats():
        if hasattr(found.module, "sniff") and found.module.sniff(file, head):
            return found
    names = ", ".join(f.name for f in formats() if f.reads)
    raise FormatError(f"{file}: expected annotations in a known format, found none; name it: {names}")


def _options(function: Any, options: dict[str, Any], what: str) -> None:
    """Refuse options that a reader or writer does not have, and say which it has."""
    known = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for name in options:
        if name not in known:
            raise TypeError(f"{what} has no option {name!r}, only {', '.join(known) or 'none'}")


def read(path: str | os.PathLike[str], format: str | None = None, **options: Any) -> Dataset:
    """Read annotations.

    Images are not opened: sizes come from the file or the images' headers, pixels from `Dataset.images["pixels"]` when
    asked for.

    Parameters
    ----------
    path : file or folder
    format : str, optional
        A name of `formats`; found by looking into the file by default.
    **options
        Of the format's reader, as `help(maskmill.io.<format>.read)` tells.

    Raises
    ------
    FormatError
        If the file is not what it should be; names the file, the item, what was expected and what was found.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import maskmill.io
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.json").write_text(json.dumps({
    ...     "images": [{"id": 7, "file_name": "a.png", "height": 4, "width": 5}],
    ...     "categories": [{"id": 1, "name": "grain"}],
    ...     "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "segmentation": [[0, 0, 3, 0, 3, 3]]}]}))
    >>> maskmill.io.read(folder / "a.json")
    Dataset(1 image, 1 category, 1 instance)
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(2, "no such file or folder", str(file))
    found = _named(format, "reads") if format else sniff(file)
    _options(found.module.read, options, f"the reader of {found.name}")
    made: Dataset = found.module.read(file, **options)
    said = {key: value for key, value in options.items() if value is not None}
    return made.note(step="read", format=found.name, path=str(file), **({"options": said} if said else {}))


def write(
    dataset: Dataset,
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    compare: bool = True,
    **options: Any,
) -> LossReport:
    """Write annotations, and say what the format could not hold.

    Files are written whole or not at all.

    Parameters
    ----------
    dataset : Dataset
    path : file or folder, as the format has it
    format : str, optional
        A name of `formats`; by the suffix of `path` by default.
    compare : bool
        Read back what was written and compare it pixel by pixel; otherwise the report only counts instances. The reader
        gets those options of the writer that it has, too, and the images' sizes if it has the option `sizes`.
    **options
        Of the format's writer, as `help(maskmill.io.<format>.write)` tells.
    """
    from maskmill.dataset.loss import compared, counted

    file = Path(path)
    if format is None:
        fitting = [f.name for f in formats() if f.writes and file.name.endswith(f.suffixes or "\0")]
        if not fitting:
            raise ValueError(f"format must be named: {file.name!r} does not say which it is")
        format = fitting[0]
    found = _named(format, "writes")
    _options(found.module.write, options, f"the writer of {found.name}")
    rows = found.module.write(dataset, file, **options)
    if not compare or not found.reads:
        return counted(dataset, rows, found.name)
    known = inspect.signature(found.module.read).parameters
    said = {"sizes": _known_sizes(dataset), **options}
    after = found.module.read(file, **{k: v for k, v in said.items() if k in known})
    return compared(dataset, after, rows, found.name)


def _known_sizes(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """(height, width) by file name, for readers of formats that do not hold them."""
    from maskmill.io._parse import image_names

    columns = image_names(dataset), *(dataset.images[name].tolist() for name in ("height", "width"))
    return {name: (h, w) for name, h, w in zip(*columns, strict=True) if h and w}
