"""CLIP-LoRA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from xm import Batch, Context, Plan, Strategy, Stream
from xm.foundation import seeded
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, among_seen, class_means, load_towers
from xm.plugins import Config
from xm_lora.adapters import Adapters, check_used, merged, opened
from xm_lora.classifier import PromptClassifier


class LoraConfig(Config):
    """Settings; the defaults are those of the published code, one set for all datasets and numbers of shots."""

    depth: int = Field(-1, ge=-1, description="of the target's encoder: its last blocks with adapters; -1: all")
    names_depth: int = Field(-1, ge=-1, description="of the encoder that reads class names; 0: it stays as it is")
    modules: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "query", "key", "value", "qkv"),
        min_length=1,
        description="the layers that get adapters, by name; those that are there: attention's in most networks",
    )
    rank: int = Field(2, gt=0, description="of an adapter")
    alpha: float = Field(1.0, gt=0, description="an adapter's scale times the square root of its rank")
    rslora: bool = Field(True, description="false: alpha is the scale times the rank, as in LoRA's paper")
    dropout: float = Field(0.25, ge=0, lt=1, description="of an adapter's inputs")
    template: str = Field(
        "a photo of a {}.",
        pattern=r"^[^{}]*\{\}[^{}]*$",
        description="of the class prompts; with names_depth=0 the data's templates",
    )
    scale: float = Field(100.0, gt=0, description="of the logits; CLIP's")
    share: float = Field(0.5, gt=0, lt=1, description="of the auxiliary streams in a batch")
    lr: float = Field(2e-4, gt=0, description="AdamW's, falling as a cosine")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's")
    batch_size: int = Field(32, gt=0, description="over all streams")
    steps_per_shot: int = Field(500, ge=0, description="times target samples a class")
    keep: Literal["last", "val"] = Field("last", description="adapters of the last step, or the best on val")
    eval_every: int = Field(100, gt=0, description="keep=val: steps between looks at val")

    @model_validator(mode="after")
    def _opens_something(self) -> Self:
        if not self.depth and not self.names_depth:
            raise ValueError("depth=0 and names_depth=0 leave nothing to train; open one of the encoders")
        return self


class Lora(Strategy):
    """Low-rank adapters in the encoders of the target and of the class names (Zanella and Ben Ayed, CVPRW 2024).

    The classifier's rows are the class prompts' embeddings, computed anew at every step; the loss is cross-entropy over
    the union of all modalities' samples. At the end the rows are fixed, and the text encoder is not needed any more.
    """

    config_type: ClassVar[type[Config]] = LoraConfig

    @property
    def adapters(self) -> Adapters:
        """What the settings say of them."""
        config = self.config
        return Adapters(config.modules, config.rank, config.alpha, config.dropout, config.rslora)

    def depths(self, target: str, aux: Sequence[str], namer: str | None) -> Mapping[str, int]:
        wanted = {} if namer is None else {namer: self.config.names_depth}
        return {modality: depth for modality, depth in (wanted | {target: self.config.depth}).items() if depth}

    def init_name(self, context: Context) -> str:
        """The modality of the class names: without adapters the classifier is the zero-shot one."""
        return self._prompts(context).modality

    def _prompts(self, context: Context) -> Stream:
        """A prompt a class; embedded if their encoder is not opened."""
        if self.config.names_depth:
            return context.read([self.config.template.format(name) for name in context.classes])
        return Stream(context.names.modality, {EMBEDDING: class_means(context.names, len(context.classes))})

    def build(self, context: Context) -> nn.Module:
        prompts = self._prompts(context).to(context.device)
        towers = deepcopy(context.towers)
        samples = {prompts.modality: prompts, **context.train}
        first = torch.zeros(1, dtype=torch.long)
        with seeded(context.seed, context.device):
            self.adapters.put_into(towers)
            check_used(towers, {m: samples[m][first].to(context.device).x for m in opened(towers)})
        return PromptClassifier(towers, prompts, self.config.scale)

    def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        with _checked(model).keeping_rows():
            return super().loss(model, batch)

    def plan(self, context: Context) -> Plan:
        shots = round(len(context.train[context.target]) / len(context.classes))
        return Plan(
            shares=context.shares(self.config.share),
            steps=self.config.steps_per_shot * max(1, shots),
            batch_size=self.config.batch_size,
            lr=self.config.lr,
            weight_decay=self.config.weight_decay,
            warmup=0,
            eval_every=self.config.eval_every,
            precision=context.precision,
            seed=context.seed,
        )

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        """The fitted model. Where some classes are unseen, the prompts of the others alone are learned from."""
        among = among_seen(context)
        learner = model
        if context.seen is not None:
            prompts = self._prompts(among).to(context.device)
            learner = PromptClassifier(_checked(model).towers, prompts, self.config.scale)
        shown = among if self.config.keep == "val" else replace(among, val=None)
        result = shown.fit(learner, self, self.plan(among))
        context.record |= {
            "steps": result.steps,
            "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
        }
        if result.history:
            context.record["step"] = result.best_step
        yield model

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        """The rows as they are now, as a linear classifier."""
        found = _checked(model).eval()
        with torch.no_grad():
            return LinearClassifier(found.towers, found.rows(), found.scale, trainable=False)

    def tuned(self, towers: Towers, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
        """The adapted layers' weights, with the adapters in them."""
        with seeded(0, tensors["weight"].device):  # what is drawn is written over
            self.adapters.put_into(towers)
        load_towers(towers, tensors)
        adapted = opened(towers)
        return {m: merged(t.tail) for m, t in towers.items() if m in adapted and isinstance(t, Tower)}

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        """A new class's row is its prompt's, read by the adapted encoder."""
        if not isinstance(model, LinearClassifier):
            raise TypeError(f"lora has no classes to add to a {type(model).__name__}")
        new = torch.arange(len(model.weight), len(context.classes))
        prompts = self._prompts(context)
        some = prompts[new.to(next(iter(prompts.x.values())).device)].to(context.device)
        with torch.no_grad():
            return model.extended(PromptClassifier(model.towers, some, self.config.scale).rows())

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        with seeded(0, tensors["weight"].device):  # what is drawn is written over
            self.adapters.put_into(towers)
        return super().restore(towers, tensors)


def _checked(model: nn.Module) -> PromptClassifier:
    if not isinstance(model, PromptClassifier):
        raise TypeError(f"lora can't train a {type(model).__name__}")
    return model
