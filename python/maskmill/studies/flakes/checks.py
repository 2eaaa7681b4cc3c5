"""Whether a layout is what it should be, and mending what can be mended."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskmill import _jobs, coco_json
from maskmill._files import FormatError
from maskmill.dataset import Dataset
from maskmill.dataset.sizes import image_size
from maskmill.io import maskterial
from maskmill.io._labels import read_values
from maskmill.io.maskterial import Variant
from maskmill.masks import Masks
from maskmill.studies.flakes.annotations import class_ids, dataset_of_file, write_annotations
from maskmill.studies.flakes.inputs import Progress, pictures_of
from maskmill.studies.flakes.semantics import semantic
from maskmill.studies.flakes.shots import MANIFEST

SEMANTIC_AREA = 200
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Problem(NamedTuple):
    """What is wrong: file, kind, what was expected and found; mended where `repair` can."""

    path: str
    kind: str
    message: str
    mended: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}{' (mended)' if self.mended else ''}"


@dataclass
class Validation:
    """Attributes
    ----------
    problems : list of Problem
    missing : annotation files that the layout could have, and has not; no problem
    checked : what there is, by kind
    """

    folder: str
    problems: list[Problem] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong that was not mended."""
        return all(problem.mended for problem in self.problems)

    def add(self, path: Path, kind: str, message: str, mended: bool = False) -> None:
        try:
            name = str(path.relative_to(self.folder))
        except ValueError:
            name = str(path)
        self.problems.append(Problem(name, kind, message, mended))

    def count(self, what: str, n: int = 1) -> None:
        self.checked[what] = self.checked.get(what, 0) + n

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": self.folder,
            "ok": self.ok,
            "checked": self.checked,
            "missing": self.missing,
            "problems": [problem._asdict() for problem in self.problems],
        }


def validate(folder: str | Path, *, repair: bool = False, progress: Progress | None = None) -> Validation:
    """Check a layout: annotation files, twins, photos, names, semantic masks, k-shot sets, leaks between the splits.

    Parameters
    ----------
    repair : bool
        Mend polygons (to run-lengths), areas, boxes, flakes below the size of their file, and semantic masks. Files
        are written whole; fields that MaskTerial does not know are not kept in those that are mended.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    FormatError
        If there is no annotation file in it.
    """
    place = Path(folder)
    if not place.is_dir():
        raise FileNotFoundError(2, "no such folder", str(place))
    found = Validation(str(place))
    whole: dict[str, Dataset] = {}
    for split in maskterial.SPLITS:
        files = _read_files(place, split, found, repair)
        if not files:
            continue
        _check_variants(place, files, found)
        whole[split] = files[max(files, key=lambda v: (v.with_class, v.size == "full", -v.min_area))]
        _check_images(place, split, files, found)
        _check_names(place, split, whole[split], found)
        _check_semantic(place, split, files, found, repair, progress)
        if split == "train":
            _check_shots(place, files, found, progress)
    if not found.checked:
        raise FormatError(f"{place}: expected RLE_annotations/<split>_annotations_<size>.json, found none")
    if len(whole) == 2:
        _check_leaks(place, found)
    return found


# Annotation files


def _read_files(folder: Path, split: str, found: Validation, repair: bool) -> dict[Variant, Dataset]:
    files = {}
    for variant in maskterial.variants(split):
        path = variant.path(folder)
        if not path.exists():
            found.missing.append(variant.name)
            continue
        found.count("annotation files")
        dataset = _read_file(path, variant.min_area, found, repair)
        if dataset is not None:
            files[variant] = dataset
    return files


