"""maskmill info: what annotations are, and which formats there are."""

from __future__ import annotations

import argparse
import json
from typing import Any

from maskmill.cli import _dataset

_EPILOG = """\
examples:
  maskmill info annotations.json
  maskmill info --formats            all formats, what each can hold, and the options of its reader and writer
  maskmill info labels/ --json
"""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "info",
        help="what annotations are; which formats there are",
        description="Say which format annotations have and what is in them, or list all formats.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--formats", action="store_true", help="list all formats, and stop")
    _dataset.add_input(p)
    for action in p._actions:
        if action.dest == "input":
            action.nargs = "?"
            action.required = False
    p.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    if options.formats:
        _formats()
        return 0
    if options.input is None:
        raise ValueError("IN must be given, or --formats")
    dataset = _dataset.read(options)
    images, kinds = dataset.images, dataset.stats().kinds if (dataset.sizes > 0).all() else {}
    said = {
        "format": dataset.provenance[-1]["format"],
        "images": len(dataset),
        "pictures_found": sum(pixels is not None for pixels in images["pixels"]),
        "with_semantic_labels": sum(label is not None for label in images["semantic"]),
        "categories": dataset.categories["name"].tolist(),
        "instances": len(dataset.instances),
        "kinds": kinds,
        "image_attributes": _keys(images["attributes"]),
        "instance_attributes": _keys(dataset.instances["attributes"]),
    }
    if options.json:
        print(json.dumps(said, indent=2))
        return 0
    print(options.input)
    for name, value in said.items():
        print(f"  {name.replace('_', ' ')}: {_text(value)}")
    return 0


def _keys(attributes: Any) -> dict[str, int]:
    """How many rows have each attribute."""
    found: dict[str, int] = {}
    for row in attributes:
        for key in row or ():
            found[key] = found.get(key, 0) + 1
    return found


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{key} ({n:,})" for key, n in value.items()]
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:20]))
        return (shown or "none") + (f", ... ({len(value):,} in all)" if len(value) > 20 else "")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _formats() -> None:
    import inspect

    from maskmill import io

    for format in io.formats():
        able = " and ".join(word for word, can in (("read", format.reads), ("written", format.writes)) if can)
        print(f"{format.name}: {format.title}; {able}")
        print(f"  holds: {', '.join(sorted(format.holds)) or 'as the tool has it'}")
        for what, can in (("read", format.reads), ("write", format.writes)):
            if can:
                options = [
                    f"{name}={p.default!r}"
                    for name, p in inspect.signature(getattr(format.module, what)).parameters.items()
                    if p.kind is p.KEYWORD_ONLY
                ]
                print(f"  --{what}: {', '.join(options) or 'no options'}")
