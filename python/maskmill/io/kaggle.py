"""Kaggle's run-length tables: a CSV of images and pairs of start and length, counted from 1 down the columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.dataset import Dataset, objects
from maskmill.io._labels import Pictures
from maskmill.io._parse import Images, image_names, integer, load_text, wrong
from maskmill.io.formats import Format
from maskmill.masks import Masks

FORMAT = Format(
    "kaggle",
    "Kaggle run-length table (CSV)",
    (".csv",),
    frozenset(["masks", "holes", "parts", "overlap", "classes", "empty"]),
)

IMAGE = ("imageid", "image_id", "img", "image", "id", "filename", "file_name")
JOINED = ("imageid_classid", "image_id_class_id", "id_classid", "image_label", "image_class")
RUNS = ("encodedpixels", "rle_mask", "rle", "encoding", "annotation", "segmentation")
CLASS = ("classid", "class_id", "class", "label", "cell_type", "category")
"""Names of columns, in lower case, as competitions have called them."""
ORDERS = ("column", "row")
MOST_PIXELS = 2**32 - 1


def sniff(path: Path, head: bytes) -> bool:
    names = head.split(b"\n", 1)[0].decode("latin-1").lower().replace('"', "").strip().split(",")
    return any(n in RUNS for n in names) and any(n in (*IMAGE, *JOINED) for n in names)


def read(
    path: Path,
    *,
    images: Path | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    order: str = "column",
    categories: Mapping[str, str] | None = None,
    category: str = "object",
) -> Dataset:
    """Read a run-length table: ``ImageId,EncodedPixels``, with a column ``ClassId``, or with ``ImageId_ClassId``.

    Other names of columns that competitions have used are known, too (img, rle_mask, id, rle, Image_Label, ...), and
    columns ``Height`` and ``Width``. An empty field and -1 mean an image without instances. Runs may be in any order,
    and may touch or overlap.

    Parameters
    ----------
    path : Path
    images : Path, optional
        Folder of the pictures, whose headers have the sizes. Their suffixes may lack in the table.
    sizes : mapping, optional
        (height, width) by name of the image, with or without suffix.
    order : {"column", "row"}
        The direction in which pixels are counted; some competitions count along the rows.
    categories : mapping, optional
        Names of the classes of the table; others are called as they are there.
    category : str
        The class of instances where there is no column of classes.

    Raises
    ------
    FormatError
        If a line is not so, runs do not fit into the image, or the size of an image is not known; names the line.
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
    table = _Table.load(path)
    pictures, folder = Pictures(images), Images(images, sizes=sizes)
    names = {name: pictures.name(name) for name in dict.fromkeys(table.images)}
    row_of = {name: i for i, name in enumerate(names)}
    size = _sizes(table, names, row_of, folder)
    full = [i for i, text in enumerate(table.runs) if text not in ("", "-1")]
    image = np.array([row_of[table.images[i]] for i in full], np.int64)
    masks = _masks(table, full, image, size, order)
    tokens = list(dict.fromkeys(table.classes[i] for i in full)) if table.classes else []
    tokens = [*tokens, *(t for t in categories or () if t not in tokens)]
    whole = all(re.fullmatch(r"\d{1,9}", token) for token in tokens)
    ids = {token: int(token) if whole else k for k, token in enumerate(sorted(t for t in tokens if t), 1)}
    rows = {token: k for k, token in enumerate(ids)}
    classes: dict[str, Any]
    if table.classes:
        found = [rows.get(table.classes[i], -1) for i in full]
        classes = {"id": list(ids.values()), "name": objects([(categories or {}).get(t, t) for t in ids])}
    else:
        found, classes = [0] * len(full), {"id": [1], "name": objects([category])}
    return Dataset(
        {
            "file_name": objects(list(names.values())),
            "height": size[:, 0],
            "width": size[:, 1],
            "pixels": objects([pictures.reference(name) for name in names.values()]),
        },
        {**classes, "id": np.array(classes["id"], np.int64)},
        {"image": image, "category": np.array(found, np.int64)},
        masks,
    )


