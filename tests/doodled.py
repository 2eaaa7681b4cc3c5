"""Results of Doodler, made for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from maskmill.io.doodler import coloured

SETTINGS = {
    "first": [3, 2, 4, 40, 100, 3, 0.9, 1, 16],
    "forest": [3, 2, 4, 40, 100, 3, 0.9],
    "six": [3, 2, 4, 1, 1, 0.9],
    "perceptron": [3, 2, 4, 1, 1, 0.9, 2],
    "engine": [3, 2, 4, 1, 1, 1.0, 3],
}
"""Settings as each era wrote them."""


def trial(rng: np.random.Generator, classes: list[str], *, depth: int | None = None, size=(20, 30)) -> dict:
    """The variables of one, of which the last classes may not occur."""
    n = len(classes)
    labels = rng.integers(0, depth or n, (size[0] // 5, size[1] // 5)).repeat(5, 0).repeat(5, 1)
    labels[0, 0] = (depth or n) - 1
    doodles = np.where(rng.random(size) < 0.1, labels + 1, 0).astype(np.uint8)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    return {
        "image": image,
        "orig_image": image,
        "label": np.eye(depth or n, dtype=np.uint8)[labels],
        "color_doodles": coloured(doodles, image, n),
        "doodles": doodles,
        "settings": np.array([3, 2, 4, 1, 1, 0.9, 2.0]),
        "classes": np.array(classes),
    }


def ladder(*trials: dict) -> dict:
    """Trials, the oldest first, with the names that Doodler gives them."""
    return {
        "0" * (len(trials) - 1 - i) + key: array for i, one in enumerate(trials) for key, array in one.items()
    }


def same_arrays(a: Path, b: Path) -> bool:
    one, other = np.load(a), np.load(b)
    return one.files == other.files and all(
        one[k].dtype == other[k].dtype and np.array_equal(one[k], other[k]) for k in one.files
    )


def write_result(path: Path, *trials: dict) -> Path:
    """The trials, the oldest first, as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **ladder(*trials))
    return path
