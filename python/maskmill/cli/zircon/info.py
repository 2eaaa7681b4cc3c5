"""maskmill zircon info: what a project, shot lists and alignments hold."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskmill.cli.zircon._shared import add_standards

_EPILOG = """\
examples:
  maskmill zircon info project/                       a mosaic or image-per-shot project
  maskmill zircon info scanlists/*.scancsv            shots, standards, names that were made unique
  maskmill zircon info mosaics/*.Align scanlists/*    and which list fits which mosaic

A mosaic project is a folder with mosaics/ (NAME.bmp or .tif, NAME.Align), scanlists/ (.scancsv) and mosaic_info.csv
(Sample, Scanlist, Mosaic, Max_grain_size, X_offset, Y_offset); without that table, info tells which list fits which
mosaic. An image-per-shot project has scans/, of pictures or of a folder of pictures for each sample, and
sample_info.csv (Sample, Scale) if no .Align files say the scale.

exit codes: 0 done, 2 wrong usage or a bad file, 3 done, and the project lacks what is listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "info",
        help="what a project holds, and what it lacks",
        description="Tell of shot lists how many scans of which kind they have, which are standards, and which names "
        "were made unique; of mosaics where they lie, and how many shots of each list are not on them; of "
        "image-per-shot projects how many images a sample has, and where their scale is from.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="projects, .scancsv and .Align files"
    )
    add_standards(p)
    p.add_argument(
        "--names",
        default="last",
        metavar="PATTERN",
        help="how image-per-shot files are called: last, ucsb, whole, or a regular expression",
    )
    p.add_argument(
        "--max-outside", type=int, default=3, metavar="N", help="shots that may be off a mosaic (default: 3)"
    )


def run(options: argparse.Namespace) -> int:
    from maskmill.studies.zircon.scanlists import STANDARDS

    pattern = options.pattern or STANDARDS
    lists: list[Path] = []
    aligns: list[Path] = []
    lacking = 0
    for path in options.inputs:
        if (path / "mosaic_info.csv").is_file():
            lacking += _project(path, pattern, options.max_outside)
        elif (path / "scans").is_dir():
            _scans(path, options.names)
        elif (path / "scanlists").is_dir():
            lists += sorted((path / "scanlists").glob("*.scancsv"))
            aligns += sorted(file for file in (path / "mosaics").glob("*") if file.suffix.lower() == ".align")
        elif path.is_dir():
            raise ValueError(f"{path}: must hold mosaic_info.csv, scanlists/ or scans/, and has none")
        elif path.suffix.lower() == ".align":
            aligns.append(path)
        else:
            lists.append(path)
    for path in aligns:
        _alignment(path)
    for path in lists:
        _scanlist(path, pattern)
    if lists and aligns:
        _matches(lists, aligns, options.max_outside)
    return 3 if lacking else 0


def _alignment(path: Path) -> None:
    from maskmill.studies.zircon.stage import read_align

    alignment = read_align(path)
    (x, y), (w, h) = alignment.center, alignment.size
    print(
        f"{path.name}: {w:.2f} x {h:.2f} µm about {x:.2f}, {y:.2f}, turned by {alignment.rotation:g} degrees"
    )


def _scanlist(path: Path, pattern: str) -> None:
    from maskmill.studies.zircon.scanlists import counts, read_scanlist

    found = counts(read_scanlist(path), pattern)
    kinds = ", ".join(f"{n} {kind}" for kind, n in found["kinds"].items())
    standards = ", ".join(f"{name} {n}" for name, n in found["standards"].items())
    print(f"{path.name}: {found['scans']} scans ({kinds or 'none'})")
    print(f"  {sum(found['standards'].values())} standards ({standards or 'none'})")
    if found["not_selected"]:
        print(f"  {found['not_selected']} spots are not selected")
    if found["same_place"]:
        print(f"  {found['same_place']} spots are where another one is")
    for description, usual, name in found["collisions"]:
        print(f"  a repeat of {description} is called {name}: another scan is called {usual}")


def _project(folder: Path, pattern: str, most: int) -> int:
    """What a mosaic project holds; how much it lacks."""
    from maskmill.dataset.sizes import image_size
    from maskmill.studies.zircon.projects import match_scanlists, read_project

    lacking = []
    samples = read_project(folder)
    for sample in samples:
        x, y = sample.offset
        print(f"\nsample {sample.name}: windows of {sample.field:g} µm, offsets {x:g}, {y:g}")
        if sample.scanlist.is_file():
            _scanlist(sample.scanlist, pattern)
        else:
            lacking.append(f"{sample.scanlist}: no such scan list, of sample {sample.name}")
        if sample.align is not None:
            _alignment(sample.align)
        else:
            lacking.append(f"{sample.mosaic.with_suffix('.Align')}: no such file, of sample {sample.name}")
        if sample.mosaic.is_file():
            rows, columns = image_size(sample.mosaic)
            print(f"{sample.mosaic.name}: {columns} x {rows} pixels")
        else:
            lacking.append(f"{sample.mosaic}: no such mosaic, of sample {sample.name}")
    there = [sample for sample in samples if sample.scanlist.is_file() and sample.align is not None]
    if there:
        aligns = list(dict.fromkeys(sample.align for sample in there if sample.align is not None))
        _matches(list(dict.fromkeys(sample.scanlist for sample in there)), aligns, most)
    for sample in there:
        for match in match_scanlists([sample.scanlist], [sample.align] if sample.align else []):
            if not match.fits(most):
                lacking.append(
                    f"sample {sample.name}: {match.outside} of {match.spots} spots are not on the mosaic"
                )
    for fault in lacking:
        print(f"maskmill zircon info: {fault}", file=sys.stderr)
    return len(lacking)


def _matches(lists: Sequence[Path], aligns: Sequence[Path], most: int) -> None:
    from maskmill.studies.zircon.projects import match_scanlists

    print("\nlists and the mosaics they fit, with the spots that are not on them:")
    for match in match_scanlists(lists, aligns):
        if match.fits(most):
            print(f"  {match.outside:4} of {match.spots}  {match.scanlist.name}  {match.align.name}")


def _scans(folder: Path, names: str) -> None:
    from collections import Counter

    from maskmill.studies.zircon.scans import read_scans

    scans, ignored = read_scans(folder, names)
    for (sample, source), n in Counter((scan.sample, scan.scale_from) for scan in scans).items():
        print(f"sample {sample}: {n} images, scale from {source}")
    for path, reason in ignored:
        print(f"maskmill zircon info: ignored {path}: {reason}", file=sys.stderr)