@dataclass
class _Table:
    path: Path
    lines: list[int]
    images: list[str]
    runs: list[str]
    classes: list[str]
    sizes: list[tuple[str, str]]

    @classmethod
    def load(cls, path: Path) -> _Table:
        rows = _rows(path)
        head = [name.strip().lower() for name in rows[0]] if rows else []
        at = {
            what: next((k for k, name in enumerate(head) if name in known), None)
            for what, known in (("image", IMAGE), ("joined", JOINED), ("runs", RUNS), ("class", CLASS))
        }
        column = at["image"] if at["joined"] is None else at["joined"]
        if column is None or at["runs"] is None:
            raise wrong(f"{path}: line 1", "columns such as ImageId and EncodedPixels", ",".join(head)[:60])
        made = cls(path, [], [], [], [], [])
        sides = [head.index(name) if name in head else None for name in ("height", "width")]
        for line, row in enumerate(rows[1:], 2):
            if not any(row):
                continue
            if len(row) != len(head):
                raise wrong(f"{path}: line {line}", f"{len(head)} fields", len(row))
            made._add(line, row, column, at)
            if sides[0] is not None and sides[1] is not None:
                made.sizes.append((row[sides[0]], row[sides[1]]))
        return made

    def _add(self, line: int, row: list[str], column: int, at: Mapping[str, int | None]) -> None:
        name, kind = row[column].strip(), "" if at["class"] is None else row[at["class"]].strip()
        if at["joined"] is not None:
            name, mark, kind = name.rpartition("_")
            if not mark:
                raise wrong(f"{self.path}: line {line}", "an image and its class, joined by _", row[column])
        if not name:
            raise wrong(f"{self.path}: line {line}", "the name of an image", row[column])
        self.lines.append(line)
        self.images.append(name)
        self.runs.append(row[at["runs"] or 0].strip())
        if at["joined"] is not None or at["class"] is not None:
            self.classes.append(kind)


def _rows(path: Path) -> list[list[str]]:
    text = load_text(path).replace("\r\n", "\n").replace("\r", "\n")
    if '"' not in text:
        return [line.split(",") for line in text.split("\n")]
    before = csv.field_size_limit(max(len(text) + 1, 131_072))
    try:
        return list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise FormatError(f"{path}: expected a CSV ({error})") from None
    finally:
        csv.field_size_limit(before)


def _sizes(
    table: _Table, names: Mapping[str, str], row_of: Mapping[str, int], folder: Images
) -> NDArray[np.int64]:
    """(height, width) of each image: of the table, else as `folder` knows them."""
    out = np.zeros((len(names), 2), np.int64)
    first = {name: table.lines[i] for i, name in reversed(list(enumerate(table.images)))}
    for i, (height, width) in enumerate(table.sizes):
        where = f"{table.path}: line {table.lines[i]}"
        if height.strip() and width.strip():
            sides = (_side(height, f"{where}: height"), _side(width, f"{where}: width"))
            out[row_of[table.images[i]]] = sides
    for given, name in names.items():
        row = row_of[given]
        if not out[row].any():
            out[row] = folder.size(given)
            if not out[row].any() and name != given:
                out[row] = folder.size(name)
        if int(out[row, 0]) * int(out[row, 1]) > MOST_PIXELS:
            raise wrong(
                f"{table.path}: line {first[given]}", f"an image of at most {MOST_PIXELS} pixels", given
            )
    return out


def _side(value: str, where: str) -> int:
    return integer(value.removesuffix(".0"), where, low=1, high=1 << 24)


