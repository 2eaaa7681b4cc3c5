"""YOLO: a text file for each image, one object a line, in shares of its width and height; polygons and boxes."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need, written_whole
from maskmill.dataset import Dataset, ShapesBuilder, objects
from maskmill.dataset.shapes import BOX
from maskmill.io._parse import SUFFIXES, Images, load_text, snapped, stem, unique_stems, wrong
from maskmill.io._rings import Ring, join, outlines
from maskmill.io.formats import Format

FORMAT = Format(
    "yolo",
    "YOLO segments and boxes (labels/*.txt, data.yaml)",
    (".yaml", ".yml"),
    frozenset(
        ["boxes", "polygons", "subpixel", "masks", "holes", "parts", "overlap", "classes", "scores", "empty"]
    ),
)

PARTS = ("join", "split", "largest")
SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
"""What data.yaml and folders call the splits."""

MAX_CLASSES = 100_000
MAX_YAML = 1 << 20
LISTS = ("classes.txt", "obj.names", "train.txt", "val.txt", "valid.txt", "test.txt")
"""Text files that hold no labels."""


def sniff(path: Path, head: bytes) -> bool:
    if not path.is_dir():
        return path.suffix.lower() in (".yaml", ".yml") and re.search(rb"^names\s*:", head, re.M) is not None
    folders = [path / "labels", *(path / name / "labels" for names in SPLITS.values() for name in names)]
    return (
        (path / "classes.txt").is_file()
        or _yaml_of(path) is not None
        or any(next(folder.rglob("*.txt"), None) for folder in folders if folder.is_dir())
    )


def read(
    path: Path,
    *,
    images: Path | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    names: Sequence[str] | None = None,
) -> Dataset:
    """Read labels of YOLO: ``class x y x y ...`` (a polygon) or ``class x y width height`` (a box about its centre).

    A last number that is one too many is the score, as predictions have it. Parts that are joined by a bridge are one
    ring; filled by the even-odd rule, holes that were joined stay holes. The images' attribute "split" says of which
    folder of data.yaml they are.

    Parameters
    ----------
    path : Path
        A data.yaml, or a folder with one, with labels/, with train/labels/, or with the labels themselves.
    images : Path, optional
        Folder of the pictures; images/ beside labels/ by default.
    sizes : mapping of names to (height, width), optional
        Of images that are not there. Coordinates are shares of the size, so it must be known.
    names : sequence of str, optional
        Of the classes; those of data.yaml or classes.txt by default.
    """
    root = path if path.is_dir() else path.parent
    described = path if not path.is_dir() else _yaml_of(path)
    content = _load_yaml(described) if described else {}
    labels = _Labels(_names(root, described, content) if names is None else list(names))
    for split, folder, pictures in _folders(root, content):
        places = [images / split, images] if images is not None and split else [images or pictures]
        place = next((p for p in places if p.is_dir()), None)
        _read_folder(labels, folder, split, place, sizes)
    return labels.build()


@dataclass
class _Labels:
    """What was read until now."""

    names: list[str] | None
    images: list[dict[str, Any]] = field(default_factory=list)
    image: list[int] = field(default_factory=list)
    category: list[int] = field(default_factory=list)
    bbox: list[Any] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    shapes: ShapesBuilder = field(default_factory=lambda: ShapesBuilder(rule="even-odd"))

    def build(self) -> Dataset:
        names = self.names or [str(i) for i in range(max(self.category, default=-1) + 1)]
        splits = [image["split"] for image in self.images]
        return Dataset(
            {
                "file_name": objects([image["name"] for image in self.images]),
                "height": np.array([image["size"][0] for image in self.images], np.int64),
                "width": np.array([image["size"][1] for image in self.images], np.int64),
                "pixels": objects([image["pixels"] for image in self.images]),
                "attributes": objects([{"split": split} if split else None for split in splits]),
            },
            {"id": np.arange(len(names)), "name": objects(names)},
            {
                "image": np.array(self.image, np.int64),
                "category": np.array(self.category, np.int64),
                "bbox": np.array(self.bbox, np.float64).reshape(-1, 4),
                "score": np.array(self.score, np.float64),
            },
            self.shapes.build(),
        )


def _yaml_of(folder: Path) -> Path | None:
    for name in ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml"):
        if (folder / name).is_file():
            return folder / name
    return None


def _load_yaml(path: Path) -> dict[str, Any]:
    """All scalars as text: a class may be called "no" or "1"."""
    yaml = need("yaml", "yolo")
    if path.stat().st_size > MAX_YAML:
        raise FormatError(f"{path}: expected at most {MAX_YAML} bytes of YAML, found {path.stat().st_size}")
    try:
        content = yaml.load(load_text(path), yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: expected YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(content, dict):
        raise wrong(f"{path}", "a mapping", type(content).__name__)
    return content


def _names(root: Path, described: Path | None, content: Mapping[str, Any]) -> list[str] | None:
    """The classes, None where nothing names them."""
    found = content.get("names")
    if isinstance(found, dict):
        where = f"{described}: names"
        numbers = {_class(str(key), where): name for key, name in found.items()}
        found = [numbers.get(i, str(i)) for i in range(max(numbers, default=-1) + 1)]
    if found is not None:
        items: list[Any] = found if isinstance(found, list) else [None]
        strange = next((type(name).__name__ for name in items if not isinstance(name, str)), None)
        if strange:  # its kind alone: what repeats itself by aliases has no end when printed
            raise wrong(f"{described}: names", "a list of names, or numbers with a name each", strange)
        return items
    for name in ("classes.txt", "labels/classes.txt", "obj.names"):
        if (root / name).is_file():
            return [line.strip() for line in load_text(root / name).splitlines() if line.strip()]
    return None


def _folders(root: Path, content: Mapping[str, Any]) -> list[tuple[str, Path, Path]]:
    """(split, folder of labels, folder of pictures); a folder that serves as several splits is of none."""
    found: dict[Path, tuple[str, Path, Path]] = {}

    def add(split: str, labels: Path, pictures: Path) -> None:
        found[labels] = ("" if labels in found else split, labels, pictures)

    for split, words in SPLITS.items():
        said = next((content[word] for word in words if word in content), None)
        for name in said if isinstance(said, list) else [said]:
            pair = _below(root, name) if isinstance(name, str) and name else None
            if pair is not None:
                add(split, *pair)
    if found:
        return list(found.values())
    for split, words in SPLITS.items():
        for word in words:
            for labels, pictures in (
                (f"labels/{word}", f"images/{word}"),
                (f"{word}/labels", f"{word}/images"),
            ):
                if (root / labels).is_dir():
                    add(split, root / labels, root / pictures)
    if found:
        return list(found.values())
    folder = root / "labels"
    return [("", folder, root / "images") if folder.is_dir() else ("", root, root)]


def _below(root: Path, name: str) -> tuple[Path, Path] | None:
    """Folders of labels and of pictures that data.yaml names, below its own folder: of paths that lead elsewhere (to
    the machine of the author) as many of the last parts as exist here."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    for k in range(len(parts)):
        tail = parts[k:]
        at = [i for i, part in enumerate(tail) if part == "images"]
        swapped = [*tail[: at[-1]], "labels", *tail[at[-1] + 1 :]] if at else [*tail, "labels"]
        pictures = root.joinpath(*tail)
        for labels in (root.joinpath(*swapped), pictures):
            if os.path.isdir(labels) and (labels != pictures or not at):
                return labels, pictures if at or labels == pictures else pictures / "images"
    return None


