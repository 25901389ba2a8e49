"""Whether what plugins give is what their contracts say; a PluginError names the plugin that gives anything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from xm.foundation.errors import described
from xm.plugins.blame import fault

F = TypeVar("F")
SUM = 1e-3
"""What probabilities may sum to besides 1, for lack of digits."""


class Sound(AbstractContextManager["Sound"]):
    """Around what a strategy does: its models are modules, and give logits (n, classes) when they are asked.

    Args:
        strategy: whose models they are.
        classes: how many there are.
    """

    def __init__(self, strategy: object, classes: int) -> None:
        self.strategy = strategy
        self.classes = classes
        self._hooks: WeakKeyDictionary[nn.Module, RemovableHandle] = WeakKeyDictionary()
        self._over = False

    def __deepcopy__(self, memo: object) -> Sound:
        return self  # of a model that is copied, with the hook that looks at it

    def model(self, method: str, made: Any) -> Any:
        """What a method of the strategy gave, if it is a module; its logits are looked at from now on.

        Raises:
            PluginError: if it is none.
        """
        if not isinstance(made, nn.Module):
            raise fault(self.strategy, f"{method}() gives {type(made).__name__}, not a model (torch.nn.Module)")
        if made not in self._hooks:
            self._hooks[made] = made.register_forward_hook(self._look)
        return made

    def candidates(self, found: Any) -> Iterable[Any]:
        """What `solve` gave, if it is candidates.

        Raises:
            PluginError: if it is anything else, or there are none.
        """
        if not isinstance(found, Iterable) or isinstance(found, nn.Module):
            raise fault(self.strategy, f"solve() gives {type(found).__name__}, not candidates: yield the model")
        none = True
        for candidate in found:
            none = False
            yield self.model("solve", candidate)
        if none:
            raise fault(self.strategy, "solve() yields no candidate")

    def _look(self, module: nn.Module, given: tuple[Any, ...], logits: Any) -> None:
        if self._over or module.training or not given:
            return  # what a loss makes of it then is the strategy's own affair
        if not isinstance(logits, Tensor):
            raise fault(self.strategy, f"its model gives {type(logits).__name__}, not logits, a tensor")
        wanted = (len(given[0]), self.classes)
        if tuple(logits.shape) != wanted:
            raise fault(
                self.strategy, f"its model gives logits {tuple(logits.shape)}; {wanted}, (n, classes), are wanted"
            )
        if not logits.is_floating_point():
            raise fault(self.strategy, f"its model gives logits of type {logits.dtype}, not of a floating one")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True  # for copies of the models, too
        for hook in self._hooks.values():
            hook.remove()


def sound_plan(strategy: object, plan: Any, type_: type[F]) -> F:
    """A plan, if it is of that type."""
    if not isinstance(plan, type_):
        raise fault(strategy, f"plan() gives {type(plan).__name__}, not an xm.{type_.__name__}")
    return plan


def sound_loss(of: object, loss: Any) -> Any:
    """A loss, if it is a scalar; `of` is what gave it."""
    if not isinstance(loss, Tensor):
        raise fault(of, f"gives a loss of type {type(loss).__name__}, not a tensor")
    if loss.ndim:
        raise fault(of, f"gives a loss of shape {tuple(loss.shape)}, not a scalar: its mean over the samples is wanted")
    return loss


def sound_losses(loss: Callable[..., Any], found: Any) -> Mapping[str, Tensor]:
    """The named terms of a loss, if they are that; a bound method's are its object's."""
    of = getattr(loss, "__self__", loss)
    if not isinstance(found, Mapping) or not found:
        raise fault(of, f"loss() gives {found if found is None else type(found).__name__}, not named terms")
    for term in found.values():
        sound_loss(of, term)
    return found


def looked_at(objective: nn.Module, given: tuple[Any, ...], loss: Any) -> None:
    """A hook of an objective of pairs: it gives a scalar."""
    sound_loss(objective, loss)


def sound_rows(predictor: object, found: Any, n: int, least: int = 0) -> Tensor:
    """What a rule says of n items, if it is a row for each, of so many classes at least."""
    if not isinstance(found, Tensor):
        raise fault(predictor, f"predict() gives {type(found).__name__}, not probabilities, a tensor")
    if found.ndim != 2 or len(found) != n or not found.is_floating_point():
        shape = tuple(found.shape)
        raise fault(
            predictor, f"predict() gives {found.dtype} {shape} for {n} items; probabilities (n, classes) are wanted"
        )
    if found.shape[1] < least:
        raise fault(predictor, f"predict() gives probabilities of {found.shape[1]} classes, and there are {least}")
    return found


def check_probabilities(predictor: Any, found: Tensor, classes: int) -> None:
    """Whether rows (n, classes) are of probabilities: from 0, and of the sum 1, or less where the rule abstains.

    Raises:
        PluginError: if they are not.
    """
    found = sound_rows(predictor, found, len(found), classes).detach()
    if found.shape[1] > classes:
        raise fault(predictor, f"predict() gives probabilities of {found.shape[1]} classes, and there are {classes}")
    if not len(found):
        return
    least, sums = float(found.min()), found.sum(dim=1)
    if least < -SUM:
        raise fault(predictor, f"predict() gives probabilities below 0 ({least:.3g})")
    if float(sums.max()) > 1 + SUM or (not predictor.abstains and float(sums.min()) < 1 - SUM):
        raise fault(
            predictor,
            "gives probabilities that do not sum to 1; one that may decide for none of the classes says so: "
            "abstains = True",
        )


def sound_mapping(of: object, method: str, found: Any, type_: type) -> Any:
    """What a method gave, if it is values of a type by names."""
    if not isinstance(found, Mapping):
        raise fault(of, f"{method}() gives {type(found).__name__}, not a mapping of names to {type_.__name__}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, type_):
            what = f"{name!r}: {type(value).__name__}"
            raise fault(of, f"{method}() gives {what}, where a name and its {type_.__name__} is wanted")
    return found


def check_plain(of: object, what: str, found: object) -> None:
    """Whether values are as JSON has them.

    Raises:
        PluginError: if they are not.
    """
    try:
        json.dumps(found)
    except (TypeError, ValueError) as error:
        raise fault(of, f"{what} holds more than plain values ({described(error)})") from error


def check_map(aligner: object, made: Any, inputs: Mapping[str, Tensor] | None, dim: int | None) -> None:
    """Whether an aligner's map is a module, and takes rows of a trunk's outputs to finite vectors (n, dim).

    Args:
        aligner: that made it.
        made: the map.
        inputs: some rows; None where there are none to look at.
        dim: of the space it leads to; None where that is the aligner's own.

    Raises:
        PluginError: if it is not.
    """
    if not isinstance(made, nn.Module):
        raise fault(aligner, f"makes {type(made).__name__}, not a map (torch.nn.Module)")
    if inputs is None:
        return
    weights = next(made.parameters(), None)
    device = next(iter(inputs.values())).device if weights is None else weights.device
    n = len(next(iter(inputs.values())))
    with torch.no_grad():
        found = made.eval()({name: value.to(device) for name, value in inputs.items()})
    if (
        not isinstance(found, Tensor)
        or found.ndim != 2
        or len(found) != n
        or (dim is not None and found.shape[1] != dim)
    ):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise fault(aligner, f"makes a map that gives {shape} for {n} items; ({n}, {dim or 'dim'}) is wanted")
    if not bool(torch.isfinite(found).all()):
        raise fault(
            aligner, "makes a map that gives numbers that are not finite; if it learns, try a lower learning rate"
        )
