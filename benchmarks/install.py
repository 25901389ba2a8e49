"""How long pip takes to install this repository's own packages, and how long all of it with what they need.

    python benchmarks/install.py [--requirements requirements.txt] [--whole] [--repeats 3]

Own packages are installed without dependencies into a fresh virtual environment: their builds are what this repository
decides. `--whole` times the README's command too, which downloads gigabytes; most of that is other people's packages.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def fresh(folder: Path) -> Path:
    """The Python of a new virtual environment."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    return folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def timed(python: Path, *args: str | Path, cwd: Path) -> float:
    """Seconds of a ``pip install`` with arguments."""
    started = time.perf_counter()
    subprocess.run([python, "-m", "pip", "install", "--quiet", *args], check=True, cwd=cwd)
    return time.perf_counter() - started


def own(requirements: Path) -> list[str]:
    """Arguments for the editable packages of a file of requirements."""
    lines = requirements.read_text(encoding="utf-8").splitlines()
    return [word for line in lines if line.startswith("-e ") for word in line.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requirements", type=Path, default=ROOT / "requirements.txt")
    parser.add_argument("--whole", action="store_true", help="time the install with dependencies too")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    packages, place = own(given.requirements), given.requirements.resolve().parent
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        seconds = [timed(fresh(environment), "--no-deps", *packages, cwd=place) for _ in range(given.repeats)]
        print(f"{len(packages) // 2} own packages: {', '.join(f'{s:.1f}' for s in seconds)} s")
        if given.whole:
            whole = timed(fresh(environment), "-r", given.requirements.resolve(), cwd=place)
            print(f"all of it, downloads too: {whole:.1f} s")


if __name__ == "__main__":
    main()
