"""Maps from the classes of files to fewer ones: configurations as published with Coast Train, and the built-in one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import FormatError
from maskmill.io._parse import load_text, mapping, sequence, wrong
from maskmill.studies.coast.superclasses import ALL, SUPERCLASSES

_MOST_CLASSES = 255


@dataclass(frozen=True)
class Remap:
    """What classes become.

    Attributes
    ----------
    classes : tuple of str
        The new classes, in the order of their ids, whichever of them occur.
    aliases : dict of str to str
        The new class of each old one. A name that is that of a new class, and no alias, stays.
    unmapped : str, optional
        The new class of all others. None: they are an error.
    """

    classes: tuple[str, ...]
    aliases: Mapping[str, str]
    unmapped: str | None = None

    def __post_init__(self) -> None:
        fine = 0 < len(self.classes) <= _MOST_CLASSES and len(set(self.classes)) == len(self.classes)
        if not fine or "" in self.classes:
            raise ValueError(
                f"classes must be 1 to {_MOST_CLASSES} names that differ, not {list(self.classes)}"
            )
        for name, new in [*self.aliases.items(), ("unmapped", self.unmapped or self.classes[0])]:
            if new not in self.classes:
                raise ValueError(f"{name!r} must become one of {', '.join(self.classes)}, not {new!r}")

    def __getitem__(self, name: str) -> str | None:
        """What a class becomes, None if nothing says so.

        Examples
        --------
        >>> built_in()["surf"]
        'whitewater'
        """
        return self.aliases.get(name, name if name in self.classes else self.unmapped)

    def table(self, classes: Sequence[str], where: str) -> NDArray[np.uint8]:
        """(n + 1,) new class + 1 of each class + 1; 0, none, stays.

        Raises
        ------
        ValueError
            If nothing says what a class becomes; names it, and `where`.
        """
        lacking = [name for name in classes if self[name] is None]
        if lacking:
            raise ValueError(
                f"{where}: classes must be mapped, not {', '.join(map(repr, lacking))}: add aliases, or say what "
                "unmapped classes become"
            )
        return np.array([0, *(self.classes.index(str(self[name])) + 1 for name in classes)], np.uint8)

    def to_json(self) -> dict[str, Any]:
        found = {"super_classes": list(self.classes), "aliases": dict(self.aliases)}
        return found if self.unmapped is None else {**found, "unmapped": self.unmapped}


def built_in(unmapped: str | None = None) -> Remap:
    """The superclasses of Coast Train, for all names of classes that its files have.

    Examples
    --------
    >>> built_in().classes
    ('water', 'whitewater', 'sediment', 'developed', 'vegetation', 'natural_terrain', 'other')
    """
    return Remap(tuple(SUPERCLASSES), dict(ALL), unmapped)


def read_remap(path: str | Path, unmapped: str | None = None) -> Remap:
    """A configuration: JSON with `super_classes` (a list, or an object whose keys count) and `aliases`.

    `classes` and `direc` of published configurations are not used: each file has its own classes, and a folder of its
    author's means nothing here.

    Raises
    ------
    FormatError
        If it is no such JSON, has a key twice with different values, or an alias for no superclass.
    """
    where = str(path)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if found.setdefault(key, value) != value:
                raise FormatError(f"{where}: expected {key!r} once, found {found[key]!r} and {value!r}")
        return found

    try:
        content = json.loads(load_text(Path(path)), object_pairs_hook=once)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: expected JSON ({error})") from None
    given = mapping(content, where).get("super_classes")
    names = list(given) if isinstance(given, dict) else sequence(given, f"{where}: super_classes")
    classes = tuple(_name(name, f"{where}: super_classes") for name in names)
    aliases = {
        name: _name(new, f"{where}: aliases[{name!r}]")
        for name, new in mapping(content.get("aliases", {}), f"{where}: aliases").items()
    }
    try:
        return Remap(classes, aliases, unmapped)
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None


def _name(value: Any, where: str) -> str:
    """Names may be numbers, as in an example of the original."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise wrong(where, "a name", value)
    return str(value)
