"""A picture for each shot, cut out of a mosaic window by window, with a sidecar that says where it is from."""

from __future__ import annotations

import hashlib
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need, written_whole
from maskmill.io._parse import load_json, mapping
from maskmill.io.windows import Picture, open_picture
from maskmill.studies.zircon.contrast import equalize as equalized
from maskmill.studies.zircon.contrast import equalizer, is_low_contrast
from maskmill.studies.zircon.places import (
    check_pattern,
    is_cut,
    read_shots,
    spot_rows,
    write_json,
    write_table,
)
from maskmill.studies.zircon.projects import Sample, read_project
from maskmill.studies.zircon.scanlists import STANDARDS
from maskmill.studies.zircon.sidecars import WORLD_SUFFIX, Clip, read_sidecar
from maskmill.studies.zircon.stage import Transform

Edges = Literal["zero", "reflect", "constant", "reject"]
COLUMNS = (
    "sample", "shot", "description", "standard", "status", "image", "x", "y", "mosaic", "left", "top", "columns",
    "rows", "sx", "sy", "padded",
)  # fmt: skip
"""Of the table that is written."""


@dataclass
class Clipped:
    """What became of the spots of a project.

    Attributes
    ----------
    rows : list of dict
        A row of the table for each spot. The status is "clipped", "edge" (cut by the mosaic's edge, and rejected),
        "outside", "not selected" (in the scan list) or "not asked for".
    written, kept : int
        Clips that were written, and those that were there already and are whole.
    failed : list of (sample, reason)
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    written: int = 0
    kept: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Spots of each status."""
        return dict(Counter(str(row["status"]) for row in self.rows))


@dataclass(frozen=True)
class _Settings:
    """What the pixels of clips depend on."""

    field: float | None
    edges: Edges
    value: int
    format: str
    equalize: str
    pattern: str
    only: str | None
    selected_only: bool
    max_outside: int
    compat: bool
    pixels: bool