def _read_file(path: Path, min_area: int, found: Validation, repair: bool) -> Dataset | None:
    """The flakes of a file, whose problems are told and mended. None if it cannot be read."""
    try:
        file = coco_json.read(path)
        if file.is_results:
            raise FormatError(f"{path}: expected an object with images and annotations, found a list")
        dataset = dataset_of_file(file)
    except FormatError as error:
        found.add(path, "format", str(error).removeprefix(f"{path}: "))
        return None
    before = len(found.problems)
    ids = dataset.instances["id"]
    kinds = np.array(file.segmentation_kinds(), object) if file.n else np.zeros(0, object)
    masks = dataset.masks
    area, box = masks.area.astype(np.float64), masks.bbox
    said_area = file.columns.get("area", np.full(file.n, np.nan))
    said_box = file.columns.get("bbox", np.full((file.n, 4), np.nan))

    def tell(which: NDArray[np.bool_], kind: str, what: str, mend: bool = True) -> None:
        rows = np.flatnonzero(which)
        if len(rows):
            more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
            found.add(path, kind, f"annotation {ids[rows[0]]}{more}: {what}", repair and mend)

    tell(kinds == "polygons", "polygon", "must be run-lengths, not polygons")
    tell(~file.has("area") | (said_area != area), "area", "area must be the number of pixels of the mask")
    tell(~file.has("bbox") | (said_box != box).any(1), "bbox", "bbox must be the tight box of the mask")
    tell(area < max(min_area, 1), "small", f"must have {max(min_area, 1)} pixels or more")
    if repair and len(found.problems) > before:
        dataset = dataset.take(instances=area >= max(min_area, 1))
        write_annotations(dataset, path)
        dataset = dataset_of_file(coco_json.read(path))
    ids = dataset.instances["id"]
    repeated = np.zeros(len(ids), bool)
    repeated[np.unique(ids, return_index=True)[1]] = True
    tell(~repeated, "id", "must have an id of its own", mend=False)
    if len(dataset.categories) and dataset.categories["id"].min() < 1:
        found.add(path, "category", f"categories must be 1 or more, not {dataset.categories['id'].min()}")
    return dataset


def _check_variants(folder: Path, files: dict[Variant, Dataset], found: Validation) -> None:
    """Twins and sizes: the same flakes under the same ids."""
    for variant, dataset in files.items():
        found.count("flakes", len(dataset.instances) if variant.size == "full" and variant.with_class else 0)
        twin = variant._replace(with_class=False)
        if variant.with_class and twin in files:
            _same_flakes(twin.path(folder), files[twin], dataset, variant.name, found)
        full = variant._replace(size="full")
        if variant != full and full in files:
            large = files[full].take(instances=files[full].masks.area >= variant.min_area)
            _same_flakes(
                variant.path(folder), dataset, large, f"those of {full.name} that are large enough", found
            )


def _same_flakes(path: Path, a: Dataset, b: Dataset, name: str, found: Validation) -> None:
    """Whether two files have the same ids and, under them, the same images, masks and crowds."""
    own, other_ids = a.instances["id"], b.instances["id"]
    only_a, only_b = own[~np.isin(own, other_ids)], other_ids[~np.isin(other_ids, own)]
    for ids, said in ((only_a, "must not have"), (only_b, "must have")):
        if len(ids):
            found.add(path, "twin", f"{said} annotation {ids[0]} (of {len(ids)} such), by {name}")
    if a.images["file_name"].tolist() != b.images["file_name"].tolist():
        found.add(path, "twin", f"must have the images of {name}")
        return
    _, rows_a, rows_b = np.intersect1d(a.instances["id"], b.instances["id"], return_indices=True)
    other = a.instances["image"][rows_a] != b.instances["image"][rows_b]
    masks_a, masks_b = a.masks[rows_a], b.masks[rows_b]
    if masks_a != masks_b:
        other |= np.array([x != y for x, y in zip(masks_a, masks_b, strict=True)], bool)
    if other.any():
        at = int(np.flatnonzero(other)[0])
        found.add(
            path, "twin", f"annotation {a.instances['id'][rows_a[at]]} must have the mask that {name} have"
        )


# Photos and names


def _check_images(folder: Path, split: str, files: dict[Variant, Dataset], found: Validation) -> None:
    """Each file's images are there, of the size that it says; and no others."""
    place = maskterial.images_folder(folder, split)
    named: set[str] = set()
    known: dict[str, tuple[int, int] | None] = {}
    for variant, dataset in files.items():
        for name, height, width in zip(
            *(dataset.images[column].tolist() for column in ("file_name", "height", "width")), strict=True
        ):
            if name not in known:
                known[name] = _size(place / name, found)
            size = known[name]
            if size is not None and size != (height, width):
                message = f"image {name}: must be {size[0]} x {size[1]} as the photo, not {height} x {width}"
                found.add(variant.path(folder), "size", message)
            named.add(name)
    found.count("photos", len(named))
    if place.is_dir():
        for path in sorted(place.iterdir()):
            if path.name not in named and not path.name.startswith("."):
                found.add(path, "photo", "is in no annotation file")


