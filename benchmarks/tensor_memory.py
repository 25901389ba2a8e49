"""Tensor memory of the linear probe's L-BFGS at ImageNet's size, 1,000 classes x (16 images + 7 texts) x 1,024.

Resident memory, which sweep.py measures, holds the allocator's reserves and the buffers of libraries too. Here every
tensor is counted from when an operation makes it until it is freed. One thread, as others would go uncounted.

    python benchmarks/tensor_memory.py [--iterations 30]
"""

from __future__ import annotations

import argparse
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from features import synthetic
from sweep import probe
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within, counts the bytes of tensors.

    Attributes:
        peak: most bytes at once, without those of `known` tensors.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = {tensor.untyped_storage()._cdata for tensor in known}
        self.live: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self.live and key not in self.known:
            self.live[key] = storage.nbytes()
            self.peak = max(self.peak, sum(self.live.values()))
            weakref.finalize(storage, self.live.pop, key, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=30, help="of L-BFGS at most, for each penalty")
    iterations = parser.parse_args().iterations
    torch.set_num_threads(1)
    here = synthetic(0, classes=1000, texts=7)
    streams = (here.image, here.text, here.val, here.test)
    with Counted([*(x for s in streams for x in s.x.values()), *(s.labels for s in streams)]) as counted:
        probe(here, {"max_iter": iterations})
    peak = counted.peak / 1e6
    print(f"most tensor memory beyond the features: {peak:.0f} MB; features: {here.megabytes:.1f} MB; ", end="")
    print(f"{peak / here.megabytes:.1f} times")


if __name__ == "__main__":
    main()
