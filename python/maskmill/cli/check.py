"""maskmill check: what is wrong with annotations."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

from maskmill.cli import _dataset

_EPILOG = """\
examples:
  maskmill check annotations.json --images photos/
  maskmill check via.json --error self_crossing --ignore missing_image overlap
  maskmill check labels/ --json > problems.json
  maskmill check annotations.json --rules          what is looked for

exit codes: 0 no errors (there may be warnings), 1 errors, 2 wrong usage or a file that cannot be read
"""


def add_parser(verbs: Any) -> None:
    p = verbs.add_parser(
        "check",
        help="what is wrong with annotations",
        description="Look for faults: out of bounds, empty, crossing themselves, doubled, overlapping, missing, ...",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _dataset.add_input(p)
    p.add_argument("--error", metavar="RULE", nargs="+", default=[], help="rules whose breach is an error")
    p.add_argument("--warning", metavar="RULE", nargs="+", default=[], help="rules whose breach is a warning")
    p.add_argument("--ignore", metavar="RULE", nargs="+", default=[], help="rules not to look at")
    p.add_argument("--rules", action="store_true", help="print the rules and their levels, and stop")
    p.add_argument(
        "--most", metavar="N", type=int, default=20, help="lines to print of one rule (default: 20; 0: all)"
    )
    p.add_argument("--json", action="store_true", help="print all problems as JSON")


def run(options: argparse.Namespace) -> int:
    from maskmill.dataset.checks import RULES

    if options.rules:
        for name, (level, _) in RULES.items():
            print(f"{name}: {level}")
        return 0
    levels = {rule: level for level in ("error", "warning", "ignore") for rule in getattr(options, level)}
    dataset = _dataset.read(options)
    with _dataset.busy("looking for faults", options.quiet):
        problems = dataset.check(**levels)
    errors = sum(problem.level == "error" for problem in problems)
    if options.json:
        print(json.dumps([vars(problem) for problem in problems], indent=2))
        return 1 if errors else 0
    printed: Counter[str] = Counter()
    for problem in problems:
        printed[problem.rule] += 1
        if not options.most or printed[problem.rule] <= options.most:
            print(problem)
    for rule, n in printed.items():
        if options.most and n > options.most:
            print(f"... and {n - options.most:,} more of {rule}")
    print(f"{errors:,} errors, {len(problems) - errors:,} warnings")
    return 1 if errors else 0
