"""maskmill coast lint: what record tables have wrong."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

from maskmill.cli._shared import add_quiet, progress_bar

_EPILOG = """\
The rows of Coast Train's record tables (37 columns, in any order) are compared with themselves: the date with that in
the file's name, the extent with the size in pixels, zones with longitudes, lists of classes with one another. With
--files, also with the newest trial of each file of labels; files that no row tells of are named.

severities:
  error    what the row says is not so
  warning  the row cannot be used for something
  note     what a column really has

examples:
  maskmill coast lint A_naip_meta_served.csv
  maskmill coast lint tables/ --files npz/              tables and files of labels
  maskmill coast lint tables/ --rows                    each row that breaks a rule
  maskmill coast lint tables/ --only date,pixel-size --table wrong.csv --json wrong.json

exit codes: 0 nothing as bad as --fail-on, 2 wrong usage or a bad file, 3 done but for what is listed
"""


def add_parser(steps: Any) -> None:
    p = steps.add_parser(
        "lint",
        help="what record tables have wrong, and whether files of labels are as they say",
        description="Try all rules on record tables of Coast Train, and count the rows that break them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("tables", nargs="+", type=Path, metavar="TABLE", help="CSV files, or folders of them")
    p.add_argument("--files", type=Path, metavar="DIR", help="folder with the files of labels (.npz)")
    p.add_argument("--only", default="", metavar="RULE,...", help="these rules alone")
    p.add_argument("--rows", action="store_true", help="list each row that breaks a rule")
    p.add_argument("--table", type=Path, metavar="FILE", help="write these rows: .csv, .md or .html")
    p.add_argument("--json", type=Path, metavar="FILE", help="write counts and rows as JSON")
    p.add_argument(
        "--fail-on",
        choices=("error", "warning", "note"),
        default="error",
        help="exit with 3 for this and worse (default: error)",
    )
    add_quiet(p)


def run(options: argparse.Namespace) -> int:
    from maskmill._files import written_whole
    from maskmill.io._parse import dump_json
    from maskmill.io._tables import write_table
    from maskmill.studies.coast.audit import lint
    from maskmill.studies.coast.rules import SEVERITIES

    with progress_bar("files of labels", options.quiet or options.files is None) as progress:
        found = lint(options.tables, options.files, progress=progress)
    if options.only:
        found = found.of(options.only.split(","))
    print(found.summary())
    if options.rows:
        for rule, group in itertools.groupby(found.findings, lambda finding: finding.rule):
            print(f"\n{rule}")
            for f in group:
                print(f"  {f.file}:{f.line}: {f.image}: {f.found}" if f.line else f"  {f.file}")
    if options.table is not None:
        write_table(found.table(), options.table, title="Rows that break a rule")
    if options.json is not None:
        with written_whole(options.json) as file:
            file.write(dump_json(found.as_dict(), indent=True))
    worst = found.worst()
    return 3 if worst and SEVERITIES.index(worst) <= SEVERITIES.index(options.fail_on) else 0
