"""Mosaic projects: a folder with `mosaics`, `scanlists` and the table `mosaic_info.csv` that joins them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from maskmill._files import FormatError
from maskmill.dataset.sizes import image_size
from maskmill.io._parse import safe_name
from maskmill.io._rows import Row, read_rows
from maskmill.studies.zircon.scanlists import ScanList, read_scanlist
from maskmill.studies.zircon.stage import Alignment, Transform, read_align


@dataclass(frozen=True)
class Sample:
    """A row of `mosaic_info.csv`: the shots of a sample, and the mosaic they are on.

    Attributes
    ----------
    name : str
    scanlist, mosaic : Path
        Files that should be there; nothing says that they are.
    field : float
        Max_grain_size: side of the window around a shot, in µm (in pixels where there is no alignment).
    offset : (float, float)
        X_offset and Y_offset, in µm.
    """

    name: str
    scanlist: Path
    mosaic: Path
    field: float
    offset: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def scans(self) -> ScanList:
        return read_scanlist(self.scanlist)

    @cached_property
    def align(self) -> Path | None:
        """The `.Align` file of the mosaic's stem, if there is one."""
        return _align_of(self.mosaic)

    def alignment(self, *, pixels: bool = False) -> Alignment | None:
        """Where the mosaic lies; None if there is no `.Align` file and coordinates are to be taken for pixels."""
        if self.align is not None:
            return read_align(self.align)
        if pixels:
            return None
        raise FormatError(
            f"{self.mosaic.with_suffix('.Align')}: expected where the mosaic of {self.name} lies, found no such file "
            "(--pixels takes the shots' coordinates for pixels)"
        )

    def transform(self, *, compat: bool = False, pixels: bool = False) -> Transform:
        """Between the stage and the mosaic, of which the header alone is read. See `Transform`."""
        rows, columns = image_size(self.mosaic)
        return Transform(self.alignment(pixels=pixels), columns, rows, self.offset, compat)


def _align_of(mosaic: Path) -> Path | None:
    """The `.Align` file with exactly the stem of a mosaic, None if there is none."""
    if not mosaic.parent.is_dir():
        return None
    found = sorted(
        entry
        for entry in mosaic.parent.iterdir()
        if entry.stem == mosaic.stem and entry.suffix.lower() == ".align" and entry.is_file()
    )
    if len(found) > 1:  # which one is meant is not guessed
        names = ", ".join(entry.name for entry in found)
        raise FormatError(f"{mosaic.parent}: expected one file {mosaic.stem}.Align, found {names}")
    return found[0] if found else None


def read_project(folder: str | Path) -> tuple[Sample, ...]:
    """Read `mosaic_info.csv` of a project.

    Raises
    ------
    FormatError
        Naming line and column: names that are no files of the project, sizes that are none, a sample twice.
    FileNotFoundError

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = "Sample,Scanlist,Mosaic,Max_grain_size,X_offset,Y_offset\\nA,a.scancsv,a.bmp,300,0,0\\n"
    ...     _ = (Path(folder) / "mosaic_info.csv").write_text(table)
    ...     [(sample.name, sample.field, sample.mosaic.name) for sample in read_project(folder)]
    [('A', 300.0, 'a.bmp')]
    """
    folder = Path(folder)
    table = folder / "mosaic_info.csv"
    required = ("Sample", "Scanlist", "Mosaic", "Max_grain_size")
    rows = read_rows(table, required, ("X_offset", "Y_offset"), aliases={"Max_zircon_size": "Max_grain_size"})
    samples: dict[str, Sample] = {}
    for row in rows:
        name = _plain_name(row, "Sample")
        if name in samples:
            raise row.fault("Sample", "a sample that is not there already")
        samples[name] = Sample(
            name=name,
            scanlist=folder / "scanlists" / _plain_name(row, "Scanlist"),
            mosaic=folder / "mosaics" / _plain_name(row, "Mosaic"),
            field=row.number("Max_grain_size", above=0),
            offset=(_offset(row, "X_offset"), _offset(row, "Y_offset")),
        )
    if not samples:
        raise FormatError(f"{table}: expected a row for each sample, found none")
    return tuple(samples.values())


def _plain_name(row: Row, column: str) -> str:
    """The name of a file without folders."""
    try:
        path = safe_name(row[column], column)
    except FormatError:
        raise row.fault(column, "a name without folders") from None
    if len(path.parts) != 1 or len(path.name.encode()) > 200:
        raise row.fault(column, "a name without folders, of at most 200 bytes")
    return path.name


def _offset(row: Row, column: str) -> float:
    return row.number(column) if row.cells.get(column) else 0.0


@dataclass(frozen=True)
class Match:
    """How many spots of a scan list are not on a mosaic."""

    scanlist: Path
    align: Path
    spots: int
    outside: int

    def fits(self, max_outside: int = 3) -> bool:
        """Whether the list may be of the mosaic: few of its spots are outside, and some inside."""
        return self.outside <= max_outside and self.outside < self.spots


def match_scanlists(scanlists: Iterable[Path], aligns: Iterable[Path]) -> list[Match]:
    """Every scan list against every mosaic, by the transform that clips are cut with: rotation included.

    Parameters
    ----------
    scanlists, aligns : paths
        `.scancsv` and `.Align` files. The mosaics themselves are not needed.
    """
    lists = [(path, read_scanlist(path)) for path in scanlists]
    found = []
    for align in aligns:
        alignment = read_align(align)
        # A pixel of about 1 µm, as finer ones would change nothing.
        columns, rows = (max(1, round(side)) for side in alignment.size)
        transform = Transform(alignment, columns, rows)
        for path, scans in lists:
            outside = int((~transform.inside(scans.xy)).sum())
            found.append(Match(path, align, len(scans.spots), outside))
    return found
