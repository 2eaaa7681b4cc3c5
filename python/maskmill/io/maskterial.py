"""The folder layout of the MaskTerial data sets: 2D-material flakes in COCO files of run-length masks.

::

    <material>/meta_data/{train,test}_set_name_to_uuid.json
              /RLE_annotations/{train,test}_annotations[_with_class]_{200,300,full}.json
                              /{1,2,3,5,10}_shot/run_{0..9}/train_annotations[_with_class]_300.json
              /{train,test}_images/<uuid>.jpg
              /{train,test}_semantic_masks/<uuid>.png

The number in a name is the least area in pixels of what the file has. Twins with and without classes have the same
annotation ids. Source: Jaluus/MaskTerial, DATASETS.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from maskmill._files import FormatError
from maskmill.dataset import Dataset, Reference, objects
from maskmill.io import coco
from maskmill.io._labels import read_values
from maskmill.io._parse import load_json, mapping, safe_name, text
from maskmill.io.formats import Format

FORMAT = Format(
    "maskterial",
    "MaskTerial's data sets of 2D-material flakes",
    (),
    frozenset(["masks", "holes", "parts", "overlap", "classes", "crowd", "attributes", "semantic", "empty"]),
)

SCALE = 0.3844
"""Micrometres per pixel under the 20x objective of the published sets."""
SPLITS = ("train", "test")
SIZES = {"full": 0, "200": 200, "300": 300}
"""Least area in pixels, by the name of the variant."""


class Variant(NamedTuple):
    """One annotation file of a split."""

    split: str
    size: str
    with_class: bool

    @property
    def name(self) -> str:
        return f"{self.split}_annotations{'_with_class' if self.with_class else ''}_{self.size}.json"

    @property
    def min_area(self) -> int:
        return SIZES[self.size]

    def path(self, folder: Path) -> Path:
        return folder / "RLE_annotations" / self.name


def variants(split: str) -> list[Variant]:
    """All annotation files that a split may have."""
    return [Variant(split, size, with_class) for with_class in (True, False) for size in SIZES]


def images_folder(folder: Path, split: str) -> Path:
    return folder / f"{split}_images"


def semantic_folder(folder: Path, split: str) -> Path:
    return folder / f"{split}_semantic_masks"


def names_path(folder: Path, split: str) -> Path:
    return folder / "meta_data" / f"{split}_set_name_to_uuid.json"


def shot_folder(folder: Path, k: int, run: int) -> Path:
    return folder / "RLE_annotations" / f"{k}_shot" / f"run_{run}"


def shot_folders(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """(k, run, folder) of all k-shot runs that are there, in order."""
    found = []
    for path in (folder / "RLE_annotations").glob("*_shot/run_*"):
        k, run = path.parent.name.removesuffix("_shot"), path.name.removeprefix("run_")
        if k.isdecimal() and run.isdecimal() and path.is_dir():
            found.append((int(k), int(run), path))
    yield from sorted(found)


def read_names(path: Path) -> dict[str, str]:
    """Original name -> uuid of a file of `meta_data`.

    Raises
    ------
    FormatError
        If it is no JSON object of strings, or two names share a uuid; names them.
    """
    seen: dict[str, str] = {}
    content = mapping(load_json(path), str(path))
    for name, uuid in content.items():
        where = f"{path}: {name[:80]!r}"
        stem = str(safe_name(text(uuid, where), where))
        if stem in seen:
            raise FormatError(f"{where}: expected a uuid of its own, found that of {seen[stem]!r}")
        seen[stem] = name
    return content


# As a data set


def sniff(path: Path, head: bytes) -> bool:
    return path.is_dir() and any((path / "RLE_annotations").glob("*_annotations*.json"))


def read(
    path: Path,
    *,
    split: str | None = None,
    size: str | None = None,
    with_class: bool | None = None,
    shot: tuple[int, int] | None = None,
    images: Path | None = None,
) -> Dataset:
    """Read one annotation file of a material's folder, with its photos, their old names, and semantic masks.

    Parameters
    ----------
    path : Path
        The folder, such as `GrapheneH`.
    split : {"train", "test"}, optional
        "train" where it is there.
    size : {"full", "200", "300"}, optional
        Least area of its flakes in pixels; the most complete file by default.
    with_class : bool, optional
        With classes where such a file is there.
    shot : (k, run), optional
        A k-shot set; of size "300" by default.
    images : Path, optional
        Folder of the photos; the layout's by default.

    Returns
    -------
    Dataset
        Images have attributes {"original": the old name} where `meta_data` knows it, and the scale that the file says,
        else 0.3844 µm per pixel. ``info["maskterial"]`` says which file it is, and which ones are missing.

    Raises
    ------
    FormatError
        If there is no such file, or it is not what it should be; names the files that are there.
    """
    folder = path / "RLE_annotations" if shot is None else shot_folder(path, *shot)
    every = [variant for name in SPLITS for variant in variants(name)]
    there = [variant for variant in every if (folder / variant.name).is_file()]
    wanted = {"split": split, "size": size, "with_class": with_class}
    fitting = [v for v in there if all(w in (None, getattr(v, key)) for key, w in wanted.items())]
    if not fitting:
        names = ", ".join(variant.name for variant in there) or "none"
        said = ", ".join(f"{key} {value!r}" for key, value in wanted.items() if value is not None)
        raise FormatError(f"{folder}: expected annotations{' of ' * bool(said)}{said}, found {names}")
    variant = fitting[0]  # the most complete: train, with classes, full
    made = coco.read(folder / variant.name, images=images or images_folder(path, variant.split))
    missing = [v.name for v in every if v not in there]
    info = {**made.info, "maskterial": {"file": variant.name, "material": path.name, "missing": missing}}
    return made.replace(images=made.images.with_columns(**_columns(made, path, variant.split)), info=info)


def _columns(dataset: Dataset, folder: Path, split: str) -> dict[str, Any]:
    """What the other files of the folder say of the images."""
    place = names_path(folder, split)
    old = {uuid: name for name, uuid in read_names(place).items()} if place.is_file() else {}
    masks = semantic_folder(folder, split)
    semantic: list[Reference | None] = []
    attributes: list[dict[str, Any] | None] = []
    for name, known in zip(
        dataset.images["file_name"].tolist(), dataset.images["attributes"].tolist(), strict=True
    ):
        stem = PurePosixPath(name).stem
        mask = masks / f"{stem}.png"
        semantic.append(Reference(str(mask), "", read_values) if mask.is_file() else None)
        original = old.get(stem, old.get(PurePosixPath(name).name))
        attributes.append(known if original is None else {**(known or {}), "original": original})
    said = dataset.info.get("coco", {}).get("info")
    scale = said.get("um_per_pixel") if isinstance(said, dict) else None
    known_scale = float(scale) if isinstance(scale, int | float) and 0 < scale < 1e6 else SCALE
    return {
        "semantic": objects(semantic),
        "attributes": objects(attributes),
        "scale": [known_scale] * len(dataset),
    }