def clip(
    project: str | Path,
    out: str | Path,
    *,
    field: float | None = None,
    edges: Edges = "zero",
    value: int = 0,
    format: Literal["png", "tif"] = "png",
    equalize: Literal["never", "low", "always"] = "never",
    only: str | Path | None = None,
    samples: Sequence[str] = (),
    selected_only: bool = False,
    pattern: str = STANDARDS,
    max_outside: int = 3,
    compat: bool = False,
    pixels: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Clipped:
    """Cut a window around each spot of a mosaic project.

    Parameters
    ----------
    project : path
        A folder with `mosaic_info.csv`.
    out : path
        Folder to write `<sample>/<sample>_<shot>.png` to, with a `.json` sidecar (see `Clip`) and a world file. At the
        end, `clips.csv` gets a row for each spot. Given again, clips that are whole are kept, the others written.
    field : float, optional
        Side of a window in µm, instead of each sample's Max_grain_size.
    edges : "zero", "reflect", "constant" or "reject"
        What lies beyond the mosaic: black, its mirror image (without the edge's pixels twice) or `value`; or such
        windows are left out. Shots outside the mosaic are never clipped.
    value : int
    format : "png" or "tif"
    equalize : "never", "low" or "always"
        Equalise the histogram of each channel of a mosaic if its contrast is low, as colab_zirc_dims does.
    only : path, optional
        A table of shots (columns sample, shot), such as `sample` writes.
    samples : sequence of str
        Of these alone.
    selected_only : bool
        Leave out spots that are not selected in the scan list.
    pattern : str
        Regular expression of standards' descriptions.
    max_outside : int
        A sample fails if more of its spots are outside the mosaic: list and mosaic do not belong together.
    compat, pixels
        See `Transform` and `Sample.alignment`.
    overwrite : bool
        Write all anew, also with other settings than those of the clips that are there.

    Returns
    -------
    Clipped
        A sample that fails does not stop the others.

    Raises
    ------
    FormatError, FileNotFoundError
        On a bad project or table.
    ValueError
        On a bad argument; if there is no such sample; if `out` has clips of other settings.
    """
    settings = _Settings(
        field, edges, value, format, equalize, pattern, None if only is None else str(only), selected_only,
        max_outside, compat, pixels,
    )  # fmt: skip
    _check(settings)
    chosen = _samples(read_project(project), samples)
    asked = None if only is None else read_shots(Path(only), chosen)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    _agree(out / "clip.json", settings, overwrite)
    done = Clipped()
    steps = _steps(chosen, progress)
    for one in chosen:
        try:
            done.rows += _clip_sample(one, out, settings, asked, overwrite, done, steps)
        except (OSError, ValueError, ImportError) as error:
            done.failed.append((one.name, _sentence(error)))
    write_table(out / "clips.csv", done.rows, COLUMNS)
    return done


def _check(settings: _Settings) -> None:
    if settings.edges not in ("zero", "reflect", "constant", "reject"):
        raise ValueError(f"edges must be zero, reflect, constant or reject, not {settings.edges!r}")
    if settings.format not in ("png", "tif"):
        raise ValueError(f"format must be png or tif, not {settings.format!r}")
    if settings.equalize not in ("never", "low", "always"):
        raise ValueError(f"equalize must be never, low or always, not {settings.equalize!r}")
    if settings.max_outside < 0:
        raise ValueError(f"max_outside must be 0 or more, not {settings.max_outside}")
    check_pattern(settings.pattern)


def _samples(there: Sequence[Sample], names: Sequence[str]) -> list[Sample]:
    for name in names:
        if name not in {one.name for one in there}:
            raise ValueError(f"samples must be of the project, and {name!r} is none of {len(there)}")
    return [one for one in there if not names or one.name in names]


def _agree(path: Path, settings: _Settings, overwrite: bool) -> None:
    """Refuse to add clips to those of other settings; else write the settings down."""
    wanted = asdict(settings)
    if path.exists() and not overwrite:
        there = mapping(load_json(path), str(path))
        other = [
            f"{key} {there.get(key)!r:.60}, not {wanted[key]!r}"
            for key in wanted
            if there.get(key) != wanted[key]
        ]
        if other:
            raise ValueError(
                f"{path.parent}: must be a folder without clips of other settings ({'; '.join(other)}): "
                "choose another one, or overwrite"
            )
    write_json(path, wanted)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _steps(
    samples: Sequence[Sample], progress: Callable[[int, int, str], None] | None
) -> Callable[[str], None]:
    """To be called for each spot, with its name."""
    total, count = 0, itertools.count(1)
    for one in samples:
        with suppress(OSError, ValueError):  # it is listed as failed when its turn comes
            total += len(one.scans.spots)

    def step(name: str) -> None:
        if progress is not None:
            progress(next(count), total, name)

    return step


def _clip_sample(
    one: Sample,
    out: Path,
    settings: _Settings,
    asked: set[tuple[str, str]] | None,
    overwrite: bool,
    done: Clipped,
    step: Callable[[str], None],
) -> list[dict[str, Any]]:
    with open_picture(one.mosaic) as picture:
        alignment = one.alignment(pixels=settings.pixels)
        transform = Transform(alignment, picture.columns, picture.rows, one.offset, settings.compat)
        side = one.field if settings.field is None else settings.field
        rows = spot_rows(one, transform, side, settings.pattern)
        outside = sum(row["status"] == "outside" for row in rows)
        if outside > settings.max_outside or (rows and outside == len(rows)):
            raise FormatError(
                f"{one.scanlist}: expected the shots of {one.mosaic.name}, found {outside} of {len(rows)} off it"
            )
        _mark(rows, one, transform, settings, asked)
        _check_channels(picture, settings)
        table = _equalizer(picture, settings)
        folder = out / one.name
        folder.mkdir(exist_ok=True)
        for row, name in zip(rows, file_names([f"{one.name}_{row['shot']}" for row in rows]), strict=True):
            step(f"{one.name} {row['shot']}")
            if row["status"]:
                continue
            made = _clip_of(row, transform, side, settings, name, table is not None)
            block = padded(picture, row, settings.edges, settings.value)
            block = block if table is None else equalized(block, table)
            if _write(folder, made, block, overwrite):
                done.written += 1
            else:
                done.kept += 1
            row["status"], row["image"] = "clipped", f"{one.name}/{made.image}"
            row["sx"], row["sy"], row["padded"] = made.sx, made.sy, int(any(made.padding))
    return rows


def _mark(
    rows: Sequence[dict[str, Any]],
    one: Sample,
    transform: Transform,
    settings: _Settings,
    asked: set[tuple[str, str]] | None,
) -> None:
    """Say of spots that get no clip why."""
    for row, shot in zip(rows, one.scans.spots, strict=True):
        if row["status"]:
            continue
        if asked is not None and (one.name, shot.name) not in asked:
            row["status"] = "not asked for"
        elif settings.selected_only and not shot.selected:
            row["status"] = "not selected"
        elif settings.edges == "reject" and is_cut(row, transform):
            row["status"] = "edge"


def _check_channels(picture: Picture, settings: _Settings) -> None:
    fits = picture.channels in (1, 3, 4) and picture.dtype in (np.uint8, np.uint16)
    if settings.format == "png" and not fits:
        raise ValueError(
            f"{picture.path}: {picture.channels} channels of {picture.dtype} do not fit into PNG: choose the format tif"
        )
    if settings.edges == "constant":
        limits = np.iinfo(picture.dtype) if picture.dtype.kind in "ui" else None
        if limits is not None and not limits.min <= settings.value <= limits.max:
            raise ValueError(f"value must be {limits.min} to {limits.max}, not {settings.value}")


def _equalizer(picture: Picture, settings: _Settings) -> NDArray[Any] | None:
    if settings.equalize == "always" or (settings.equalize == "low" and is_low_contrast(picture)):
        return equalizer(picture)
    return None


def _clip_of(
    row: dict[str, Any], transform: Transform, side: float, settings: _Settings, name: str, stretched: bool
) -> Clip:
    left, top, columns, rows = row["left"], row["top"], row["columns"], row["rows"]
    matrix = transform.matrix()
    corner = transform.to_stage([[left, top]])[0]
    world = [[*line[:2], place] for line, place in zip(matrix.tolist(), corner.tolist(), strict=True)]
    return Clip(
        image=f"{name}.{settings.format}",
        sample=row["sample"],
        shot=row["shot"],
        description=row["description"],
        standard=bool(row["standard"]),
        x=row["x"],
        y=row["y"],
        unit=transform.unit,
        sx=transform.sx,
        sy=transform.sy,
        rotation=transform.rotation,
        world=cast(Any, tuple(tuple(line) for line in world)),
        field=float(side),
        left=left,
        top=top,
        columns=columns,
        rows=rows,
        padding=(
            max(0, -left),
            max(0, -top),
            max(0, left + columns - transform.columns),
            max(0, top + rows - transform.rows),
        ),
        edges=settings.edges,
        value=settings.value,
        mosaic=row["mosaic"],
        mosaic_columns=transform.columns,
        mosaic_rows=transform.rows,
        equalized=stretched,
        compat=settings.compat,
    )


def padded(picture: Picture, window: dict[str, Any], edges: str, value: int = 0) -> NDArray[Any]:
    """(rows, columns, channels) of a window that may reach beyond the picture; what is read is within it."""
    top, left = window["top"], window["left"]
    bottom, right = top + window["rows"], left + window["columns"]
    if edges == "reflect":
        down, across = _mirrored(top, bottom, picture.rows), _mirrored(left, right, picture.columns)
        y, x = int(down.min()), int(across.min())
        part = picture.read(y, int(down.max()) + 1, x, int(across.max()) + 1)
        return part[down - y][:, across - x]
    y0, y1 = (min(max(y, 0), picture.rows) for y in (top, bottom))
    x0, x1 = (min(max(x, 0), picture.columns) for x in (left, right))
    part = picture.read(y0, y1, x0, x1)
    if part.shape[:2] == (window["rows"], window["columns"]):
        return part
    fill = value if edges == "constant" else 0
    block = np.full((window["rows"], window["columns"], picture.channels), fill, picture.dtype)
    block[y0 - top : y1 - top, x0 - left : x1 - left] = part
    return block


def _mirrored(start: int, stop: int, size: int) -> NDArray[np.int64]:
    """Where pixels beyond an axis of `size` are mirrored to; those at its ends are not repeated."""
    period = max(2 * (size - 1), 1)
    place = np.arange(start, stop) % period
    return np.minimum(place, period - place) if size > 1 else np.zeros_like(place)


def file_names(names: Sequence[str]) -> Iterator[str]:
    """A file name for each, the same every time and on every system: other characters as %2F, long ones shortened."""
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^\w .()+-]", lambda m: "".join(f"%{byte:02X}" for byte in m[0].encode()), name)
        if len(plain.encode()) > 120 or plain.casefold() in taken or plain.endswith((" ", ".")):
            digest = hashlib.sha256(name.encode()).hexdigest()[:12]
            plain = plain.encode()[:100].decode(errors="ignore").rstrip(" .") + f"~{digest}"
        taken.add(plain.casefold())
        yield plain


