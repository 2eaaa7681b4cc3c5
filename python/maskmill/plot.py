"""Pictures of results. Needs matplotlib: pip install 'maskmill[plot]'."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskmill._files import need, written_whole

if TYPE_CHECKING:
    from maskmill.dataset import Dataset
    from maskmill.evaluate import CocoEvaluation


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure that is drawn to a file only: no window, whatever the user's settings."""
    need("matplotlib", "plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _save(figure: Any, path: Path) -> None:
    kind = path.suffix.lstrip(".").lower() or "png"
    if kind not in figure.canvas.get_supported_filetypes():
        raise ValueError(
            f"{path}: pictures can be {', '.join(sorted(figure.canvas.get_supported_filetypes()))}"
        )
    with written_whole(path) as file:
        figure.savefig(file, format=kind, dpi=144)


def precision_recall(result: CocoEvaluation, path: Path) -> None:
    """Draw precision over recall, averaged over classes, at IoU 0.50, 0.75 and over all thresholds."""
    figure, axes = _figure(6.4, 4.8)
    for name, precision in result.curves().items():
        axes.plot(result.recalls, precision, label=f"IoU {name}", linewidth=1.8)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(f"{result.iou_type}: AP {result.stats['AP']:.3f}, AP50 {result.stats['AP50']:.3f}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    _save(figure, path)


def annotation_histograms(dataset: Dataset, path: Path) -> None:
    """Draw how many instances images have, and how large the instances are."""
    import numpy as np

    need("matplotlib", "plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    per_image = np.bincount(dataset.instances["image"], minlength=len(dataset))
    left.hist(per_image, bins=min(40, int(per_image.max(initial=0)) + 1), color="#3366cc")
    left.set(xlabel="instances of an image", ylabel="images")
    areas = dataset.areas
    areas = areas[areas > 0]
    if len(areas):
        right.hist(areas, bins=np.geomspace(areas.min(), areas.max() * 1.001, 40), color="#dc3912")
        right.set_xscale("log")
    right.set(xlabel="area of an instance, pixels", ylabel="instances")
    _save(figure, path)
