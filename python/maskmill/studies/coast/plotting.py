"""All pictures of record tables and of their results, as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from maskmill._files import FormatError, written_whole
from maskmill.dataset import Table
from maskmill.io._parse import dump_json
from maskmill.io.doodler import read_trials
from maskmill.studies.coast.audit import lint
from maskmill.studies.coast.figures import PICTURES, set_colours
from maskmill.studies.coast.file_rules import locate
from maskmill.studies.coast.maps import geojson, row_key, svg_map
from maskmill.studies.coast.montage import Picture, fitted, montage, rgb
from maskmill.studies.coast.page import write_page
from maskmill.studies.coast.statistics import Statistics, stats
from maskmill.studies.coast.trials import find

Progress = Callable[[int, int, str], None]
_THUMBNAIL = 150


def plots(
    records: Statistics | Table | str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    files: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Draw everything that record tables tell, and put it on one page.

    Parameters
    ----------
    records : Statistics, or what `stats` takes
    folder : path
        To write to: a PNG for each of `figures.PICTURES`, `map.svg`, `locations.geojson` and `report.html`.
    files : path, optional
        Folder with the files of labels (.npz): their images are then on the page, at their places.
    progress : callable, optional
        Called with how many are done, how many there are, and the name of the next.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    FormatError
        If a table cannot be read.
    ImportError
        Without Matplotlib.
    """
    found = records if isinstance(records, Statistics) else stats(records)
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for done, (name, draw) in enumerate(PICTURES.items()):
        if progress is not None:
            progress(done, len(PICTURES), name)
        written.append(out / f"{name}.png")
        draw(found, written[-1])
    pictures = {path.stem: path.read_bytes() for path in written}
    texts = {
        "map.svg": svg_map(found.records, set_colours(found.records), heading="All imagery").encode(),
        "locations.geojson": dump_json(geojson(found.records)),
    }
    for name, text in texts.items():
        with written_whole(out / name) as file:
            file.write(text)
    thumbnails = [] if files is None else _thumbnails(found.records, files, progress)
    write_page(found, pictures, out / "report.html", checked=lint(found.records), thumbnails=thumbnails)
    return [*written, *(out / name for name in (*texts, "report.html"))]


def _thumbnails(records: Table, files: str | Path, progress: Progress | None) -> list[tuple[str, str, bytes]]:
    """Small pictures of the images whose files there are; what cannot be read is left to `lint`."""
    made = []
    rows, _ = locate(records, files)
    for i, found in enumerate(rows):
        if progress is not None:
            progress(i, len(rows), str(records["image"][i]))
        if len(found) != 1:
            continue
        try:
            picture = fitted(rgb(read_trials(found[0])[0]), _THUMBNAIL)
        except (FormatError, OSError):
            continue
        made.append((row_key(records, i), str(records["image"][i]), _jpeg(picture)))
    return made


def _jpeg(picture: Picture) -> bytes:
    """Of an image, never of a label."""
    import cv2

    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    return bytes(data)


def montages(
    source: str | Path | Sequence[str | Path], folder: str | Path, *, progress: Progress | None = None
) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Write a `montage` of the newest trial of each result file, as PNG.

    Returns
    -------
    written : list of Path
    failed : list of (Path, str)
        Files that could not be read, and why.
    """
    import cv2

    given = [source] if isinstance(source, str | Path) else source
    paths = list(dict.fromkeys(file for path in given for file in find(Path(path))))
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    failed = []
    stems = [path.stem for path in paths]
    for done, path in enumerate(paths):
        if progress is not None:
            progress(done, len(paths), path.name)
        try:
            picture = montage(read_trials(path)[0])
        except (FormatError, OSError) as error:
            failed.append((path, str(error)))
            continue
        name = path.stem if stems.count(path.stem) == 1 else f"{path.parent.name}__{path.stem}"
        written.append(out / f"{name}.png")
        with written_whole(written[-1]) as file:
            file.write(bytes(cv2.imencode(".png", picture[..., ::-1])[1]))
    return written, failed
