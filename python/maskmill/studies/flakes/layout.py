"""Building a layout: annotation files, names, photos and semantic masks of a split."""

from __future__ import annotations

import json
import os
import random
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill import _check
from maskmill._files import written_whole
from maskmill.dataset import Dataset, Reference, objects
from maskmill.dataset.shapes import POLYGON
from maskmill.io import maskterial
from maskmill.io.maskterial import SCALE
from maskmill.polygons import RULES
from maskmill.studies.flakes.annotations import (
    class_counts,
    info_of,
    with_classes,
    without_classes,
    write_annotations,
)
from maskmill.studies.flakes.inputs import Progress, Source, is_file, source_of
from maskmill.studies.flakes.semantics import OVERLAPS, semantic

NAMES = {"uuid5": 0, "uuid4": 1, "keep": 2}
_SPLITS = {name: i for i, name in enumerate(maskterial.SPLITS)}


@dataclass
class BuildReport:
    """What became of the flakes.

    Attributes
    ----------
    folder, split : where it went
    images, flakes : how many there are in the `_full` files
    classes : number of each class, by its name
    variants : dict
        Of "full", "200" and "300": flakes, dropped (ids), emptied (names of images that lost all their flakes, and
        stay), classes (flakes of each).
    left_out : list of (name, reason)
        What did not get into any file.
    rejected : list of dict
        Flakes that are of no class by their contrast, see `classes.assign`.
    """

    folder: str
    split: str
    images: int
    flakes: int
    classes: dict[str, int]
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def build(
    source: Source | Dataset | str | Path,
    folder: str | Path,
    images: str | Path | None = None,
    *,
    split: str = "train",
    rejected: Sequence[Mapping[str, Any]] = (),
    classes: Mapping[str, int] | None = None,
    names: str = "uuid5",
    seed: int = 0,
    link: bool = False,
    scale: float = SCALE,
    semantic_masks: bool = True,
    overlap: str = "order",
    palette: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Write one split of a layout; see `maskmill.io.maskterial` for what goes where.

    Parameters
    ----------
    source : path, Dataset or Source
        A folder of label images or annotations, as `inputs.read_source` reads them, or what is read already.
    folder : path
        The material's, such as `GrapheneH`; may have the other split already.
    images : path, optional
        Folder of the photos; by default where the source says.
    split : {"train", "test"}
    rejected : flakes that are of no class by their contrast (`classes.assign`), for the report
    classes : mapping, optional
        The number of each class by its name; by default those of the source, if they are 1 or more, else 1, 2, ...
    names : {"uuid5", "uuid4", "keep"}
        Names of the photos: made of material, split and old name, so that they are always the same; random, by `seed`;
        or the old ones.
    link : bool
        Link the photos instead of copying them (copied where the file system has no links).
    scale : float
        Micrometres per pixel, told in the files.
    semantic_masks : bool
        Write those of flakes of 200 pixels or more; `overlap` and `palette` as in `semantics.semantic`.
    overwrite : bool
        Replace a split that is there.

    Raises
    ------
    ValueError
        If the folder has this split already, or was begun with other settings, or holds the photos themselves; if a
        class has no number.

    Notes
    -----
    Each file is written whole or not at all, the annotation files last. Given again after an interruption, it goes on:
    photos that are there are not copied again.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cv2
    >>> import numpy as np
    >>> from maskmill.studies.flakes import build, validate
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> labels = np.zeros((40, 60), np.uint8)
    >>> labels[5:25, 5:25], labels[5:15, 40:50] = 1, 2
    >>> for name in ("images", "masks"):
    ...     (folder / name).mkdir()
    ...     _ = cv2.imwrite(str(folder / name / "a.png"), labels)
    >>> report = build(folder / "masks", folder / "WSe2")
    >>> report.flakes, report.variants["200"]["dropped"], validate(folder / "WSe2").ok
    (2, [2], True)
    """
    _check.choice(split, "split", _SPLITS)
    _check.choice(names, "names", NAMES)
    _check.choice(overlap, "overlap", OVERLAPS)
    target = Path(folder)
    source = source_of(source, images, progress)
    dataset, numbers = numbered_classes(source.dataset, classes)
    photos: list[Reference] = dataset.images["pixels"].tolist()
    new = new_names(dataset.images["file_name"].tolist(), photos, target.name, split, names, seed)
    settings = {"classes": numbers, "names": new, "overlap": overlap, "palette": palette, "scale": scale}
    begun = _begin(target, split, photos, settings, overwrite)
    info = {**info_of(dataset), "material": target.name, "split": split, "um_per_pixel": scale}
    info["filled_by"] = _rules(dataset)
    dataset = dataset.replace(
        images=dataset.images.with_columns(file_name=objects(list(new.values()))),
        info={"coco": {"info": info}},
    )
    _copy_photos(photos, list(new.values()), maskterial.images_folder(target, split), link, progress)
    _write_json(maskterial.names_path(target, split), {old: Path(name).stem for old, name in new.items()})
    if semantic_masks:
        place = maskterial.semantic_folder(target, split)
        semantic(dataset, place, overlap=overlap, palette=palette, progress=progress)
    report = BuildReport(str(target), split, len(dataset), len(dataset.instances), numbers)
    report.left_out = list(source.left_out)
    report.rejected = [dict(row) for row in rejected]
    report.variants = write_variants(dataset, target, split)
    begun.unlink()
    return report


def _rules(dataset: Dataset) -> list[str]:
    """How the polygons of the source became pixels: areas depend on it by about one per cent."""
    names = {number: name for name, number in RULES.items()}
    drawn = dataset.shapes.kind >= POLYGON
    return sorted({names[rule] for rule in np.unique(dataset.shapes.rule[drawn]).tolist()})


def write_variants(dataset: Dataset, folder: Path, split: str) -> dict[str, dict[str, Any]]:
    """Write the annotation files of a split, with and without classes, and say what the smaller ones lack.

    Images without flakes stay: a photo with nothing on it teaches, too.
    """
    area = dataset.masks.area.astype(np.int64)
    told: dict[str, dict[str, Any]] = {}
    for variant in maskterial.variants(split):
        kept = area >= variant.min_area
        part = dataset.take(instances=kept)
        info = {**info_of(dataset), "min_area": variant.min_area}
        write_annotations(part if variant.with_class else without_classes(part), variant.path(folder), info)
        lost = np.setdiff1d(dataset.instances["image"], part.instances["image"])
        told[variant.size] = {
            "flakes": len(part.instances),
            "dropped": dataset.instances["id"][~kept].tolist(),
            "emptied": dataset.images["file_name"][lost].tolist(),
            "classes": class_counts(part),
        }
    return told


def numbered_classes(
    dataset: Dataset, wanted: Mapping[str, int] | None = None
) -> tuple[Dataset, dict[str, int]]:
    """Categories with the numbers from 1 on that layouts have, and the number of each name.

    Raises
    ------
    ValueError
        If `wanted` lacks a class that has flakes, or has a number below 1; names it.
    """
    table = dataset.categories
    names: list[str] = table["name"].tolist()
    rows = dataset.instances["category"]
    if wanted is None:
        fine = table["id"].min(initial=1) >= 1
        numbers = table["id"] if fine else np.arange(1, len(table) + 1)
        if fine:
            return dataset, dict(zip(names, numbers.tolist(), strict=True))
        wanted = dict(zip(names, numbers.tolist(), strict=True))
        return with_classes(dataset, numbers[rows], {n: name for name, n in wanted.items()}), wanted
    if lacking := sorted({names[row] for row in np.unique(rows).tolist()} - set(wanted)):
        raise ValueError(f"classes must have a number each, and {', '.join(map(repr, lacking))} has none")
    if low := [name for name, number in wanted.items() if number < 1]:
        raise ValueError(f"numbers of classes must be 1 or more, not {wanted[low[0]]} for {low[0]!r}")
    by_row = np.array([wanted.get(name, 0) for name in names], np.int64)
    by_number: dict[int, str] = {}
    for name, number in sorted(wanted.items(), key=lambda item: item[1]):
        by_number.setdefault(number, name)
    return with_classes(dataset, by_row[rows], by_number), dict(wanted)


def new_names(
    old: Sequence[str], photos: Sequence[Reference], material: str, split: str, kind: str, seed: int
) -> dict[str, str]:
    """The new file name of each old one."""
    chance = random.Random(seed)
    new: dict[str, str] = {}
    for name, photo in zip(old, photos, strict=True):
        if name in new:
            raise ValueError(f"{name}: images must have names of their own, and two have this one")
        if kind == "uuid5":
            stem = str(uuid.uuid5(uuid.NAMESPACE_URL, f"maskterial:{material}/{split}/{name}"))
        elif kind == "uuid4":
            stem = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        else:
            stem = Path(name).stem
        new[name] = stem + (Path(photo.path).suffix.lower() if is_file(photo) else ".png")
    if len({Path(name).stem for name in new.values()}) < len(new):
        raise ValueError("images must have stems of their own, and two share one: let them be given uuids")
    return new


def _begin(
    folder: Path, split: str, photos: Sequence[Reference], settings: dict[str, Any], overwrite: bool
) -> Path:
    """Leave a note that a split is being built, which goes when it is done."""
    note = folder / f".{split}_begun.json"
    ours = [maskterial.images_folder(folder, split), maskterial.semantic_folder(folder, split)]
    for photo in photos:
        if Path(photo.path).resolve().is_relative_to(ours[0].resolve()):
            raise ValueError(f"{photo}: photos must not lie where they are to go")
    files = [path for variant in maskterial.variants(split) if (path := variant.path(folder)).exists()]
    if overwrite:
        for path in files:
            path.unlink()
        for place in ours:
            if place.exists():
                shutil.rmtree(place)
    elif note.exists():
        for path in folder.rglob(".*.part"):  # what was being written when it was killed
            path.unlink()
        if note.read_bytes() != _json(settings):
            raise ValueError(
                f"{folder}: was begun with other photos or settings: overwrite it, or take another folder"
            )
    elif files:
        raise ValueError(f"{files[0]}: is there already: overwrite it, or take another folder")
    _write_json(note, settings)
    return note


def _copy_photos(
    photos: Sequence[Reference], names: Sequence[str], folder: Path, link: bool, progress: Progress | None
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for done, (photo, name) in enumerate(zip(photos, names, strict=True), 1):
        if is_file(photo):
            _copy(Path(photo.path), folder / name, link)
        elif not (folder / name).exists():
            with written_whole(folder / name) as file:
                file.write(_png(photo.read()))
        if progress is not None:
            progress(done, len(photos), name)


def _copy(photo: Path, place: Path, link: bool) -> None:
    if _is_copy(photo, place) or (link and _linked(photo, place)):
        return
    with written_whole(place) as file, open(photo, "rb") as original:
        shutil.copyfileobj(original, file)
    was = photo.stat()
    os.utime(place, ns=(was.st_atime_ns, was.st_mtime_ns))  # by which a resumed build knows it


def _png(image: NDArray[Any]) -> bytes:
    """A photo that was within an annotation file: red comes first, and last in OpenCV."""
    import cv2

    image = image[..., [2, 1, 0, *range(3, image.shape[2])]] if image.ndim == 3 else image
    data: bytes = cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes()
    return data


def _is_copy(photo: Path, place: Path) -> bool:
    if not place.exists():
        return False
    a, b = photo.stat(), place.stat()
    return (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)


def _linked(photo: Path, place: Path) -> bool:
    place.unlink(missing_ok=True)
    try:
        os.link(photo, place)
    except OSError:
        return False
    return True


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.write(_json(content))
