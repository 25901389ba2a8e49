"""What a strategy asked its context for: whether it can know anything of classes that it has no target sample of."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from xm.data.task import Task
from xm.learning.context import Context

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Asked:
    """Notes whether what is made of a context asks for class names, texts, semantics or encoders' own classifiers.

    Args:
        context: in which these are made; what makes them is replaced by what notes it, too.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._asked = False
        context.read_names = self._noted(context.read_names)
        context.read_semantics = self._noted(context.read_semantics)
        context.read_prototypes = self._noted(context.read_prototypes)
        if context.read_texts is not None:
            context.read_texts = self._noted(context.read_texts)

    def _noted(self, make: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(make)
        def noted(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            self._asked = True
            return make(*args, **kwargs)

        return noted

    def known(self, task: Task) -> frozenset[int]:
        """Labels of the classes that the model may know: all if it asked, else those that it had samples of."""
        if self._asked:
            return frozenset(range(len(task.classes)))
        labels = (stream.y for stream in self._context.train.values() if stream.y is not None)
        return frozenset(int(label) for y in labels for label in set(y.tolist()))
