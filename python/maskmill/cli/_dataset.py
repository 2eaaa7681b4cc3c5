"""What the verbs on annotations have in common: reading them, writing them, and telling of losses."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskmill.cli._shared import add_quiet

if TYPE_CHECKING:
    from maskmill.dataset import Dataset, LossReport


def add_input(p: argparse.ArgumentParser) -> None:
    """IN and how to read it, and --quiet."""
    add_quiet(p)
    p.add_argument("input", metavar="IN", type=Path, help="annotations: a file or folder of any format")
    group = p.add_argument_group("reading")
    group.add_argument(
        "--from", dest="format", metavar="FORMAT", help="format of IN (default: found by looking)"
    )
    group.add_argument("--images", metavar="FOLDER", type=Path, help="the pictures (default: beside IN)")
    group.add_argument(
        "--read",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of the format's reader, such as rule=coco or offset=0.5 (see: maskmill info --formats)",
    )


def add_output(p: argparse.ArgumentParser, default: str | None = None) -> None:
    """How to write."""
    group = p.add_argument_group("writing")
    said = f"default: {default}" if default else "default: by the suffix of OUT"
    group.add_argument("--to", metavar="FORMAT", default=default, help=f"format to write ({said})")
    group.add_argument(
        "--write",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of the format's writer, such as offset=0.5 or parts=split",
    )


def pairs(given: list[str], what: str) -> dict[str, Any]:
    """NAME=VALUE as a dict; values are JSON where they can be, else text."""
    made: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"{what} must be NAME=VALUE, not {item!r}")
        made[name] = _value(value)
    return made


def _value(text: str) -> Any:
    for parse in (json.loads, float):  # .5 is no JSON
        try:
            return parse(text)
        except ValueError:
            continue
    return text


@contextmanager
def busy(what: str, quiet: bool) -> Iterator[None]:
    """Say on a terminal what takes its time."""
    from rich.console import Console

    with Console(stderr=True, quiet=quiet).status(what):
        yield


def read(options: argparse.Namespace) -> Dataset:
    """IN, as the options say."""
    from maskmill import io

    if not options.input.exists():
        raise FileNotFoundError(2, "no such file or folder", str(options.input))
    given = pairs(options.read, "--read")
    if options.images is not None:
        if not options.images.is_dir():
            raise FileNotFoundError(2, "no such folder", str(options.images))
        given["images"] = options.images
    try:
        with busy(f"reading {options.input}", options.quiet):
            return io.read(options.input, options.format, **given)
    except TypeError as error:
        raise ValueError(str(error)) from None


def write(dataset: Dataset, path: Path, options: argparse.Namespace, *, compare: bool = True) -> LossReport:
    """Write annotations as the options say."""
    from maskmill import io

    given = pairs(options.write, "--write")
    try:
        with busy(f"writing {path}" + (", and comparing" if compare else ""), options.quiet):
            return io.write(dataset, path, options.to, compare=compare, **given)
    except TypeError as error:
        raise ValueError(str(error)) from None


def tell(text: str, quiet: bool) -> None:
    """News, beside the results."""
    if not quiet:
        print(text, file=sys.stderr)


def file_name(stem: str, format: str) -> str:
    """What a file or folder of annotations is called: stem.json, or the stem alone for formats that are folders."""
    from maskmill import io

    able = {f.name: f for f in io.formats() if f.writes}
    if format not in able:
        raise ValueError(f"format must be one of {', '.join(able)}, not {format!r}")
    found = able[format]
    return stem if found.single or not found.suffixes else stem + found.suffixes[0]
