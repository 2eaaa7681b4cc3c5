"""SA-V: the masklets of a video, one RLE per frame and object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from maskmill._files import FormatError
from maskmill.dataset import Dataset, objects
from maskmill.io._parse import Images, integer, load_json, mapping, number, sequence, side, text, wrong
from maskmill.io.formats import Format
from maskmill.masks import Masks

FORMAT = Format("sav", "SA-V masklets of a video (JSON)")


def sniff(path: Path, head: bytes) -> bool:
    return b'"video_id"' in head and b'"masklet"' in head


def read(path: Path, *, images: Path | None = None, step: int = 4, category: str = "object") -> Dataset:
    """Read the masklets of a video of SA-V: an image for each frame that was annotated, an instance for each mask.

    Instances have a column `masklet`, the object's id in all frames, and the stability of automatic masks as score.
    Images are called ``<video>/<frame>.jpg``, as the frames that SA-V gives out.

    Parameters
    ----------
    path : Path
    images : Path, optional
        Folder of the frames, or of the videos' folders of frames.
    step : int
        Frames of the video for one that was annotated: of 24 a second, 6 are.
    category : str
        The class of all.

    Raises
    ------
    FormatError
        If a field is not what it should be; names it.

    References
    ----------
    Ravi et al., SAM 2: Segment Anything in Images and Videos, arXiv:2408.00714.
    """
    content = mapping(load_json(path), str(path))
    video = text(content.get("video_id"), f"{path}: video_id")
    height, width = (
        side(content.get(f"video_{name}"), f"{path}: video_{name}") for name in ("height", "width")
    )
    given = sequence(content.get("masklet_id", []), f"{path}: masklet_id")
    ids = [integer(value, f"{path}: masklet_id[{k}]") for k, value in enumerate(given)]
    frames = sequence(content.get("masklet"), f"{path}: masklet")
    rles: list[Any] = []
    image, masklet, score = [], [], []
    for f, frame in enumerate(frames):
        for k, rle in enumerate(sequence(frame, f"{path}: masklet[{f}]")):
            where = f"{path}: masklet[{f}][{k}]"
            if rle is None:
                continue
            if k >= len(ids):
                raise wrong(where, f"one of {len(ids)} objects, as masklet_id has", k)
            rles.append((where, mapping(rle, where)))
            image.append(f)
            masklet.append(ids[k])
            score.append(_score(content, f, k, path))
    folder = Images(images, path.parent)
    names = [f"{video}/{step * f:05d}.jpg" for f in range(len(frames))]
    return Dataset(
        {
            "id": np.arange(len(frames)) * step,
            "file_name": objects(names),
            "height": np.full(len(frames), height),
            "width": np.full(len(frames), width),
            "pixels": objects([folder.reference(name) for name in names]),
        },
        {"name": objects([category])},
        {
            "image": np.array(image, np.int64),
            "category": np.zeros(len(rles), np.int64),
            "masklet": np.array(masklet, np.int64),
            "score": np.array(score, np.float64),
        },
        _masks(rles, (height, width)),
        info={"sav": {key: value for key, value in content.items() if key != "masklet"}},
    )


def _score(content: dict[str, Any], frame: int, k: int, path: Path) -> float:
    """Of automatic masklets: one for each frame and object. Others have none."""
    scores = content.get("masklet_stability_score")
    row = scores[frame] if isinstance(scores, list) and frame < len(scores) else None
    value = row[k] if isinstance(row, list) and k < len(row) else None
    return np.nan if value is None else number(value, f"{path}: masklet_stability_score[{frame}][{k}]")


def _masks(rles: list[tuple[str, dict[str, Any]]], size: tuple[int, int]) -> Masks:
    try:
        made = Masks.from_coco([rle for _, rle in rles])
    except (TypeError, ValueError):
        for where, rle in rles:
            try:
                Masks.from_coco(rle)
            except (TypeError, ValueError) as error:
                raise FormatError(f"{where}: {error}") from None
        raise
    wrong_size = np.flatnonzero((made.sizes != np.array(size)).any(1))
    if len(wrong_size):
        k = int(wrong_size[0])
        raise wrong(
            f"{rles[k][0]}.size", f"the video's height and width {list(size)}", made.sizes[k].tolist()
        )
    return made