def _size(path: Path, found: Validation) -> tuple[int, int] | None:
    if not path.is_file():
        found.add(path, "photo", "must be there")
        return None
    try:
        return image_size(path)
    except FormatError as error:
        found.add(path, "photo", str(error).removeprefix(f"{path}: "))
        return None


def _check_names(folder: Path, split: str, dataset: Dataset, found: Validation) -> None:
    """The names of the photos, in both directions."""
    path = maskterial.names_path(folder, split)
    if not path.exists():
        found.add(path, "names", "must be there")
        return
    try:
        names = maskterial.read_names(path)
    except FormatError as error:
        found.add(path, "names", str(error).removeprefix(f"{path}: "))
        return
    stems = {PurePosixPath(name).stem for name in dataset.images["file_name"].tolist()}
    listed = {uuid if uuid in stems else PurePosixPath(uuid).stem: old for old, uuid in names.items()}
    for uuid, old in listed.items():
        if uuid not in stems:
            found.add(path, "names", f"{old!r}: {uuid} must be an image of the annotation files")
        elif not _UUID.fullmatch(uuid):
            found.add(path, "names", f"{old!r}: must have a uuid, not {uuid!r}")
    for stem in sorted(stems - set(listed)):
        found.add(path, "names", f"must have a name for {stem}")


# Semantic masks


def _check_semantic(
    folder: Path,
    split: str,
    files: dict[Variant, Dataset],
    found: Validation,
    repair: bool,
    progress: Progress | None,
) -> None:
    """Pixels of a class lie in flakes of that class, and all flakes of 200 pixels or more are covered."""
    place = maskterial.semantic_folder(folder, split)
    useful = [v for v in files if v.with_class and v.min_area <= SEMANTIC_AREA]
    if not place.is_dir():
        found.missing.append(place.name)
    if not place.is_dir() or not useful:
        return
    dataset = files[useful[0]]
    dataset = dataset.take(instances=dataset.masks.area >= SEMANTIC_AREA)
    classes = class_ids(dataset)
    names = [PurePosixPath(name).stem + ".png" for name in dataset.images["file_name"].tolist()]

    def check(i: int) -> str | None:
        rows, image = dataset.rows_of_image(i), dataset.images.row(i)
        size = (image["height"], image["width"])
        return _semantic_fault(place / names[i], dataset.masks[rows], classes[rows], size)

    wrong = []
    with _jobs.Threads() as threads:
        for done, (i, fault) in enumerate(threads.map(check, range(len(names))), 1):
            if isinstance(fault, Exception):
                raise fault
            if fault is not None:
                wrong.append((i, fault))
            if progress is not None:
                progress(done, len(names), names[i])
    found.count("semantic masks", len(names))
    for i, fault in sorted(wrong):
        found.add(place / names[i], "semantic", fault, repair)
    if repair and wrong:
        semantic(dataset.take(images=sorted(i for i, _ in wrong)), place, min_area=SEMANTIC_AREA)
    for path in sorted(place.iterdir()):
        if path.name not in names and not path.name.startswith("."):
            found.add(path, "semantic", "is of no image")


def _semantic_fault(
    path: Path, masks: Masks, classes: NDArray[np.int64], size: tuple[int, int]
) -> str | None:
    if not path.is_file():
        return "must be there"
    try:
        image = read_values(path)
    except FormatError as error:
        return str(error).removeprefix(f"{path}: ")
    if image.shape != size:
        return f"must be {size[0]} x {size[1]} as its photo, not {image.shape[0]} x {image.shape[1]}"
    painted, values = Masks.from_labels(image)
    wrong = 0
    for part, value in zip(painted, values.tolist(), strict=True):
        own = masks[classes == value]
        wrong += int((part - own.union() if len(own) else part).area[0])
    if len(masks):
        whole = masks.union()
        wrong += int((whole - painted.union() if len(painted) else whole).area[0])
    return f"{wrong} pixels are not of the class that the annotations say" if wrong else None


# k-shot sets


