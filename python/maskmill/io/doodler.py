"""Results of Doodler (Buscombe et al. 2022, doi:10.1029/2021EA002085): `.npz` files of one or more trials.

Saving again puts a 0 before the name of every variable that is there already: those without are the newest trial, and
the more zeros, the older. A trial has

- ``label``: (H, W, C) uint8, one-hot. C is the highest class that occurs, not their number. All 0 is unlabelled.
- ``doodles``: (H, W) uint8, 0 for none, otherwise the class + 1.
- ``image``, ``orig_image`` (without rotation by EXIF), ``color_doodles`` (uint8), ``settings`` (float64), ``classes``.

Nothing is unpickled, and arrays are unpacked when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, open_zip, written_whole
from maskmill.dataset import Dataset, Reference, objects
from maskmill.io._doodler_settings import colour_map, coloured
from maskmill.io._doodler_trials import Trial, read_arrays, read_trials
from maskmill.io._parse import safe_name
from maskmill.io._semantic import label_image, painted, read_rows, rows_of_parts, with_parts
from maskmill.io.formats import Format
from maskmill.masks import Masks

__all__ = [
    "FORMAT",
    "Trial",
    "colour_map",
    "coloured",
    "is_result",
    "one_hot",
    "read",
    "read_arrays",
    "read_trials",
    "sniff",
    "write",
    "write_arrays",
]

FORMAT = Format(
    "doodler",
    "Doodler results (NPZ, all trials)",
    (".npz",),
    frozenset(["classes", "semantic", "empty"]),
    single=True,
)

_SKIPPED = ("labelgen", "4zoo", ".archive.")
"""Parts of the names of files that are made of results: by Doodler's utilities, and by `maskmill coast archive`."""


def is_result(path: Path) -> bool:
    """Whether a file is called like a result, not like what is made of results.

    >>> is_result(Path("beach_db.npz")), is_result(Path("beach_db_4classes_4zoo.npz"))
    (True, False)
    """
    return path.suffix.lower() == ".npz" and not any(word in path.name for word in _SKIPPED)


def sniff(path: Path, head: bytes) -> bool:
    if path.is_dir():
        return any(sniff(found, b"PK\x03\x04") for found in _results(path)[:1])
    if not head.startswith(b"PK\x03\x04") or path.suffix.lower() != ".npz":
        return False
    try:
        with open_zip(path) as archive:
            return {"label.npy", "doodles.npy"} <= set(archive.namelist())
    except (FormatError, OSError):
        return False


def _results(folder: Path) -> list[Path]:
    """Results in a folder, or in its folders."""
    found = [*folder.glob("*.npz"), *folder.glob("*/*.npz")]
    return sorted(path for path in found if is_result(path))


def read(
    path: Path, *, classes: Sequence[str] = (), trials: str = "all", components: bool = False
) -> Dataset:
    """Read a result of Doodler, or a folder of them: an image for each trial, the newest first.

    Images have, as semantic label images, the classes of the pixels, and the attributes ``trial`` (0: the newest),
    ``prefix``, ``user``, ``era``, ``settings`` and ``doodles`` (a `Reference` of what was drawn). Older trials have the
    name of the file with their prefix before it.

    Parameters
    ----------
    path : Path
        A `.npz` file, or a folder of them or of such folders; files of Doodler's utilities (labelgen, 4zoo) are
        skipped.
    classes : sequence of str
        Names for files that have none.
    trials : {"all", "newest"}
    components : bool
        Make instances of the connected parts (8 neighbours) of each class.
    """
    if trials not in ("all", "newest"):
        raise ValueError(f"trials must be all or newest, not {trials!r}")
    if isinstance(classes, str):
        raise TypeError(f"classes must be names, not the text {classes!r}")
    files = _results(path) if path.is_dir() else [path]
    if not files:
        raise FormatError(f"{path}: expected results of Doodler (.npz), found none")
    found = [read_trials(file, classes=classes)[: None if trials == "all" else 1] for file in files]
    root = path if path.is_dir() else path.parent
    names = _numbered(name for of_file in found for trial in of_file for name in _counted(trial.classes))
    rows = [_row(trial, i, root, names) for of_file in found for i, trial in enumerate(of_file)]
    dataset = Dataset(
        {key: objects([row[key] for row in rows]) for key in rows[0]},
        {"name": objects([name for name, _ in names])},
        {},
        Masks.empty(),
        info={"doodler": {"files": len(files), "trials": len(rows)}},
    )
    return with_parts(dataset) if components else dataset


