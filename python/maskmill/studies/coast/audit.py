"""Whether record tables are true to themselves, and to the files of labels: the rules broken, and by which rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskmill.dataset import Table, objects
from maskmill.studies.coast import file_rules, rules
from maskmill.studies.coast.records import NAMES, read_records, rows_of_sets
from maskmill.studies.coast.rules import Rule


@dataclass(frozen=True)
class Finding:
    """A row (or file) that breaks a rule.

    Attributes
    ----------
    rule, severity : str
    record_set : str
        "" of a file without row.
    file : str
        The table; or the file, of one without row.
    line : int
        Of the table, 0 of a file without row.
    image : str
        The row's `annotation_image_filename`.
    found : str
    """

    rule: str
    severity: str
    record_set: str
    file: str
    line: int
    image: str
    found: str


@dataclass(frozen=True)
class Lint:
    """What `lint` found.

    Attributes
    ----------
    findings : list of Finding
        In the order of the rules, then of the rows.
    rows : dict of str to int
        Rows of each record set.
    checked : dict of str to (dict of str to int)
        By rule and record set, the rows that can be checked: such whose name has a date, for example.
    rules : tuple of Rule
        Those that were tried.
    """

    findings: list[Finding]
    rows: dict[str, int]
    checked: dict[str, dict[str, int]]
    rules: tuple[Rule, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows that break each rule, by record set; files without row are under ""."""
        made: dict[str, dict[str, int]] = {rule.name: dict.fromkeys(self.rows, 0) for rule in self.rules}
        for finding in self.findings:
            made[finding.rule][finding.record_set] = made[finding.rule].get(finding.record_set, 0) + 1
        return made

    def of(self, names: Sequence[str]) -> Lint:
        """The same of these rules alone."""
        known = {rule.name for rule in (*rules.RULES, *file_rules.RULES)}
        for name in names:
            if name not in known:
                raise ValueError(f"rules must be among {', '.join(sorted(known))}, not {name!r}")
        return replace(
            self,
            findings=[finding for finding in self.findings if finding.rule in names],
            rules=tuple(rule for rule in self.rules if rule.name in names),
        )

    def worst(self) -> str | None:
        """The worst severity found."""
        found = {finding.severity for finding in self.findings}
        return next((severity for severity in rules.SEVERITIES if severity in found), None)

    def table(self) -> Table:
        """The findings as a table."""
        names = [*Finding.__dataclass_fields__]
        return Table({name: objects([getattr(f, name) for f in self.findings]) for name in names})

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can have it."""
        counts = self.counts()
        return {
            "rows": self.rows,
            "rules": [
                {
                    "name": rule.name,
                    "severity": rule.severity,
                    "text": rule.text,
                    "hits": counts[rule.name],
                    "checked": self.checked.get(rule.name, self.rows),
                }
                for rule in self.rules
            ],
            "findings": [asdict(finding) for finding in self.findings],
        }

    def summary(self) -> str:
        """A line for each rule that is broken, and one for those that are not."""
        lines, kept, counts = [], [], self.counts()
        for rule in self.rules:
            hits = {name: n for name, n in counts[rule.name].items() if n}
            if not hits:
                kept.append(rule.name)
                continue
            of = self.checked.get(rule.name, self.rows)
            shown = ", ".join(f"{name or 'no row'} {n}{_of(n, of.get(name))}" for name, n in hits.items())
            lines.append(f"{rule.severity:8}{rule.name:16}{shown}\n{'':24}{rule.text}")
        if kept:
            lines.append(f"{'ok':8}{', '.join(kept)}")
        return "\n".join(lines)


def _of(n: int, total: int | None) -> str:
    return f" of {total}" if total is not None and total != n else ""


def lint(
    records: Table | str | Path | Sequence[str | Path],
    files: str | Path | None = None,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Lint:
    """Try all rules on record tables, and on the files of labels if there are any.

    Parameters
    ----------
    records : Table, or path of a CSV file or a folder of them, or several
    files : path, optional
        Folder with the files of labels (.npz), anywhere in it. Their newest trial is compared with the row: size,
        bands, classes, which of them occur, the doodled share and the settings; and files without row, rows without
        file.
    progress : callable, optional
        Called with how many files are done, how many there are, and the name of the next.

    Raises
    ------
    FormatError
        If a table cannot be read; what is only untrue is a finding.

    Examples
    --------
    >>> from maskmill.studies.coast.records import COLUMNS, read_records
    >>> import tempfile
    >>> cells = dict.fromkeys(COLUMNS, "1") | {
    ...     "annotation_image_filename": "npz/dune_20150215_ID3.npz",
    ...     "classes_array": "'water'",
    ...     "classes_present_array": "'water'",
    ...     "classes_present_integer": "0",
    ... }
    >>> path = Path(tempfile.mkdtemp()) / "K_dunes.csv"
    >>> _ = path.write_text(",".join(cells) + "\\n" + ",".join(cells.values()) + "\\n")
    >>> lint(path).findings[0].found
    '2015-02-15 in the name, 01-01-01 in the row'
    """
    table = records if isinstance(records, Table) else read_records(records)
    sets = rows_of_sets(table)
    findings: list[Finding] = []
    checked: dict[str, dict[str, int]] = {}
    for rule in rules.RULES:
        for name, numbers in sets.items():
            part = table.take(numbers)
            assert rule.check is not None
            hits = rule.check(part)
            if hits.checked is not None:
                checked.setdefault(rule.name, {})[name] = int(hits.checked.sum())
            findings += [_finding(rule, part.row(i), hits.say(i)) for i in np.flatnonzero(hits.rows).tolist()]
    tried = rules.RULES
    if files is not None:
        tried = (*tried, *file_rules.RULES)
        by_name = {rule.name: rule for rule in file_rules.RULES}
        found = [
            _finding(by_name[rule], None if i is None else table.row(i), said)
            for rule, i, said in file_rules.check_files(table, files, progress)
        ]
        order = [*by_name]
        findings += sorted(found, key=lambda finding: order.index(finding.rule))
    return Lint(findings, {name: len(numbers) for name, numbers in sets.items()}, checked, tried)


def _finding(rule: Rule, row: dict[str, Any] | None, found: str) -> Finding:
    if row is None:
        return Finding(rule.name, rule.severity, "", found, 0, Path(found).name, "")
    where = (row["record_set"], row["file"], row["line"], row[NAMES[0]])
    return Finding(rule.name, rule.severity, *where, found)
