"""What `maskmill em patchify` is given: volumes, groups of images, and what is known of each."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maskmill.io.volumes import Volume, list_volumes, open_volume, sniff, unique_names
from maskmill.studies.em.names import dataset_of
from maskmill.studies.em.video2stack import stack_name

_WHOLE = ("zarr", "n5", "precomputed")


@dataclass(frozen=True)
class Source:
    """A volume or an image.

    Attributes
    ----------
    path : str
        Where it is.
    group : str
        The folder that an image is of.
    name : str
        What its patches are called after.
    dataset : str
        The volume, or the group of images, that it belongs to.
    key : str
        Its name in the stable order.
    options : dict
        How it is opened.
    image, video : bool
        Whether it is a 2-D image; whether its slices are frames.
    shape, chunks, dtype, spacing
        As the file has them.
    axes : tuple
        Those that are cut; (-1,) for an image.
    scaling : str
        How it becomes uint8, as JSON.
    mark : str
        What tells whether it was changed, see `fingerprint`.
    """

    path: str
    group: str = ""
    name: str = ""
    dataset: str = ""
    key: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    image: bool = False
    video: bool = False
    shape: tuple[int, int, int] = (0, 0, 0)
    chunks: tuple[int, int, int] = (1, 1, 1)
    dtype: str = ""
    spacing: tuple[float, float, float] | None = None
    axes: tuple[int, ...] = ()
    scaling: str = ""
    mark: str = ""

    def open(self) -> Volume:
        return open_volume(self.path, **dict(self.options))


def find(
    inputs: Sequence[str], *, stacks: bool = False, options: dict[str, Any] | None = None
) -> tuple[list[Source], list[tuple[str, str]]]:
    """Sources of files, folders and URLs, and what was ignored, with the reason.

    A folder holds volumes, images (one group) and sub-folders, whose images are a group each; with `stacks`, a folder
    of images is a volume instead.

    Raises FileNotFoundError for an input that is missing.
    """
    found: dict[str, Source] = {}
    ignored: list[tuple[str, str]] = []
    chosen = tuple(sorted((options or {}).items()))

    def add(path: str, group: str) -> None:
        found.setdefault(path, Source(path, group, options=chosen))

    def add_folder(folder: Path, depth: int) -> None:
        group = folder.resolve().name
        listing = list_volumes(folder, videos=True)
        ignored.extend((str(path), reason) for path, reason in listing.ignored)
        for path in listing.found:
            if path.is_dir() and not stacks and sniff(path) == "stack":
                add_folder(path, depth + 1)
            else:
                add(str(path), group)

    for given in inputs:
        if "://" in given:
            add(given, "")
            continue
        path = Path(given)
        if not path.exists():
            raise FileNotFoundError(2, "no such file or folder", given)
        kind = sniff(path)
        if not path.is_dir() or kind in _WHOLE:
            add(given, path.resolve().parent.name)
        elif stacks and _has_slices(path):
            add(given, "")
        else:
            add_folder(path, 0)
    return list(found.values()), ignored


def _has_slices(folder: Path) -> bool:
    from maskmill.io.stack import slices

    return bool(slices(folder))


def probe(source: Source) -> Source:
    """The same, with what its header tells."""
    with source.open() as volume:
        flat = volume.shape[0] == 1 and volume.format in ("image", "tiff")
        return replace(
            source,
            image=flat,
            video=volume.format == "video",
            shape=volume.shape,
            chunks=(volume.chunks[0], volume.chunks[1], volume.chunks[2]),
            dtype=volume.dtype.name,
            spacing=volume.spacing,
        )


def named(sources: Iterable[Source]) -> list[Source]:
    """Give names to sources that were probed, and put them in the order of data set and name.

    Two volumes of one base name, or images of one group, have their extensions in their names.

    Raises ValueError where even these are the same.
    """
    by_group: dict[str | None, list[Source]] = defaultdict(list)
    for source in sources:
        by_group[source.group if source.image else None].append(source)
    out = []
    for group, members in by_group.items():
        for source, name in zip(members, unique_names(map(_named_path, members)), strict=True):
            file = source.path.replace("\\", "/").rstrip("/").rpartition("/")[2]
            if group is None:
                out.append(replace(source, name=name, dataset=dataset_of(name), key=name))
            else:
                out.append(replace(source, name=name, dataset=group or name, key=f"{group}/{file}"))
    return sorted(out, key=lambda source: (source.dataset, source.name))


def _named_path(source: Source) -> str | Path:
    """The path after which a source is named: a video's is that of the stack that it could be."""
    if not source.video:
        return source.path
    path = Path(source.path)
    return path.with_name(stack_name(path) + path.suffix)


def is_video(source: Source) -> bool:
    """Whether its slices are frames: a video, or by cem-dataset's rule, the name."""
    return source.video or "video" in source.name.lower()


def fingerprint(source: Source) -> str:
    """What tells whether a source was changed, without reading it: sizes and times of its files."""
    path = Path(source.path)
    if "://" in source.path:
        return "remote"
    if path.is_file():
        stat = path.stat()
        return f"{stat.st_size} bytes, {stat.st_mtime_ns} ns"
    digest = hashlib.blake2b(digest_size=16)
    for file in _files(path):
        stat = os.stat(path / file)
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def content_digest(path: str) -> str:
    """`sha256:...` of a file's bytes; of a folder `listing:...` of its files' names and sizes: chunked volumes are too
    large to be read for this alone. Empty for a URL."""
    if "://" in path:
        return ""
    digest = hashlib.sha256()
    if os.path.isdir(path):
        for file in _files(Path(path)):
            digest.update(f"{file}\0{os.path.getsize(os.path.join(path, file))}\0".encode())
        return f"listing:{digest.hexdigest()}"
    buffer = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as file_:
        while count := file_.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
    return f"sha256:{digest.hexdigest()}"


def voxel_sizes(texts: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Voxel sizes as given on a command line: "8", "30,8,8" (z, y, x), or either after "NAME="; "" is for all others.

    >>> voxel_sizes(["8", "cell=30,8,8"])
    {'': (8.0, 8.0, 8.0), 'cell': (30.0, 8.0, 8.0)}
    """
    out = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        try:
            numbers = [float(size) for size in sizes.split(",")]
        except ValueError:
            numbers = []
        numbers = numbers * 3 if len(numbers) == 1 else numbers
        if len(numbers) != 3 or not all(0 < number < float("inf") for number in numbers):
            raise ValueError(f"a voxel size must be one positive number or z,y,x, not {sizes!r}")
        out[name] = (numbers[0], numbers[1], numbers[2])
    return out


def legacy_name(path: str) -> str:
    """What cem-dataset calls a volume: its file's name up to where its last extension first occurs.

    >>> legacy_name("a/x.nii.gz"), legacy_name("b.nrrd.old.nrrd"), legacy_name("plain")
    ('x.nii', 'b', 'plain')
    """
    name = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    _, dot, suffix = name.rpartition(".")
    return name.partition(f".{suffix}")[0] if dot else name