def _read_folder(
    labels: _Labels,
    folder: Path,
    split: str,
    pictures: Path | None,
    sizes: Mapping[str, tuple[int, int]] | None,
) -> None:
    """All labels of a folder, and the pictures that have none."""
    files = {
        str(PurePosixPath(file.relative_to(folder).as_posix()).with_suffix("")): file
        for file in folder.rglob("*.txt")
        if file.name not in LISTS
    }
    names = {}
    if pictures is not None:
        found = (file for file in pictures.rglob("*") if file.suffix.lower() in SUFFIXES)
        names = {stem(name): name for name in (file.relative_to(pictures).as_posix() for file in found)}
    known = Images(pictures, sizes=sizes)
    for key in sorted({**files, **names}):
        name = names.get(key, key)
        size = known.size(name)
        labels.images.append({"name": name, "size": size, "pixels": known.reference(name), "split": split})
        if key in files:
            _read_file(labels, files[key], size)


def _read_file(labels: _Labels, file: Path, size: tuple[int, int]) -> None:
    for number, line in enumerate(load_text(file).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file}: line {number}"
        if 0 in size:
            raise FormatError(
                f"{where}: shares of an image whose size is not known; give its folder (images) or size (sizes)"
            )
        first, *rest = line.split()
        _read_line(labels, where, _class(first, where, labels.names), _shares(rest, where), size)


