"""Codes of image files, decoded in threads; what was hashed once is not hashed again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.dedupe.search import Items
from maskmill.dedupe.table import CodeTable, Row
from maskmill.hashes import Profile
from maskmill.io.images import IMAGE_SUFFIXES, read_image

Image: TypeAlias = NDArray[Any]

DIHEDRAL = tuple(range(8))
INVERTED = 8  # added to a view
LEAST_RANGE = 8
"""Pictures whose gray values span less are flat: their codes are noise."""
SUFFIXES = frozenset((*IMAGE_SUFFIXES, ".gif", ".pbm", ".pnm", ".jp2", ".avif"))


@dataclass(frozen=True)
class ImageHashes:
    """What to make of each image.

    Parameters
    ----------
    profile : Profile
        The codes that are compared.
    confirm : Profile, optional
        Longer codes, which must be near as well.
    dihedral : bool
        Also compare the image turned by 90, 180 and 270 degrees, and mirrored.
    inverted : bool
        Also compare its negative.
    """

    profile: Profile
    confirm: Profile | None = None
    dihedral: bool = False
    inverted: bool = False

    @property
    def views(self) -> tuple[int, ...]:
        """Numbers of the views that `seen` makes; view 0 is the image as it is."""
        plain = DIHEDRAL if self.dihedral else (0,)
        return (*plain, *(INVERTED + view for view in plain)) if self.inverted else plain

    def __str__(self) -> str:
        """What must be equal for items to be comparable."""
        return str(self.profile) + (f" confirmed by {self.confirm}" if self.confirm else "")


@dataclass
class HashedImages:
    """Items that were hashed, their files in the same order, and those that failed with the reason."""

    items: Items
    paths: list[Path]
    failed: list[tuple[str, str]] = field(default_factory=list)
    from_table: int = 0


def find_images(folder: str | Path) -> list[Path]:
    """Files below a folder that have an image's name, sorted; hidden files and folders are left out."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root) / name for name in files if _is_image_name(name)]
    return sorted(found)


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def hash_images(
    paths: Iterable[str | Path],
    ids: Sequence[str],
    hashes: ImageHashes,
    *,
    table: CodeTable | None = None,
    threads: int | None = None,
    progress: Callable[[], object] | None = None,
) -> HashedImages:
    """Codes of image files.

    Parameters
    ----------
    paths : files
    ids : what each is called
    hashes : ImageHashes
    table : CodeTable, optional
        Codes from before, by the files' contents; new ones are added to it, and it is for the caller to save.
    threads : int, optional
        One per processor unless given.
    progress : called after each file

    Returns
    -------
    HashedImages
        Files that cannot be read are in `failed`, and nowhere else.
    """
    files = [Path(path) for path in paths]
    table = CodeTable() if table is None else table

    def work(file: Path) -> tuple[list[Row], bool] | str:
        try:
            return _rows(file, hashes, table)
        except (OSError, FormatError, ValueError, TypeError, MemoryError) as error:
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return text.removeprefix(f"{file}: ") or type(error).__name__

    good: list[int] = []
    rows: list[list[Row]] = []
    failed: list[tuple[str, str]] = []
    known = 0
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for number, result in enumerate(pool.map(work, files)):
            if isinstance(result, str):
                failed.append((ids[number], result))
            else:
                good.append(number)
                rows.append(result[0])
                known += result[1]
            if progress is not None:
                progress()
    items = _items([ids[k] for k in good], rows, hashes)
    return HashedImages(items, [files[k] for k in good], failed, known)


def _rows(file: Path, hashes: ImageHashes, table: CodeTable) -> tuple[list[Row], bool]:
    """The rows of a file's views, and of the code that confirms; and whether all were known."""
    digest = hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
    wanted = [(str(hashes.profile), view) for view in hashes.views]
    if hashes.confirm:
        wanted.append((str(hashes.confirm), 0))
    found = [table.get(digest, *key) for key in wanted]
    if all(row is not None for row in found):
        return [row for row in found if row is not None], True
    image = read_image(file)
    if image.ndim == 3 and image.shape[2] not in (3, 4):
        image = image[..., 0]
    gray = image if image.ndim == 2 else image[..., :3].mean(axis=2)
    flat = bool(np.ptp(gray) < LEAST_RANGE * (1 if image.dtype == np.uint8 else np.ptp(_limits(image)) / 255))
    rows = []
    height, width = image.shape[:2]
    for profile, view in wanted:
        (code,) = Profile.parse(profile).codes([seen(image, view)])
        rows.append(table.add(Row(digest, profile, view, tuple(code.tolist()), height, width, flat)))
    return rows, False


def _limits(image: Image) -> NDArray[np.float64]:
    if image.dtype.kind == "f":
        return np.array([0.0, 1.0])
    if image.dtype.kind == "b":
        return np.array([0.0, 255.0 / LEAST_RANGE])
    limits = np.iinfo(image.dtype)
    return np.array([limits.min, limits.max], np.float64)


def seen(image: Image, view: int) -> Image:
    """The image mirrored if view & 4, then turned by view % 4 quarters; its negative if view & 8."""
    if view >= INVERTED:
        image = ~image if image.dtype.kind in "bu" else -image
    if view & 4:
        image = image[:, ::-1]
    return np.rot90(image, view % 4)


def _items(ids: list[str], rows: list[list[Row]], hashes: ImageHashes) -> Items:
    views, words = len(hashes.views), hashes.profile.words
    codes = np.array([[row.code for row in of_file[:views]] for of_file in rows], np.uint64).reshape(
        -1, views, words
    )
    confirm = None
    if hashes.confirm:
        confirm = np.array([of_file[-1].code for of_file in rows], np.uint64).reshape(
            -1, hashes.confirm.words
        )
    return Items(
        ids,
        np.ascontiguousarray(codes[:, 0]),
        str(hashes),
        codes if views > 1 else None,
        confirm,
        np.array([of_file[0].height * of_file[0].width for of_file in rows], np.float64),
        np.array([of_file[0].flat for of_file in rows], bool),
    )
