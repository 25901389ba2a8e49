"""Run the README's commands again and put what they print into it.

A block to fill is a ``text`` fence below ``<!-- output: COMMAND -->``. Commands on real data need ``XM_DATA``.

    python benchmarks/readme.py [--check]
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"<!-- output: (?P<command>.+?) -->\n```text\n(?P<output>.*?)```", re.DOTALL)


def output_of(command: str) -> str:
    """What a command prints, without the lines that name the run's folder."""
    program, *arguments = shlex.split(os.path.expandvars(command))
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
        done = subprocess.run(
            [sys.executable, "-m", "xm_cli", *arguments, "--out", out], capture_output=True, text=True, check=False
        )
    if program != "xm" or done.returncode:
        sys.exit(f"{command}\n{done.stderr}")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return "\n".join(line for line in lines if "Run folder" not in line and "xm predict" not in line).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a block differs")
    check = parser.parse_args().check
    text = README.read_text(encoding="utf-8")
    fresh = BLOCK.sub(
        lambda m: f"<!-- output: {m['command']} -->\n```text\n{output_of(m['command'])}\n```",
        text,
    )
    if check and fresh != text:
        sys.exit("README.md differs from what its commands print; run: python benchmarks/readme.py")
    README.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main()
