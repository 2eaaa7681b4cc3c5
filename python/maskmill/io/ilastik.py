"""ilastik (Berg et al. 2019, doi:10.1038/s41592-019-0582-9): exports (`.h5`) and the labels in projects (`.ilp`).

An export is an array with `axistags`: classes (0 is none), or the probabilities of classes. It does not hold their
names: these come from a legend beside it, ``<name>_classes.json``, from a project, or from who reads it.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need, written_whole
from maskmill.dataset import Dataset, Reference, objects
from maskmill.io._ilastik_export import (
    MAX_CLASSES,
    Export,
    classes_of,
    open_export,
    read_classes,
    read_legend,
    read_probabilities,
)
from maskmill.io._ilastik_project import Lane, Project, open_project, read_blocks
from maskmill.io._parse import Images, load_json
from maskmill.io._semantic import label_image, painted, rows_of_parts, with_parts
from maskmill.io.formats import Format
from maskmill.masks import Masks

__all__ = ["FORMAT", "open_export", "open_project", "read", "sniff", "write"]

FORMAT = Format(
    "ilastik",
    "ilastik exports (HDF5) and labels of projects (.ilp)",
    (".h5", ".ilp"),
    frozenset(["classes", "semantic", "empty"]),
    single=True,
)

_MAGIC = b"\x89HDF\r\n\x1a\n"
_RESULTS = r"_(Labels?|Simple Segmentation|Probabilities|Predictions?|Segmentation)(_\d+)?$"
"""What ilastik adds to the name of a picture for the name of an export."""

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
Legend = dict[int, tuple[str, Any]]


def sniff(path: Path, head: bytes) -> bool:
    if path.is_dir():
        return any(True for _ in path.glob("*.h5"))
    return head.startswith(_MAGIC) and path.suffix.lower() in (".h5", ".hdf5", ".hdf", ".ilp")


def read(
    path: Path,
    *,
    images: Path | None = None,
    dataset: str | None = None,
    axes: str | None = None,
    classes: Sequence[str] | Mapping[int, str] | str | Path | None = None,
    components: bool = False,
) -> Dataset:
    """Read an export of ilastik, a folder of exports, or the labels that were drawn in a project.

    Each plane of a stack is an image with a semantic label image, called "..._z0005"; of projects those planes that
    have labels. Of probabilities, the label image has the most probable class, and the attribute ``probabilities`` is a
    `Reference` of them all. ``info["ilastik"]`` says whether axes were guessed, and the attribute ``size_from`` of a
    project's images who said their size: the picture, the project, or only the reach of its blocks of labels.

    Parameters
    ----------
    path : Path
        `.h5`, `.ilp`, or a folder of `.h5`.
    images : Path, optional
        Folder of the pictures; beside the file by default.
    dataset : str, optional
        The array of an export, where there are several and none is called "exported_data".
    axes : str, optional
        Of an export, such as "zyxc"; by default what its axistags say, or else a guess.
    classes : names, or a mapping of numbers to names, or a file, optional
        A file is a legend (.json) or a project (.ilp). By default the legend beside an export.
    components : bool
        Make instances of the connected parts (8 neighbours) of each class.
    """
    if path.is_dir():
        files = sorted(path.glob("*.h5"))
        if not files:
            raise FormatError(f"{path}: expected exports of ilastik (.h5), found none")
    else:
        files = [path]
    if path.suffix.lower() == ".ilp":
        rows, legend, info = _of_project(path, open_project(path), images)
        legend |= _legend(path, classes)
    else:
        rows, legend, info = [], {}, {}
        for file in files:
            export = open_export(file, dataset, axes)
            legend |= _legend(file, classes)
            rows += _of_export(export, Images(images, file.parent))
            for number in classes_of(export):
                legend.setdefault(number, (f"Label {number}", None))
            said = {"dataset": export.name, "axes": export.axes, "axes_guessed": export.guessed}
            info[file.name] = {**said, "probabilities": export.probabilities}
    ids = sorted(legend)
    keys = ("file_name", "height", "width", "pixels", "semantic", "attributes")
    made = Dataset(
        {key: objects([row[key] for row in rows]) for key in keys},
        {
            "id": np.asarray(ids, np.int64),
            "name": objects([legend[i][0] for i in ids]),
            "attributes": objects([None if legend[i][1] is None else {"color": legend[i][1]} for i in ids]),
        },
        {},
        Masks.empty(),
        info={"ilastik": info},
    )
    return with_parts(made) if components else made


def _legend(path: Path, classes: Any) -> Legend:
    """Names and colours by class, of whatever says them."""
    if classes is None:
        beside = path.with_name(f"{path.stem}_classes.json")
        return read_legend(beside, load_json(beside)) if beside.is_file() else {}
    if isinstance(classes, (str, Path)):
        file = Path(classes)
        if file.suffix.lower() == ".ilp":
            return _names_of(open_project(file))
        return read_legend(file, load_json(file))
    if isinstance(classes, Mapping):
        return {int(number): (str(name), None) for number, name in classes.items()}
    return {number: (str(name), None) for number, name in enumerate(classes, 1)}


def _names_of(project: Project) -> Legend:
    colors = dict(enumerate(project.colors, 1))
    return {i: (name, list(colors[i]) if i in colors else None) for i, name in enumerate(project.names, 1)}


def _of_export(export: Export, pictures: Images) -> list[dict[str, Any]]:
    """Rows of images."""
    path = str(export.path)
    plain = re.sub(_RESULTS, "", export.path.stem)
    names = [stem + suffix for stem in (export.path.stem, plain) for suffix in _PICTURES]
    picture = next((name for name in names if pictures.find(name)), None)
    rows = []
    for plane in export.planes():
        attributes = {
            "plane": dict(plane.at),
            "probabilities": Reference(path, plane.field, read_probabilities)
            if export.probabilities
            else None,
        }
        name = PurePosixPath(picture or export.path.name)
        rows.append({
            "file_name": name.with_stem(name.stem + plane.suffix).as_posix(),
            "height": export.size[0],
            "width": export.size[1],
            "pixels": pictures.reference(picture) if picture and not plane.at else None,
            "semantic": Reference(path, plane.field, read_classes),
            "attributes": {key: value for key, value in attributes.items() if value} or None,
        })  # fmt: skip
    return rows


def _of_project(
    path: Path, project: Project, images: Path | None
) -> tuple[list[dict[str, Any]], Legend, dict[str, Any]]:
    """Rows of images, classes, and what the project says of itself."""
    legend = _names_of(project)
    drawn = {int(k) for lane in project.lanes for b in lane.blocks for k in np.unique(b.labels)}
    for number in sorted(drawn - {0}):
        legend.setdefault(number, (f"Label {number}", None))
    pictures = Images(images, path.parent)
    rows = [row for lane in project.lanes for row in _of_lane(path, lane, pictures)]
    return (
        rows,
        legend,
        {"version": project.version, "workflow": project.workflow, "lanes": len(project.lanes)},
    )


def _of_lane(path: Path, lane: Lane, pictures: Images) -> list[dict[str, Any]]:
    extent = lane.extent()
    size, source = _header_size(pictures, lane.picture), "picture"
    if size == (0, 0):
        said = dict(zip(lane.axes, lane.shape, strict=True))
        size, source = (extent["y"], extent["x"]), "project" if said["y"] and said["x"] else "blocks"
    name = PurePosixPath(PurePosixPath(lane.picture.replace("\\", "/")).name or f"lane{lane.number:04}")
    rows = []
    for at in lane.planes():
        plane = "".join(f",{axis}={i}" for axis, i in at)
        field = f"lane {lane.number}[{lane.axes},{size[0]}x{size[1]}{plane}]"
        conflicts = lane.assemble(size, at)[1] if lane.blocks else 0
        attributes = {
            "lane": lane.number,
            "nickname": lane.nickname,
            "plane": dict(at),
            "size_from": source,
            "conflicts": conflicts,
        }
        suffix = "".join(f"_{axis}{i:04}" for axis, i in at)
        rows.append({
            "file_name": name.with_stem(name.stem + suffix).as_posix(),
            "height": size[0],
            "width": size[1],
            "pixels": pictures.reference(lane.picture) if not at else None,
            "semantic": Reference(str(path), field, read_blocks) if lane.blocks else None,
            "attributes": {key: value for key, value in attributes.items() if value not in ("", {}, None)},
        })  # fmt: skip
    return rows


def _header_size(pictures: Images, name: str) -> tuple[int, int]:
    try:
        return pictures.size(name) if name else (0, 0)
    except FormatError:  # a picture of another kind
        return 0, 0


# Writing


def write(dataset: Dataset, path: Path, *, components: bool = False) -> NDArray[np.int64]:
    """Write label images as ilastik exports them and takes them for labels, with a legend beside each.

    The values are the ids of categories, or, where these are below 1 or above 65,535, 1, 2, ... in their order.

    Parameters
    ----------
    path : Path
        `.h5` for one image, else a folder: ``<image>.h5`` and ``<image>_classes.json`` for each.
    components : bool
        Write the instances, also where an image has a label image; when they are read, they are the connected parts of
        classes.

    Raises
    ------
    ValueError
        If several images are to go into one file, or have the same name.
    """
    need("h5py", "ilastik")
    files = _files(dataset, path)
    numbers = dataset.categories["id"]
    if len(numbers) and not 1 <= numbers.min() <= numbers.max() <= MAX_CLASSES:
        numbers = np.arange(1, len(numbers) + 1)
    number_of = np.concatenate([[0], numbers]).astype(np.min_scalar_type(int(numbers.max(initial=1))))
    rows = []
    for file, i in sorted(files.items()):
        found, instances = painted(dataset, i) if components else (label_image(dataset, i), None)
        classes = number_of[found]
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as opened:
            opened.write(_packed(classes))
        with written_whole(file.with_name(f"{file.stem}_classes.json")) as opened:
            opened.write(
                json.dumps(_legend_of(dataset, numbers), indent=1, ensure_ascii=False, default=str).encode()
            )
        if instances is not None:
            rows.append((classes, instances))
    return rows_of_parts(rows)


def _files(dataset: Dataset, path: Path) -> dict[Path, int]:
    """Rows of images by the file that they go to."""
    if path.suffix.lower() in (".h5", ".hdf5"):
        if len(dataset) != 1:
            raise ValueError(f"{path}: a file holds one image, not {len(dataset)}: write to a folder")
        return {path: 0}
    if path.suffix.lower() == ".ilp":
        raise ValueError(
            f"{path}: projects are ilastik's own to write: write label images (.h5), and open these there"
        )
    files: dict[Path, int] = {}
    for i, name in enumerate(dataset.images["file_name"]):
        stem = PurePosixPath(name.replace("\\", "/")).stem
        if not stem or any(ord(c) < 32 for c in stem):
            raise ValueError(f"image {i}: file_name must be the name of a file, not {name!r}")
        if files.setdefault(path / f"{stem}.h5", i) != i:
            raise ValueError(f"images must have different names, not twice {stem!r}")
    others = [found for found in path.glob("*.h5") if found not in files] if path.is_dir() else []
    if others:
        raise ValueError(
            f"{path}: must not have other exports, such as {others[0].name}: choose another folder"
        )
    return files


def _packed(classes: NDArray[Any]) -> bytes:
    """An HDF5 file in memory."""
    h5py = need("h5py", "ilastik")
    kinds = (("y", 2), ("x", 2), ("c", 1))  # vigra's numbers: 1 a channel, 2 space
    tags = [{"key": key, "typeFlags": kind, "resolution": 0, "description": ""} for key, kind in kinds]
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        packing = {"compression": "gzip", "compression_opts": 1} if classes.size else {}
        array = file.create_dataset("exported_data", data=classes[..., None], **packing)
        array.attrs["axistags"] = json.dumps({"axes": tags})
        array.attrs["drange"] = np.asarray([0, max(1, int(classes.max(initial=0)))], classes.dtype)
        array.attrs["display_mode"] = "default"
    return content.getvalue()


def _legend_of(dataset: Dataset, numbers: NDArray[np.int64]) -> list[dict[str, Any]]:
    legend = []
    for number, row in zip(numbers.tolist(), dataset.categories, strict=True):
        color = (row["attributes"] or {}).get("color")
        legend.append(
            {"id": number, "name": str(row["name"]), **({"color": color} if color is not None else {})}
        )
    return legend
