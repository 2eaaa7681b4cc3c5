"""`tiles`: windows of pictures that are of one class, in a folder for each class, for classifiers of whole pictures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from maskmill import patches
from maskmill.dataset import Dataset, Table, objects
from maskmill.io.pictures import write_picture
from maskmill.masks import Masks
from maskmill.studies.coast.labelled import TRIALS, find_sources, labelled
from maskmill.studies.coast.ledger import Progress, Report, Row, Source, on_each
from maskmill.studies.coast.mapping import Remap
from maskmill.studies.coast.timeline import unique_names
from maskmill.studies.coast.trials import name_of, read


def tiles(
    path: str | Path,
    folder: str | Path,
    *,
    size: int = 256,
    stride: int | None = None,
    purity: float = 0.7,
    parts: Mapping[str, float] | None = None,
    seed: int = 0,
    trials: str = "newest",
    remap: Remap | None = None,
    classes: Sequence[str] = (),
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write the windows of which one class has more than a share, as `tile_<size>/<class>/NAME_r<row>_c<column>.png`.

    Row and column are those of the window's first pixel. With `parts`, there is a folder for each part before that of
    the class. Pictures are shared out, not tiles: all that have the same name but for the labeller, or the same pixels,
    are in one part, so that no part has seen what another one is tested with.

    Parameters
    ----------
    path : path
        A result, or a folder with such files or folders of them.
    folder : path
        To write to. Given again after an interruption, it goes on.
    size : int
        Side of a window in pixels. Only whole windows are taken.
    stride : int, optional
        From window to window; half of the size by default.
    purity : float
        Windows are kept if the most frequent class has more than this share of all pixels.
    parts : mapping of str to float, optional
        Names and shares of parts, such as {"train": 0.8, "val": 0.2}.
    seed : int
        Of the shares.
    trials : {"newest", "all"}
    remap : Remap, optional
        What classes become.
    classes : sequence of str
        Names for files that have none.

    Returns
    -------
    Report
        A row for each trial (how many windows there were and why they are not there) and for each tile (class, share,
        row, column, part).

    Examples
    --------
    >>> import tempfile
    >>> from maskmill.studies.coast import tiles
    >>> place = Path(tempfile.mkdtemp())
    >>> labels = np.zeros((8, 16), int)
    >>> labels[:, 9:] = 1
    >>> image = np.zeros((8, 16, 3), np.uint8)
    >>> np.savez(place / "dune_db.npz", image=image, label=np.eye(2, dtype=np.uint8)[labels], classes=["water", "land"])
    >>> [row["files"] for row in tiles(place, place / "out", size=8).rows[1:]]
    [['tile_8/water/dune_db_r0_c0.png'], ['tile_8/land/dune_db_r0_c8.png']]
    """
    if trials not in TRIALS:
        raise ValueError(f"trials must be newest or all, not {trials!r}")
    stride = max(1, size // 2) if stride is None else stride
    for name, value in (("size", size), ("stride", stride)):
        if not 1 <= value <= 1 << 16:
            raise ValueError(f"{name} must be 1 to {1 << 16}, not {value}")
    if not 0 <= purity <= 1:
        raise ValueError(f"purity must be 0 to 1, not {purity:g}")
    given = find_sources(path)
    part_of = share_out(given, parts, seed, classes) if parts else {}
    return on_each(
        given,
        Path(folder),
        partial(_cut, Path(folder), (size, stride, purity), part_of, (trials, classes, remap)),
        verb="tiles",
        settings={
            "size": size,
            "stride": stride,
            "purity": purity,
            "parts": dict(parts or {}),
            "seed": seed,
            "part_of": part_of,
            "trials": trials,
            "remap": remap and remap.to_json(),
            "classes": list(classes),
        },
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )


def share_out(
    given: Sequence[Source], parts: Mapping[str, float], seed: int, classes: Sequence[str] = ()
) -> dict[str, str]:
    """The part of each file by its name; files of one picture are in the same one. Damaged files have none."""
    for name in parts:
        if not re.fullmatch(r"[\w-]{1,50}", name):
            raise ValueError(f"parts must have names of letters, digits, - and _, not {name!r}")
    group: dict[str, int] = {}
    of: dict[str, list[str]] = {}
    for source in given:
        try:
            image = read(source.path, classes=classes)[-1].image()
        except (OSError, ValueError):
            continue  # which is told when its tiles are cut
        pixels = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
        of[source.name] = [f"stem {name_of(source.path).stem}", f"pixels {pixels}"]
    for i, keys in enumerate(of.values()):  # joined through whatever they have in common
        met = {group[key] for key in keys if key in group}
        group |= {key: i for key, number in group.items() if number in met} | dict.fromkeys(keys, i)
    numbers = {name: str(group[keys[0]]) for name, keys in of.items()}
    dataset = Dataset(
        {
            "file_name": objects(list(numbers)),
            "height": np.ones(len(numbers), np.int64),
            "width": np.ones(len(numbers), np.int64),
            "attributes": objects([{"picture": number} for number in numbers.values()]),
        },
        {"name": objects([])},
        {},
        Masks.empty(),
    )
    shared = dataset.split(parts, seed=seed, group="picture")
    return {str(name): part for part, some in shared.items() for name in some.images["file_name"]}


def _cut(
    folder: Path,
    window: tuple[int, int, float],
    part_of: Mapping[str, str],
    wanted: tuple[str, Sequence[str], Remap | None],
    source: Source,
) -> list[Row]:
    """A row for each trial of a file, and for each tile that was written."""
    size, stride, purity = window
    trials, classes, remap = wanted
    rows: list[Row] = []
    for one in labelled(source, trials, classes, remap):
        labels, image, names = one.labels(), one.image(), class_folders(one.classes)
        image = image[..., 0] if image.shape[2:] == (1,) else image if image.ndim == 2 else image[..., :3]
        image = image[..., 0] if image.shape[2:] == (2,) else image
        part = part_of.get(source.name, "")
        place = Path(f"tile_{size}", part)
        about: Row = {
            "files": [],
            "name": one.name,
            "part": part,
            "windows": 0,
            "kept": 0,
            "mixed": 0,
            "unlabelled": 0,
        }
        rows.append(about)
        for y0, y1, x0, x1 in patches.grid(labels.shape, size, stride, edge="drop").tolist():
            found = np.bincount(labels[y0:y1, x0:x1].ravel(), minlength=len(names) + 1)
            k = int(found[1:].argmax())
            share = int(found[k + 1]) / size**2
            kept = share > purity
            about["windows"] += 1
            about["kept" if kept else "unlabelled" if found[0] > found[k + 1] else "mixed"] += 1
            if not kept:
                continue
            name = (place / names[k] / f"{one.name}_r{y0}_c{x0}.png").as_posix()
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_picture(folder / name, np.ascontiguousarray(image[y0:y1, x0:x1]))
            rows.append(
                {
                    "files": [name],
                    "name": one.name,
                    "part": part,
                    "class": one.classes[k],
                    "share": round(share, 6),
                    "row": y0,
                    "column": x0,
                }
            )
    return rows


def class_folders(classes: Sequence[str]) -> list[str]:
    """Names of folders for classes, none of which leads anywhere else or is another's.

    >>> class_folders(["water", "../land", "a/b", "a b", "", "Water"])
    ['water', '_land', 'a_b', 'a b', 'class5', 'Water_6']
    """
    found: list[str] = []
    for k, name in enumerate(unique_names(classes), 1):
        plain = re.sub(r"[^\w .-]+", "_", name).strip(" .")[:100] if classes[k - 1] else ""
        plain = re.sub(r"^\.+", "", plain) or f"class{k}"
        found.append(plain if plain.lower() not in map(str.lower, found) else f"{plain}_{k}")
    return found


def summary(report: Report) -> Table:
    """Tiles of each part and class."""
    counted: dict[tuple[str, str], int] = {}
    for row in report.rows:
        if "class" in row:
            key = (row["part"], row["class"])
            counted[key] = counted.get(key, 0) + 1
    keys = sorted(counted)
    return Table(
        {
            "part": objects([part for part, _ in keys]),
            "class": objects([name for _, name in keys]),
            "tiles": np.array([counted[key] for key in keys], np.int64),
        }
    )
