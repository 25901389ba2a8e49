"""Build time, query time, recall and memory of `xm_search.nearest` against exact search, side by side.

Three kinds of synthetic unit vectors: in 1,000 clusters of unequal size; the same with queries that lie off, as those
of another modality do (a constant of length 3 is added to each, which leaves cosines of 0.3: a modality gap); and
uniform on the sphere, where cells do not pay.

    python benchmarks/search.py [--vectors 100000] [--dim 512] [--queries 1000] [--seed 0] [--threads 1] [--json]

Every part runs in a process of its own, so that resident memory is its own. With --json, the last line is one object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

K = 10
CLUSTERS = 1000
BLOCK = 100
"""Queries that exact search takes at a time, so that its scores need little memory."""


def unit(x: Floats) -> Floats:
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def vectors(kind: str, n: int, queries: int, dim: int, seed: int) -> tuple[Floats, Floats]:
    """What is searched, and what is searched for."""
    rng = np.random.default_rng(seed)
    drawn = unit(rng.standard_normal((n + queries, dim), dtype=np.float32))
    if kind == "uniform":
        return drawn[:n], drawn[n:]
    centres = unit(rng.standard_normal((CLUSTERS, dim), dtype=np.float32))
    sizes = 1 / np.arange(1, CLUSTERS + 1) ** 0.5
    drawn += centres[rng.choice(CLUSTERS, size=len(drawn), p=sizes / sizes.sum())]  # a cosine of 0.7 to the centre
    asked = unit(drawn[n:])
    if kind == "gap":
        asked = unit(asked + 3 * unit(rng.standard_normal((1, dim), dtype=np.float32)))
    return unit(drawn[:n]), asked


def resident() -> float:
    """MB of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def peak() -> float:
    """MB that this process had at most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1e3


def by_xm(x: Floats, asked: Floats, far: bool) -> tuple[Callable[[], NDArray[np.int64]], dict[str, Any]]:
    from xm_search.nearest import Nearest

    with TemporaryDirectory() as folder:
        nearest = Nearest.of(x)
        path = Path(folder, "index.faiss")
        nearest.write(path)
        about = {
            "method": nearest.method,
            "near": asdict(nearest.near),
            "far": asdict(nearest.far),
            "disk_mb": path.stat().st_size / 1e6,
        }
    return lambda: nearest.search(asked, K, far=far)[1], about


def by_xm_singly(x: Floats, asked: Floats, far: bool) -> tuple[Callable[[], NDArray[np.int64]], dict[str, Any]]:
    from xm_search.nearest import Nearest

    nearest = Nearest.of(x)
    return lambda: np.concatenate([nearest.search(asked[i : i + 1], K, far=far)[1] for i in range(len(asked))]), {
        "method": f"{nearest.method}, one query at a time"
    }


def by_numpy(x: Floats, asked: Floats, far: bool) -> tuple[Callable[[], NDArray[np.int64]], dict[str, Any]]:
    def search() -> NDArray[np.int64]:
        found = []
        for start in range(0, len(asked), BLOCK):
            scores = asked[start : start + BLOCK] @ x.T
            best = np.argpartition(scores, -K, axis=1)[:, -K:]
            order = np.take_along_axis(scores, best, axis=1).argsort(axis=1)[:, ::-1]
            found.append(np.take_along_axis(best, order, axis=1))
        return np.concatenate(found)

    return search, {"method": "exact"}


def by_torch(x: Floats, asked: Floats, far: bool) -> tuple[Callable[[], NDArray[np.int64]], dict[str, Any]]:
    import torch

    a, b = torch.from_numpy(x), torch.from_numpy(asked)

    def search() -> NDArray[np.int64]:
        return torch.cat([(part @ a.T).topk(K, dim=1).indices for part in torch.split(b, BLOCK)]).numpy()

    return search, {"method": "exact"}


WAYS = {"numpy": by_numpy, "torch": by_torch, "xm": by_xm, "xm (single)": by_xm_singly}


def part(way: str, kind: str, n: int, queries: int, dim: int, seed: int) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """One row, and what was found."""
    import faiss  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: F401 - loading it is no part of building
    import torch  # noqa: F401 - nor is this

    x, asked = vectors(kind, n, queries, dim, seed)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget how much memory making the vectors took
    before = resident()
    start = time.perf_counter()
    search, about = WAYS[way](x, asked, kind == "gap")
    built = time.perf_counter() - start
    start = time.perf_counter()
    found = search()
    row = {
        "vectors": kind,
        "way": way,
        **about,
        "build_s": built,
        "queries_s": time.perf_counter() - start,
        "peak_mb": peak() - before,
    }
    return row, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    sizes = (given.vectors, given.queries, given.dim, given.seed)
    rows = []
    print(f"{'vectors':10} {'way':12} {'method':28} {'build s':>8} {'queries s':>10} {'recall@10':>10} {'peak MB':>8}")
    with multiprocessing.get_context("spawn").Pool(1, _threads, (given.threads,), maxtasksperchild=1) as pool:
        for kind in ("clustered", "gap", "uniform"):
            exact: NDArray[np.int64] | None = None
            for way in WAYS:
                row, found = pool.apply(part, (way, kind, *sizes))
                exact = found if exact is None else exact
                row["recall"] = float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found, exact, strict=True)]))
                rows.append(row)
                print(
                    f"{kind:10} {way:12} {row['method']:28} {row['build_s']:8.2f} {row['queries_s']:10.2f} "
                    f"{row['recall']:10.4f} {row['peak_mb']:8.0f}",
                    flush=True,
                )
    if given.json:
        print(json.dumps({**vars(given), "results": rows}))


def _threads(n: int) -> None:
    import faiss  # type: ignore[import-untyped,import-not-found,unused-ignore]
    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(n)
    torch.set_num_threads(n)
    faiss.omp_set_num_threads(n)


if __name__ == "__main__":
    main()
