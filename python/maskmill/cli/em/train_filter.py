"""maskmill em train-filter: learn from labelled patches what is informative."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require

_EPILOG = """\
what it writes:
  SAVEDIR/filter.npz (or patch_quality_classifier_nn.pth)  for `maskmill em filter --model`
  SAVEDIR/metrics.json, patch_quality_nn_roc_curve.png     how it does on what was held back (the curve: matplotlib)

examples:
  maskmill em labels store/ to_label/ && (label, save labels.csv there)
  maskmill em train-filter to_label/labels.csv my_filter/
  maskmill em train-filter impaths.npy labels.npy my_filter/
  maskmill em train-filter labels.csv my_cnn/ --cnn --weights resnet34-imagenet.pth   (needs torch)

exit codes: 0 done, 2 wrong usage or a bad file
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "train-filter",
        help="train a filter on patches that you labelled good or bad",
        description="Learn from at least 64 labelled patches what is informative. About 15 % are held back to measure "
        "it: whole data sets where there are several.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "labels",
        nargs="+",
        type=Path,
        metavar="LABELS",
        help="a CSV with columns path and label; or two files, of paths and of labels, each .npy or CSV",
    )
    p.add_argument("savedir", type=Path, metavar="SAVEDIR", help="folder to write to")
    p.add_argument(
        "--cnn", action="store_true", help="cem-dataset's ResNet-34 instead of a forest on features"
    )
    p.add_argument(
        "--weights", type=Path, metavar="FILE", help="of a ResNet-34 to start from, as torchvision saves them"
    )
    p.add_argument("--epochs", type=int, default=30, help="of the network (default: 30); the best is kept")
    p.add_argument("--seed", type=int, default=1227, help="(default: 1227)")
    p.add_argument("--device", default="cpu", help="of torch: cpu (default), cuda, cuda:1")
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.em.labels import read_labelled
    from maskmill.studies.em.train import train

    require(options, epochs=1, seed=0)
    if options.weights is not None and not options.cnn:
        raise ValueError("--weights goes with --cnn")
    with progress_bar("train-filter", options.quiet) as report:
        metrics = train(
            read_labelled(options.labels),
            options.savedir,
            cnn=options.cnn,
            weights=options.weights,
            epochs=options.epochs,
            seed=options.seed,
            device=options.device,
            progress=report,
        )
    by = (
        "of data sets that were not learnt from"
        if metrics["split by"] == "dataset"
        else "drawn from the same data sets"
    )
    print(f"learnt from {metrics['training']:,} patches, measured on {metrics['validation']:,} {by}")
    for name in ("TP", "TN", "FP", "FN"):
        print(f"{name} {metrics[name]:6,}")
    print(f"accuracy {metrics['accuracy']:.3f}, area below the ROC curve {metrics['AUC']:.3f}")
    if "best epoch" in metrics:
        print(f"best epoch {metrics['best epoch']} of {options.epochs}")
    print(f"use it: maskmill em filter INPUT OUT --model {options.savedir / metrics['model']}")
    return 0