def _read_line(
    labels: _Labels, where: str, category: int, shares: NDArray[np.float64], size: tuple[int, int]
) -> None:
    n = len(shares)
    if n < 4:
        raise wrong(where, "a class and at least 4 numbers", n)
    has_score = n == 5 or (n > 5 and n % 2 == 1)
    score = float(shares[-1]) if has_score else math.nan
    height, width = size
    points = snapped(shares[: n - has_score].reshape(-1, 2) * (width, height))
    if len(points) == 2:
        centre, extent = points
        labels.bbox.append([*(centre - extent / 2), *extent])
        labels.shapes.box()
    else:
        labels.bbox.append([math.nan] * 4)
        labels.shapes.polygon([points])
    labels.image.append(len(labels.images) - 1)
    labels.category.append(category)
    labels.score.append(score)


def _class(text: str, where: str, names: Sequence[str] | None = None) -> int:
    match = re.fullmatch(r"(\d{1,6})(\.0*)?", text)
    number = int(match.group(1)) if match else -1
    limit = MAX_CLASSES if names is None else len(names)
    if not 0 <= number < limit:
        raise wrong(where, f"a class from 0 to {limit - 1}", text)
    return number


def _shares(words: Sequence[str], where: str) -> NDArray[np.float64]:
    """Numbers about 0 to 1; what is a little outside is kept, for `check` to tell."""
    try:
        shares = np.array(words, np.float64)
    except ValueError:
        shares = np.full(len(words), np.nan)
        for i, word in enumerate(words):
            try:
                shares[i] = float(word)
            except ValueError:
                raise wrong(f"{where}, number {i + 1}", "a number", word) from None
    bad = np.flatnonzero(~((shares >= -1) & (shares <= 2)))
    if len(bad):
        raise wrong(f"{where}, number {bad[0] + 1}", "a share of the image's size", words[bad[0]])
    return shares


# Writing


def write(
    dataset: Dataset,
    path: Path,
    *,
    parts: str = "join",
    boxes: bool = False,
    crowd: bool = False,
    scores: bool = False,
) -> NDArray[np.int64]:
    """Write labels/*.txt and data.yaml, in folders by the images' attribute "split" if it is train, val or test.

    Left out are instances without class, pixels and box (points, lines), and crowd regions, as no loader knows them.
    Numbers are written so that they are read back exactly; pictures are not copied.

    Parameters
    ----------
    path : Path
        The folder, or the .yaml in it.
    parts : {"join", "split", "largest"}
        Instances of several parts or with holes: joined to one ring by bridges, which loses nothing with
        `maskmill` and a line of pixels with programs that draw outlines; each part an instance (holes filled); or
        the largest part alone.
    boxes : bool
        Write bounding boxes instead of outlines.
    crowd : bool
        Write crowd regions as if they were single objects.
    scores : bool
        Write scores as the last number, as predictions have them.
    """
    if parts not in PARTS:
        raise ValueError(f"parts must be one of {', '.join(PARTS)}, not {parts!r}")
    folder, described = (
        (path.parent, path) if path.suffix in (".yaml", ".yml") else (path, path / "data.yaml")
    )
    if (folder / "labels").exists():
        raise FileExistsError(17, "must be a folder without labels: there are some", str(folder / "labels"))
    stems = unique_stems(dataset)
    splits = [(attributes or {}).get("split", "") for attributes in dataset.images["attributes"]]
    splits = [split if split in SPLITS else "" for split in splits]
    if any(splits):
        splits = [split or "train" for split in splits]
    lines, rows = _lines(dataset, parts, boxes, crowd, scores), []
    order = list(SPLITS)
    for i in sorted(range(len(stems)), key=lambda i: (order.index(splits[i] or "train"), str(stems[i]))):
        file = folder / "labels" / splits[i] / f"{stems[i]}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as opened:
            for row in dataset.rows_of_image(i).tolist():
                for line in lines[row]:
                    opened.write(line.encode())
                    rows.append(row)
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    with written_whole(described) as opened:
        opened.write(_described(dataset, set(splits)).encode())
    return np.array(rows, np.int64)


