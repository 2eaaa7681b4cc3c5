"""maskmill coast replay: labels rebuilt from doodles and settings."""

from __future__ import annotations

import argparse
from typing import Any

from maskmill.cli._shared import progress_bar
from maskmill.cli.coast._shared import RESUMED, add_classes, add_folders, check_folders, classes_of, tell

_EPILOG = f"""\
what it does:
  runs what Doodler ran, from image, doodles and settings, and compares the result with the stored label. Which
  version of Doodler that was is found out: by settings, by the date in the name of the folder, and by trying. For each
  trial it prints how many pixels differ, the version (MLP-1 to MLP-5, ENG-1, ENG-2) and the features (sk016, sk017: of
  scikit-image up to 0.16, of 0.17 to 0.19; modern), after which epoch its classifier stopped, the intersection over
  union of classes (mean) and of their outlines, and what fits second best, if more was tried.

what it writes:
  OUT/labels/NAME.png  the rebuilt label, losslessly, with Doodler's colours

{RESUMED}

examples:
  maskmill coast replay result.npz replayed/
  maskmill coast replay results/ replayed/ --thorough                 try all versions, also when one fits
  maskmill coast replay result.npz out/ --era MLP-5 --software sk017 --engine exact
  maskmill coast replay results/ relabelled/ --modern                 new labels, without what Doodler did wrong

Labels made before 2021-06-21 cannot be rebuilt: such files are listed with the reason.

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for files that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "replay",
        help="labels rebuilt from doodles and settings, compared with those that are stored",
        description="Rebuild the labels of results as Doodler made them, pixel by pixel, and tell by which version.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folders(p)
    p.add_argument("--trials", choices=("newest", "all"), default="all", help="of each file (default: all)")
    p.add_argument("--era", metavar="NAME", help="try no other version, such as MLP-5")
    p.add_argument("--software", choices=("sk016", "sk017", "modern"), help="try no other features")
    p.add_argument(
        "--engine",
        choices=("lattice", "exact"),
        default="lattice",
        help="of the CRF: as Doodler (default), or exact sums",
    )
    p.add_argument("--thorough", action="store_true", help="try all versions, also when one fits")
    p.add_argument("--modern", action="store_true", help="label again, without the errors of Doodler")
    p.add_argument("--base", type=int, choices=(0, 1), default=0, help="id of the first class (default: 0)")
    add_classes(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.coast import replay_all

    check_folders(options)
    with progress_bar("replay", options.quiet) as progress:
        report = replay_all(
            options.input,
            options.out,
            trials=options.trials,
            era=options.era,
            software=options.software,
            engine=options.engine,
            thorough=options.thorough,
            modern=options.modern,
            base=options.base,
            classes=classes_of(options),
            processes=options.processes,
            overwrite=options.overwrite,
            progress=progress,
        )
    for row in report.rows:
        print(_line(row))
    return tell(report, "replay", f"{len(report.rows)} labels in {options.out}")


def _line(row: dict[str, Any]) -> str:
    known = [iou for iou in row["iou"].values() if iou is not None and iou == iou]
    mean = sum(known) / len(known) if known else float("nan")
    said = f"{row['name']}: {row['pixels_different']} pixels differ; {row['version']}, {row['software']}"
    said += f", epoch {row['epoch']}; IoU {mean:.4f}, of outlines {row['boundary_iou']:.4f}"
    second = row["runner_up"]
    if second:
        said += f"; next {second['era']}, {second['software']}: {second['pixels_different']}"
    return said
