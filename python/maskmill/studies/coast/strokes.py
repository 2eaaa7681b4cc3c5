"""`transfer`: what was drawn on one picture labels others of the same place, such as the next ones of a time series."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from maskmill._files import FormatError
from maskmill.io.doodler import write_arrays
from maskmill.io.exif import upright
from maskmill.studies.coast.ledger import Progress, Report, Row, Source, on_each
from maskmill.studies.coast.packing import by_name, read_turned, trial_arrays
from maskmill.studies.coast.timeline import counts
from maskmill.studies.coast.trials import read


def transfer(
    path: str | Path,
    images: str | Path,
    folder: str | Path,
    *,
    user: str = "",
    seed: int = 1,
    pin: bool = True,
    crf: bool = True,
    processes: int | None = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write results, `NAME.npz`, of pictures that are labelled by the doodles of another one.

    Each picture is labelled on its own by `engine.relabel`: the doodles say where examples of classes are, and the
    picture what these look like in it. Doodles must still be right there: what has moved since is drawn wrongly.

    Parameters
    ----------
    path : path
        A result, whose newest trial has the doodles.
    images : path
        A picture as large as the doodles, or a folder of such.
    folder : path
        To write to. Given again after an interruption, it goes on.
    user : str
        Put behind names, after `_`.
    seed : int
        Of the classifier.
    pin : bool
        Doodled pixels keep their class.
    crf : bool
        Smooth labels by a fully connected CRF.
    processes : int, optional
        Of this machine. One by default: kernels use all processors.

    Returns
    -------
    Report
        Rows have the pixels of each class, and `unchanged`, the share of pixels with the class that the result has.

    Raises
    ------
    FormatError
        If the result has no doodles. What is wrong with a picture is in the report.

    Examples
    --------
    >>> import tempfile
    >>> from maskmill.io.pictures import write_picture
    >>> from maskmill.studies.coast import read, transfer
    >>> place = Path(tempfile.mkdtemp())
    >>> wet = np.arange(60) < 30
    >>> first, second = (np.where(wet[None, :, None], *shades).repeat(40, 0) for shades in ((40, 200), (60, 180)))
    >>> doodles = np.zeros((40, 60), np.uint8)
    >>> doodles[:, [5, 25]], doodles[:, [35, 55]] = 1, 2
    >>> label = np.eye(2, dtype=np.uint8)[np.where(wet, 0, 1)[None].repeat(40, 0)]
    >>> names = ["sea", "land"]
    >>> np.savez(place / "may_db.npz", image=first.astype(np.uint8), label=label, doodles=doodles, classes=names)
    >>> write_picture(place / "june.png", second.astype(np.uint8))
    >>> transfer(place / "may_db.npz", place / "june.png", place / "out").rows[0]["unchanged"] > 0.95
    True
    """
    if user and not user.replace("-", "").isalnum():
        raise ValueError(f"user must be letters, digits and -, not {user!r}")
    path, folder = Path(path), Path(folder)
    trial = read(path)[-1]
    if "doodles" not in trial.arrays or not trial.doodles().any():
        raise FormatError(f"{path}: doodles: expected what was drawn, found nothing")
    given = [Source(image, name, (path,)) for name, image in by_name(Path(images)).items()]
    if not given:
        raise FormatError(f"{images}: expected pictures, found none")
    return on_each(
        given,
        folder,
        partial(_transfer, path, folder, f"_{user}" if user else "", (seed, pin, crf)),
        verb="transfer",
        settings={"doodles": path.name, "user": user, "seed": seed, "pin": pin, "crf": crf},
        processes=processes,
        overwrite=overwrite,
        progress=progress,
    )


def _transfer(
    path: Path, folder: Path, ending: str, how: tuple[int, bool, bool], source: Source
) -> list[Row]:
    from maskmill.studies.coast.engine import relabel

    trial = read(path)[-1]
    doodles, before = trial.doodles().astype(np.uint8), trial.labels()
    original, turn = read_turned(source.path)
    image = upright(original, turn)
    if image.shape[:2] != doodles.shape:
        raise FormatError(
            f"{source.path}: expected {doodles.shape[0]} x {doodles.shape[1]} pixels as the doodles of {path.name}, "
            f"found {image.shape[0]} x {image.shape[1]}"
        )
    seed, pin, crf = how
    found = relabel(image, doodles, classes=trial.classes, seed=seed, pin=pin, crf={} if crf else None)
    labels = found.labels + np.uint8(1)  # what is not labelled, 255, becomes 0
    name = f"{source.name}{ending}.npz"
    write_arrays(folder / name, trial_arrays(image, labels, doodles, trial.classes, original=original))
    return [
        {
            "files": [name],
            "name": source.name,
            "doodles": path.name,
            "turned_by_exif": turn,
            "classes": list(trial.classes),
            "pixels": counts(labels, trial.classes),
            "unchanged": float(np.mean(labels == before)),
        }
    ]