def _described(dataset: Dataset, splits: set[str]) -> str:
    """The text of data.yaml."""
    folders = {split: f"images/{split}" for split in SPLITS if split in splits}
    folders = {"train": "images", "val": "images", **folders} if splits <= {""} else folders
    names = [f"  {i}: {_quoted(name)}\n" for i, name in enumerate(dataset.categories["name"])]
    head = "".join(f"{split}: {folder}\n" for split, folder in folders.items())
    return f"{head}names:{' []' if not names else ''}\n{''.join(names)}"


def _quoted(name: str) -> str:
    """Any name as YAML."""
    plain = (c if c.isprintable() and c not in '\\"' else f"\\U{ord(c):08x}" for c in name)
    return f'"{"".join(plain)}"'


def _lines(dataset: Dataset, parts: str, boxes: bool, crowd: bool, scores: bool) -> list[list[str]]:
    """The lines of each instance."""
    instances, sizes = dataset.instances, dataset.sizes
    bare = (dataset.shapes.kind == BOX) | boxes
    rings = [[] for _ in range(len(bare))] if bare.all() else outlines(dataset, read_again=_read_again)
    made: list[list[str]] = [[] for _ in range(len(bare))]
    for i, category in enumerate(instances["category"].tolist()):
        if category < 0 or (instances["iscrowd"][i] and not crowd):
            continue
        height, width = sizes[i].tolist()
        if bare[i]:
            x, y, w, h = instances["bbox"][i].tolist()
            shapes = [np.array([[x + w / 2, y + h / 2], [w, h]])] if not math.isnan(x + y + w + h) else []
        else:
            shapes = [ring for ring in _arranged(rings[i], parts) if len(ring) >= 3]
        if shapes and 0 in (height, width):
            raise ValueError(
                f"image {dataset.images['file_name'][instances['image'][i]]!r}: must have a size, as YOLO writes shares"
            )
        score = (
            f" {float(instances['score'][i])!r}" if scores and not math.isnan(instances["score"][i]) else ""
        )
        for shape in shapes:
            numbers = (shape / (width, height)).ravel().tolist()
            made[i].append(f"{category} {' '.join(map(repr, numbers))}{score}\n")
    return made


def _read_again(points: Ring, sides: Ring) -> Ring:
    """Vertices after they were shares of sides."""
    return snapped(points / sides * sides)


def _arranged(rings: list[Ring], parts: str) -> list[Ring]:
    if len(rings) <= 1 or parts == "join":
        return [join(rings)] if rings else []
    outer = [ring for ring in rings if not _inside_another(ring, rings)]
    return [max(outer, key=_area)] if parts == "largest" else outer


def _area(ring: Ring) -> float:
    x, y = ring.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _inside_another(ring: Ring, rings: list[Ring]) -> bool:
    """Whether a ring is a hole: within an odd number of others."""
    import cv2

    middle = tuple(((ring[0] + ring[1]) / 2).tolist())
    others = (other for other in rings if other is not ring)
    return bool(
        sum(cv2.pointPolygonTest(other.astype(np.float32), middle, False) > 0 for other in others) % 2
    )
