"""What `crop-rois` and `fetch` share: their options, the table of a plan, the progress, the summary."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from maskmill.cli._shared import require
from maskmill.studies.em.crop import Job, Outcome, run_jobs
from maskmill.studies.em.plans import Wish

PLANS = """\
SAVE_PATH gets the cubes, as 8-bit nrrd called NAME-ROI-xA-B_yA-B_zA-B.nrrd in voxels of the level they are from;
plans/ in it says what was chosen and why, failed.jsonl what failed. The same command again takes what is missing.

exit codes: 0 done, 2 wrong usage or a bad file, 3 done but for what is listed as failed
"""


def add_options(p: argparse.ArgumentParser) -> None:
    """Options of what to take, and how."""
    p.add_argument(
        "-gb", "--gb", metavar="GB", type=float, default=5.0, help="GiB of cubes for each volume (default: 5)"
    )
    p.add_argument("--count", metavar="N", type=int, help="so many cubes, instead of as many as --gb allows")
    p.add_argument("--seed", metavar="N", type=int, default=0, help="another one, other cubes (default: 0)")
    p.add_argument(
        "--max-padding",
        metavar="SHARE",
        type=float,
        default=0.3,
        help="leave out cubes with this share of padding or more (default: 0.3)",
    )
    p.add_argument(
        "--probe",
        choices=("overview", "first", "none"),
        default="overview",
        help="see padding in a smaller picture of the volume (default), in the first voxel of each cube, or not at all",
    )
    p.add_argument(
        "--region",
        metavar=("X0", "X1", "Y0", "Y1", "Z0", "Z1"),
        type=int,
        nargs=6,
        help="stay within these voxels; the grid of cubes begins at the first",
    )
    p.add_argument(
        "--to-uint8",
        metavar="WORD",
        nargs="+",
        help='one contrast for all cubes of a volume: "percentile P Q" (default for what is not 8 bits: 0.1 99.9), '
        '"minmax", "window LOW HIGH", "dtype", "cem", or "keep" for voxels as they are',
    )
    p.add_argument(
        "-p", "--processes", metavar="N", type=int, default=4, help="cubes under way at once (default: 4)"
    )
    p.add_argument(
        "--verify", action="store_true", help="read what is there, and take again what has changed"
    )
    p.add_argument("--dry-run", action="store_true", help="print the plan and its size, and write nothing")
    p.add_argument("--quiet", action="store_true", help="no progress on stderr")


def wish_of(options: argparse.Namespace) -> Wish:
    from maskmill.io.intensity import parse_policy

    require(options, crop_size=1, count=1, processes=1)
    if not options.gb > 0:
        raise ValueError(f"--gb must be more than 0, not {options.gb:g}")
    if not 0 <= options.max_padding <= 1:
        raise ValueError(f"--max-padding must be within 0 and 1, not {options.max_padding:g}")
    contrast: tuple[Any, ...] | None = None
    if options.to_uint8 == ["keep"]:
        contrast = ("keep",)
    elif options.to_uint8:
        policy, numbers = parse_policy(options.to_uint8)
        contrast = (policy, *numbers)
    region = options.region and (*options.region[4:], *options.region[2:4], *options.region[:2])
    return Wish(
        size=options.crop_size,
        gb=options.gb,
        count=options.count,
        seed=options.seed,
        padding_value=options.padding_value,
        max_padding=options.max_padding,
        probe=options.probe,
        region=region,
        contrast=contrast,
        invert=options.invert,
    )


def run(
    jobs: Sequence[Job], options: argparse.Namespace, *, stop: Any = None, max_gb: float = 50.0
) -> list[Outcome]:
    """Run jobs under a progress bar, and print what became of each."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=options.quiet),
        disable=options.quiet,
        transient=True,
    )
    with bar:
        task = bar.add_task("opening", total=None)
        outcomes = run_jobs(
            jobs,
            options.save_path,
            workers=options.processes,
            max_gb=max_gb,
            verify=options.verify,
            dry=options.dry_run,
            stop=stop,
            began=lambda job, total: bar.reset(task, description=job.label, total=total),
            progress=lambda n: bar.advance(task, n),
        )
    for outcome in outcomes:
        _print(outcome, dry=options.dry_run)
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    if failed and not options.dry_run:
        print(
            f"{failed} of {len(outcomes)} volumes failed, in whole or in part: {options.save_path}/failed.jsonl",
            file=sys.stderr,
        )
    return outcomes


def _print(outcome: Outcome, *, dry: bool) -> None:
    job, plan = outcome.job, outcome.plan
    if outcome.shape is not None and not (plan is None and outcome.failures):
        cubes = plan.cubes if plan is not None else ()
        voxels = sum(cube.voxels for cube in cubes)
        z, y, x = outcome.shape
        if plan is None:
            what = f"whole, {_size(z * y * x)}"
        else:
            fit = "" if plan.fit < 0 else f" of {plan.fit} fit ones"
            what = f"{len(cubes)} cubes{fit} of {plan.boxes} boxes, {_size(voxels)}"
        print(f"{job.label}: x {x}, y {y}, z {z}; {what}")
        for cube in cubes if dry else ():
            share = "" if cube.padding is None else f"  {cube.padding:.1%} padding"
            print(f"  x {cube.x[0]}-{cube.x[1]}  y {cube.y[0]}-{cube.y[1]}  z {cube.z[0]}-{cube.z[1]}{share}")
    # One line for each reason: a server that is away fails every cube in the same way.
    reasons: dict[str, list[str]] = {}
    for failure in outcome.failures:
        reasons.setdefault(failure.reason, []).append(failure.cube or "")
    for reason, files in reasons.items():
        which = f" {files[0]}" if files[0] and len(files) == 1 else f" {len(files)} cubes" if files[0] else ""
        where = "" if job.address in reason else f" {job.address}:"
        print(f"failed:{where}{which}{':' if which else ''} {reason}", file=sys.stderr)


def _size(voxels: int) -> str:
    """
    >>> _size(5 * 2**30), _size(1000)
    ('5.0 G voxels', '1000 voxels')
    """
    for power, letter in ((30, "G"), (20, "M"), (10, "k")):
        if voxels >= 1 << power:
            return f"{voxels / 2**power:.1f} {letter} voxels"
    return f"{voxels} voxels"
