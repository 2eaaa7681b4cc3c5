"""`unpack`: results as pictures, lossless label images, overlays and doodles, with a manifest."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need, written_whole
from maskmill.dataset import Dataset, Reference, Table, objects
from maskmill.io._palette import write_indexed
from maskmill.io._parse import dump_json
from maskmill.io._semantic import with_parts
from maskmill.io._tables import write_table
from maskmill.io.formats import write
from maskmill.io.pictures import write_picture
from maskmill.masks import Masks
from maskmill.studies.coast.georeference import Place, geotiff, read_places
from maskmill.studies.coast.labelled import (
    IGNORED,
    TRIALS,
    Labelled,
    checked_base,
    classes_table,
    find_sources,
    labelled,
    palette,
    values,
)
from maskmill.studies.coast.ledger import Progress, Report, Row, Source, on_each
from maskmill.studies.coast.mapping import Remap
from maskmill.studies.coast.pictures import overlay
from maskmill.studies.coast.timeline import unique_names
from maskmill.studies.coast.trials import read
from maskmill.studies.coast.vectors import geojson

PARTS = ("images", "labels", "overlays", "doodles", "masks", "geojson", "geotiff")
"""What may be written: the picture, its label, the label upon the picture, what was drawn, masks of classes, outlines,
and, with `records`, the label where it lies on Earth."""
LAYOUTS = ("plain", "doodler")
BANDS = ("rgb", "tiff")
DATASETS = {"coco": "instances.json", "panoptic": "panoptic.json", "via": "via_region_data.json"}
"""Files of annotations of all pictures, by their format."""


def unpack(
    path: str | Path,
    folder: str | Path,
    *,
    parts: Sequence[str] = PARTS[:4],
    trials: str = "newest",
    base: int = 0,
    layout: str = "plain",
    bands: str = "rgb",
    remap: Remap | None = None,
    classes: Sequence[str] = (),
    datasets: Sequence[str] = (),
    records: str | Path | None = None,
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write the pictures, labels, overlays and doodles of results into folders of these names.

    Labels and doodles are PNGs with a palette in Doodler's colours: whoever reads the numbers gets ids of classes,
    unchanged, and whoever looks sees colours. `classes.csv` says which id is which class.

    Parameters
    ----------
    path : path
        A result, or a folder with such files or folders of them.
    folder : path
        To write to. Given again after an interruption, it goes on.
    parts : sequence of {"images", "labels", "overlays", "doodles", "masks", "geojson", "geotiff"}
        `masks` are a PNG of 0 and 255 for each class that occurs. Doodles always have class + 1, and 0 for none.
        `geojson` are outlines of connected parts. `geotiff` are label images with their place, for files that
        `records` has.
    trials : {"newest", "all"}
        All are called `NAME_trial1` (the oldest) and so on.
    base : {0, 1}
        The first id. Pixels without a class are 255 with base 0, and 0 with base 1.
    layout : {"plain", "doodler"}
        Names as those of Doodler's utilities: `NAME.jpg`, `NAME_label.png`, `NAME_overlay.png`, `NAME_doodles.png`;
        with `remap` in `images_remap`, `labels_remap`, `overlays_remap`. Labels are PNG, though; theirs were JPEG.
    bands : {"rgb", "tiff"}
        Of pictures with 4 bands: 3 of them as PNG, the fourth as `NAME_band4.png`; or all of them in one TIFF. Other
        numbers of bands than 1, 3 and 4 are TIFF always.
    remap : Remap, optional
        What classes become, such as `mapping.read_remap` reads.
    classes : sequence of str
        Names for files that have none.
    datasets : sequence of {"coco", "panoptic", "via"}
        Write connected parts of classes, of all pictures, as `instances.json`, `panoptic.json`, `via_region_data.json`.

    records : path, optional
        Record tables of Coast Train, for `geotiff`. Of a place that its row speaks against (pixels that are not square,
        or not as large as stated), the manifest has the reason as `doubts`.

    Returns
    -------
    Report
        Its rows have source, trial, era, classes and counts; the folder's manifest has them, too.

    Raises
    ------
    ValueError
        If the folder was used for something else. What is wrong with a result is in the report.

    Examples
    --------
    >>> import tempfile
    >>> from maskmill.studies.coast import unpack
    >>> place = Path(tempfile.mkdtemp())
    >>> label = np.eye(2, dtype=np.uint8)[np.zeros((40, 60), int)]
    >>> trial = {"image": np.zeros((40, 60, 3), np.uint8), "label": label, "classes": ["water", "land"]}
    >>> np.savez(place / "dune_db.npz", **trial)
    >>> unpack(place / "dune_db.npz", place / "out", parts=["images", "labels"]).rows[0]["files"]
    ['images/dune_db.png', 'labels/dune_db.png']
    """
    for chosen, name, choices in (
        *((part, "parts", PARTS) for part in parts),
        *((form, "datasets", tuple(DATASETS)) for form in datasets),
        (trials, "trials", TRIALS),
        (layout, "layout", LAYOUTS),
        (bands, "bands", BANDS),
    ):
        if chosen not in choices:
            raise ValueError(f"{name} must be {' or '.join(choices)}, not {chosen!r}")
    wanted = tuple(part for part in PARTS if part in parts or (datasets and part == "images"))
    if records is None and "geotiff" in wanted:
        raise ValueError("records must be given for geotiff: they say where pictures lie")
    folder, given = Path(folder), find_sources(path)
    places = {} if records is None else read_places(records)
    places = {name: place for name, place in places.items() if name in {source.path.stem for source in given}}
    wish = _Wish(folder, wanted, trials, checked_base(base), layout, bands, remap, tuple(classes), places)
    report = on_each(
        given,
        folder,
        partial(_unpack, wish),
        verb="unpack",
        settings=wish.settings(),
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )
    legend = classes_table(report.rows, base)
    table = Table({key: objects([row[key] for row in legend]) for key in ("list", "id", "name", "colour")})
    write_table(table, folder / "classes.csv")
    if datasets and report.rows:
        found = dataset(given, report, trials=trials, classes=classes, remap=remap)
        for form in dict.fromkeys(datasets):
            write(found, folder / DATASETS[form], form)
    return report