def _write(folder: Path, made: Clip, block: NDArray[Any], overwrite: bool) -> bool:
    """Write picture, world file and, last, the sidecar; unless they are there, whole and the same."""
    picture = folder / made.image
    sidecar, world = picture.with_suffix(".json"), picture.with_suffix(WORLD_SUFFIX[picture.suffix])
    shape = f"{block.shape} {block.dtype}".encode()
    digest = {"pixels": hashlib.sha256(shape + block.tobytes()).hexdigest()}
    if not overwrite:
        with suppress(OSError, FormatError):
            there, digests = read_sidecar(sidecar)
            digest["file"] = hashlib.sha256(picture.read_bytes()).hexdigest()
            if there == made and digests == digest and world.read_bytes() == made.world_file():
                return False
    data = _encoded(block, picture)
    digest["file"] = hashlib.sha256(data).hexdigest()
    for path, content in ((picture, data), (world, made.world_file()), (sidecar, made.sidecar(digest))):
        with written_whole(path) as file:
            file.write(content)
    return True


def _encoded(block: NDArray[Any], path: Path) -> bytes:
    if path.suffix == ".tif":
        file = io.BytesIO()
        colours = "rgb" if block.shape[2] in (3, 4) and block.dtype.kind == "u" else "minisblack"
        flat = block[..., 0] if block.shape[2] == 1 else block
        extra = {"planarconfig": "contig"} if block.shape[2] > 1 else {}
        need("tifffile", "zircon").imwrite(file, flat, photometric=colours, metadata=None, **extra)
        return file.getvalue()
    import cv2

    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[block.shape[2]]
    good, data = cv2.imencode(".png", np.ascontiguousarray(block[..., order]))
    if not good:
        raise FormatError(
            f"{path}: expected an image that PNG can hold, found {block.shape} of {block.dtype}"
        )
    return bytes(data.tobytes())
