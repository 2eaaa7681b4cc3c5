"""maskmill stats: what is in annotations, in numbers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from maskmill.cli import _dataset

_EPILOG = """\
examples:
  maskmill stats annotations.json
  maskmill stats annotations.json --json > stats.json
  maskmill stats labels/ --plot areas.png          instances per image and areas, as histograms
"""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "stats",
        help="what is in annotations, in numbers",
        description="Count images, instances and categories; areas, sizes, instances at the border.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _dataset.add_input(p)
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument("--plot", metavar="FILE", type=Path, help="draw histograms into FILE (.png, .pdf, .svg)")


def run(options: argparse.Namespace) -> int:
    dataset = _dataset.read(options)
    made = dataset.stats()
    if options.plot:
        from maskmill.plot import annotation_histograms

        annotation_histograms(dataset, options.plot)
    if options.json:
        print(json.dumps(made.to_json(), indent=2))
        return 0
    print(
        f"{made.images:,} images, {made.without_instances:,} without instances; {made.instances:,} instances"
    )
    print("kinds: " + (", ".join(f"{n:,} {kind}" for kind, n in made.kinds.items()) or "none"))
    sizes = list(made.image_sizes.items())
    more = f", ... ({len(sizes)} sizes)" if len(sizes) > 5 else ""
    print("image sizes: " + ", ".join(f"{size} ({n:,})" for size, n in sizes[:5]) + more)
    for title, spread in (
        ("instances per image", made.per_image),
        ("area, pixels", made.area),
        ("area, µm²", made.area_um2),
    ):
        if spread:
            print(f"{title}: " + ", ".join(f"{key} {value:.6g}" for key, value in spread.items()))
    print("sizes of COCO: " + ", ".join(f"{n:,} {name}" for name, n in made.size_classes.items()))
    print(f"at the border: {made.touching_edge:,}; crowds: {made.crowd:,}")
    _table(made.per_category)
    return 0


def _table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    width = max(8, *(len(row["name"]) for row in rows))
    print(
        f"\n{'category':<{width}} {'instances':>10} {'images':>8} {'min area':>10} {'median':>10} {'max':>12}"
    )
    for row in rows:
        numbers = (
            f"{row['min']:>10.6g} {row['median']:>10.6g} {row['max']:>12.8g}" if row["instances"] else ""
        )
        print(f"{row['name']:<{width}} {row['instances']:>10,} {row['images']:>8,} {numbers}".rstrip())
