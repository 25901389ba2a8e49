"""Any tower of transformers in two, at one of its blocks, by running its own code.

A model's blocks are the list of like modules with the most parameters that a run goes through, each once. The frozen
part runs the model up to the block at which it is cut, and keeps what that block was given. The tail is a copy of the
model that runs as a whole: what comes before the cut is replaced by stand-ins that give zeros of the right shapes, the
block at the cut is given what was kept, and everything behind it computes as ever, whatever pools and projects there.
Parameters that no gradient reaches are no longer the tail's. Each split is held against the whole model before it is
handed out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import UsageError
from xm.learning import Inputs
from xm_hub.parts import called
from xm_hub.pretrained.runs import Run
from xm_hub.pretrained.tails import (
    IDS,
    MASK,
    TOKENS,
    Given,
    Passing,
    Prompted,
    StandIn,
    Tail,
    Whole,
    Words,
    columns,
    cropped,
    form_of,
    hidden_name,
    named,
)

_CLOSE = 1e-4
"""How far a split may be from the whole model, in components of unit vectors: batch sizes round otherwise."""


class _ReachedError(Exception):
    """The block at the cut was reached."""


class Split:
    """A model and what it is tried with.

    Args:
        model: of transformers, or one that holds such.
        run: its inputs to features.
        main: name of the large input.
        inputs: of one item.
        told: how an error begins, in words.
        fixed: a text's filling is read too; else columns in which no text has a token are left out.
    """

    def __init__(
        self, model: nn.Module, run: Run, main: str, inputs: Mapping[str, Tensor], told: str, *, fixed: bool = False
    ) -> None:
        self.model, self.run, self.main, self.told = model, run, main, told
        self.crops = main == IDS and not fixed
        device = next(model.parameters()).device
        self.inputs = {name: value.to(device) for name, value in inputs.items()}
        if self.crops:
            self.inputs = cropped(self.inputs, MASK)

    def at(self, depth: int) -> tuple[Callable[[Inputs], Inputs], nn.Module]:
        """The frozen part, of a model's inputs, and the tail.

        Raises:
            UsageError: if the model has no such block, or can't be cut there.
        """
        with torch.inference_mode(False), torch.enable_grad():
            if depth == -1:
                return self._whole()
            path, count = self._blocks()
            if not 0 < depth <= count:
                some = f", 1 to {count}" if count > 1 else ", 1" if count else ""
                raise UsageError(f"{self.told}; depths are 0 (frozen){some} and -1 (all of it)")
            return self._cut(f"{path}.{count - depth}", [f"{path}.{i}" for i in range(count - depth)])

    def _whole(self) -> tuple[Callable[[Inputs], Inputs], nn.Module]:
        passing, tower = Passing(), deepcopy(self.model)
        embedding = self._embedding() if self.main == IDS else None
        if embedding is None:
            tail = Whole(tower, self.run, passing, self.crops)
        else:
            tower.get_submodule(embedding).register_forward_hook(Words(passing))
            tail = Prompted(tower, self.run, passing, self.crops, embedding)

        def front(inputs: Inputs) -> Inputs:
            return {named(name): value for name, value in inputs.items()}

        self._trimmed(tail, front(self.inputs), set(), None)
        self._hold(front, tail)
        return front, tail

    def _cut(self, block: str, before: list[str]) -> tuple[Callable[[Inputs], Inputs], nn.Module]:
        def front(inputs: Inputs) -> Inputs:
            return self._front(block, inputs)

        with torch.no_grad():
            x = front(self.inputs)
        passing, tower = Passing(), deepcopy(self.model)
        tower.get_submodule(block).register_forward_pre_hook(Given(passing), with_kwargs=True)
        tail = Tail(tower, self.run, self.main, tuple(self.inputs[self.main].shape[1:]), passing, self.crops)
        self._trimmed(tail, x, set(before), passing)
        self._hold(front, tail)
        return front, tail

    def _hold(self, front: Callable[[Inputs], Inputs], tail: nn.Module) -> None:
        """Hold front and tail against the whole model, by one row and by two; the second text ends a token earlier.

        Raises:
            UsageError: if they differ.
        """
        inputs = {name: torch.cat([value, value]) for name, value in self.inputs.items()}
        if self.crops and MASK in inputs:
            inputs[MASK][1, -1] = 0
        with torch.no_grad():
            whole = normalize(self.run(self.model, inputs), dim=-1)
            for rows in (1, 2):
                x = front({name: value[:rows] for name, value in inputs.items()})
                ways = [x, {**x, TOKENS: tail.embed(x)}] if isinstance(tail, Prompted) else [x]
                if not all(torch.allclose(tail(way), whole[:rows], atol=_CLOSE) for way in ways):
                    raise UsageError(f"{self.told}: its blocks are given more than what the one before computes")

    def _front(self, block: str, inputs: Inputs) -> Inputs:
        """What a block is given, as ``tokens``, and the small inputs.

        Tokens are (n, length, width) of texts, zeros where none has a token; else (n, times, length, width).
        """
        device = next(self.model.parameters()).device
        inputs = {name: value.to(device) for name, value in inputs.items()}
        where = columns(inputs.get(MASK)) if self.crops else slice(None)
        rows, found = len(inputs[self.main]), {}

        def reached(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            found[TOKENS] = args[0] if args else kwargs[hidden_name(kwargs)]
            raise _ReachedError

        hook = self.model.get_submodule(block).register_forward_pre_hook(reached, with_kwargs=True)
        try:
            with torch.no_grad():
                self.run(
                    self.model, {name: value[:, where] for name, value in inputs.items()} if self.crops else inputs
                )
        except _ReachedError:
            pass
        finally:
            hook.remove()
        tokens = found[TOKENS].float()
        small = {named(name): value for name, value in inputs.items() if name != self.main or name == IDS}
        if self.main != IDS:
            return {TOKENS: tokens.reshape(rows, len(tokens) // rows, *tokens.shape[1:]), **small}
        filled = tokens.new_zeros(rows, inputs[IDS].shape[1], tokens.shape[-1])
        if tokens.shape != filled[:, where].shape:
            raise UsageError(f"{self.told}: its blocks are not given a vector for each token")
        filled[:, where] = tokens
        return {TOKENS: filled, **small}

    def _blocks(self) -> tuple[str, int]:
        """The path of the blocks, and how many there are; ("", 0) if there are none."""
        calls = called(self.model, lambda: self.run(self.model, self.inputs))
        best, size = ("", 0), 0
        for path, module in self.model.named_modules():
            if not isinstance(module, nn.ModuleList) or not len(module):
                continue
            names = [f"{path}.{i}" for i in range(len(module))]
            once = all(calls.get(name) == 1 for name in names)
            own = sum(parameter.numel() for parameter in module.parameters())
            if once and len({type(block) for block in module}) == 1 and own > size:
                best, size = (path, len(module)), own
        return best

    def _embedding(self) -> str | None:
        """The path of the module that embeds token ids; None if there is none."""
        found: list[str] = []

        def seen(path: str, args: tuple[Any, ...]) -> None:
            if args and isinstance(args[0], Tensor) and torch.equal(args[0].reshape(-1), self.inputs[IDS].reshape(-1)):
                found.append(path)

        hooks = [
            module.register_forward_pre_hook(lambda _, args, path=path: seen(path, args))
            for path, module in self.model.named_modules()
            if isinstance(module, nn.Embedding)
        ]
        try:
            with torch.no_grad():
                self.run(self.model, self.inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return found[0] if found else None

    def _trimmed(self, tail: Any, x: Inputs, before: set[str], passing: Passing | None) -> None:
        """Take from a tail the parameters that do not bear on its outputs, with the modules that held nothing else."""
        tower: nn.Module = tail.tower
        learned = [parameter.requires_grad for parameter in tower.parameters()]
        tail.eval()
        tail(x).sum().backward()
        unused = {
            id(parameter)
            for parameter, own in zip(tower.parameters(), learned, strict=True)
            if own and parameter.grad is None
        }
        tower.zero_grad(set_to_none=True)
        calls = called(tail, lambda: tail(x))
        stood = _topmost(tower, unused, before)
        forms = self._forms(tail, x, stood) if passing is not None else {}
        for path in stood:
            if path in forms or f"tower.{path}" not in calls:
                tower.set_submodule(path, StandIn(tower.get_submodule(path), forms.get(path), passing or Passing()))
        for module in tower.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is not None and id(parameter) in unused:
                    del module._parameters[name]
                    zeros = parameter.detach().new_zeros(()).expand(parameter.shape)
                    module.register_buffer(name, zeros, persistent=False)

    def _forms(self, tail: nn.Module, x: Inputs, paths: list[str]) -> dict[str, Any]:
        """The form of what modules give, by path, of those that are called."""
        tower: Any = tail.tower
        seen: list[dict[str, Any]] = []
        several = [x, {name: torch.cat([value, value]) for name, value in x.items()}]
        if self.crops:
            several.append({name: value[:, :-1] for name, value in x.items()})
        for given in several:
            outs: dict[str, Any] = {}
            hooks = [
                tower.get_submodule(path).register_forward_hook(
                    lambda _m, _a, out, path=path, outs=outs: outs.__setitem__(path, out)
                )
                for path in paths
            ]
            try:
                with torch.no_grad():
                    tail(given)
            finally:
                for hook in hooks:
                    hook.remove()
            seen.append(outs)
        return {
            path: form_of(out, seen[1][path], seen[2][path] if self.crops else None) for path, out in seen[0].items()
        }


def _topmost(tower: nn.Module, unused: set[int], before: set[str]) -> list[str]:
    """Modules that hold nothing but unused parameters, none below another; and those in `before`."""
    found: list[str] = []

    def walk(path: str, module: nn.Module) -> None:
        own = [id(parameter) for parameter in module.parameters()]
        if path in before or (own and path and unused.issuperset(own) and not isinstance(module, nn.ModuleList)):
            found.append(path)
            return
        for name, child in module.named_children():
            walk(f"{path}.{name}" if path else name, child)

    walk("", tower)
    return found
