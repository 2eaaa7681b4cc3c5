"""`replay_all`: the labels of many results rebuilt, compared with those that are stored, and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from maskmill._files import written_whole
from maskmill.io._palette import write_indexed
from maskmill.studies.coast.engine import relabel
from maskmill.studies.coast.labelled import Labelled, checked_base, find_sources, labelled, palette, values
from maskmill.studies.coast.ledger import Progress, Report, Row, Source, on_each
from maskmill.studies.coast.replaying import Replay, compared, replay


def replay_all(
    path: str | Path,
    folder: str | Path,
    *,
    trials: str = "all",
    era: str | None = None,
    software: str | None = None,
    engine: str = "lattice",
    thorough: bool = False,
    modern: bool = False,
    base: int = 0,
    classes: Sequence[str] = (),
    processes: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Rebuild the labels of results: PNGs in `labels`, and in the manifest how far they agree with those stored.

    Parameters
    ----------
    path : path
        A result, or a folder with such files or folders of them.
    folder : path
        To write to. Given again after an interruption, it goes on.
    trials : {"newest", "all"}
    era, software, engine, thorough
        As of `replay`.
    modern : bool
        Label again, as `relabel` does, instead of rebuilding.
    base : {0, 1}
        The first id. Pixels without a class are 255 with base 0, and 0 with base 1.
    classes : sequence of str
        Names for files that have none.

    Returns
    -------
    Report
        Rows have ``pixels_different``, ``version`` (the era found), ``software``, ``epoch``, ``iou``, ``boundary_iou``,
        ``runner_up``. Files whose labels cannot be rebuilt are in ``failed``, with the reason.
    """
    folder = Path(folder)
    wish = _Wish(folder, era, software, engine, thorough, modern, checked_base(base))
    settings = {**asdict(wish), "trials": trials, "classes": list(classes)}
    del settings["folder"]
    return on_each(
        find_sources(path),
        folder,
        partial(_replay, wish, trials, tuple(classes)),
        verb="replay",
        settings=settings,
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )


@dataclass(frozen=True)
class _Wish:
    folder: Path
    era: str | None
    software: str | None
    engine: str
    thorough: bool
    modern: bool
    base: int


def _replay(wish: _Wish, trials: str, classes: Sequence[str], source: Source) -> list[Row]:
    return [_write(wish, one) for one in labelled(source, trials, classes)]


def _write(wish: _Wish, one: Labelled) -> Row:
    found = _relabelled(one) if wish.modern else _replayed(wish, one)
    row = one.row(found.labels)
    name = f"labels/{one.name}.png"
    (wish.folder / name).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(wish.folder / name) as file:
        write_indexed(file, values(found.labels, wish.base), palette(len(one.classes), wish.base))
    second = found.runner_up
    return {
        **row,
        "files": [name],
        "pixels_different": found.pixels_different,
        "version": found.era,
        "software": found.software,
        "epoch": found.epoch,
        "iou": found.iou,
        "boundary_iou": found.boundary_iou,
        "runner_up": asdict(second) if second else {},
    }


def _replayed(wish: _Wish, one: Labelled) -> Replay:
    return replay(one.trial, era=wish.era, software=wish.software, engine=wish.engine, thorough=wish.thorough)


def _relabelled(one: Labelled) -> Replay:
    made = relabel(one.image(), one.doodles(), classes=one.classes)
    return compared(one.trial, made.labels + 1, "modern", "maskmill", 0)
