"""maskmill coast agreement: how far labelers of the same images agree."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskmill.cli._shared import Report, add_quiet, progress_bar, require

_EPILOG = """\
who labelled the same image: files whose names are equal up to the labeler (dune_ID1.npz, dune_ID3.npz; whatever stands
behind the last _), or with --by pixels, files with the same picture. With --tables, the rows of record tables say so.

common classes: where files have different classes, --map says what each of them means. Names of the result may be left
away, and NAME= leaves the pixels of a class out. --superclasses takes the seven of Coast Train, --config those of a
configuration of `maskmill coast remap`. Pixels that a labeler gave no class are left out, and counted.

what it writes, with OUT:
  OUT/summary.json    pixel agreement, Cohen's kappa, mean IoU, Dice, boundary F; with confidence intervals by images
  OUT/pairs.csv       these measures of each two labels of an image
  OUT/images.csv      of each image: Fleiss' kappa, pixels that all agree upon, ties of the majority
  OUT/classes.csv     IoU and Dice of each class
  OUT/labelers.csv    bias of each labeler, and reliability by the estimated truth (Dawid-Skene, STAPLE)
  OUT/confusion.csv   pixels by the class of the first and of the second labeler
  OUT/iou_histogram.png, iou_disagreement.png, confusion.png, bias.png      (needs matplotlib; --no-plots)
  OUT/maps/           with --maps: majority, its ties, estimated truth and disagreement of each image

examples:
  maskmill coast agreement npz/ agreement/
  maskmill coast agreement first.npz second.npz agreement/ --map surf=water --map sand=land
  maskmill coast agreement result.npz other.npz agreement/ --trials all --maps
  maskmill coast agreement npz/ agreement/ --tables tables/ --superclasses
  maskmill coast agreement --tables tables/ --superclasses --pairs pairs.csv      by the tables alone

exit codes: 0 done, 2 wrong usage or a bad file
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "agreement",
        help="how far labelers of the same images agree",
        description="Compare labels of one image by several labelers, pixel by pixel, class by class.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="NPZ",
        help="result files or folders of them, then OUT, the folder",
    )
    p.add_argument(
        "--tables",
        type=Path,
        action="append",
        metavar="CSV",
        help="record tables that tell who labelled what: a file or a folder; may be repeated",
    )
    p.add_argument("--by", choices=("name", "pixels"), default="name", help="what makes files one image's")
    p.add_argument(
        "--trials",
        choices=("newest", "all"),
        default="newest",
        help="with all, older trials count as labelers, too (default: newest)",
    )
    p.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="CLASS=COMMON",
        help="what a class means; may be repeated",
    )
    p.add_argument("--superclasses", action="store_true", help="Coast Train's seven superclasses")
    p.add_argument(
        "--config", type=Path, metavar="JSON", help="super_classes and aliases, as `remap` takes them"
    )
    p.add_argument(
        "--tolerance", type=float, default=2.0, metavar="PX", help="pixels, of the boundary F (default: 2)"
    )
    p.add_argument("--samples", type=int, default=2000, help="of the bootstrap over images (default: 2000)")
    p.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    p.add_argument("--maps", action="store_true", help="write what labelers say together, as images")
    p.add_argument("--no-plots", action="store_true", help="write no pictures of the measures")
    p.add_argument(
        "--pairs", type=Path, metavar="FILE", help="with --tables alone: the pairs as .csv, .md or .html"
    )
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill.io._tables import write_table
    from maskmill.studies.coast.labelers import of_records, pairs
    from maskmill.studies.coast.records import read_records

    require(options, tolerance=0, samples=1, seed=0)
    if not options.paths:
        if options.tables is None:
            raise ValueError("give result files and the folder to write to, or --tables")
        found = pairs(read_records(options.tables), _mapping(options))
        _print_pairs(found)
        if options.pairs is not None:
            write_table(found, options.pairs, title="Images with two labelers")
        return 0
    *sources, out = options.paths
    if not sources or out.is_file():
        raise ValueError("give result files, or folders of them, and then the folder to write to")
    source: Any = sources
    if options.tables is not None:
        if len(sources) != 1:
            raise ValueError(f"with --tables there must be one folder of files, not {len(sources)}")
        source = of_records(read_records(options.tables), sources[0])
    with progress_bar("images", options.quiet) as progress:
        _compare(options, source, out, progress)
    return 0


