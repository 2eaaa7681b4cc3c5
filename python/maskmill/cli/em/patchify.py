"""maskmill em patchify: volumes and images to patches without near-duplicates."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskmill.cli._shared import add_quiet, require
from maskmill.cli.em._shared import require_grey

if TYPE_CHECKING:
    from maskmill.studies.em.patchify import Report
    from maskmill.studies.em.settings import Settings

_EPILOG = """\
examples:
  maskmill em patchify volumes/ patches/                     all there is, all three axes
  maskmill em patchify cell.nrrd patches/ -a 0 -s 5          every fifth xy plane
  maskmill em patchify a.mrc --voxel-size 30,8,8 patches/    z, y, x: xz and yz planes are left out
  maskmill em patchify roi.tif patches/ --to-uint8 percentile 0.5 99.5
  maskmill em patchify volumes/ patches/ --legacy --seed 0   as cem-dataset, bit for bit
  maskmill em patchify volumes/ patches/ --dry-run           how many, how large

what it writes: run.json, manifest.parquet (where each kept patch is and comes from), audit.parquet (why the others
were dropped, and by whom) and the pixels: patches/*.tiff (--layout store), <dataset>/<name>.tiff (files), or
pickles as cem-dataset has them (pickle). Given again after an interruption, it goes on where it was.

exit codes: 0 done, 2 wrong usage or a bad OUT, 3 done but for the inputs that are listed as failed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "patchify",
        help="cut volumes and images into patches, without near-duplicates",
        description="Cut volumes (nrrd, mrc, tiff, nifti, hdf5, zarr, n5, precomputed), videos (mp4, avi, mov, mkv, "
        "webm) and groups of images (a folder each) into patches, hash them, and write those that resemble no other.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("inputs", metavar="INPUT", nargs="+", help="files, folders of them, URLs")
    p.add_argument("out", metavar="OUT", type=Path, help="folder to write to")
    _add_cutting(p)
    _add_choosing(p)
    _add_reading(p)
    add_running(p)


def _add_cutting(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("what is cut")
    g.add_argument(
        "-a",
        "--axes",
        type=int,
        nargs="+",
        choices=(0, 1, 2),
        default=[0, 1, 2],
        help="0 xy, 1 xz, 2 yz (all)",
    )
    g.add_argument(
        "-s", "--spacing", type=int, default=1, metavar="N", help="cut every N-th slice (default: 1)"
    )
    g.add_argument(
        "-cs", "--crop-size", "--crop_size", type=int, default=224, metavar="N", help="default: 224"
    )
    g.add_argument("--stride", type=int, metavar="N", help="from tile to tile (default: the crop size)")
    g.add_argument(
        "--edge",
        choices=("cem", "ragged", "drop", "shift", "pad"),
        help="the rest of a slice: cem a smaller tile if it is more than half of one, ragged always one, drop none, "
        "shift the last tile inwards, pad with zeros (default: cem; with --stride, drop)",
    )
    g.add_argument(
        "--voxel-size",
        action="append",
        default=[],
        metavar="[NAME=]Z,Y,X",
        help="or one number; for all inputs, or the one of that name. It goes before what files say",
    )
    g.add_argument(
        "--tolerance",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="planes are cut whose pixels are at most so much longer one way than the other (default: 0.25)",
    )
    g.add_argument(
        "--unknown-spacing",
        default="xy",
        choices=("xy", "iso", "error"),
        help="if the voxel size is not known: cut xy alone, all, or none (default: xy)",
    )


def _add_choosing(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("what is kept")
    add_rule(g)
    g.add_argument("--min-size", type=int, default=1, metavar="N", help="drop patches with a shorter side")
    g.add_argument(
        "--padding", type=float, metavar="GREY", help="grey value (0 to 255) that stands for no data"
    )
    g.add_argument(
        "--max-padding", type=float, default=1.0, metavar="SHARE", help="drop patches with more of it"
    )
    g.add_argument(
        "--max-saturated", type=float, default=1.0, metavar="SHARE", help="... with more of 0 and 255"
    )
    g.add_argument("--legacy", action="store_true", help="do all as cem-dataset, in the order of --seed")


def add_rule(g: Any) -> None:
    """Options of the choice among hashes, which `dedupe` has too."""
    g.add_argument(
        "-hs",
        "--hash-size",
        "--hash_size",
        type=int,
        metavar="N",
        help="N x N bits (default: 8; of --scope all 16)",
    )
    g.add_argument(
        "-d",
        "--min-distance",
        "--min_distance",
        type=int,
        metavar="BITS",
        help="patches that differ in so many bits or fewer are near-duplicates (default: 12; of 256 bits 48)",
    )
    g.add_argument(
        "--scope", default="dataset", choices=("file", "dataset", "all"), help="who is compared with whom"
    )
    g.add_argument(
        "--accept-chance", action="store_true", help="let --scope all compare codes of fewer than 256 bits"
    )
    g.add_argument(
        "--order",
        default="stable",
        choices=("stable", "natural", "name", "quality", "legacy-seed"),
        help="who comes first is kept: stable is as good as random, and the same everywhere (default)",
    )
    g.add_argument("--seed", type=int, default=0, help="of the orders stable and legacy-seed (default: 0)")
    g.add_argument(
        "--scores", default="", metavar="TABLE", help="name and score (.parquet, .csv), for --order quality"
    )
    g.add_argument(
        "--max-overlap",
        type=float,
        default=0.5,
        metavar="IOU",
        help="drop the later of two patches of one slice that overlap so much; 1: none (default: 0.5)",
    )
    g.add_argument(
        "--flat",
        default="same",
        choices=("same", "one", "drop"),
        help="patches of one grey value (default: same)",
    )


def _add_reading(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("how inputs are read")
    g.add_argument(
        "--to-uint8",
        "--scale",
        nargs="+",
        default=["dtype"],
        metavar="POLICY",
        help="dtype, window LOW HIGH, percentile P Q, minmax, cem; one for each data set (default: dtype)",
    )
    g.add_argument(
        "--nonfinite", type=int, metavar="GREY", help="what NaN and infinity become (default: an error)"
    )
    g.add_argument("--dataset", metavar="PATH", help="array within an HDF5 file or zarr group")
    g.add_argument("--level", type=int, default=0, help="of a pyramid (default: 0, the finest)")
    g.add_argument("--channel", default="0", help="a number, or luminance (default: 0)")
    g.add_argument("--stacks", action="store_true", help="a folder of images is a volume, not a group")
    g.add_argument("--no-digest", action="store_true", help="leave the digest of inputs out of the manifest")


def add_running(p: argparse.ArgumentParser) -> None:
    """Options that the result does not depend on, and how it is laid out."""
    g = p.add_argument_group("how it runs")
    g.add_argument(
        "--layout", default="store", choices=("store", "files", "pickle"), help="see below (default: store)"
    )
    g.add_argument(
        "-p", "--processes", type=int, metavar="N", help="processes (default: threads of this one)"
    )
    g.add_argument("--dask", metavar="ADDRESS", help="of a scheduler, its file, or local[:N]")
    g.add_argument(
        "--memory",
        type=size,
        default=2 << 30,
        metavar="SIZE",
        help="for reading, as 500M (default: 2G)",
    )
    g.add_argument("--retry", action="store_true", help="try again the inputs that failed before")
    g.add_argument(
        "--overwrite", action="store_true", help="begin anew, whatever OUT holds of an earlier run"
    )
    g.add_argument("--dry-run", action="store_true", help="say what would be cut, and write nothing")
    add_quiet(g)  # type: ignore[arg-type]


def size(text: str) -> int:
    """Bytes, as 500M or 8G."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    digits = text.upper().removesuffix("B").removesuffix("I")
    unit = units.get(digits[-1:], 1)
    try:
        number = float(digits[:-1] if unit > 1 else digits) * unit
    except ValueError:
        number = -1
    if not 1 <= number < 2**62:
        raise argparse.ArgumentTypeError(f"must be a size such as 500M or 8G, not {text!r}")
    return int(number)


def settings(options: argparse.Namespace) -> Settings:
    """What was asked for."""
    from maskmill.io.intensity import parse_policy
    from maskmill.studies.em.plan import Grid
    from maskmill.studies.em.settings import Settings

    require(options, crop_size=1, spacing=1, stride=1, tolerance=0, min_size=1, level=0, processes=1)
    require_grey(options, "nonfinite", "padding")
    policy, values = parse_policy(options.to_uint8)
    channel = options.channel if options.channel == "luminance" else number(options.channel, "--channel")
    opening = {"dataset": options.dataset, "level": options.level, "channel": channel}
    hash_size, chosen = rule(options)
    edge = options.edge or ("cem" if options.stride in (None, options.crop_size) else "drop")
    return Settings(
        axes=tuple(sorted(set(options.axes))),
        grid=Grid(options.crop_size, options.stride, edge, options.spacing),
        rule=chosen,
        hash_size=hash_size,
        policy=policy,
        values=values,
        nonfinite=options.nonfinite,
        voxel_size=tuple(options.voxel_size),
        tolerance=options.tolerance,
        unknown=options.unknown_spacing,
        padding=options.padding,
        scores=options.scores,
        stacks=options.stacks,
        options=tuple(sorted(opening.items())),
        digest=not options.no_digest,
        layout=options.layout,
        legacy=options.legacy,
    )


def rule(options: argparse.Namespace) -> tuple[int, Any]:
    """Hash size and `Rule` of the options."""
    from maskmill.studies.em.select import Rule

    require(options, crop_size=1, min_distance=0)
    for name in ("max_overlap", "max_padding", "max_saturated"):
        if not 0 <= getattr(options, name, 0) <= 1:
            raise ValueError(
                f"--{name.replace('_', '-')} must be within 0 and 1, not {getattr(options, name):g}"
            )
    hash_size = options.hash_size
    if hash_size is None:
        hash_size = 16 if options.scope == "all" else 8
    if not 2 <= hash_size <= 16:
        raise ValueError(f"--hash-size must be within 2 and 16, not {hash_size}")
    radius = options.min_distance
    if radius is None:
        radius = 48 if hash_size == 16 else 12
    if options.scope == "all" and hash_size < 16 and not options.accept_chance:
        raise ValueError(
            f"--scope all must compare 256 bits (--hash-size 16), not {hash_size**2}: among many data sets, fewer bits "
            "meet by chance. To do so nevertheless: --accept-chance"
        )
    if options.order == "quality" and not options.scores:
        raise ValueError("--order quality needs --scores")
    if options.scores:
        Path(options.scores).stat()  # hours before it is read
    more = {
        name: getattr(options, name)
        for name in ("min_size", "max_padding", "max_saturated")
        if name in options
    }
    return hash_size, Rule(
        radius, options.order, options.seed, options.scope, options.max_overlap, options.flat, **more
    )


def number(text: str, name: str) -> int:
    if not text.isdecimal():
        raise ValueError(f'{name} must be a number from 0 on, or "luminance", not {text!r}')
    return int(text)


def run(options: argparse.Namespace) -> int:
    from maskmill import scale
    from maskmill.studies.em.patchify import patchify

    chosen = settings(options)
    with scale.executor(options.dask, options.processes) as executor:
        if options.dry_run:
            return _dry_run(options, chosen, executor)
        with bar(options.quiet) as progress:
            report = patchify(
                options.inputs,
                options.out,
                chosen,
                memory=options.memory,
                executor=executor,
                progress=progress,
                retry=options.retry,
                overwrite=options.overwrite,
            )
    return tell(report, "patchify", options)


def _dry_run(options: argparse.Namespace, chosen: Settings, executor: Any) -> int:
    from maskmill.studies.em.survey import look, patch_count

    found = look(options.inputs, chosen, executor)
    total = 0
    for source in found.sources:
        count = patch_count(source, chosen)
        total += count
        shape = " x ".join(map(str, source.shape))
        axes = "image" if source.image else "axes " + " ".join(map(str, source.axes))
        print(f"{source.path}: {shape} {source.dtype}, {axes}: {count:,} patches")
    print(f"{total:,} patches, at most {total * chosen.grid.crop**2 / 1e9:,.2f} GB")
    _tell_problems(found, "patchify", options.quiet)
    return 3 if found.failed else 0


def bar(quiet: bool) -> Any:
    """A bar on stderr; as a context manager it gives what `patchify` tells its progress to, or None."""
    from contextlib import contextmanager

    from maskmill.cli._shared import progress_bar

    @contextmanager
    def shown() -> Any:
        with progress_bar("", quiet) as report:
            yield None if report is None else lambda what, done, total: report(done, total, what)

    return shown()


def tell(report: Report, verb: str, options: argparse.Namespace) -> int:
    """Print the table of counts, and what went wrong; the exit code."""
    if report.resumed and not options.quiet:
        print(f"{options.out}: complete already, by an earlier run of this command", file=sys.stderr)
    print(table(report))
    if not report.counts and not report.failed:
        print(f"maskmill em {verb}: there is nothing in the inputs that could be used", file=sys.stderr)
    _tell_problems(report, verb, options.quiet)
    return 3 if report.failed else 0


def _tell_problems(report: Any, verb: str, quiet: bool) -> None:
    notes = [] if quiet else [f"note: {path}: ignored ({reason})" for path, reason in report.ignored]
    notes += [f"warning: {text}" for text in report.warnings]
    notes += [
        f"failed: {reason if path in reason else f'{path}: {reason}'}" for path, reason in report.failed
    ]
    for note in notes:
        print(f"maskmill em {verb}: {note}", file=sys.stderr)


MOST_LINES = 40


def table(report: Report) -> str:
    """Counts per input and reason, and their sums."""
    rows = list(report.counts.items())
    whole: dict[str, int] = {"patches": 0, "kept": 0}
    for _, count in rows:
        for name, value in count.items():
            whole[name] = whole.get(name, 0) + value
    columns = [name for name, value in whole.items() if value or name in ("patches", "kept", "duplicate")]
    shown = rows if len(rows) <= MOST_LINES else rows[:MOST_LINES]
    lines = [["input", *columns]]
    lines += [
        [Path(path).name or path, *(f"{count.get(name, 0):,}" for name in columns)] for path, count in shown
    ]
    if len(shown) < len(rows):
        lines.append([f"... and {len(rows) - len(shown):,} more", *("" for _ in columns)])
    lines.append([f"all, in {report.seconds:.1f} s", *(f"{whole.get(name, 0):,}" for name in columns)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns) + 1)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )
