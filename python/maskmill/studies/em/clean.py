"""Folders of images of any kind to 8-bit gray images: cem-dataset's cleanup2d, as it was meant.

A group is a folder of images. All images of a group are scaled by one rule.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, need, written_whole
from maskmill.io._volume import Channel, to_luminance
from maskmill.io.images import IMAGE_SUFFIXES, read_image
from maskmill.io.intensity import Scaling, fit_scaling
from maskmill.io.stack import natural_key
from maskmill.studies.em.report import Progress, Report, on_each, sentence


def clean(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    in_place: bool = False,
    policy: str = "dtype",
    values: Sequence[float] = (),
    nonfinite: int | None = None,
    channel: Channel = 0,
    workers: int = 4,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Convert the images in the sub-folders of a folder to 8-bit gray images of the same names.

    Parameters
    ----------
    folder : path
        Each sub-folder is a group of images. Files beside the sub-folders are ignored.
    out : path, optional
        Where to write `<group>/<image>`. Images that are 8-bit gray already are copied as they are.
    in_place : bool
        Overwrite the images instead of writing to `out`; those that are 8-bit gray already stay untouched.
    policy, values, nonfinite
        See `maskmill.io.intensity.fit_scaling`. What it needs to know of the voxels is found out over a whole group.
    channel : int or "luminance"
        Of colour images.
    workers : int
        Images at a time.
    dry_run : bool
        Read and convert, and write nothing.

    Returns
    -------
    Report
        What was written, what failed and why, what was ignored. One bad image does not stop the others.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ValueError
        If there is no group in it, or `out` lies within it.
    """
    folder = Path(folder)
    groups = sorted(
        (entry for entry in folder.iterdir() if entry.is_dir()), key=lambda p: natural_key(p.name)
    )
    if not groups:
        raise ValueError(f"{folder}: there must be a sub-folder for each group of images, and there is none")
    if (out is None) == (not in_place):
        raise ValueError("there must be a folder to write to, or in_place, and not both")
    target = folder if out is None else Path(out)
    if out is not None and target.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{target}: the folder to write to must not lie within {folder}")
    report = Report()
    report.ignored += [(entry, "not in a group") for entry in sorted(folder.iterdir()) if not entry.is_dir()]
    jobs: list[tuple[Path, Path, _Fit]] = []
    for group in groups:
        images = _images(group, report)
        fit = _Fit(images, policy, values, nonfinite, channel)
        jobs += [(image, target / group.name / image.name, fit) for image in images]

    if not dry_run:
        target.mkdir(parents=True, exist_ok=True)

    def work(source: Path, into: Path, fit: _Fit) -> None:
        _convert(source, None if dry_run else into, fit, in_place)

    on_each(report, jobs, work, workers=workers, progress=progress)
    return report


def _images(group: Path, report: Report) -> list[Path]:
    images = []
    for entry in sorted(group.iterdir(), key=lambda path: natural_key(path.name)):
        if entry.is_file() and entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith("."):
            images.append(entry)
        else:
            report.ignored.append(
                (entry, "no image by its suffix" if entry.is_file() else "a folder in a group")
            )
    return images


def gray(path: Path, channel: Channel) -> NDArray[Any]:
    """One channel of an image, (H, W)."""
    image = read_image(path)
    if image.ndim == 2:
        return image
    if channel == "luminance":
        return to_luminance(image[..., :3]) if image.shape[2] > 2 else image[..., 0]
    if not 0 <= int(channel) < image.shape[2]:
        raise ValueError(f"{path}: channel must be 0 to {image.shape[2] - 1}, not {channel}")
    return image[..., int(channel)]


class _Fit:
    """The scaling of each type of pixels in a group, found when it is first needed."""

    def __init__(
        self,
        images: list[Path],
        policy: str,
        values: Sequence[float],
        nonfinite: int | None,
        channel: Channel,
    ) -> None:
        self.policy, self.channel = policy, channel
        self._images, self._values, self._nonfinite = images, values, nonfinite
        self._found: dict[str, Scaling] = {}
        if policy in ("minmax", "percentile"):  # of all images, before threads ask
            for name in sorted({image.dtype.name for image in self._readable(None)}):
                blocks = partial(self._readable, name)
                self._found[name] = fit_scaling(blocks, policy, values, nonfinite=nonfinite)

    def _readable(self, dtype: str | None) -> Iterator[NDArray[Any]]:
        for path in self._images:
            try:
                image = gray(path, self.channel)
            except (OSError, ValueError):
                continue  # it is listed as failed when its turn comes
            if dtype is None or image.dtype.name == dtype:
                yield image

    def scaling(self, image: NDArray[Any]) -> Scaling:
        if image.dtype.name in self._found:
            return self._found[image.dtype.name]
        return fit_scaling(image, self.policy, self._values, nonfinite=self._nonfinite)


def _convert(source: Path, into: Path | None, fit: _Fit, in_place: bool) -> None:
    image = gray(source, fit.channel)
    try:
        scaling = fit.scaling(image)
        scaled = scaling.apply(image)
    except ValueError as error:
        raise ValueError(f"{source}: {sentence(error)}") from None
    if into is None:
        return
    into.parent.mkdir(parents=True, exist_ok=True)
    if scaling.is_identity and read_image(source).ndim == 2:
        if not in_place:
            with written_whole(into) as file, open(source, "rb") as original:
                shutil.copyfileobj(original, file)
        return
    _write_image(into, scaled)


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """An 8-bit gray image, in the format of the suffix."""
    import cv2

    if path.suffix.lower() in (".tif", ".tiff"):
        tifffile = need("tifffile", "em")
        with written_whole(path) as file:
            handle = tifffile.FileHandle(file, name=path.name, offset=0)
            with tifffile.TiffWriter(handle) as writer:
                writer.write(image, photometric="minisblack", metadata=None)
        return
    good, data = cv2.imencode(path.suffix.lower(), np.ascontiguousarray(image))
    if not good:
        raise FormatError(f"{path}: expected a suffix that can be written, found {path.suffix}")
    with written_whole(path) as file:
        file.write(data.tobytes())