def _mapping(options: argparse.Namespace) -> dict[str, str | None] | None:
    from maskmill.studies.coast.mapping import read_remap
    from maskmill.studies.coast.superclasses import ALL

    made: dict[str, str | None] = dict(ALL) if options.superclasses else {}
    if options.config is not None:
        given = read_remap(options.config)
        made |= {**{name: name for name in given.classes}, **given.aliases}
    for text in options.map:
        name, equals, common = text.rpartition("=")
        if not equals or not name:
            raise ValueError(f"--map must be CLASS=COMMON, not {text!r}")
        made[name] = common or None
    return made or None


def _compare(options: argparse.Namespace, source: Any, out: Path, progress: Report | None) -> None:
    from maskmill.studies.coast.interrater import agreement
    from maskmill.studies.coast.labelers import common_space, labellings

    groups = source
    if options.tables is None:
        groups = labellings(source, by=options.by, trials=options.trials)
    mapping = _mapping(options)
    classes = common_space(groups, mapping).classes
    out.mkdir(parents=True, exist_ok=True)
    each = None
    if options.maps:
        from maskmill.studies.coast.agreement_pictures import write_maps

        (out / "maps").mkdir(exist_ok=True)

        def each(image: str, maps: Any) -> None:
            write_maps(out / "maps", image, maps, classes)

    found = agreement(
        groups,
        mapping=mapping,
        tolerance=options.tolerance,
        samples=options.samples,
        seed=options.seed,
        each=each,
        progress=progress,
    )
    _write(found, out)
    if not options.no_plots:
        from maskmill.studies.coast.agreement_pictures import PICTURES

        for name, draw in PICTURES.items():
            draw(found, out / f"{name}.png")
    _print(found)


def _write(found: Any, out: Path) -> None:
    from maskmill._files import written_whole
    from maskmill.dataset import Table
    from maskmill.io._parse import dump_json
    from maskmill.io._tables import write_table

    names = found.classes
    counts = found.confusions.sum(0)
    confusion = Table({"class": names} | {f"second: {name}": counts[:, j] for j, name in enumerate(names)})
    tables = {
        "pairs": found.pairs,
        "images": found.images,
        "classes": found.per_class,
        "labelers": found.labelers,
    }
    for name, table in {**tables, "confusion": confusion}.items():
        write_table(table, out / f"{name}.csv")
    with written_whole(out / "summary.json") as file:
        file.write(dump_json({**found.summary, "classes": names}, indent=True))


def _print(found: Any) -> None:
    s = found.summary
    print(
        f"{s['images']:,} images, {s['pairs']:,} pairs, {s['pixels']:,} pixels ({s['left_out']:,} left out)"
    )
    print(f"{'':18}{'all pixels':>12}{'':20}{'mean of pairs':>14}")
    for name in ("agreement", "kappa", "mean_iou", "mean_dice", "boundary_f"):
        m = s[name]
        whole = (
            f"{m['all_pixels']:12.4f}{_range(m['all_pixels_interval'])}" if "all_pixels" in m else " " * 32
        )
        print(
            f"{name.replace('_', ' '):18}{whole}{m['mean_of_pairs']:14.4f}{_range(m['mean_interval'])}".rstrip()
        )
    for row in found.per_class:
        print(f"  {row['class']:26} IoU {row['iou']:.4f}  Dice {row['dice']:.4f}")


def _range(interval: list[float] | None) -> str:
    return f" {f'({interval[0]:.4f} to {interval[1]:.4f})' if interval else '':19}"


def _print_pairs(found: Any) -> None:
    sets = found["record_set"].tolist()
    for name in dict.fromkeys(sets):
        rows = [row for row in found if row["record_set"] == name]
        same = sum(row["same_classes"] == 1 for row in rows)
        shared = [row["same_classes"] for row in rows if row["same_classes"] == row["same_classes"]]
        mean = 100 * sum(shared) / max(len(shared), 1)
        print(f"{name}: {len(rows)} pairs; {same} with the same classes; in both, {mean:.1f} % of classes")
    if not len(found):
        print("no image has two labelers")
