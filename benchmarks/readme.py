"""Run the commands of README.md and of pages in docs/ again and put what they print into these.

A block to fill is a ``text`` fence below ``<!-- output: COMMAND -->``, or, for ``xm bench``, what stands between
``<!-- tables: COMMAND -->`` and ``<!-- end -->``. Commands on real data need ``XM_DATA``. With ``--runs DIR`` the runs
of benchmarks are kept there, and an interrupted benchmark goes on where it was.

    python benchmarks/readme.py [--check] [--runs DIR] [PAGE …]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/results.md", "docs/audiovisual.md", "docs/datasets.md")
OUTPUT = re.compile(r"<!-- output: (?P<command>.+?) -->\n```text\n.*?```", re.DOTALL)
TABLES = re.compile(r"<!-- tables: (?P<command>.+?) -->\n.*?<!-- end -->", re.DOTALL)


def printed(command: str, out: Path, *more: str) -> str:
    """What a command prints, without the lines that name the run's folder."""
    program, *arguments = shlex.split(os.path.expandvars(command))
    words = [sys.executable, "-m", "xm_cli", *arguments, *more, "--out", str(out)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if program != "xm" or done.returncode:
        sys.exit(f"{command}: ended with {done.returncode}")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return "\n".join(line for line in lines if not line.startswith(("Run folder", "Use it"))).strip()


def filled(text: str, runs: Path) -> str:
    """A page with fresh outputs and tables."""

    def output(found: re.Match[str]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            fresh = printed(found["command"], Path(folder) / "run")
        return f"<!-- output: {found['command']} -->\n```text\n{fresh}\n```"

    def tables(found: re.Match[str]) -> str:
        name = hashlib.blake2b(found["command"].encode(), digest_size=6).hexdigest()
        fresh = printed(found["command"], runs / name, "--markdown")
        return f"<!-- tables: {found['command']} -->\n\n{fresh}\n\n<!-- end -->"

    return TABLES.sub(tables, OUTPUT.sub(output, text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", default=PAGES, metavar="PAGE")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page differs")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="where runs of benchmarks are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.pages:
            page = ROOT / name
            text = page.read_text(encoding="utf-8")
            fresh = filled(text, options.runs or Path(folder))
            if options.check and fresh != text:
                sys.exit(f"{name} differs from what its commands print; run: python benchmarks/readme.py {name}")
            page.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main()