def _counted(classes: Sequence[str]) -> list[tuple[str, int]]:
    """Names with how often each came before: there may be two without a name."""
    return [(name, classes[:i].count(name)) for i, name in enumerate(classes)]


def _numbered(names: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    numbers: dict[tuple[str, int], int] = {}
    for name in names:
        numbers.setdefault(name, len(numbers) + 1)
    return numbers


def _row(trial: Trial, number: int, root: Path, names: dict[tuple[str, int], int]) -> dict[str, Any]:
    """Of the table of images."""
    ids = [names[name] for name in _counted(trial.classes)]
    plain = ids == list(range(1, len(ids) + 1)) and "classes" in trial.arrays
    suffix = "" if plain else f" {','.join(map(str, ids))}"
    relative = trial.path.relative_to(root)
    path, prefix = str(trial.path), trial.prefix

    def reference(name: str) -> Reference | None:
        return Reference(path, f"{prefix}{name}{suffix}", read_labels) if name in trial.arrays else None

    picture = Reference(path, f"{prefix}image", read_picture) if "image" in trial.arrays else None
    attributes = {
        "trial": number,
        "prefix": prefix,
        "user": relative.stem.rpartition("_")[2],
        "era": trial.era,
        "settings": dict(trial.settings),
        "doodles": reference("doodles"),
    }
    return {
        "file_name": relative.with_name(prefix + relative.name).as_posix(),
        "height": trial.size[0],
        "width": trial.size[1],
        "pixels": picture,
        "semantic": reference("label"),
        "attributes": attributes,
    }


def _trial_of(path: str, field: str) -> tuple[Trial, str, list[int]]:
    """The trial, the name without prefix, and the ids of its classes, of a `Reference`'s field."""
    key, _, ids = field.partition(" ")
    name = key.lstrip("0")
    numbers = [int(number) for number in ids.split(",")] if ids else []
    prefix = key.removesuffix(name)
    [trial] = read_trials(Path(path), classes=ids.split(",") if ids else (), only=prefix)
    return trial, name, numbers or list(range(1, len(trial.classes) + 1))


def read_labels(path: str, field: str) -> NDArray[Any]:
    """`Reference` reader of labels and doodles: "00label", or "00label 3,1" with the ids of the classes."""
    trial, name, ids = _trial_of(path, field)
    values = trial.labels() if name == "label" else trial.doodles()
    return np.asarray([0, *ids], np.min_scalar_type(max(ids)))[values]


def read_picture(path: str, field: str) -> NDArray[Any]:
    """`Reference` reader of pictures."""
    trial, name, _ = _trial_of(path, field)
    found = trial.array(name)
    if found.dtype != np.uint8 or found.ndim not in (2, 3):
        raise FormatError(
            f"{path}: {field}: expected an image of 8 bits, found {found.dtype} of {found.shape}"
        )
    return found


# Writing


def write(dataset: Dataset, path: Path, *, components: bool = False) -> NDArray[np.int64]:
    """Write results of Doodler: the trials of one picture into a `.npz`, or several pictures into a folder.

    Trials that were read and not changed are written with all their arrays as they were. Others get ``image``,
    ``orig_image``, ``label``, ``doodles``, ``color_doodles``, ``classes``, and ``settings`` if they have any.

    Parameters
    ----------
    path : Path
        Ends with `.npz`, or is a folder without other results.
    components : bool
        Write the instances, also where an image has a label image; when they are read, they are the connected parts of
        classes.

    Raises
    ------
    ValueError
        A picture is not there, or has not 8 bits; there are several for one file, or more than 255 classes.
    """
    files = _files(dataset, path)
    written = []
    for file in sorted(files):
        trials = files[file]
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = (
            pair for n, i in reversed([*enumerate(trials)]) for pair in _arrays(dataset, i, n, components)
        )
        write_arrays(file, arrays)
        written += trials
    if not components:
        return np.empty(0, np.int64)
    return rows_of_parts(painted(dataset, i) for i in written)


def _files(dataset: Dataset, path: Path) -> dict[Path, list[int]]:
    """Rows of images, the newest trial first, by the file that they go to."""
    pictures: dict[str, list[tuple[int, int]]] = {}
    for i, (name, attributes) in enumerate(
        zip(dataset.images["file_name"], dataset.images["attributes"], strict=True)
    ):
        said = attributes or {}
        plain = safe_name(name, f"image {i}")
        picture = plain.with_name(plain.name.removeprefix(str(said.get("prefix", ""))) or "0")
        key = str(PurePosixPath(*picture.parts[-2:]).with_suffix(".npz"))
        number = said.get("trial")
        pictures.setdefault(key, []).append((number if isinstance(number, int) else len(dataset), i))
    if path.suffix.lower() == ".npz" and len(pictures) != 1:
        raise ValueError(
            f"{path}: a file holds the trials of one picture, not {len(pictures)}: write to a folder"
        )
    files = {
        path if path.suffix.lower() == ".npz" else path / key: [i for _, i in sorted(trials)]
        for key, trials in pictures.items()
    }
    others = [found for found in _results(path) if found not in files] if path.is_dir() else []
    if others:
        raise ValueError(
            f"{path}: must not have other results, such as {others[0].name}: choose another folder"
        )
    return files


def _arrays(dataset: Dataset, i: int, number: int, components: bool) -> Iterator[tuple[str, NDArray[Any]]]:
    """The variables of a trial, with as many zeros as there are newer ones."""
    trial = None if components else _unchanged(dataset, i)
    if trial is None:
        pairs = iter(_made(dataset, i, components).items())
    else:
        pairs = ((name, trial.array(name)) for name in trial.arrays)
        if "classes" not in trial.arrays:
            pairs = chain(pairs, [("classes", np.asarray(trial.classes))])
    for name, array in pairs:
        yield "0" * number + name, array


def _unchanged(dataset: Dataset, i: int) -> Trial | None:
    """The trial that an image was read from, if its labels and the names of its classes are still the same."""
    reference = dataset.images["semantic"][i]
    if reference is None or reference.reader is not read_labels:
        return None
    trial, name, ids = _trial_of(reference.path, reference.field)
    names = dict(zip(dataset.categories["id"].tolist(), dataset.categories["name"], strict=True))
    classes = [names.get(number) for number in ids]
    if name != "label" or None in classes or ("classes" in trial.arrays and classes != list(trial.classes)):
        return None
    return replace(trial, classes=tuple(str(n) for n in classes))


def _made(dataset: Dataset, i: int, components: bool) -> dict[str, NDArray[Any]]:
    """The variables of a trial made from an image of any source."""
    name = dataset.images["file_name"][i]
    names = [str(n) for n in dataset.categories["name"]]
    if len(names) > 255:
        raise ValueError(f"there must be at most 255 categories, not {len(names)}")
    classes = painted(dataset, i)[0] if components else label_image(dataset, i)
    picture = dataset.images["pixels"][i]
    if picture is None:
        raise ValueError(
            f"image {name!r}: its picture is needed and is not known; give the folder of the images"
        )
    image = np.asarray(picture.read())
    if image.dtype != np.uint8 or image.shape[:2] != classes.shape:
        raise ValueError(
            f"image {name!r}: its picture must be uint8 of {classes.shape[0]} x {classes.shape[1]} pixels, "
            f"not {image.dtype} of {image.shape}"
        )
    said = dataset.images["attributes"][i] or {}
    drawn = said.get("doodles")
    doodles = read_rows(dataset, drawn) if isinstance(drawn, Reference) else np.zeros_like(classes)
    made = {
        "image": image,
        "orig_image": image,
        "label": one_hot(classes),
        "doodles": doodles.astype(np.uint8),
    }
    if len(names) <= 24:
        made["color_doodles"] = coloured(made["doodles"], image, len(names))
    if said.get("settings"):
        made["settings"] = np.asarray([*said["settings"].values()], np.float64)
    return {**made, "classes": np.asarray(names, np.str_)}


def one_hot(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, C) of classes + 1, as Doodler writes it: as deep as the highest class that occurs.

    >>> import numpy as np
    >>> one_hot(np.array([[1, 2, 0]])).tolist()
    [[[1, 0], [0, 1], [0, 0]]]
    """
    numbers = np.arange(1, max(1, int(labels.max(initial=0))) + 1)
    found: NDArray[np.uint8] = np.equal(labels[..., None], numbers).view(np.uint8)
    return found


def write_arrays(path: Path, arrays: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """An `.npz` with arrays in this order, deflated, whole or not at all."""
    import zipfile

    with written_whole(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays:
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
