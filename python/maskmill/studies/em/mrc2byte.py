"""MRC volumes to unsigned bytes, and binned: cem-dataset's mrc2byte and binvol, without IMOD."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.io.intensity import Scaling, fit_scaling
from maskmill.io.volumes import Volume, list_volumes, open_volume, sniff, unique_names
from maskmill.io.writing import angstroms, write_volume
from maskmill.studies.em.report import Progress, Report, on_each


def mrc2byte(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    policy: str = "dtype",
    values: Sequence[float] = (),
    nonfinite: int | None = None,
    bin: int = 1,
    signed: bool | None = None,
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Write each volume as `<out>/<name>.mrc` of unsigned bytes. The inputs are never touched.

    Parameters
    ----------
    inputs : paths
        MRC files (or any other volumes), and folders whose MRC files are taken.
    out : path
        Folder to write to.
    policy, values, nonfinite
        How voxels become bytes, one rule for a volume: see `maskmill.io.intensity.fit_scaling`. "dtype" adds 128 to
        signed bytes, as IMOD's newstack does, and leaves unsigned ones.
    bin : int
        Mean of bin x bin x bin voxels, as IMOD's binvol; what is left over at the ends is dropped. The name gets
        "BV" and the number, and the voxel size grows with it.
    signed : bool, optional
        Whether the bytes of mode 0 are signed, if the headers are not to be believed.
    overwrite : bool
        Replace files that are there; otherwise they are listed as failed.

    Returns
    -------
    Report

    Raises
    ------
    FileNotFoundError
        If an input does not exist.
    ValueError
        If there is no volume, or a parameter is out of its range.
    """
    if bin < 1:
        raise ValueError(f"bin must be 1 or more, not {bin}")
    report = Report()
    volumes = _volumes(inputs, report)
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    ending = f"BV{bin}.mrc" if bin > 1 else ".mrc"
    names = zip(volumes, unique_names(volumes), strict=True)
    jobs = [(volume, target / f"{name}{ending}", None) for volume, name in names]

    def work(source: Path, into: Path, _: None) -> None:
        if into.exists():
            if into.resolve() == source.resolve():
                raise ValueError(f"{into}: the output would replace its input: write to another folder")
            if not overwrite:
                raise FileExistsError(17, "is already there: see --overwrite", str(into))
        with open_volume(source, signed=signed) as volume:
            scaling = fit_scaling(volume, policy, values, nonfinite=nonfinite)
            _write(volume, into, scaling, bin, report)

    on_each(report, jobs, work, workers=workers, progress=progress)
    return report


def _volumes(inputs: Sequence[str | Path], report: Report) -> list[Path]:
    found: list[Path] = []
    for entry in map(Path, inputs):
        if not entry.is_dir():
            if not entry.exists():
                raise FileNotFoundError(2, "No such file or directory", str(entry))
            found.append(entry)
            continue
        listing = list_volumes(entry)
        report.ignored += listing.ignored
        for inside in listing.found:
            if _is_mrc(inside):
                found.append(inside)
            else:
                report.ignored.append((inside, "no MRC file"))
    if not found:
        raise ValueError(
            f"there must be an MRC file in {', '.join(map(str, inputs)) or 'the inputs'}, and there is none"
        )
    return found


def _is_mrc(path: Path) -> bool:
    try:
        return sniff(path) == "mrc"
    except ValueError:
        return any(
            end in path.name.lower() for end in (".mrc", ".map", ".rec")
        )  # damaged: it is to be listed


def _write(volume: Volume, into: Path, scaling: Scaling, factor: int, report: Report) -> None:
    shape = tuple(size // factor for size in volume.shape)
    if min(shape) < 1:
        raise ValueError(
            f"{volume.source}: there must be {factor} voxels along each axis to bin, not {volume.shape}"
        )
    spacing = None
    if volume.spacing is not None:
        angstroms(volume.unit)  # refuses units that are no lengths, before anything is written
        spacing = tuple(size * factor for size in volume.spacing)
    blocks = (scaling.apply(block) for block in report.until_stopped(_binned(volume, factor)))
    write_volume(into, blocks, shape, "uint8", spacing=spacing, unit=volume.unit)


def _binned(volume: Volume, factor: int) -> Iterator[NDArray[Any]]:
    if factor == 1:
        yield from volume.slabs()
        return
    depth, height, width = (size // factor for size in volume.shape)
    for z in range(depth):
        block = volume.read((z * factor, (z + 1) * factor, 0, height * factor, 0, width * factor))
        parts = block.reshape(factor, height, factor, width, factor)
        mean = parts.mean(axis=(0, 2, 4), dtype=np.float64)
        rounded = mean if volume.dtype.kind == "f" else np.rint(mean)
        yield rounded.astype(volume.dtype)
