"""One PNG per instance: in a folder of each image's own (Data Science Bowl 2018), or beside each other."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import written_whole
from maskmill.dataset import Dataset, Reference, objects
from maskmill.dataset.sizes import image_size
from maskmill.io._labels import Pictures, in_threads, no_others, read_values, write_values
from maskmill.io._parse import Images, read_pixels, stem, unique_stems, wrong
from maskmill.io.formats import Format
from maskmill.masks import Masks

FORMAT = Format(
    "instance_pngs",
    "PNGs of single instances (<image>/masks/*.png, or <image>_<n>.png)",
    (),
    frozenset(["masks", "holes", "parts", "overlap", "empty"]),
)

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
LAYOUTS = ("nested", "flat")
_NUMBERED = re.compile(r"(.+)_(\d{1,9})", re.S)


def sniff(path: Path, head: bytes) -> bool:
    return path.is_dir() and bool(_nested(path))


def read(
    path: Path,
    *,
    images: Path | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    layout: str | None = None,
    category: str = "object",
) -> Dataset:
    """Read a folder of PNGs with one instance each: every pixel that is not 0.

    Parameters
    ----------
    path : folder
    images : Path, optional
        Folder of the pictures; by default the folders ``images`` beside the folders ``masks``.
    sizes : mapping, optional
        (height, width) by name of the image, for images without instances and without a picture.
    layout : {"nested", "flat"}, optional
        ``<image>/masks/*.png`` with ``<image>/images/<image>.png``, or ``<image>_<n>.png``; by what is there.
    category : str
        The class of all.

    Raises
    ------
    FormatError
        If there are none, one is no image, or of another size than the first of its image; names the file.
    """
    if layout not in (None, *LAYOUTS):
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    groups = {} if layout == "flat" else _nested(path)
    if not groups and layout != "nested":
        groups = _flat(path)
    if not groups:
        raise wrong(str(path), "PNGs of instances in <image>/masks, or called <image>_<n>.png", "none")
    masks = list(in_threads(_mask, [file for files in groups.values() for file in files]))
    pictures, folder = Pictures(images), Images(images, sizes=sizes)
    rows: dict[str, list[Any]] = {name: [] for name in ("file_name", "height", "width", "pixels")}
    at = 0
    for name, files in groups.items():
        own = masks[at : at + len(files)]
        picture = _picture(path, name) if images is None else None
        file_name = picture.name if picture is not None else pictures.name(f"{name}.png")
        for file, mask in zip(files, own, strict=True):
            if mask.sizes.tolist() != own[0].sizes.tolist():
                first, found = own[0].sizes[0].tolist(), mask.sizes[0].tolist()
                raise wrong(str(file), f"the size {first} of {files[0].name}", found)
        if own:
            size = tuple(own[0].sizes[0].tolist())
        else:
            size = folder.size(file_name) if picture is None else image_size(picture)
        rows["file_name"].append(file_name)
        rows["height"].append(size[0])
        rows["width"].append(size[1])
        rows["pixels"].append(
            pictures.reference(file_name) if picture is None else Reference(str(picture), "", read_pixels)
        )
        at += len(files)
    counts = [len(files) for files in groups.values()]
    return Dataset(
        {
            name: objects(values) if name in ("file_name", "pixels") else values
            for name, values in rows.items()
        },
        {"name": objects([category])},
        {"image": np.repeat(np.arange(len(groups)), counts), "category": np.zeros(len(masks), np.int64)},
        Masks.concatenate(masks),
    )


def _masks_in(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )


def _nested(path: Path) -> dict[str, list[Path]]:
    """Masks by image, both in the order of their names; images may be in further folders."""
    if (path / "masks").is_dir():
        return {path.name or "image": _masks_in(path / "masks")}
    found = {}
    for folder, inside, _ in os.walk(path):
        if "masks" in inside:
            inside[:] = [
                name for name in inside if name not in ("masks", "images")
            ]  # "a/b" may be an image, too
            found[Path(folder).relative_to(path).as_posix()] = _masks_in(Path(folder) / "masks")
    return {name: found[name] for name in sorted(found)}


def _flat(path: Path) -> dict[str, list[Path]]:
    """Masks by image: images in the order of their names, masks in that of their numbers."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for file in _masks_in(path) if path.is_dir() else []:
        numbered = _NUMBERED.fullmatch(file.stem)
        if numbered is not None:
            found.setdefault(numbered[1], []).append((int(numbered[2]), file))
    return {name: [file for _, file in sorted(found[name])] for name in sorted(found)}


def _mask(file: Path) -> Masks:
    return Masks.encode(read_values(file) != 0)


def _picture(path: Path, name: str) -> Path | None:
    """<image>/images/<image>.*, or the only one that is there."""
    folder = (path if (path / "masks").is_dir() else path / name) / "images"
    found = sorted(f for f in folder.iterdir() if stem(f.name) != f.name) if folder.is_dir() else []
    named = [file for file in found if stem(file.name) == name.rpartition("/")[2]]
    return named[0] if named else found[0] if len(found) == 1 else None


# Writing


def write(dataset: Dataset, path: Path, *, layout: str = "nested") -> NDArray[np.int64]:
    """Write one PNG per instance, of 0 and 255.

    Parameters
    ----------
    path : folder
    layout : {"nested", "flat"}
        ``<image>/masks/<n>.png``, or ``<image>_<n>.png``, which leaves out images without instances, and where folders
        in images' names become part of the name.

    Raises
    ------
    ValueError
        If two images would get one name, or the size of an image is not known.
    FileExistsError
        If the folder has others already.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import maskmill.io
    >>> from maskmill import Dataset, Masks
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> masks = Masks.encode(np.array([[[1, 1, 0], [0, 0, 0]], [[0, 1, 1], [0, 0, 1]]]))
    >>> image = {"file_name": ["a.png"], "height": [2], "width": [3]}
    >>> dataset = Dataset(image, {"name": ["grain"]}, {"category": [0, 0]}, masks)
    >>> print(maskmill.io.write(dataset, folder / "pngs", "instance_pngs"))
    instance_pngs: 2 instances in 1 image; the format does not hold:
      classes changed: 2
    >>> sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    ['pngs/a/masks/0001.png', 'pngs/a/masks/0002.png']
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    names = [str(name) for name in unique_stems(dataset)]
    if layout == "flat":
        names = [name.replace("/", "_") for name in names]
    if len(set(names)) < len(names):
        raise ValueError("images must have names of their own where / becomes _")
    order = sorted(range(len(names)), key=names.__getitem__)
    rows = np.concatenate([np.empty(0, np.int64), *(dataset.rows_of_image(i) for i in order)])
    files = []
    for i in order:
        n = len(dataset.rows_of_image(i))
        digits = max(4, len(str(n)))
        for k in range(1, n + 1):
            number = f"{k:0{digits}d}.png"
            files.append(
                path / names[i] / "masks" / number if layout == "nested" else path / f"{names[i]}_{number}"
            )
    there = _nested(path) if layout == "nested" else _flat(path)
    no_others([file for found in there.values() for file in found], files)
    path.mkdir(parents=True, exist_ok=True)
    for i in order if layout == "nested" else ():
        (path / names[i] / "masks").mkdir(parents=True, exist_ok=True)
    masks = dataset.masks
    empty = np.flatnonzero((masks.sizes[rows] == 0).any(1))
    if len(empty):
        name = dataset.images["file_name"][dataset.instances["image"][rows[empty[0]]]]
        raise ValueError(f"image {name!r}: its size is not known; give the folder of the images")
    list(in_threads(lambda job: _write_mask(masks[int(job[0])], job[1]), zip(rows, files, strict=True)))
    return rows


def _write_mask(mask: Masks, file: Path) -> None:
    with written_whole(file) as opened:
        write_values(opened, np.ascontiguousarray(mask.decode()[0]) * np.uint8(255), ".png")
