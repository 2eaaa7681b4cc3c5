"""Doodler's dense CRF (Krähenbühl, Koltun 2011), as it calls pydensecrf: with height and width exchanged.

Of an image of H rows and W columns, the smoothing term sees the pixel p at (p mod H, p div H); the term of colours has
the right places. So the smoothing goes along other lines than those of the image, unless the image is square.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maskmill import crf
from maskmill.studies.coast.cleaning import Floats, Ids, resized, spread

_ITERATIONS = 10
_SMOOTH, _SMOOTH_WEIGHT = 3.0, 3.0
_SECOND_GUESS = 0.51
"""Confidence in doodles, where doodler-engine starts again from them."""


@dataclass(frozen=True)
class Refinement:
    """The CRF of one trial.

    Attributes
    ----------
    image : (H, W, bands) float64
        Of 0 to 1.
    step : int
        Every how many pixels, along both axes, are refined.
    theta, mu : float
        Scale, in such pixels, and weight of the term of colours.
    confidence : float
        In labels.
    software : str
        What resizes results.
    engine : {"lattice", "exact"}
    """

    image: Floats
    step: int
    theta: float
    mu: float
    confidence: float
    software: str
    engine: str
    _known: dict[tuple[int, bytes], Ids] = field(default_factory=dict)
    _smoothings: dict[tuple[int, int], crf.Filter] = field(default_factory=dict)

    def of_labels(self, labels: Ids, roll: int = 0) -> Ids:
        """(H, W) ids, refined; 0 is unsure. With `roll`, image and labels are shifted by so many values meanwhile."""
        key = roll, labels.tobytes()
        if key not in self._known:
            image = np.roll(self.image, roll) if roll else self.image
            refined = self._of_labels(np.roll(labels, roll), image)
            self._known[key] = np.roll(refined, -roll)
        return self._known[key]

    def _of_labels(self, labels: Ids, image: Floats) -> Ids:
        low, high = int(labels.min()), int(labels.max())
        small = labels[:: self.step, :: self.step].astype(np.int64)
        if low > 0:
            small -= small.min() - 1
        n = int(small.max(initial=0))
        if n < 2:
            return labels
        refined = self._solved(crf.unary_from_labels(small, n, self.confidence), image)
        return spread(resized(refined, labels.shape), low, high, self.software)

    def of_rolls(self, labels: Ids, rolls: int) -> Ids:
        """Refined after shifts by up to a fifth of the height, and averaged: ids are taken for numbers."""
        shifts = np.linspace(0, int(labels.shape[0]) / 5, rolls).astype(int)
        weights = np.array([1 / np.sqrt(k) if k else 0.1 for k in shifts])
        total = np.zeros(labels.shape)
        for k, weight in zip(shifts.tolist(), weights, strict=True):
            total += weight * self.of_labels(labels, k)
        out: Ids = np.round(total / weights.sum()).astype(np.uint8)
        return out

    def of_probabilities(self, probabilities: NDArray[np.floating]) -> Ids:
        """(H, W) ids from 1, for (h, w, n) probabilities of every `step`th pixel."""
        n = probabilities.shape[2]
        unary = -np.log(np.clip(np.moveaxis(probabilities, 2, 0), 1e-5, 1)).astype(np.float32)
        refined = resized(self._solved(unary, self.image), self.image.shape[:2])
        return spread(refined, 1, n, self.software)

    def of_doodles(self, doodles: Ids, n: int) -> Ids:
        """(H, W) ids, for n classes that were doodled, from the doodles alone."""
        small = doodles[:: self.step, :: self.step].astype(np.int64)
        refined = self._solved(crf.unary_from_labels(small, n, _SECOND_GUESS), self.image)
        return spread(resized(refined, doodles.shape), 1, n + 1, self.software)

    def _solved(self, unary: NDArray[np.float32], image: Floats) -> Ids:
        """(h, w) ids from 1 for (n, h, w) energies; of an image that is not decimated yet."""
        image = image[:: self.step, :: self.step]
        size = image.shape[:2]
        terms = [(self._smoothing(size), _SMOOTH_WEIGHT), (self._colours(image), self.mu)]
        q = crf.mean_field(unary.reshape(len(unary), -1), terms, iterations=_ITERATIONS)
        out: Ids = (q.argmax(axis=0) + 1).astype(np.uint8).reshape(size)
        return out

    def _smoothing(self, size: tuple[int, int]) -> crf.Filter:
        """With height and width exchanged; the same for all images of a size."""
        if size not in self._smoothings:
            height, width = size
            if self.engine == "exact":
                self._smoothings[size] = crf.Window((width, height), _SMOOTH)
            else:
                p = np.arange(height * width, dtype=np.float32)
                places = np.stack([p % height, p // height], axis=1)
                self._smoothings[size] = crf.Lattice(places / np.float32(_SMOOTH))
        return self._smoothings[size]

    def _colours(self, image: Floats) -> crf.Filter:
        height, width, bands = image.shape
        colours = image.astype(np.float32)
        colours[..., :3] /= 1 + 5 * max(self.image.shape) / 3000
        if self.engine == "exact":
            return crf.Window((height, width), self.theta, colours)
        places = np.indices((height, width), np.float32) / np.float32(self.theta)
        return crf.Lattice(
            np.concatenate([np.moveaxis(places, 0, 2), colours], axis=2).reshape(-1, 2 + bands)
        )
