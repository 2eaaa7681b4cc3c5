"""python -m maskmill.pycocotools SCRIPT [ARGS...]: run a script with maskmill as its pycocotools."""

import argparse
import runpy
import sys
from pathlib import Path

from maskmill.pycocotools import install


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m maskmill.pycocotools",
        description="Run a script or module that imports pycocotools, with maskmill in its place. Processes that it "
        "starts get it too.",
        epilog="Example: python -m maskmill.pycocotools train.py --epochs 3",
    )
    parser.add_argument(
        "-m", dest="module", action="store_true", help="SCRIPT is a module's name, as for python -m"
    )
    parser.add_argument(
        "--hardened",
        action="store_true",
        help="refuse malformed input in clear words (maskmill.pycocotools.hardened)",
    )
    parser.add_argument("script", metavar="SCRIPT", help="file to run (or module, with -m)")
    parser.add_argument("args", metavar="ARGS", nargs=argparse.REMAINDER, help="its arguments")
    options = parser.parse_args()
    install("hardened" if options.hardened else None, spawned=True)
    if options.module:
        sys.argv = [options.script, *options.args]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(options.script, run_name="__main__", alter_sys=True)
        return
    script = Path(options.script)
    if not script.exists():
        parser.error(f"there is no file {script}")
    sys.argv = [str(script), *options.args]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
