"""`maskmill coast replay` against the same steps by scikit-learn, scikit-image, SciPy and pydensecrf2, in turn.

    python -m maskmill.benchmarks.coast_replay RESULTS [--rounds 3]

The rival is told era and software, which ours finds out. Both must give the same label, or are listed with how many
pixels differ from the stored one. Needs scikit-learn, scikit-image and pydensecrf2 (1.1).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskmill.io.doodler import Trial
from maskmill.studies.coast import find, read, replay


def rival(trial: Trial, era: str, software: str) -> np.ndarray:
    """The label of a trial of MLP-4 or MLP-5, (H, W) class + 1."""
    settings = trial.settings
    image, doodles = _stretched(trial.array("image")), trial.doodles()
    maps = _features(image, int(settings["n_sigmas"]), software)
    labels = _classified(maps, doodles, int(settings["rf_downsample"]))
    labels = _filled(labels)
    if len(labels) > 512:
        labels = _without_edges(labels)
    doodled = np.unique(doodles[doodles > 0])
    if era == "MLP-4":
        shifts = np.linspace(0, len(labels) / 5, 5).astype(int)
        labels = _inpainted(labels)
        rolled = [
            np.roll(_refined(np.roll(labels, k), np.roll(image, k), image.shape, settings), -k)
            for k in shifts
        ]
        weights = [1 / np.sqrt(k) if k else 0.1 for k in shifts]
        return _inpainted(
            np.round(np.average(np.stack(rolled, -1), axis=-1, weights=weights)).astype(np.uint8)
        )
    labels = np.where(np.isin(labels, doodled), labels, 0).astype(np.uint8)
    labels = _inpainted(labels)
    labels[~np.isin(labels, doodled)] = 0
    refined = _inpainted(_refined(labels, image, image.shape, settings))
    refined[~np.isin(refined, doodled)] = 0
    return refined if set(np.unique(refined)) == set(np.unique(labels)) else labels


def _stretched(image: np.ndarray) -> np.ndarray:
    image = image.astype(np.float64) if image.ndim == 3 else np.dstack([image] * 3).astype(np.float64)
    image = (image - image.mean()) / max(image.std(), 1 / np.sqrt(image.shape[0] * image.shape[1]))
    return (image - image.min()) / (image.max() - image.min())


def _features(image: np.ndarray, scales: int, software: str) -> np.ndarray:
    from skimage import filters

    rows, columns = np.indices(image.shape[:2]) + (0.0 if software == "modern" else 0.5)
    maps = []
    for band in np.moveaxis(image, 2, 0).astype(np.float32):
        for sigma in 2 ** np.linspace(0, 4, scales):
            places = (filters.gaussian(grid, sigma, preserve_range=True) for grid in (columns, rows))
            blurred = filters.gaussian(band, sigma, preserve_range=True)
            edges = filters.sobel(blurred)
            if software == "sk016":
                edges[[0, -1]] = edges[:, [0, -1]] = 0
            down, across = np.gradient(blurred)
            rr, rc, cc = np.gradient(down, axis=0), np.gradient(down, axis=1), np.gradient(across, axis=1)
            middle, off = (rr + cc) / 2, np.sqrt(4 * rc**2 + (rr - cc) ** 2) / 2
            maps += [np.hypot(*places), blurred, edges, middle + off, middle - off]
    return np.stack(maps).astype(np.float64)


def _classified(maps: np.ndarray, doodles: np.ndarray, step: int) -> np.ndarray:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, target = maps[:, doodles > 0].T[::step], doodles[doodles > 0][::step]
    if len(rows) > 100_000:
        chosen = np.round(np.linspace(0, len(rows) - 1, 100_000)).astype(int)
        rows, target = rows[chosen], target[chosen]
    perceptron = MLPClassifier(
        solver="adam",
        alpha=1,
        random_state=1,
        max_iter=2000,
        early_stopping=True,
        hidden_layer_sizes=[100, 60],
    )
    classifier = make_pipeline(StandardScaler(), perceptron).fit(rows, target)
    out = doodles.copy()
    out[doodles == 0] = classifier.predict(maps[:, doodles == 0].T)
    return out


def _filled(labels: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    layers = []
    for k in range(1, labels.max() + 1):
        parts, _ = ndimage.label(labels != k)
        small = np.bincount(parts.ravel()) < 2 * len(labels)
        small[0] = False
        layers.append((labels == k) | small[parts])
    return (np.argmax(layers, axis=0) + 1).astype(np.uint8)


def _without_edges(labels: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    depths = np.array([ndimage.distance_transform_edt(labels == k) for k in range(1, labels.max() + 1)])
    out = np.argmax(np.where(depths < 2, 0, depths), axis=0) + 1
    out[(depths <= 2).sum(axis=0) == out.max()] = 0
    return out.astype(np.uint8)


def _inpainted(labels: np.ndarray) -> np.ndarray:
    from scipy.signal import convolve2d

    values, around = labels.astype(float), np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    while (unknown := values == 0).any() and not unknown.all():
        known = convolve2d(~unknown, around, mode="same", boundary="symm")
        total = convolve2d(values, around, mode="same", boundary="symm")
        mean = np.divide(total, known, out=np.zeros_like(values), where=known > 0)
        values = np.where(unknown, mean, values)
    return values.astype(np.uint8)


def _refined(labels: np.ndarray, image: np.ndarray, shape: Sequence[int], settings: Any) -> np.ndarray:
    """pydensecrf with height and width exchanged, as Doodler calls it."""
    from pydensecrf import densecrf, utils

    step, low, high = int(settings["crf_downsample"]), int(labels.min()), int(labels.max())
    small, image = labels[::step, ::step].astype(int), np.ascontiguousarray(image[::step, ::step])
    small = small - (small.min() - 1 if low > 0 else 0)
    n = int(small.max())
    scale = 1 + 5 * max(shape) / 3000
    crf = densecrf.DenseCRF2D(*small.shape, n)
    crf.setUnaryEnergy(utils.unary_from_labels(small, n, gt_prob=settings["gt_prob"]))
    how = {"kernel": densecrf.DIAG_KERNEL, "normalization": densecrf.NORMALIZE_SYMMETRIC}
    crf.addPairwiseGaussian(sxy=(3, 3), compat=3, **how)
    theta = int(settings["crf_theta"])
    pairs = utils.create_pairwise_bilateral((theta, theta), (scale,) * 3, image, 2)
    crf.addPairwiseEnergy(pairs, compat=int(settings["crf_mu"]), **how)
    found = np.argmax(crf.inference(10), axis=0).reshape(small.shape) + 1
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) * m // n, m - 1).astype(int)
        for n, m in zip(labels.shape, small.shape, strict=True)
    )
    ids = found[np.ix_(rows, columns)] / 255
    return ((high - low) * (ids - ids.min()) / (ids.max() - ids.min()) + low).astype(np.uint8)


def peak(path: Path, prefix: str) -> int:
    """MB that a fresh process takes at most to rebuild one trial; 0 where the system does not tell."""
    code = (
        "import re, sys; from pathlib import Path; from maskmill.studies.coast import read, replay\n"
        "[replay(t) for t in read(Path(sys.argv[1])) if t.prefix == sys.argv[2]]\n"
        "status = Path('/proc/self/status')\n"  # ru_maxrss begins with what the parent had
        "print(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1] if status.exists() else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), prefix], capture_output=True, text=True, check=True
    )
    return int(done.stdout) >> 10


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("results", type=Path)
    p.add_argument("--rounds", type=int, default=3)
    options = p.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'trial':60} {'differ':>14} {'ours':>7} {'theirs':>7} {'ratio':>6} {'of CPU time':>11} {'MB':>5}")
    for path in find(options.results):
        for trial in read(path):
            found = replay(trial)
            times = []
            for _ in range(options.rounds):
                start = _now()
                replay(trial)
                middle = _now()
                theirs = rival(trial, found.era, found.software)
                times.append([middle - start, _now() - middle])
            (ours, our_cpu), (other, other_cpu) = np.median(times, axis=0)
            differ = f"{found.pixels_different} / {int((theirs != trial.labels()).sum())}"
            name = f"{trial.prefix}{path.stem}"[-60:]
            print(
                f"{name:60} {differ:>14} {ours:6.2f}s {other:6.2f}s {other / ours:5.1f}x {other_cpu / our_cpu:10.1f}x "
                f"{peak(path, trial.prefix):5}",
                flush=True,
            )


def _now() -> np.ndarray:
    """Wall clock and processors' time."""
    return np.array([time.perf_counter(), time.process_time()])


if __name__ == "__main__":
    main()
