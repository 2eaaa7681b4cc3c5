"""Image-per-shot projects: a picture for each shot, its sample and shot by its name, its scale by a file beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskmill._files import FormatError
from maskmill.dataset.sizes import image_size
from maskmill.io._rows import read_rows
from maskmill.io.images import IMAGE_SUFFIXES
from maskmill.studies.zircon.stage import read_align

NAMES = {
    "last": r"(?P<sample>.+)[-_](?P<shot>[^-_]+)",
    "ucsb": r".*ScanImage_(?P<sample>(?:(?!_Ablation).)+)-(?P<shot>[^-]+?)_Ablation.*",
    "whole": r"(?P<sample>)(?P<shot>.+)",
}
"""How stems of file names are split into sample and shot; any such pattern may be given instead."""


@dataclass(frozen=True)
class Scan:
    """The picture of a shot.

    Attributes
    ----------
    sample, shot : str
    path : Path
    columns, rows : int
    sx, sy : float
        Width and height of a pixel in µm.
    scale_from : str
        ".Align", "sample_info.csv" or "default (1.0)": who says so.
    """

    sample: str
    shot: str
    path: Path
    columns: int
    rows: int
    sx: float
    sy: float
    scale_from: str


def read_scans(folder: str | Path, names: str = "last") -> tuple[list[Scan], list[tuple[Path, str]]]:
    """The pictures of an image-per-shot project, in the order of their names.

    Parameters
    ----------
    folder : path
        With `scans` in it, and `sample_info.csv` (columns Sample, Scale) if there is one. `scans` holds pictures
        (layout A), whose names tell sample and shot, or a folder of pictures for each sample (layout B), whose stems
        are the shots.
    names : str
        "last" (what is behind the last - or _ is the shot), "ucsb" (`ScanImage_SAMPLE-SHOT_Ablation...`), "whole" (all
        shots are of one sample, called as the project), or a regular expression with groups called sample and shot,
        for the whole stem.

    Returns
    -------
    scans : list of Scan
    ignored : list of (path, reason)
        What is no picture, or has a name of another form.

    Raises
    ------
    FormatError
        On a bad table, `.Align` file or picture, and where two pictures are of one shot.
    FileNotFoundError
        If there is no folder `scans`.
    """
    folder = Path(folder)
    pattern = _pattern(names)
    table = folder / "sample_info.csv"
    scales = _scales(table) if table.exists() else {}
    files = list(_files(folder / "scans"))
    aligns = {(path.parent, path.stem): path for path, _ in files if path.suffix.lower() == ".align"}
    scans: dict[tuple[str, str], Scan] = {}
    ignored = []
    for path, sample in files:
        if path.suffix.lower() == ".align":
            other = aligns[path.parent, path.stem]
            if other != path:
                raise FormatError(f"{path}: expected one .Align file of this stem, found {other.name}, too")
            continue
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            ignored.append((path, "no picture by its suffix"))
            continue
        shot = path.stem
        if sample is None:
            found = pattern.fullmatch(path.stem)
            if found is None:
                ignored.append((path, f"the name tells no sample and shot by the pattern {names!r}"))
                continue
            sample, shot = found["sample"] or folder.resolve().name, found["shot"]
        if (sample, shot) in scans:
            other = scans[sample, shot].path
            raise FormatError(f"{path}: expected one picture of {sample} {shot}, found {other}, too")
        scans[sample, shot] = _scan(sample, shot, path, aligns.get((path.parent, path.stem)), scales)
    return list(scans.values()), ignored


def _pattern(names: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(NAMES.get(names, names))
    except re.error as error:
        raise ValueError(f"names must be a regular expression, not {names!r} ({error})") from None
    if not {"sample", "shot"} <= set(pattern.groupindex):
        raise ValueError(
            f"names must be {', '.join(NAMES)} or have groups called sample and shot, not {names!r}"
        )
    return pattern


def _files(scans: Path) -> Iterator[tuple[Path, str | None]]:
    """Files, and the sample whose folder they are in."""
    for entry in sorted(scans.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            for path in sorted(entry.iterdir()):
                if path.is_file() and not path.name.startswith("."):
                    yield path, entry.name
        else:
            yield entry, None


def _scales(table: Path) -> dict[str, float]:
    scales: dict[str, float] = {}
    for row in read_rows(table, ("Sample", "Scale")):
        if row["Sample"] in scales:
            raise row.fault("Sample", "a sample that is not there already")
        scales[row["Sample"]] = row.number("Scale", above=0)
    return scales


def _scan(sample: str, shot: str, path: Path, align: Path | None, scales: dict[str, float]) -> Scan:
    rows, columns = image_size(path)
    if align is not None:
        width, height = read_align(align).size
        return Scan(sample, shot, path, columns, rows, width / columns, height / rows, ".Align")
    if sample in scales:
        return Scan(sample, shot, path, columns, rows, scales[sample], scales[sample], "sample_info.csv")
    return Scan(sample, shot, path, columns, rows, 1.0, 1.0, "default (1.0)")
