"""Shot lists of laser ablation (`.scancsv`): what was shot, where on the stage, with which settings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill.io._rows import Row, read_rows

STANDARDS = r"(?!Spot \d+$).*"
"""Pattern of the descriptions of standards, whole: everything that is not "Spot" and a number."""


@dataclass(frozen=True)
class Shot:
    """One scan of a list.

    Attributes
    ----------
    name : str
        Unique in the list: the description, with "-n" behind it for the n-th of a description.
    description : str
        As the file has it.
    kind : str
        "Spot", or what else the file says: lines and rasters.
    vertices : tuple of (x, y, z)
        Stage coordinates in µm; z is NaN where the file has none. A spot has one vertex.
    selected, locked : bool
    preablation, ablation : dict
        Settings as the file has them: {"ShotCount": "83", "Laser.SpotSize": "20µm Circle", ...}.
    data : str
    line : int
        Of the file, from 1.
    """

    name: str
    description: str
    kind: str
    vertices: tuple[tuple[float, float, float], ...]
    selected: bool = True
    locked: bool = False
    preablation: dict[str, str] | None = None
    ablation: dict[str, str] | None = None
    data: str = ""
    line: int = 0

    @property
    def x(self) -> float:
        return self.vertices[0][0]

    @property
    def y(self) -> float:
        return self.vertices[0][1]

    @property
    def spot_size(self) -> float:
        """Diameter of the laser spot in µm, NaN where the settings do not tell it."""
        found = re.match(r"\s*(\d+(?:\.\d+)?)\s*[µμu]m", (self.ablation or {}).get("Laser.SpotSize", ""))
        return float(found[1]) if found else float("nan")

    def is_standard(self, pattern: str = STANDARDS) -> bool:
        """Whether the whole description matches the pattern of standards."""
        return re.fullmatch(pattern, self.description, re.DOTALL) is not None


@dataclass(frozen=True)
class ScanList:
    """The scans of a list, in the order of the file.

    Attributes
    ----------
    path : Path
    shots : tuple of Shot
        Spots, lines and rasters.
    collisions : tuple of (description, usual name, name)
        Repeats whose usual name "FC-2" another scan has by its description, and what they are called instead.
    """

    path: Path
    shots: tuple[Shot, ...]
    collisions: tuple[tuple[str, str, str], ...] = ()

    @cached_property
    def spots(self) -> tuple[Shot, ...]:
        """The spots alone: what a clip is cut around."""
        return tuple(shot for shot in self.shots if shot.kind == "Spot")

    @property
    def xy(self) -> NDArray[np.float64]:
        """(N, 2) stage coordinates of the spots, in µm."""
        return np.array([(shot.x, shot.y) for shot in self.spots], np.float64).reshape(-1, 2)

    def kinds(self) -> dict[str, int]:
        """How many scans there are of each kind."""
        return dict(Counter(shot.kind for shot in self.shots))


def read_scanlist(path: str | Path) -> ScanList:
    """Read a `.scancsv` file.

    Parameters
    ----------
    path : path
        cp1252 as the instrument writes it, or UTF-8 as a spreadsheet may have saved it.

    Raises
    ------
    FormatError
        Naming the line and the column.
    FileNotFoundError

    Notes
    -----
    Names are those of colab_zirc_dims: the n-th spot that is called FC becomes FC-n. There, three spots called FC, FC
    and FC-2 become two; here a name that is taken is passed over, and `ScanList.collisions` tells of it. Lines and
    rasters are named when all spots are, so that they do not change the names of spots.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.scancsv"
    ...     _ = path.write_text('Scan Type,Description,Vertex List\\nSpot,FC,"1,2,0"\\nSpot,FC,"3,4,0"\\n')
    ...     [(shot.name, shot.x, shot.y) for shot in read_scanlist(path).spots]
    [('FC', 1.0, 2.0), ('FC-2', 3.0, 4.0)]
    """
    path = Path(path)
    optional = ("Selected", "Lock Edit", "Vertex Count", "Preablation Settings", "Ablation Settings", "Data")
    rows = read_rows(path, ("Scan Type", "Description", "Vertex List"), optional)
    return _named(path, [_shot(row) for row in rows])


def _shot(row: Row) -> Shot:
    kind = row["Scan Type"]
    if not kind:
        raise row.fault("Scan Type", "Spot or another kind of scan")
    kind = "Spot" if kind.lower() == "spot" else kind
    if not row["Description"]:
        raise row.fault("Description", "the name of the scan")
    vertices = _vertices(row)
    if kind == "Spot" and len(vertices) != 1:
        raise row.fault("Vertex List", "one vertex of a spot")
    return Shot(
        name=row["Description"],
        description=row["Description"],
        kind=kind,
        vertices=vertices,
        selected=_flag(row, "Selected", default=True),
        locked=_flag(row, "Lock Edit", default=False),
        preablation=_settings(row.cells.get("Preablation Settings", "")),
        ablation=_settings(row.cells.get("Ablation Settings", "")),
        data=row.cells.get("Data", ""),
        line=row.line,
    )


def _vertices(row: Row) -> tuple[tuple[float, float, float], ...]:
    """x, y, z of each vertex, or x, y of each where the number of vertices says so."""
    texts = [text for text in re.split(r"[,;\s]+", row["Vertex List"]) if text]
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        raise row.fault("Vertex List", "numbers x,y,z in µm") from None
    if not all(abs(number) <= 1e9 for number in numbers):
        raise row.fault("Vertex List", "coordinates of a stage in µm")
    count = len(numbers) // 3 if len(numbers) != 2 else 1
    if row.cells.get("Vertex Count"):
        number = row.number("Vertex Count", least=1)
        count = int(number) if number == int(number) else 0
    if count < 1 or len(numbers) not in (3 * count, 2 * count):
        raise row.fault("Vertex List", f"x,y,z of {count} vertices")
    each = len(numbers) // count
    depth = [float("nan")] * (3 - each)
    points = ([*numbers[at : at + each], *depth] for at in range(0, len(numbers), each))
    return tuple((x, y, z) for x, y, z in points)


def _flag(row: Row, column: str, *, default: bool) -> bool:
    text = row.cells.get(column, "").lower()
    if text not in ("", "0", "1", "true", "false"):
        raise row.fault(column, "0 or 1")
    return text in ("1", "true") if text else default


def _settings(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _named(path: Path, shots: Sequence[Shot]) -> ScanList:
    own = {shot.description for shot in shots}
    seen: Counter[str] = Counter()
    taken: set[str] = set()
    names: dict[int, str] = {}
    last: dict[str, int] = {}  # up to here, numbers of a description are taken
    collisions = []
    for number in sorted(range(len(shots)), key=lambda i: shots[i].kind != "Spot"):
        description = shots[number].description
        seen[description] += 1
        usual = _numbered(description, seen[description])
        n = max(seen[description], last.get(description, 0) + 1)
        name = _numbered(description, n)
        while name in taken or (n > 1 and name in own):
            n += 1
            name = _numbered(description, n)
        last[description] = n
        if name != usual:
            collisions.append((description, usual, name))
        taken.add(name)
        names[number] = name
    named = tuple(replace(shot, name=names[number]) for number, shot in enumerate(shots))
    return ScanList(path, named, tuple(collisions))


def _numbered(description: str, n: int) -> str:
    return description if n == 1 else f"{description}-{n}"


def counts(scanlist: ScanList, standards: str = STANDARDS) -> dict[str, Any]:
    """What `maskmill zircon info` tells of a list."""
    spots = scanlist.spots
    return {
        "scans": len(scanlist.shots),
        "kinds": scanlist.kinds(),
        "spots": len(spots),
        "standards": dict(Counter(shot.description for shot in spots if shot.is_standard(standards))),
        "not_selected": sum(not shot.selected for shot in spots),
        "same_place": len(spots) - len({(shot.x, shot.y) for shot in spots}),
        "spot_sizes": sorted({shot.spot_size for shot in spots if shot.spot_size == shot.spot_size}),
        "collisions": [list(collision) for collision in scanlist.collisions],
    }
