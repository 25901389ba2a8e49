"""What encoders of all modalities share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from xm import Preparing, Prototypes, UsageError, fingerprint_of
from xm.encoders import Trunk
from xm.learning import Inputs
from xm.plugins import Weights
from xm_hub.parts import called
from xm_hub.pretrained import kinds, runs
from xm_hub.pretrained.kinds import Tower
from xm_hub.pretrained.loading import POOLER, RELEASE, Loaded, known_types, load
from xm_hub.pretrained.options import Options, parse
from xm_hub.pretrained.runs import Run
from xm_hub.pretrained.splits import Split
from xm_hub.source import Source, resolve

EXAMPLE = "google/siglip-base-patch16-224"


MAIN = ("pixel_values", "input_features", "input_values", "input_ids")
"""Names of a model's large input, on which nothing but its first stage depends; ids are kept with what follows."""


class Pretrained(Preparing):
    """One tower of a model. Towers of one source share the model in memory, and the space where the model says so.

    Args:
        argument: ``ORG/NAME[@REVISION]`` or ``FOLDER``, then ``?NAME=VALUE`` (`Options`).

    Raises:
        UsageError: if there is no such model, it has no tower for this modality, or options are wrong.
        PluginError: if its configuration is not here and can't be downloaded.
    """

    def __init__(self, argument: str = "") -> None:
        self._source, self.options = self._resolved(argument)
        self._config = self._source.config()
        found = kinds.find(self._config, self.modality, self.options.pool)
        if found is None:
            raise UsageError(self._no_tower())
        if self.options.pool and not found.pool:
            where = f"{self._source.encoder}:{self._source.name}"
            raise UsageError(
                f"{where}: has towers in one space, which are pooled as they were trained; leave out ?pool="
            )
        self.kind: Tower = found
        self._refuse_code()
        space = self._source.space()
        self.space = space if found.shared else f"{space}/{self.modality}"
        if found.pool:
            self.space += f"?pool={self.options.pool}" if self.options.pool else ""

    def _resolved(self, argument: str) -> tuple[Source, Options]:
        """What was typed, as a model's files and options."""
        name = "transformers" if self.modality == "image" else f"transformers-{self.modality}"
        model, options = parse(name, argument)
        source = resolve(name, model, EXAMPLE)
        return Source("transformers", source.name, source.given, source.repo, source.revision), options

    @cached_property
    def dim(self) -> int:  # type: ignore[override]
        """Of the embeddings; a configuration that does not tell has the model loaded."""
        return kinds.dimensions(self.kind, self._config) or self._features(self._rows([self._sample()])).shape[1]

    def fingerprint(self) -> str:
        """Of configuration, weights, preprocessing, pooling and code; weights are downloaded for it, not loaded."""
        code = self._code() if self.options.code else []
        return fingerprint_of(
            "xm_hub.pretrained 1", self.modality, self._source.identity(), self._pool, *self._settings(), *code
        )

    def pretrained(self) -> tuple[Weights, ...]:
        return self._source.pretrained()

    def networks(self) -> tuple[nn.Module, ...]:
        """The modules that features come from, of a model of several towers those of this one."""
        module = self._loaded().module
        return tuple(module.get_submodule(path) for path in self._parts)

    def prototypes(self) -> Prototypes | None:
        """The model's own classifier, if it ends at one whose classes have names."""
        names = self._names
        if names is None:
            return None
        first = [name.partition(",")[0].strip() for name in names]
        alone = {name for name in first if first.count(name) == 1}
        short = tuple(name if name in alone else whole for name, whole in zip(first, names, strict=True))
        return Prototypes(short, self._classifier.weight.detach().cpu().clone())

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The tower in two; the tail is a copy, so that training it leaves the shared model as it was.

        Args:
            depth: 0: none; k: the last k blocks and what follows them; -1: all of it.

        Raises:
            UsageError: for another depth, or a tower that can't be split there.
        """
        if depth == 0:
            return super().opened(0)
        sample = self._rows([self._sample()])
        main = next(name for name in MAIN if name in sample)
        model, told = self._loaded().module, self._told(depth)
        front, tail = Split(model, self._run, main, sample, told, fixed=self.kind.fixed).at(depth)
        return lambda prepared: front(self._rows(prepared)), tail

    def compute(self, prepared: Sequence[Any]) -> Inputs:
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        found = self._features_of(prepared)
        return self._with_scores(found)

    @cached_property
    def _parts(self) -> tuple[str, ...]:
        """Paths of the modules that a run calls; below the model where it is hooked: what is compiled sees no hooks."""
        module = self._loaded().module
        inputs = {name: value.to(self.device) for name, value in self._rows([self._sample()]).items()}
        calls = called(module, lambda: self._run(module, inputs))
        found: list[str] = []
        for path in calls:
            if not path and self.kind.head:
                continue
            if not any(path.startswith(f"{above}.") or not above for above in found):
                found.append(path)
        return tuple(found)

    @property
    def _pool(self) -> str:
        """How a model with one tower is pooled; "" of others."""
        return self.kind.pool

    @property
    def _names(self) -> tuple[str, ...] | None:
        return kinds.class_names(self._config) if self.kind.head else None

    def _with_scores(self, features: Tensor) -> Inputs:
        """``features``, and ``scores`` where the model ends at a classifier whose classes have names."""
        if self._names is None:
            return {"features": features.cpu()}
        with torch.no_grad():
            logits = self._classifier(features)
        several = kinds.at_once(self._config, len(self._names))
        return {"features": features.cpu(), "scores": (logits.sigmoid() if several else logits.softmax(dim=1)).cpu()}

    def _features(self, inputs: Inputs) -> Tensor:
        """(n, dim) of a batch of inputs, on the device."""
        model = self._loaded().module
        with torch.no_grad():
            return self._run(model, {name: value.to(self.device) for name, value in inputs.items()}).float()

    @property
    def _classifier(self) -> Any:
        return self._loaded().module.get_submodule(self._classifier_path)

    @cached_property
    def _classifier_path(self) -> str:
        loaded = self._loaded().module
        try:
            return runs.classifier_of(loaded, int(loaded.config.num_labels))
        except LookupError as error:
            where = f"{self._source.encoder}:{self._source.name}"
            raise UsageError(f"{where}: {error}; to leave its classifier out, type ?pool=mean behind it") from error

    @cached_property
    def _run(self) -> Run:
        if self.kind.run is not None:
            return self.kind.run
        if self.kind.head:
            return runs.before(self._classifier_path)
        if self._pool != kinds.AUTO:
            return runs.pooled(self._pool)
        loaded = self._loaded()
        with torch.no_grad():
            sample = {name: value.to(self.device) for name, value in self._rows([self._sample()]).items()}
            out = loaded.module(**{name: value for name, value in sample.items() if name != runs.VALID})
        own = getattr(out, "pooler_output", None) is not None
        whole = own and not any(POOLER.search(name) for name in loaded.missing)
        return runs.pooled(kinds.POOLER if whole and self.modality != "text" else kinds.MEAN)

    def _loaded(self) -> Loaded:
        trusted = self.options.code == "trust"
        without = None if self.kind.pooler or self._pool == kinds.POOLER else POOLER
        return load(self._source, self.kind.model, trusted, str(self.device), without)

    def _code(self) -> list[str]:
        folder = self._source.folder()
        return self._source.digests(*sorted(path.name for path in folder.glob("*.py")))

    def _refuse_code(self) -> None:
        """Python code among a model's files is run by a user's word alone."""
        if self.options.code or "auto_map" not in self._config:
            return
        if self._config.get("model_type") not in known_types():
            where = f"{self._source.encoder}:{self._source.name}"
            raise UsageError(
                f"{where}: is no model of transformers {'.'.join(map(str, RELEASE))}, its files bring Python code; "
                "if you trust them, type ?code=trust behind it"
            )

    def _no_tower(self) -> str:
        where = f"{self._source.encoder}:{self._source.name}"
        has = kinds.towers_of(self._config)
        names = " or ".join(f"--{m}-encoder {where}" for m in has)
        said = f"; type {names}" if has else ""
        return f"{where}: its {self._config.get('model_type')} model has no tower for {self.modality}{said}"

    def _told(self, depth: int) -> str:
        return f"{self._source.encoder}:{self._source.name} can't be split at depth {depth}"

    @abstractmethod
    def _settings(self) -> Sequence[str]:
        """What else decides the outputs: preprocessing."""

    @abstractmethod
    def _sample(self) -> Any:
        """Some prepared item, to try the model with."""

    def _rows(self, prepared: Sequence[Any]) -> dict[str, Tensor]:
        """The model's inputs of prepared items, a row each, so that rows of any batches can be stacked."""
        return {name: torch.stack([one[name] for one in prepared]) for name in prepared[0]}

    def _features_of(self, prepared: Sequence[Any]) -> Tensor:
        """(n, dim) on the device; items of one form are computed together."""
        forms = [tuple((name, *value.shape) for name, value in one.items()) for one in prepared]
        rows: dict[int, Tensor] = {}
        for form in dict.fromkeys(forms):
            own = [i for i, other in enumerate(forms) if other == form]
            rows |= dict(zip(own, self._features(self._rows([prepared[i] for i in own])), strict=True))
        return torch.stack([rows[i] for i in range(len(prepared))])
