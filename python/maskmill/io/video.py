"""Videos, frame by frame (by OpenCV's FFmpeg): mp4, avi, mov, mkv, webm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io._volume import Channel, to_luminance

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
