"""`maskmill core evaluate`: how often clasts that were not trained with get the right class."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskmill import densify
from maskmill._files import written_whole
from maskmill.densify.labels import Labels
from maskmill.densify.report import LEAK
from maskmill.studies.core.classify import opened
from maskmill.studies.core.profiles import CRF, ORIGINAL_CRF, has_network, profile

Progress = Callable[[int, int, str], None]

SETS: Mapping[str, Mapping[str, Any]] = {
    "LAB": {"features": ("lab",), "classifier": "logistic"},
    "filters": {"features": ("lab", "filters"), "classifier": "logistic"},
    "CNN": {"features": ("cnn:b0,b2",), "classifier": "logistic"},
    "filters + CNN": {"features": ("lab", "filters", "cnn:b0,b2"), "classifier": "logistic"},
    "filters + CNN, discriminant": {
        "features": ("lab", "filters", "cnn:b0,b2"),
        "classifier": "discriminant",
    },
}
"""What the profiles are compared with."""
NETWORK = ("CNN", "filters + CNN", "filters + CNN, discriminant", "original")
"""Those that need the network."""
NAMES = (*SETS, "default", "original")


@dataclass(frozen=True)
class Scores:
    """Attributes
    ----------
    reports : dict
        Name of a set of columns -> `densify.Report` by what was held out.
    leaking : densify.Report or None
        The original's own score: 5 % of the pixels held out, wherever they are.
    settings : dict
    """

    reports: Mapping[str, densify.Report]
    leaking: densify.Report | None
    settings: Mapping[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each set: means and standard deviations over splits, NaN for what was not asked."""
        rows = []
        for name, report in self.reports.items():
            before = [without.accuracy for without, _, _ in report.crf] or [np.nan]
            after = [smooth.accuracy for _, smooth, _ in report.crf] or [np.nan]
            f1 = [smooth.macro_f1 for _, smooth, _ in report.crf] or [np.nan]
            random = report.random_pixels
            rows.append(
                {
                    "set": name,
                    "columns": int(report.settings["columns"]),
                    "accuracy": report.mean("accuracy"),
                    "accuracy_sd": report.spread("accuracy"),
                    "macro_f1": report.mean("macro_f1"),
                    "balanced_accuracy": report.mean("balanced_accuracy"),
                    "all_pixels": float(np.mean(before)),
                    "with_crf": float(np.mean(after)),
                    "with_crf_sd": float(np.std(after)),
                    "with_crf_f1": float(np.mean(f1)),
                    "random_pixels": np.nan if random is None else random.accuracy,
                }
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        leaking = None
        if self.leaking is not None:
            score = self.leaking.scores[0]
            leaking = {"accuracy": score.accuracy, "macro_f1": score.macro_f1, "warning": LEAK}
        rows = [{k: None if v != v else v for k, v in row.items()} for row in self.rows()]
        reports = {name: report.to_dict() for name, report in self.reports.items()}
        return {"settings": dict(self.settings), "scores": rows, "leaking": leaking, "reports": reports}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of it as JSON."""
        with written_whole(Path(path)) as file:
            file.write(json.dumps(self.to_dict(), indent=1, ensure_ascii=False).encode())

    def __str__(self) -> str:
        of = self.settings
        lines = [
            f"held out: {of['blocks']}, {of['splits']} splits from seed {of['seed']}; accuracy (mean ± sd)",
            f"{'':28} columns  {'accuracy':>13}  macro F1   all pixels -> with CRF   random pixels (leaks)",
        ]
        for row in self.rows():
            smooth = f"{row['all_pixels']:.3f} -> {row['with_crf']:.3f} ± {row['with_crf_sd']:.3f}"
            lines.append(
                f"{row['set']:28} {row['columns']:7}  {row['accuracy']:.3f} ± {row['accuracy_sd']:.3f}  "
                f"{row['macro_f1']:8.3f}   {smooth if row['with_crf'] == row['with_crf'] else '-':22}   "
                f"{row['random_pixels']:.3f}"
            )
        if self.leaking is not None:
            score = self.leaking.scores[0]
            lines.append(
                f"original, as it scores itself: {score.accuracy:.3f}, macro F1 {score.macro_f1:.3f} on 5 % of the "
                f"pixels at random, trained with the other 95 %: {LEAK}"
            )
        first = next(iter(self.reports.values()), None)
        if first is not None and first.untestable:
            named = dict(zip(first.classes, first.names, strict=True))
            lines.append(f"not testable, with one blob: {', '.join(named[k] for k in first.untestable)}")
        return "\n".join(lines)


def evaluate(
    photo: ArrayLike | str | os.PathLike[str],
    labels: Any,
    *,
    sets: Sequence[str] | None = None,
    legend: Any = None,
    blocks: str = "blobs",
    splits: int = 5,
    seed: int = 100,
    gap: int = 0,
    crf: bool | str = False,
    leaking: bool = True,
    network: bool | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Score sets of columns, and the profiles, on blobs that were held out.

    Parameters
    ----------
    photo, labels, legend
        As of `classify`.
    sets : names of `NAMES`, optional
        All that can be made by default.
    blocks : {"blobs", "spatial", "leave-one-out"}
        As of `densify.evaluate`: of each class 30 % of its 4-connected blobs; stretches along the core; each blob.
    splits, seed, gap : int
        As of `densify.evaluate`.
    crf : bool or "search"
        Score maps after the CRF of the profile, too; or after that which for each split does best on training blobs.
        Takes minutes.
    leaking : bool
        Repeat the original's own test on random pixels, to show how much it flatters.
    network : bool, optional
        Whether to use the network, which the extra `cnn` installs.
    progress : callable, optional

    Returns
    -------
    Scores
        ``str()`` is a table.

    Raises
    ------
    ValueError
        If no class has two blobs.

    Examples
    --------
    >>> import numpy as np
    >>> from maskmill.studies.core import evaluate
    >>> photo = np.full((64, 48, 3), (205, 180, 145), np.uint8)
    >>> photo[32:] = 60, 70, 75
    >>> strokes = np.zeros((64, 48), np.uint8)
    >>> strokes[4:9, 5:40] = strokes[20:25, 5:40] = 1
    >>> strokes[40:45, 5:40] = strokes[55:60, 5:40] = 2
    >>> evaluate(photo, strokes, sets=["LAB"], splits=2, leaking=False).rows()[0]["accuracy"]
    1.0
    """
    there = has_network() if network is None else network
    chosen = [name for name in NAMES if there or name not in NETWORK] if sets is None else list(sets)
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        raise ValueError(f"sets must be of {', '.join(NAMES)}, not {unknown[0]!r}")
    image, painted, _ = opened(photo, labels, legend)
    if painted is None:
        raise ValueError("labels must be given")
    names = {number: painted.legend.name(number) for number in painted.legend}
    steps = [*chosen, *(["leaking"] if leaking and there else [])]
    say = progress or (lambda done, total, name: None)
    reports, own = {}, None
    for i, name in enumerate(steps):

        def part(done: int, total: int, what: str, i: int = i, name: str = name) -> None:
            say(
                i * 1000 + 1000 * done // max(total, 1),
                len(steps) * 1000,
                f"{name}, {what}" if what else name,
            )

        part(0, 1, "")
        if name == "leaking":
            own = _leaking(image, painted, names)
            continue
        reports[name] = densify.evaluate(
            image,
            painted.values,
            **_training(name, there),
            blocks=blocks,
            splits=splits,
            seed=seed,
            gap=gap,
            curve=name == "default",
            crf=_crf(crf, name),
            calibrate=name != "original",
            names=names,
            progress=part,
        )
    say(len(steps) * 1000, len(steps) * 1000, "")
    settings = {"blocks": blocks, "splits": splits, "seed": seed, "gap": gap, "size": list(image.shape[:2])}
    return Scores(reports, own, settings)


def _crf(crf: bool | str, name: str) -> Mapping[str, Any] | str | None:
    if not crf or isinstance(crf, str):
        return crf or None
    return ORIGINAL_CRF if name == "original" else CRF


def _training(name: str, network: bool) -> dict[str, Any]:
    if name in SETS:
        return dict(SETS[name])
    return profile(name, network=network).training


def _leaking(image: Any, painted: Labels, names: Mapping[int, str]) -> densify.Report:
    """As core_features: all painted pixels, of which 5 % are drawn, whatever blobs they are of."""
    return densify.evaluate(
        image,
        painted.values,
        **profile("original").training,
        blocks="pixels",
        splits=1,
        seed=42,
        held_out=0.05,
        curve=False,
        names=names,
    )