def _masks(
    table: _Table, full: list[int], image: NDArray[np.int64], sizes: NDArray[np.int64], order: str
) -> Masks:
    def where(k: int) -> str:
        return f"{table.path}: line {table.lines[full[k]]}"

    size = sizes[image]
    lacking = np.flatnonzero((size == 0).any(1))
    if len(lacking):
        k = int(lacking[0])
        raise wrong(where(k), "an image whose size is known; give images= or sizes=", table.images[full[k]])
    texts = [table.runs[i] for i in full]
    for k, text in enumerate(texts):
        if re.search(r"[^0-9 \t]|\d{11}", text):
            raise wrong(where(k), "pairs of start and length", text)
    numbers = np.fromstring(" ".join(texts), np.int64, sep=" ") if texts else np.empty(0, np.int64)
    of_text = np.array([len(text.split()) for text in texts], np.int64)
    odd = np.flatnonzero(of_text % 2)
    if len(odd):
        raise wrong(where(int(odd[0])), "pairs of start and length", f"{of_text[odd[0]]} numbers")
    row = np.repeat(np.arange(len(full)), of_text // 2)
    start, length = numbers[::2], numbers[1::2]
    pixels = size[:, 0] * size[:, 1]
    bad = np.flatnonzero((start < 1) | (length < 1) | (start + length - 1 > pixels[row]))
    if len(bad):
        k = int(row[bad[0]])
        expected = f"runs within 1 and {pixels[k]} of an image of {size[k, 0]} x {size[k, 1]} pixels"
        raise wrong(where(k), expected, f"{start[bad[0]]} {length[bad[0]]}")
    counts, offsets = _runs(start - 1, length, row, pixels)
    if order == "row":
        return Masks(counts, offsets, size[:, ::-1]).transpose()
    return Masks(counts, offsets, size)


def _runs(
    begin: NDArray[np.int64], length: NDArray[np.int64], row: NDArray[np.int64], pixels: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Runs of background and foreground in turns, of all rows at once."""
    n = len(pixels)
    # All rows on one line, a pixel between them, so that runs of different rows never touch.
    base = np.concatenate([[0], np.cumsum(pixels + 1)[:-1]]).astype(np.int64) if n else np.empty(0, np.int64)
    begin = begin + base[row]
    order = np.argsort(begin, kind="stable")
    begin, row = begin[order], row[order]
    end = np.maximum.accumulate(begin + length[order]) if len(begin) else begin
    apart = begin[1:] > end[:-1]
    first, last = np.append(True, apart)[: len(begin)], np.append(apart, True)[: len(begin)]
    row = row[first]
    begin, end = begin[first] - base[row], end[last] - base[row]
    per_row = np.bincount(row, minlength=n)
    starts = np.cumsum(per_row) - per_row
    index = np.arange(len(row)) - starts[row]
    before = np.where(index > 0, np.append(0, end[:-1])[: len(end)], 0)
    tail = pixels.copy()
    tail[row[index == per_row[row] - 1]] -= end[index == per_row[row] - 1]
    offsets = np.concatenate([[0], np.cumsum(2 * per_row + (tail > 0))]).astype(np.int64)
    counts = np.empty(int(offsets[-1]), np.uint32)
    at = offsets[:-1][row] + 2 * index
    counts[at], counts[at + 1] = begin - before, end - begin
    counts[offsets[1:][tail > 0] - 1] = tail[tail > 0]
    return counts, offsets


# Writing


def write(
    dataset: Dataset, path: Path, *, classes: str | None = None, order: str = "column"
) -> NDArray[np.int64]:
    """Write a run-length table. Images without instances get a line without runs, and so do not empty masks.

    Parameters
    ----------
    classes : {"column", "joined", "none"}, optional
        A column ``ClassId`` of names of classes, their ids behind the images' names (``ImageId_ClassId``), or nothing;
        by default a column if there are classes.
    order : {"column", "row"}
        The direction in which pixels are counted.

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
    >>> report = maskmill.io.write(dataset, folder / "a.csv")
    >>> print((folder / "a.csv").read_text())
    ImageId,ClassId,EncodedPixels
    a.png,grain,1 1 3 1
    a.png,grain,3 1 5 2
    <BLANKLINE>
    >>> maskmill.io.read(folder / "a.csv", sizes={"a": (2, 3)}).masks == masks
    True
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
    if classes not in (None, "column", "joined", "none"):
        raise ValueError(f"classes must be 'column', 'joined' or 'none', not {classes!r}")
    has_classes = bool((dataset.instances["category"] >= 0).any())
    style = classes or ("column" if has_classes else "none")
    names = dataset.category_names
    ids = np.append(dataset.categories["id"], -1)[dataset.instances["category"]].tolist()
    texts = _texts(dataset.masks.transpose() if order == "row" else dataset.masks)
    written: list[int] = []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = {"column": ["ImageId", "ClassId"], "joined": ["ImageId_ClassId"], "none": ["ImageId"]}[style]
    writer.writerow([*head, "EncodedPixels"])
    for i, name in enumerate(image_names(dataset)):
        rows = [row for row in dataset.rows_of_image(i).tolist() if texts[row]]
        written += rows
        for row in rows or [None]:
            kind = "" if row is None else (str(ids[row]) if style == "joined" else names[row])
            cells = {"column": [name, kind], "joined": [f"{name}_{kind}"], "none": [name]}[style]
            writer.writerow([*cells, "" if row is None else texts[row]])
    with written_whole(path) as file:
        file.write(out.getvalue().encode())
    return np.array(written, np.int64)


def _texts(masks: Masks) -> list[str]:
    """Start and length of each run of foreground, from 1."""
    counts, offsets = masks.counts.astype(np.int64), masks.offsets
    ends = np.cumsum(counts)
    of = np.repeat(np.arange(len(masks)), np.diff(offsets))
    index = np.arange(len(counts)) - offsets[:-1][of]
    before = np.concatenate([[0], ends])[offsets[:-1]]
    fore = index % 2 == 1
    pairs = np.stack([(ends - counts - before[of])[fore] + 1, counts[fore]], 1)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(of[fore], minlength=len(masks)))]).tolist()
    words: list[Any] = pairs.astype("U10").tolist()
    return [
        " ".join(word for pair in words[a:b] for word in pair)
        for a, b in zip(bounds, bounds[1:], strict=False)
    ]
