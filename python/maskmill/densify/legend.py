"""What the numbers of a class map mean: ids, names, colours."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError, written_whole
from maskmill.io._ilastik_export import MAX_CLASSES, read_legend
from maskmill.io._palette import palette
from maskmill.io._parse import load_json

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Legend:
    """Names and colours of classes by id; 0 is no class.

    Examples
    --------
    >>> from maskmill.densify import Legend
    >>> legend = Legend({1: "Clast", 4: "Matrix"}, {4: (252, 102, 33)})
    >>> legend.ids, legend.name(4), legend.id_of("Matrix"), legend.colour(4)
    ((1, 4), 'Matrix', 4, (252, 102, 33))
    >>> Legend.of("chicxulub").name(8)
    'RedSiltstone'
    """

    names: Mapping[int, str]
    colours: Mapping[int, Colour] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, name in self.names.items():
            if not 1 <= number <= MAX_CLASSES:
                raise ValueError(f"ids of classes must be 1 to {MAX_CLASSES:,}, not {number}")
            if not isinstance(name, str) or not name:
                raise ValueError(f"class {number}: must have a name, not {name!r}")
        twice = [name for name, n in Counter(self.names.values()).items() if n > 1]
        if twice:
            raise ValueError(f"classes must have different names, not twice {twice[0]!r}")

    @classmethod
    def of(cls, source: Any) -> Legend:
        """A legend of whatever says one.

        Parameters
        ----------
        source : Legend, None, sequence of names, mapping of ids to names, "chicxulub", or path
            A path is a legend (`.json`), or an ilastik project (`.ilp`) whose labels have names. None is empty.

        Raises
        ------
        FormatError, ValueError, TypeError
        """
        if isinstance(source, Legend):
            return source
        if source is None:
            return cls({})
        if isinstance(source, str) and source in BUILT_IN:
            return BUILT_IN[source]
        if isinstance(source, str | os.PathLike):
            return _of_file(Path(source))
        if isinstance(source, Mapping):
            return cls({int(number): str(name) for number, name in source.items()})
        if isinstance(source, Sequence):
            return cls({number: str(name) for number, name in enumerate(source, 1)})
        raise TypeError(f"a legend must be names, a mapping or a path, not {type(source).__name__}")

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(sorted(self.names))

    def name(self, number: int) -> str:
        return self.names.get(number, f"Label {number}" if number else "none")

    def id_of(self, name: str) -> int:
        """The id of a class by its name, or by its number as text."""
        for number, known in self.names.items():
            if known == name:
                return number
        if name.isdecimal() and int(name) in self.names:
            return int(name)
        raise ValueError(
            f"class must be one of {', '.join(map(self.name, self.ids)) or 'none'}, not {name!r}"
        )

    def colour(self, number: int) -> Colour:
        """Red, green, blue; where none is said, Pascal VOC's of the number."""
        return self.colours.get(number) or _default(number)

    def table(self, n: int = 256) -> NDArray[np.uint8]:
        """(n, 3) colours of the numbers 0 to n - 1; 0, no class, is black."""
        return np.array([self.colour(number) for number in range(n)], np.uint8).reshape(n, 3)

    def with_ids(self, numbers: Sequence[int]) -> Legend:
        """The same with names for these, too."""
        missing = {int(n): f"Label {int(n)}" for n in numbers if n and int(n) not in self.names}
        return Legend({**self.names, **missing}, self.colours)

    def write(self, path: Path) -> None:
        """As JSON, a row for each class, which ilastik's reader takes, too."""
        rows = [{"id": i, "name": self.name(i), "color": list(self.colour(i))} for i in self.ids]
        with written_whole(path) as file:
            file.write(json.dumps(rows, indent=1, ensure_ascii=False).encode())

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.names)


def _default(number: int) -> Colour:
    red, green, blue = palette(256)[number % 256].tolist()
    return red, green, blue


def _of_file(path: Path) -> Legend:
    if path.suffix.lower() == ".ilp":
        from maskmill.io.ilastik import open_project

        project = open_project(path)
        colours = {i: _colour(path, colour) for i, colour in enumerate(project.colors, 1)}
        return Legend(dict(enumerate(project.names, 1)), {i: c for i, c in colours.items() if c})
    if path.suffix.lower() != ".json":
        raise ValueError(f"{path}: a legend must be .json or .ilp, or one of {', '.join(BUILT_IN)}")
    found = read_legend(path, load_json(path))
    coloured = {number: _colour(path, colour) for number, (_, colour) in found.items()}
    try:
        return Legend(
            {number: name for number, (name, _) in found.items()},
            {number: colour for number, colour in coloured.items() if colour},
        )
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None


def _colour(path: Path, value: Any) -> Colour | None:
    """Of "#rrggbb" or [r, g, b]."""
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        red, green, blue = bytes.fromhex(value[1:])
        return red, green, blue
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) >= 3:
        few = value[:3]
        if all(isinstance(v, int) and 0 <= v <= 255 for v in few):
            return few[0], few[1], few[2]
    raise FormatError(
        f"{path}: expected a colour such as '#1bd69e' or [27, 214, 158], found {str(value)[:40]!r}"
    )


def _built_in(rows: str) -> Legend:
    names, colours = {}, {}
    for number, row in enumerate(rows.split(), 1):
        name, _, colour = row.partition("#")
        red, green, blue = bytes.fromhex(colour)
        names[number], colours[number] = name, (red, green, blue)
    return Legend(names, colours)


BUILT_IN = {
    "chicxulub": _built_in(
        """Impact-Light#B3B3B3 Impact-Medium#808080 Impact-Dark#4D4D4D Impact-Green#1BD69E Carb-White#2CFFFE
        Carb-Tan#0B24FB Carb-Brown#020C7E RedSiltstone#807F17 Chert#0F7F12 Basement-Mafic#7E0308
        Basement-Felsic#FC0D1B Void#0E0E0E Liner#FFFFFF Matrix#FC6621"""
    )
}
"""Of core 72-2 of IODP 364, as github.com/brendonhall/core_features has them."""
