"""The whole line, from a folder of raw files to a training layout: which verbs of `maskmill em` are run, on what.

OUT/clean      images as 8-bit gray images (clean), if it is asked for
OUT/patches    the store of all patches without near-duplicates (patchify)
OUT/training   <dataset>/<name>.tiff of what is informative (filter), or of all
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskmill._files import FormatError

LINE = ("clean", "patchify", "filter")


@dataclass(frozen=True)
class Step:
    """A verb and its arguments, as on a command line."""

    verb: str
    arguments: tuple[str, ...]


def read_config(path: str | Path) -> dict[str, Any]:
    """`inputs` and `out`, and a table of options for each verb, from a TOML file.

    Raises
    ------
    FormatError
        If it is no TOML, or has anything else in it.
    """
    try:
        import tomllib as toml
    except ImportError:  # before Python 3.11
        from maskmill._files import need

        toml = need("tomli", "em")
    path = Path(path)
    try:
        config: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{path}: not TOML ({error})") from None
    for key, value in config.items():
        if key in LINE:
            if not isinstance(value, dict | bool):
                raise FormatError(f"{path}: {key} must be a table of options, true or false, not {value!r}")
        elif key == "inputs":
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise FormatError(f"{path}: inputs must be a list of paths, not {value!r}")
        elif key == "out":
            if not isinstance(value, str):
                raise FormatError(f"{path}: out must be a path, not {value!r}")
        else:
            raise FormatError(f"{path}: must have inputs, out and tables {', '.join(LINE)}, not {key!r}")
    return config


def steps(inputs: Sequence[str], out: str | Path, config: Mapping[str, Any] | None = None) -> list[Step]:
    """What is to be run, one after the other.

    `clean` is run if the config has a table for it, `filter` unless it is false.

    Examples
    --------
    >>> for step in steps([], "out", {"patchify": {"axes": [0, 1]}, "filter": False}):
    ...     print(step.verb, *step.arguments)
    patchify out/training --axes 0 1 --layout files
    """
    config, out = config or {}, Path(out)
    given = [str(item) for item in inputs]
    line = []
    if config.get("clean"):
        if len(given) != 1 or not Path(given[0]).is_dir():
            raise ValueError(f"clean must have one folder of groups of images, not {len(given)} inputs")
        line.append(Step("clean", (given[0], "--out", str(out / "clean"), *_options(config["clean"]))))
        given = [str(out / "clean")]
    wanted = config.get("filter") is not False
    options = _options(config.get("patchify", {}))
    if wanted:
        line.append(Step("patchify", (*given, str(out / "patches"), *options)))
        line.append(
            Step("filter", (str(out / "patches"), str(out / "training"), *_options(config.get("filter", {}))))
        )
    else:
        line.append(Step("patchify", (*given, str(out / "training"), *options, "--layout", "files")))
    return line


def _options(table: Mapping[str, Any] | bool) -> tuple[str, ...]:
    """Options of a command line: a list gives several values, true a flag."""
    found: list[str] = []
    for name, value in table.items() if isinstance(table, Mapping) else ():
        if value is False:
            continue
        found.append(f"--{name.replace('_', '-')}")
        if value is not True:
            found += [str(item) for item in value] if isinstance(value, list) else [str(value)]
    return tuple(found)
