"""maskmill em fetch: random cubes of public volumes on the web."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskmill.cli._shared import require

if TYPE_CHECKING:
    from maskmill.studies.em.fetch import Row

_EPILOG = """\
examples:
  maskmill em fetch ngff_datasets.csv cubes --gb 5
  maskmill em fetch ngff_datasets.csv cubes --only jrc_hela-2_openorganelle --dry-run
  maskmill em fetch s3://janelia-cosem/jrc_hela-2/jrc_hela-2.n5/em/fibsem-uint16 cubes --mip 1 --count 40
  maskmill em fetch precomputed://gs://h01-release/data/20210601/4nm_raw cubes -cs 512 --count 40 \\
      --probe first --region 70000 450000 40000 300000 0 5000

A table is a CSV with the columns download_url and volume_name, and, if need be, mip, voxel_x, voxel_y, voxel_z (of mip
0, "x" where unknown), crop, crop_size, invert and padding_value, which go before the options. An address is http,
https, s3, gs (both without credentials) or file, of OME-Zarr, zarr, N5 or precomputed data; "n5://", "zarr://" or
"precomputed://" before it say which, if the name does not.

"""


def add_parser(steps: Any) -> None:
    from maskmill.cli.em import _cubes

    p = steps.add_parser(
        "fetch",
        help="take random cubes of public volumes on the web",
        description="Take random cubes of public volumes on the web, without padding, as many as a budget allows.",
        epilog=_EPILOG + _cubes.PLANS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("source", metavar="CSV|URL", nargs="+", help="tables of volumes, or addresses")
    p.add_argument("save_path", metavar="SAVE_PATH", type=Path, help="folder for the cubes")
    p.add_argument("--list", action="store_true", help="print the volumes, ask no server, and stop")
    p.add_argument("--only", metavar="NAME", nargs="+", help="of the volumes of tables, these")
    p.add_argument(
        "--mip", metavar="N", type=int, default=0, help="level of an address (default: 0, the finest)"
    )
    p.add_argument("--name", help="of an address, if it is one alone")
    p.add_argument(
        "--voxel", metavar=("X", "Y", "Z"), type=float, nargs=3, help="nanometers at mip 0 of an address"
    )
    p.add_argument(
        "--whole", action="store_true", help="take volumes of addresses whole, as crop=FALSE does in a table"
    )
    p.add_argument(
        "--max-gb", metavar="GB", type=float, default=50.0, help="no whole volume of more GiB (default: 50)"
    )
    p.add_argument(
        "-cs",
        "--crop-size",
        "--crop_size",
        metavar="N",
        type=int,
        default=256,
        help="edge of a cube, where a table has none (default: 256)",
    )
    p.add_argument(
        "--padding-value",
        "--padding_value",
        metavar="VALUE",
        type=float,
        default=0.0,
        help="of voxels outside of the specimen, where a table has none (default: 0)",
    )
    p.add_argument("--invert", action="store_true", help="invert cubes, where a table says nothing")
    _cubes.add_options(p)
    p.add_argument(
        "--timeout", metavar="S", type=float, default=60.0, help="seconds a read may take (default: 60)"
    )
    p.add_argument("--retries", metavar="N", type=int, default=5, help="tries after the first (default: 5)")
    p.add_argument(
        "--connections", metavar="N", type=int, default=16, help="requests under way at once (default: 16)"
    )
    p.add_argument("--endpoint", metavar="URL", help="server of s3:// addresses, if it is not Amazon's")


def run(options: argparse.Namespace) -> int:
    import threading

    from maskmill.cli.em import _cubes
    from maskmill.io.remote import Patience
    from maskmill.studies.em.fetch import check_names, row_jobs

    require(options, mip=0, max_gb=0, retries=0, connections=1)
    if not options.timeout > 0:
        raise ValueError(f"--timeout must be more than 0, not {options.timeout:g}")
    wish = _cubes.wish_of(options)
    patience = Patience(options.timeout, options.retries, options.connections, options.endpoint)
    rows = _rows(options)
    check_names(rows)
    if options.list:
        _list(rows)
        return 0
    stop = threading.Event()
    outcomes = _cubes.run(row_jobs(rows, wish, patience, stop), options, stop=stop, max_gb=options.max_gb)
    return 3 if any(outcome.failures for outcome in outcomes) else 0


def _rows(options: argparse.Namespace) -> list[Row]:
    from maskmill.studies.em.fetch import address_row, read_table

    rows: list[Row] = []
    for source in options.source:
        if source.lower().endswith((".csv", ".txt", ".tsv")) and "://" not in source:
            table = read_table(source)
            names = {row.name for row in table}
            missing = [name for name in options.only or () if name not in names]
            if missing:
                raise ValueError(f"{source}: there is no volume {missing[0]!r}: see --list")
            rows += [row for row in table if not options.only or row.name in options.only]
            continue
        row = address_row(source, options.mip, options.name)
        if options.voxel:
            x, y, z = options.voxel
            if min(x, y, z) <= 0:
                raise ValueError(f"--voxel must be three positive sizes, not {x:g} {y:g} {z:g}")
            row = replace(row, voxel=(z, y, x))
        rows.append(replace(row, crop=not options.whole))
    return rows


def _list(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("volume", "mip", "voxel x y z (nm)", "cubes", "inverted", "padding", "address"):
        table.add_column(column, overflow="fold")
    for row in rows:
        voxel = " ".join("?" if size is None else f"{size:g}" for size in row.voxel[::-1])
        cubes = "whole" if not row.crop else str(row.crop_size or "")
        padding = "" if row.padding_value is None else f"{row.padding_value:g}"
        table.add_row(row.name, str(row.mip), voxel, cubes, "yes" if row.invert else "", padding, row.address)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(table)
