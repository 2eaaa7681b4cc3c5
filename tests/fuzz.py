"""Throw rubbish at everything that takes user data, until a time is up.

    .ci/fuzz 10             ten minutes, with the core built under AddressSanitizer and UBSan
    python tests/fuzz.py --minutes 1 --only polygons --seed 7

Nothing may crash or hang, and nothing may come out that is not what its contract says: masks that come out are checked
to be valid, what is read is compared with Python's own json module, what the core computes with what its Numba twin
does, and a call gives twice the same. Exceptions that are declared are the normal case. What is tried is in the folder
tests/fuzzing. Every round has a seed of its own, which is printed when something is found; if the timer ends a round,
its seed stands in the file maskmill-fuzz-round of the temporary folder.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from fuzzing.crf import try_crf
from fuzzing.documents import try_json
from fuzzing.features import try_features
from fuzzing.hamming import try_hamming
from fuzzing.hashes import try_hashes
from fuzzing.masks import try_counts, try_fills, try_kernels, try_polygons, try_strings
from fuzzing.patches import try_patches

SLOW = 60
"""Seconds after which a round is taken to hang."""


TARGETS = {
    "strings": try_strings,
    "counts": try_counts,
    "polygons": try_polygons,
    "fills": try_fills,
    "kernels": try_kernels,
    "json": try_json,
    "patches": try_patches,
    "hashes": try_hashes,
    "hamming": try_hamming,
    "crf": try_crf,
    "features": try_features,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--only", choices=TARGETS, nargs="+", default=list(TARGETS))
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(2**31), help="of the first round"
    )
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    rounds: collections.Counter[str] = collections.Counter()
    note = Path(tempfile.gettempdir()) / "maskmill-fuzz-round"
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        seed = options.seed
        while time.monotonic() < end:
            for name in options.only:
                # Should the timer end this round, nothing else can tell which it was.
                note.write_text(f"--only {name} --seed {seed}\n")
                faulthandler.dump_traceback_later(SLOW, exit=True)
                try:
                    TARGETS[name](random.Random(f"{name} {seed}"))
                except BaseException:
                    print(f"\nfound by: python tests/fuzz.py --only {name} --seed {seed}", file=sys.stderr)
                    raise
                faulthandler.cancel_dump_traceback_later()
                rounds[name] += 1
            seed += 1
    print(
        f"{options.minutes:g} minutes, seeds {options.seed} to {seed - 1}, nothing found; rounds: {dict(rounds)}"
    )
    return 0


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(main())
