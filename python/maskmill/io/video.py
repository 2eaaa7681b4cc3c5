"""Videos, frame by frame (by OpenCV's FFmpeg): mp4, avi, mov, mkv, webm."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io._volume import Channel, Options, Volume, to_luminance

_SOME = 0.98  # containers may promise a frame or two more than there are
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm")


class Video:
    """Frames of a video, one at a time.

    Attributes
    ----------
    path : str
    shape : (int, int)
        Height and width of a frame.
    fps : float or None
        Frames per second, if the file says so.
    promised : int or None
        How many frames the container says there are: an estimate in some. `count` counts them.
    """

    def __init__(self, path: str, capture: Any) -> None:
        import cv2

        self.path, self._capture, self._at = path, capture, 0
        height, width = capture.get(cv2.CAP_PROP_FRAME_HEIGHT), capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        self.shape = (int(height), int(width))
        fps, frames = float(capture.get(cv2.CAP_PROP_FPS)), float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.fps = fps if 0 < fps < 1e6 else None
        self.promised = int(frames) if 0 < frames < 1 << 40 else None
        if min(self.shape) < 1:
            raise FormatError(f"{path}: expected frames of a size, found {self.shape}")

    def frames(
        self, channel: Channel = "luminance", *, start: int = 0, end: int | None = None, step: int = 1
    ) -> Iterator[NDArray[np.uint8]]:
        """(H, W) uint8 frames start, start + step, ... below `end`. May be called once, as a video runs forward.

        `channel` is "luminance", or 0, 1, 2 for red, green, blue.

        Raises FormatError if a frame has another size than the first.
        """
        if channel not in ("luminance", 0, 1, 2):
            raise ValueError(f'channel must be "luminance", 0, 1 or 2, not {channel!r}')
        if start < 0 or step < 1:
            raise ValueError(f"start must be 0 or more and step 1 or more, not {start} and {step}")
        while (end is None or self._at < end) and self._capture.grab():
            wanted = self._at >= start and (self._at - start) % step == 0
            self._at += 1
            if wanted:
                yield self._frame(channel)

    def _frame(self, channel: Channel) -> NDArray[np.uint8]:
        good, image = self._capture.retrieve()
        if not good or image is None or image.ndim != 3 or image.shape[:2] != self.shape:
            found = None if image is None else image.shape
            raise FormatError(f"{self.path}: frame {self._at - 1}: expected {self.shape}, found {found}")
        rgb = image[..., ::-1]
        if channel == "luminance":
            return to_luminance(rgb)
        return np.ascontiguousarray(rgb[..., int(channel)])

    def count(self) -> int:
        """How many frames can be decoded, up to the end; no others can be read after that."""
        while self._capture.grab():
            self._at += 1
        return self._at

    def checked_count(self) -> int:
        """The same, above 0. Raises FormatError if it is well below what was promised: the file is cut short."""
        count = self.count()
        if count == 0 or (self.promised is not None and count < _SOME * self.promised):
            raise FormatError(
                f"{self.path}: expected {self.promised or 'some'} frames, found {count}: damaged or cut short"
            )
        return count

    @property
    def at(self) -> int:
        """How many frames are behind."""
        return self._at

    def close(self) -> None:
        self._capture.release()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_video(path: str | Path) -> Video:
    """Open a video.

    Raises FormatError if it cannot be decoded, and FileNotFoundError if it is not there.
    """
    import cv2

    path = os.fspath(path)
    with open(path, "rb"):
        pass  # a missing file has an error of its own
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        capture.release()
        raise FormatError(
            f"{path}: expected a video, found a file that FFmpeg cannot decode, or that is cut short"
        )
    try:
        return Video(path, capture)
    except BaseException:
        capture.release()
        raise


class _Frames:
    """The frames of a video as an array (t, y, x) that takes slices. Each thread decodes for itself, forward: frames
    that are asked for in order are decoded once."""

    dtype = np.dtype(np.uint8)

    def __init__(self, path: str, shape: tuple[int, int, int], channel: Channel) -> None:
        self.shape = shape
        self._path, self._channel = path, channel
        self._mine = threading.local()

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[np.uint8]:
        frames, rows, columns = index
        start, stop, _ = frames.indices(self.shape[0])
        video: Video | None = getattr(self._mine, "video", None)
        if video is None or video.at > start:
            if video is not None:
                video.close()
            self._mine.video = video = open_video(self._path)
        found = [frame[rows, columns].copy() for frame in video.frames(self._channel, start=start, end=stop)]
        if len(found) != stop - start:
            raise FormatError(f"{self._path}: expected frames {start} to {stop}, found {len(found)} of them")
        return np.stack(found)


@lru_cache(maxsize=1024)
def _size(path: str, _mark: tuple[int, int]) -> tuple[int, int, int]:
    """Frames, height, width. A container only guesses how many frames follow: they are counted, once."""
    with open_video(path) as video:
        return (video.checked_count(), *video.shape)


def open_frames(path: str, options: Options) -> Volume:
    """A video as a volume whose slices are its frames."""
    if options.channel not in ("luminance", 0, 1, 2):
        raise ValueError(f'{path}: channel must be "luminance", 0, 1 or 2, not {options.channel!r}')
    status = os.stat(path)
    shape = _size(path, (status.st_size, status.st_mtime_ns))
    frames = _Frames(path, shape, options.channel)
    return Volume(path, "video", frames, "zyx", chunks=(1, *shape[1:]))
