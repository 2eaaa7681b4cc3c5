"""maskmill em filter: keep the informative patches."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar, require
from maskmill.cli.em._shared import add_workers, print_failures

_EPILOG = """\
what it writes:
  OUT/<dataset>/<name>.tiff  the informative patches, as pre-training code globs them
  OUT/scores.parquet         the score of every patch (.csv without pyarrow)
  OUT/filter.json            parameters and counts; OUT/failed.jsonl what could not be read
Given again after an interruption, it goes on where it was.

examples:
  maskmill em filter deduplicated/ filtered/
  maskmill em filter store/ filtered/ --threshold 0.8
  maskmill em filter pickles/ filtered/ --model patch_quality_classifier_nn.pth   (needs torch)
  maskmill em filter tree/ scores/ --layout scores

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for the patches that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "filter",
        help="keep the informative patches, list the others with their scores",
        description="Score every patch between 0 (resin, padding, noise, blur) and 1 (informative), and write those "
        "above the threshold. The default model runs on any CPU, but learned from drawn patches: train one on patches "
        "of your own by `maskmill em labels` and `train-filter`.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="a store that patchify wrote, pickles or a folder of them, a tree <dataset>/<name>.tiff",
    )
    p.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    p.add_argument(
        "--model",
        "--weights",
        default="default",
        metavar="FILE",
        help="'default', an .npz of train-filter, weights of a ResNet-34 (.pth, .pt, .safetensors) or .onnx",
    )
    p.add_argument(
        "--threshold", type=float, default=0.5, help="informative is what scores more (default: 0.5)"
    )
    p.add_argument(
        "--layout",
        choices=("files", "scores"),
        default="files",
        help="write the informative patches (default), or scores alone",
    )
    p.add_argument(
        "--batch-size", "--batch_size", type=int, default=128, help="patches at once (default: 128)"
    )
    p.add_argument("--device", default="cpu", help="of torch: cpu (default), cuda, cuda:1")
    add_workers(p)
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.em.filter import filter_patches, load_model

    require(options, batch_size=1, processes=1)
    if not 0 <= options.threshold <= 1:
        raise ValueError(f"--threshold must be within 0 and 1, not {options.threshold:g}")
    model = load_model(options.model, workers=options.processes, device=options.device)
    with progress_bar("filter", options.quiet) as report:
        summary = filter_patches(
            options.inputs,
            options.out,
            model=model,
            threshold=options.threshold,
            layout=options.layout,
            workers=options.processes,
            batch_size=options.batch_size,
            progress=report,
        )
    for dataset, (good, bad) in summary.by_dataset.items():
        print(f"{good:9,} of {good + bad:9,} informative  {dataset}")
    resumed = f"; {summary.resumed} of its parts were done before" if summary.resumed else ""
    print(f"{summary.good:9,} of {summary.good + summary.bad:9,} informative in all{resumed}")
    if not summary.by_dataset and not summary.failed:
        print("maskmill em filter: the inputs hold no patches", file=sys.stderr)
    print_failures(summary.failed, "filter")
    return 3 if summary.failed else 0
