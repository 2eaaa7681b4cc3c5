"""Rivals for perceptron. The same form as in rivals.py, which lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import answer_itself

Operation = Callable[..., tuple[Callable[[], Any], Callable[[Any], Any]]]


def scikit_learn() -> dict[str, Operation]:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fit(rows: np.ndarray, classes: np.ndarray) -> Any:
        def call() -> Any:
            perceptron = MLPClassifier([100, 60], alpha=1, random_state=1, max_iter=2000, early_stopping=True)
            return make_pipeline(StandardScaler(), perceptron).fit(rows, classes)[-1].validation_scores_

        return call, answer_itself

    return {"perceptron_fit": fit}