@dataclass(frozen=True)
class _Wish:
    folder: Path
    parts: tuple[str, ...]
    trials: str
    base: int
    layout: str
    bands: str
    remap: Remap | None
    classes: tuple[str, ...]
    places: Mapping[str, Place]

    def settings(self) -> dict[str, Any]:
        """For the manifest."""
        told = {key: getattr(self, key) for key in ("parts", "trials", "base", "layout", "bands", "classes")}
        places = {name: vars(place) for name, place in sorted(self.places.items())}
        ignored = IGNORED if self.base == 0 else 0
        return {**told, "ignored": ignored, "remap": self.remap and self.remap.to_json(), "places": places}


def _unpack(wish: _Wish, source: Source) -> list[Row]:
    return [_write(wish, one) for one in labelled(source, wish.trials, wish.classes, wish.remap)]


def _write(wish: _Wish, one: Labelled) -> Row:
    labels, image, n = one.labels(), one.image(), len(one.classes)
    row = one.row(labels)
    row["base"], row["bands"] = wish.base, 1 if image.ndim == 2 else image.shape[2]
    turned = one.trial.arrays.get("orig_image")
    row["turned"] = turned is not None and turned.shape[:2] != labels.shape  # by EXIF, after it was decoded
    colours = palette(n, wish.base)

    def place(part: str, ending: str) -> Path:
        name = _file_name(wish, part, one.name) + ending
        row["files"].append(name)
        (wish.folder / name).parent.mkdir(parents=True, exist_ok=True)
        return wish.folder / name

    def put(part: str, write_it: Callable[..., None], *args: Any) -> None:
        if part in wish.parts:
            with written_whole(place(part, ".png")) as file:
                write_it(file, *args)

    if "images" in wish.parts:
        _write_image(wish, image, place)
    put("labels", write_indexed, values(labels, wish.base), colours)
    if "overlays" in wish.parts:
        write_picture(place("overlays", ".png"), overlay(image, labels, n))
    put("doodles", write_indexed, one.doodles(), palette(n, 1))
    where = wish.places.get(one.trial.path.stem)
    if where is not None:
        row["epsg"], row["doubts"] = where.epsg, where.doubts(*labels.shape)
    elif "geotiff" in wish.parts:
        row["epsg"], row["doubts"] = None, "no row of the records has its place"
    if where is not None and "geotiff" in wish.parts:
        with written_whole(place("geotiff", ".tif")) as file:
            file.write(geotiff(values(labels, wish.base), colours, where))
    if "geojson" in wish.parts:
        with written_whole(place("geojson", ".geojson")) as file:
            file.write(dump_json(geojson(labels, one.classes, wish.base, where)))
    for k in np.unique(labels[labels > 0]).tolist() if "masks" in wish.parts else ():
        write_picture(
            place("masks", f"_class{k - 1 + wish.base}.png"), (labels == k).astype(np.uint8) * np.uint8(255)
        )
    return row


