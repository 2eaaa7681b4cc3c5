"""Rivals for crf. The same form as in rivals.py, which lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import answer_itself

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]


def pydensecrf() -> dict[str, Operation]:
    import pydensecrf.densecrf as densecrf

    def refine(unary: np.ndarray, image: np.ndarray, gaussian: Any, bilateral: Any, iterations: int) -> Any:
        """Set-up and inference, as its README does it; its order of sides is width, height."""
        labels, height, width = unary.shape
        energies = unary.reshape(labels, -1)

        def call() -> np.ndarray:
            crf = densecrf.DenseCRF2D(width, height, labels)
            crf.setUnaryEnergy(energies)
            crf.addPairwiseGaussian(sxy=gaussian[0], compat=gaussian[1])
            crf.addPairwiseBilateral(sxy=bilateral[0], srgb=bilateral[1], rgbim=image, compat=bilateral[2])
            return np.asarray(crf.inference(iterations)).reshape(unary.shape)

        return call, answer_itself

    return {"crf_refine": refine}
