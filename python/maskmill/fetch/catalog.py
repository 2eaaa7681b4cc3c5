"""Which data sets are published, where, and how large they are: the table `published.csv` beside this file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

FAMILIES = ("coast", "flakes", "zircon", "core", "em")

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True)
class Published:
    """One published file, or the page where a data set is explained and given out."""

    family: str
    name: str
    url: str
    size: str
    """As its publisher says it ("611.3 MB"), "" where it does not."""
    note: str
    is_page: bool
    """A page to be read, from which nothing is downloaded."""

    @property
    def about(self) -> int:
        """Bytes, roughly; 0 where the publisher does not say."""
        number, _, unit = self.size.strip("~").partition(" ")
        return round(float(number) * _UNITS[unit]) if self.size else 0

    def address(self, mirror: str | None = None) -> str:
        """Where it is downloaded from: its publisher, or the folder `mirror` on the web.

        >>> published("zircon")[1].address("https://example.org/data/")
        'https://example.org/data/czd_orig.zip'
        """
        if mirror is None:
            return self.url
        if urlsplit(mirror).scheme not in ("http", "https"):
            raise ValueError(f"mirror must begin with http:// or https://, not be {mirror!r}")
        return f"{mirror.rstrip('/')}/{quote(self.name)}"


def published(family: str | None = None) -> list[Published]:
    """The published data sets, of one family or of all. Asks no server.

    Parameters
    ----------
    family : {"coast", "flakes", "zircon", "core", "em"}, optional

    Raises
    ------
    ValueError
        There is no such family.

    Examples
    --------
    >>> [file.name for file in published("zircon")]
    ['CZD_train_large.zip', 'czd_orig.zip']
    >>> published("coast")[0].size
    '611.3 MB'
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, not {family!r}")
    with open(Path(__file__).with_name("published.csv"), encoding="utf-8", newline="") as file:
        rows = [
            Published(row["family"], row["name"], row["url"], row["size"], row["note"], row["kind"] == "page")
            for row in csv.DictReader(file)
        ]
    return [row for row in rows if family in (None, row.family)]


def select(family: str, names: Sequence[str] = ()) -> list[Published]:
    """Of a family, the data sets of these names; all of them where none are given.

    A name may lack its suffix, and be a pattern with ``*``, ``?`` and ``[...]``; upper and lower case are the same.

    Raises
    ------
    ValueError
        A name fits none: the message lists those that there are.

    Examples
    --------
    >>> [file.name for file in select("coast", ["naip_6*", "Quadrangles_7_001"])]
    ['NAIP_6_001.zip', 'Quadrangles_7_001.zip']
    """
    files = published(family)
    for name in names:
        if not any(_fits(file, name) for file in files):
            known = ", ".join(file.name for file in files)
            raise ValueError(f"{family} has no data set {name!r}; it has {known}")
    return [file for file in files if not names or any(_fits(file, name) for name in names)]


def _fits(file: Published, pattern: str) -> bool:
    wanted, name = pattern.lower(), file.name.lower()
    return fnmatchcase(name, wanted) or fnmatchcase(PurePosixPath(name).stem, wanted)
