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
from pathlib import Path
from typing import NamedTuple

from maskmill._files import FormatError
from maskmill.io._parse import load_json, mapping, safe_name, text

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
