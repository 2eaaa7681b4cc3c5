"""The steps of Doodler from doodles to label, of all versions that can be rebuilt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from maskmill import features
from maskmill._files import FormatError
from maskmill.io.doodler import Trial
from maskmill.perceptron import Perceptron, Training, fit
from maskmill.studies.coast.cleaning import Floats, Ids, claimed, filled, inpainted, ranked, without_edges
from maskmill.studies.coast.eras import Era
from maskmill.studies.coast.refining import Refinement

_MOST_ROWS = 100_000
_MOST_STEP = 1000
_ROWS = 64
"""Of the image, that are classified at once."""
_LARGE = 512
"""Images higher than this have their edges cleaned."""


@dataclass
class Rebuild:
    """What versions with the same kind of features make of a trial.

    Attributes
    ----------
    trial : Trial
    image : (H, W, bands) float64
        Stretched to 0 to 1.
    doodles : (H, W) uint8
        Two classes or more.
    software : str
        Kind of features.
    engine : {"lattice", "exact"}
    """

    trial: Trial
    image: Floats
    doodles: Ids
    software: str
    engine: str
    _maps: dict[tuple[float, ...], NDArray[np.float32]] = field(default_factory=dict)
    _trainings: dict[tuple[object, ...], tuple[Training, Ids]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.doodled = np.unique(self.doodles[self.doodles > 0])
        self.refinement = Refinement(
            self.image,
            int(self._setting("crf_downsample", 1, _MOST_STEP)),
            self._setting("crf_theta", 1e-3, 1e3),
            self._setting("crf_mu", 0, 1e6),
            self._setting("gt_prob", 0, 1),
            self.software,
            self.engine,
        )

    def _setting(self, name: str, least: float, most: float) -> float:
        value = self.trial.settings[name]
        if not least <= value <= most:
            where = f"{self.trial.path}: {self.trial.prefix}settings: {name}"
            raise FormatError(f"{where}: expected {least:g} to {most:g}, found {value:g}")
        return value

    def snapshots(self, era: Era) -> tuple[Perceptron, ...]:
        """The classifier of an era, trained with the doodled pixels, and those that were nearly as good."""
        return self._trained(era)[0].snapshots

    def _trained(self, era: Era) -> tuple[Training, Ids]:
        """Also the ids of the classes that it knows: those of the pixels that are taken."""
        key = self._sigmas(era), era.hidden
        if key not in self._trainings:
            at = np.argwhere(self.doodles)[:: int(self._setting("rf_downsample", 1, _MOST_STEP))]
            if len(at) > _MOST_ROWS:
                at = at[np.round(np.linspace(0, len(at) - 1, _MOST_ROWS)).astype(np.intp)]
            rows = self._features(era, at=at, dtype=np.float64)
            known, classes = np.unique(self.doodles[tuple(at.T)], return_inverse=True)
            try:
                self._trainings[key] = fit(rows, classes, hidden=era.hidden), known
            except ValueError as error:
                where = f"{self.trial.path}: {self.trial.prefix}doodles, one of rf_downsample pixels"
                raise ValueError(f"{where}: {error}") from None
        return self._trainings[key]

    def classified(self, era: Era, classifier: Perceptron) -> Ids:
        """(H, W) ids. Where there are doodles, these."""
        maps, out, known = self._whole(era), self.doodles.copy(), self._trained(era)[1]
        for begin in range(0, len(out), _ROWS):
            some = out[begin : begin + _ROWS]
            asked = some == 0
            some[asked] = known[classifier.predict(maps[begin : begin + _ROWS][asked])]
        return out

    def label(self, era: Era, classifier: Perceptron) -> Ids:
        """(H, W) ids, as the era made them with this classifier."""
        if era.engine:
            return self._by_engine(era, classifier)
        labels = filled(self.classified(era, classifier))
        if labels.shape[0] > _LARGE:
            labels = without_edges(labels)
        if era.name != "MLP-5":
            return inpainted(self.refinement.of_rolls(inpainted(labels), era.rolls))
        labels = self._only_doodled(inpainted(self._only_doodled(labels)))
        refined = self._only_doodled(inpainted(self.refinement.of_labels(labels)))
        return refined if np.array_equal(np.unique(refined), np.unique(labels)) else labels

    def _by_engine(self, era: Era, classifier: Perceptron) -> Ids:
        step = self.refinement.step
        maps = self._whole(era)[::step, ::step]
        rows = maps.reshape(-1, maps.shape[2])
        probabilities = classifier.probabilities(rows).reshape(*maps.shape[:2], -1)
        if era.name == "ENG-1":
            return claimed(inpainted(self.refinement.of_probabilities(probabilities)), self.doodles)
        hardened = np.eye(probabilities.shape[2])[probabilities.argmax(axis=2)]
        refined = self.refinement.of_probabilities(hardened)
        if len(np.unique(refined)) != len(self.doodled):
            refined = self.refinement.of_doodles(self.doodles, len(self.doodled))
        return claimed(ranked(refined, self.doodled), self.doodles)

    def _only_doodled(self, labels: Ids) -> Ids:
        return np.where(np.isin(labels, self.doodled), labels, 0).astype(np.uint8)

    def _sigmas(self, era: Era) -> tuple[float, ...]:
        """Scales from 1 to 16 pixels."""
        n = self._setting("n_sigmas", 1, 16) if era.sigmas is None else era.sigmas or len(self.doodled)
        return tuple((2 ** np.linspace(0, 4, int(n))).tolist())

    def _whole(self, era: Era) -> NDArray[np.float32]:
        """(H, W, F) features of all pixels."""
        sigmas = self._sigmas(era)
        if sigmas not in self._maps:
            self._maps.clear()  # they are the largest thing here
            self._maps[sigmas] = self._features(era)
        return self._maps[sigmas]

    def _features(
        self, era: Era, at: NDArray[np.int64] | None = None, dtype: DTypeLike = np.float32
    ) -> NDArray[Any]:
        sigmas, software = self._sigmas(era), self.software
        return features.bank(self.image, sigmas, profile="doodler", software=software, at=at, dtype=dtype)
