"""crf: probabilities of all pixels from energies and a picture. Equal is within 2e-6, and 99.9 % of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskmill import crf

from . import rivals
from .measure import Cases, Race, Settings
from .workloads import Workload

CASES = Cases("crf")


@dataclass(frozen=True)
class Scene:
    unary: np.ndarray  # (L, H, W)
    image: np.ndarray  # (H, W, 3) uint8
    gaussian: tuple[float, float]
    bilateral: tuple[float, float, float]
    iterations: int


def _patches(height: int, width: int, labels: int) -> Scene:
    """Discs of the labels' colours on each other, noise on all."""
    rng = np.random.default_rng(20260036)
    y, x = np.mgrid[:height, :width]
    truth = np.zeros((height, width), int)
    for k in range(12 * labels):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        truth[(y - cy) ** 2 + (x - cx) ** 2 < rng.uniform(0.02, 0.2) ** 2 * height * width] = k % labels
    colours = rng.integers(0, 256, (labels, 3))
    image = np.clip(colours[truth] + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)
    return Scene(_energies(image, colours), image, (3, 3), (10, 20, 10), 5)


def _energies(image: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Of a classifier that knows nothing but how near a pixel's colour is."""
    distance = ((image[..., None, :].astype(np.float32) - colours) / 40) ** 2
    p = np.exp(-0.5 * distance.sum(axis=-1)) + 1e-9
    return crf.unary_from_probabilities(np.moveaxis(p / p.sum(axis=-1, keepdims=True), -1, 0))


def _core(data: Path | None) -> Scene:
    if data is None:
        return _patches(2693, 396, 14)
    from PIL import Image

    photo = np.array(Image.open(next((data / "cores").glob("*.jpg"))).convert("RGB"))
    rng = np.random.default_rng(20260037)
    colours = photo.reshape(-1, 3)[rng.choice(photo.size // 3, 14, replace=False)]
    return Scene(_energies(photo, colours), photo, (3, 3), (10, 20, 40), 5)


def _coast(data: Path | None) -> Scene:
    """A stored label as Doodler's refinement gets one."""
    if data is None:
        made = _patches(614, 920, 2)
        return Scene(made.unary, made.image, (3, 3), (1, 80, 1), 10)
    path = next((data / "doodler").glob("*2022-05-04-14-47__D800*.npz"))
    with np.load(path, allow_pickle=False) as file:
        image, label = file["image"], file["label"].argmax(axis=2) + 1
    return Scene(crf.unary_from_labels(label, 2, 0.9), image, (3, 3), (1, 80, 1), 10)


FEW = Workload("48 x 64, 3 labels", lambda _: _patches(48, 64, 3), quick=True, small=True)
SCENES = (
    FEW,
    Workload("614 x 920, 2 labels, 10 rounds", _coast, "doodler"),
    Workload("2693 x 396, 14 labels, 5 rounds", _core, "cores"),
)


def near(ours: Any, theirs: Any) -> bool:
    same = (ours.argmax(axis=0) == theirs.argmax(axis=0)).mean()
    return bool(np.abs(ours - theirs).max() <= 2e-6 and same >= 0.999)


@CASES.add("mean field", *SCENES)
def refine(scene: Scene, settings: Settings) -> Race:
    """Lattices and rounds."""
    race = Race(read=scene.unary.nbytes + scene.image.nbytes, written=scene.unary.nbytes, equal=near)
    given = (scene.gaussian, scene.bilateral, scene.iterations)

    def call(backend: str) -> Any:
        gaussian, bilateral, iterations = given
        return crf.refine(
            scene.unary,
            scene.image,
            gaussian=gaussian,
            bilateral=bilateral,
            iterations=iterations,
            backend=backend,
        )

    race.ours(settings, call)
    rivals.enter(race, settings, "crf_refine", scene.unary, scene.image, *given)
    return race
