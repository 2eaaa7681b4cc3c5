"""Videos to stacks (t, y, x): cem-dataset's vid2stack, frame by frame, with the names that it meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskmill.io._volume import Channel, base_name
from maskmill.io.video import VIDEO_SUFFIXES, open_video
from maskmill.io.volumes import unique_names
from maskmill.io.writing import write_volume
from maskmill.studies.em.report import Progress, Report, on_each


def video2stack(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    format: str = "nrrd",
    channel: Channel = "luminance",
    step: int = 1,
    start: int = 0,
    end: int | None = None,
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Write each video as a stack `<out>/<name>.nrrd` or `.tif`, with its frame rate.

    Parameters
    ----------
    inputs : paths
        Videos, and folders whose videos (mp4, avi, mov, mkv, m4v, webm, in any case) are taken.
    out : path
        Folder to write to.
    format : "nrrd" or "tif"
    channel : "luminance", 0, 1 or 2
        0, 1 and 2 are red, green and blue; cem-dataset took blue.
    step, start, end : int
        Frames start, start + step, ... below end.
    overwrite : bool
        Replace stacks that are there; otherwise they are listed as failed.

    Returns
    -------
    Report

    Raises
    ------
    FileNotFoundError
        If an input does not exist.
    ValueError
        If there is no video, or a parameter is out of its range.

    Notes
    -----
    The name is the video's with "_video" behind it, unless it has that word: `patchify` then knows that the third axis
    is time. Two videos of one name get their extensions in it.
    """
    if format not in ("nrrd", "tif"):
        raise ValueError(f'format must be "nrrd" or "tif", not {format!r}')
    if step < 1 or start < 0 or (end is not None and end <= start):
        raise ValueError(f"step must be 1 or more and 0 <= start < end, not {step}, {start} and {end}")
    report = Report()
    videos = _videos(inputs, report)
    target = Path(out)
    target.mkdir(parents=True, exist_ok=True)
    jobs = [
        (video, target / f"{stack_name(name)}.{format}", None)
        for video, name in zip(videos, unique_names(videos), strict=True)
    ]

    def work(source: Path, into: Path, _: None) -> None:
        if into.exists() and not overwrite:
            raise FileExistsError(17, "is already there: see --overwrite", str(into))
        _convert(source, into, channel, start, end, step, report)

    on_each(report, jobs, work, workers=workers, progress=progress)
    return report


def stack_name(name: str | Path) -> str:
    """The name of a video's stack.

    >>> stack_name("clip.mp4"), stack_name("mp4test.mp4"), stack_name("MyVideo.avi")
    ('clip_video', 'mp4test_video', 'MyVideo')
    """
    stem = base_name(name)
    return stem if "video" in stem.casefold() else f"{stem}_video"


def _videos(inputs: Sequence[str | Path], report: Report) -> list[Path]:
    videos: list[Path] = []
    for entry in map(Path, inputs):
        if not entry.is_dir():
            if not entry.exists():
                raise FileNotFoundError(2, "No such file or directory", str(entry))
            videos.append(entry)
            continue
        for inside in sorted(entry.iterdir()):
            if inside.is_file() and inside.suffix.lower() in VIDEO_SUFFIXES:
                videos.append(inside)
            else:
                report.ignored.append((inside, "no video by its suffix"))
    if not videos:
        raise ValueError(
            f"there must be a video in {', '.join(map(str, inputs)) or 'the inputs'}, and there is none"
        )
    return videos


def _convert(
    source: Path, into: Path, channel: Channel, start: int, end: int | None, step: int, report: Report
) -> None:
    # A header says how many frames follow, and containers only guess: they are counted, and read again.
    with open_video(source) as video:
        count, shape, fps = video.checked_count(), video.shape, video.fps
    numbers = range(start, count if end is None else min(end, count), step)
    if not numbers:
        raise ValueError(f"{source}: there must be frames from {start} on, and there are {count} in all")
    notes = {} if fps is None else {"frame rate": repr(fps / step)}
    with open_video(source) as video:
        frames = video.frames(channel, start=start, end=numbers[-1] + 1, step=step)
        write_volume(into, report.until_stopped(frames), (len(numbers), *shape), "uint8", notes=notes)