_ENDINGS = {"labels": "_label", "overlays": "_overlay", "doodles": "_doodles"}
"""Of the names that Doodler's utilities give."""


def _file_name(wish: _Wish, part: str, name: str) -> str:
    if wish.layout == "plain":
        return f"{part}/{name}"
    if wish.remap is None or part not in ("images", "labels", "overlays"):
        return f"{part}/{name}{_ENDINGS.get(part, '')}"
    return f"{part}_remap/{name}{'_remap' if part != 'images' else ''}{_ENDINGS.get(part, '')}"


def _write_image(wish: _Wish, image: NDArray[np.uint8], place: Callable[[str, str], Path]) -> None:
    import cv2

    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    bands = 1 if image.ndim == 2 else image.shape[2]
    if bands not in (1, 3, 4) or wish.bands == "tiff":
        packed = io.BytesIO()
        tifffile = need("tifffile", "coast")
        layout = {"photometric": "rgb" if bands == 3 else "minisblack"} | (
            {"planarconfig": "contig"} if bands > 1 else {}
        )
        tifffile.imwrite(packed, image, compression="zlib", **layout)
        with written_whole(place("images", ".tif")) as file:
            file.write(packed.getvalue())
        return
    pictures = [("", image if bands == 1 else image[..., :3])]
    if bands == 4:
        pictures.append(("_band4", image[..., 3]))
    for ending, picture in pictures:
        if wish.layout == "plain":
            write_picture(place("images", f"{ending}.png"), np.ascontiguousarray(picture))
            continue
        quality = [cv2.IMWRITE_JPEG_QUALITY, 100]  # as the original has it; what must not change are labels
        _, data = cv2.imencode(
            ".jpg", np.ascontiguousarray(picture[..., ::-1] if picture.ndim == 3 else picture), quality
        )
        with written_whole(place("images", f"{ending}.jpg")) as file:
            file.write(data.tobytes())


def read_ids(path: str, field: str) -> NDArray[Any]:
    """`Reference` reader of labels: "00 3,1", the prefix of the trial and the ids of its classes."""
    prefix, _, ids = field.partition(" ")
    table = np.array([0, *map(int, ids.split(","))], np.uint16)
    for trial in read(Path(path), classes=ids.split(",")):
        if trial.prefix == prefix:
            return table[trial.labels()]
    raise FormatError(f"{path}: expected the trial {prefix!r}, found none")


def dataset(
    given: Sequence[Source],
    report: Report,
    *,
    trials: str = "newest",
    classes: Sequence[str] = (),
    remap: Remap | None = None,
) -> Dataset:
    """What was unpacked as a data set, with an instance for each connected part of a class."""
    failed = {failure.input for failure in report.failed}
    ones = [
        one
        for source in given
        if str(source.path) not in failed
        for one in labelled(source, trials, classes, remap)
    ]
    names = list(dict.fromkeys(name for one in ones for name in unique_names(one.classes)))
    rows = []
    for one, row in zip(ones, report.rows, strict=True):
        ids = [names.index(unique_names(one.classes)[k - 1]) + 1 for k in one.table[1:].tolist()]
        field = f"{one.trial.prefix} {','.join(map(str, ids))}"
        rows.append(
            (row["files"][0], row["height"], row["width"], Reference(str(one.trial.path), field, read_ids))
        )
    keys = ("file_name", "height", "width", "semantic")
    images = {key: objects([row[k] for row in rows]) for k, key in enumerate(keys)}
    images |= {key: images[key].astype(np.int64) for key in ("height", "width")}
    return with_parts(Dataset(images, {"name": objects(names)}, {}, Masks.empty()))
