"""Class maps as files: label images with a palette, TIFF, HDF5 for ilastik, probabilities; and as others wrote them."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskmill._device import on_host
from maskmill._files import FormatError, need, write_npz, written_whole
from maskmill.densify.legend import Legend
from maskmill.io import _h5
from maskmill.io._labels import write_values
from maskmill.io._palette import write_indexed

KINDS = (".png", ".tif", ".tiff", ".h5", ".npz")
MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class ClassMap:
    """Attributes
    ----------
    values : (H, W) integers
        Ids of classes, 0 for none.
    legend : Legend
    base : int
        What the file counted from: 0 where its classes were 0, 1, 2, ... and have been raised by 1.
    """

    values: NDArray[Any]
    legend: Legend
    base: int = 1


def class_map(classes: ArrayLike) -> NDArray[Any]:
    """(H, W) integers of 0 and more, or an error that says what was found."""
    image = on_host(classes, "classes")
    if image.dtype.kind not in "bui":
        raise TypeError(f"a class map must be integers, not {image.dtype}")
    if image.ndim != 2:
        raise ValueError(f"a class map must be (H, W), not of shape {image.shape}")
    if image.size and not 0 <= int(image.min()) <= int(image.max()) <= 65535:
        raise ValueError(f"ids of classes must be 0 to 65,535, not {int(image.min())} to {int(image.max())}")
    return image.astype(np.uint8 if not image.size or int(image.max()) < 256 else np.uint16)


def is_classified(path: Path) -> bool:
    """Whether a file is what core_features' notebooks read: an array called classified_image."""
    if path.is_dir() or not path.is_file():
        return False
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return False
    with _h5.opened(path) as opened:
        return _h5.child(opened, "classified_image", "Dataset") is not None


def read_classified(path: str | os.PathLike[str]) -> ClassMap:
    """Read the file of core_features' shape notebook: classified_image, and a group of attributes name -> index.

    There classes are 0, 1, 2, ...; here they are 1, 2, 3, ..., as everywhere else, and 0 is none.

    Raises
    ------
    FormatError
    """
    file = Path(path)
    with _h5.opened(file) as opened:
        array = _h5.child(opened, "classified_image", "Dataset")
        if array is None:
            raise FormatError(f"{file}: expected an array called classified_image, found none")
        _h5.Budget(file).check(array, "iuf")
        found = np.asarray(array[()])
        group = _h5.child(opened, "classes", "Group")
        said = {} if group is None else {str(name): _h5.attribute(group, name) for name in group.attrs}
    where = f"{file}: classified_image"
    image = found[..., 0] if found.ndim == 3 and found.shape[2] == 1 else found
    if image.ndim != 2 or not image.size:
        raise FormatError(f"{where}: expected (H, W) classes, found {found.shape}")
    if image.dtype.kind == "f" and not (image == np.floor(image)).all():
        raise FormatError(f"{where}: expected whole numbers, found fractions")
    if not 0 <= image.min() <= image.max() < 65535:
        raise FormatError(f"{where}: expected classes from 0, found {image.min()} to {image.max()}")
    names = {}
    for name, value in said.items():
        index = np.asarray(value)
        if index.size != 1 or index.dtype.kind not in "iu" or int(index.ravel()[0]) < 0:
            raise FormatError(f"{file}: classes: expected the index of {name!r}, found {str(value)[:40]!r}")
        names[int(index.ravel()[0]) + 1] = name
    values = image.astype(np.int64) + 1
    return ClassMap(class_map(values), Legend(names).with_ids(np.unique(values).tolist()), base=0)


def read_class_map(path: str | os.PathLike[str], *, legend: Any = None) -> ClassMap:
    """Read a class map: what `write_class_map` wrote, exports of ilastik, core_features' files.

    Parameters
    ----------
    path : `.png`, `.tif`, `.h5`
        Names and colours are those of the legend beside it (`<stem>_classes.json`), if there is one.
    legend : whatever `Legend.of` takes, optional
        Instead.
    """
    from maskmill.densify.labels import read_labels

    file = Path(path)
    if is_classified(file):
        found = read_classified(file)
        return found if legend is None else ClassMap(found.values, Legend.of(legend), 0)
    beside = file.with_name(f"{file.stem}_classes.json")
    labels = read_labels(file, legend=beside if legend is None and beside.is_file() else legend)
    return ClassMap(labels.values, labels.legend)


def write_class_map(path: Path, classes: ArrayLike, legend: Legend) -> None:
    """Write a class map without loss, and its legend beside it (`<stem>_classes.json`).

    Parameters
    ----------
    path : `.png` (with the colours of the legend where ids are below 256), `.tif` or `.h5` (which ilastik opens)
    classes : (H, W) integers
    legend : Legend
    """
    values, suffix = class_map(classes), path.suffix.lower()
    if suffix not in (".png", ".tif", ".tiff", ".h5"):
        raise ValueError(f"{path}: a class map must be .png, .tif or .h5, not {suffix or 'without suffix'}")
    named = legend.with_ids(np.unique(values).tolist())
    with written_whole(path) as file:
        if suffix == ".png" and values.dtype == np.uint8:
            write_indexed(file, values, named.table())
        elif suffix == ".h5":
            limits = [0, max(1, int(values.max(initial=0)))]
            write_h5(file, values[..., None], np.asarray(limits, values.dtype))
        else:
            write_values(file, values, suffix)
    named.write(path.with_name(f"{path.stem}_classes.json"))


def write_probabilities(
    path: Path, probabilities: NDArray[Any], ids: ArrayLike, *, dtype: Any = np.float16
) -> None:
    """Write (H, W, L) probabilities of the classes `ids`, as `.h5` (as ilastik does) or `.npz` (two arrays)."""
    values = np.ascontiguousarray(on_host(probabilities, "probabilities"), dtype)
    if values.dtype not in (np.float16, np.float32):
        raise ValueError(f"probabilities can be float16 or float32, not {values.dtype}")
    suffix = path.suffix.lower()
    with written_whole(path) as file:
        if suffix == ".npz":
            write_npz(file, {"probabilities": values, "classes": on_host(ids, "ids", np.int64)})
        elif suffix == ".h5":
            # ilastik reads single precision; channel k is the k-th class, whatever its id.
            write_h5(file, values.astype(np.float32), np.asarray([0, 1], np.float32))
        else:
            raise ValueError(f"{path}: probabilities must be .h5 or .npz, not {suffix or 'without suffix'}")


def write_h5(file: IO[bytes], array: NDArray[Any], limits: NDArray[Any]) -> None:
    """An (H, W, C) array as ilastik exports it."""
    h5py = need("h5py", "ilastik")
    kinds = (("y", 2), ("x", 2), ("c", 1))  # vigra's numbers: 1 a channel, 2 space
    tags = [{"key": key, "typeFlags": kind, "resolution": 0, "description": ""} for key, kind in kinds]
    content = io.BytesIO()
    with h5py.File(content, "w") as opened:
        packing = {"compression": "gzip", "compression_opts": 1} if array.size else {}
        made = opened.create_dataset("exported_data", data=array, **packing)
        made.attrs["axistags"] = json.dumps({"axes": tags})
        made.attrs["drange"] = limits
        made.attrs["display_mode"] = "default"
    file.write(content.getbuffer())