def _check_shots(
    folder: Path, files: dict[Variant, Dataset], found: Validation, progress: Progress | None
) -> None:
    """Each set is a part of the training files, complete on its images, and has as many flakes as its name says."""
    places = list(maskterial.shot_folders(folder))
    sources = [files.get(Variant("train", "300", with_class)) for with_class in (True, False)]
    drawn = _manifest(folder, found) if places else {}
    for done, (k, run, place) in enumerate(places, 1):
        parts: list[Dataset | None] = []
        for source, with_class in zip(sources, (True, False), strict=True):
            path = place / Variant("train", "300", with_class).name
            if source is None or not path.exists():
                if source is not None:
                    found.add(path, "shot", "must be there")
                parts.append(None)
                continue
            found.count("k-shot files")
            part = _read_file(path, 300, found, repair=False)
            parts.append(part)
            if part is not None:
                _check_part(path, part, source, k if with_class else 0, found)
        ids = [set() if part is None else set(part.instances["id"].tolist()) for part in parts]
        if None not in parts and ids[0] != ids[1]:
            found.add(place, "shot", "files with and without classes must have the same annotation ids")
        first = parts[0]
        if first is not None and drawn and drawn.get((k, run)) != first.instances["id"].tolist():
            found.add(place, "shot", f"must have the annotations that {MANIFEST} says")
        if progress is not None:
            progress(done, len(places), f"{k}-shot run {run}")


def _manifest(folder: Path, found: Validation) -> dict[tuple[int, int], list[int]]:
    """The ids of each draw; nothing if there is no manifest."""
    path = folder / "RLE_annotations" / MANIFEST
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
        for name, digest in content["sources"].items():
            own = hashlib.sha256((path.parent / PurePosixPath(name).name).read_bytes()).hexdigest()
            if own != digest:
                found.add(path, "shot", f"{name} must be the file that was drawn from: it has changed")
        return {(draw["k"], draw["run"]): draw["annotations"] for draw in content["draws"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        found.add(path, "shot", f"must be a manifest of k-shot sets ({type(error).__name__}: {error})")
        return {}


def _check_part(path: Path, part: Dataset, source: Dataset, k: int, found: Validation) -> None:
    names = source.images["file_name"].tolist()
    rows = {name: i for i, name in enumerate(names)}
    unknown = [name for name in part.images["file_name"].tolist() if name not in rows]
    if unknown:
        found.add(path, "shot", f"image {unknown[0]} must be one of the training set")
        return
    images = [rows[name] for name in part.images["file_name"].tolist()]
    _same_flakes(path, part, source.take(images=images), "the training set on these images", found)
    if k:
        counted = part.instances["category"][~part.instances["iscrowd"]]
        for row, name in enumerate(source.categories["name"].tolist()):
            there, have = (int((c == row).sum()) for c in (source.instances["category"], counted))
            if have < min(k, there):
                found.add(path, "shot", f"must have {min(k, there)} of class {name!r}, not {have}")


# Leaks


def _check_leaks(folder: Path, found: Validation) -> None:
    """No photo is in both splits: by new name, by old name, by its bytes."""
    names = []
    photos = []
    for split in maskterial.SPLITS:
        place = maskterial.images_folder(folder, split)
        photos.append(pictures_of(place) if place.is_dir() and any(place.iterdir()) else {})
        path = maskterial.names_path(folder, split)
        try:
            names.append(set(maskterial.read_names(path)) if path.exists() else set())
        except FormatError:
            names.append(set())  # told already
    for stem in sorted(set(photos[0]) & set(photos[1])):
        found.add(photos[1][stem], "leak", "must not be in both splits: the name is")
    for name in sorted(names[0] & names[1]):
        found.add(maskterial.names_path(folder, "test"), "leak", f"{name!r} must not be in both splits")
    for train, test in _same_bytes(*(list(part.values()) for part in photos)):
        found.add(test, "leak", f"must not be in both splits: has the bytes of {train.name}")


def _same_bytes(train: list[Path], test: list[Path]) -> Iterator[tuple[Path, Path]]:
    by_size: dict[int, list[Path]] = {}
    for path in train:
        by_size.setdefault(path.stat().st_size, []).append(path)
    for path in test:
        for other in by_size.get(path.stat().st_size, []):
            if path.read_bytes() == other.read_bytes():
                yield other, path
