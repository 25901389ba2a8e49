"""What a user types after ``timm:``, resolved to a model of timm and its weights. Loads no weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xm import UsageError
from xm.foundation import unknown
from xm.plugins import Weights, hub, of_files
from xm_hub.source import CHECKPOINTS, CONFIG, Source, digest, refuse_pointer, resolve as source_of

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar")
"""Of checkpoints."""

EXAMPLE = "vit_small_patch14_dinov2.lvd142m"
OTHERWISE = "name a folder that timm saved, or a checkpoint: timm:FOLDER, timm:MODEL/FILE.safetensors"
"""What to type where there is no network."""

_RANDOM = "random:"


@dataclass(frozen=True)
class Reference:
    """A model of timm.

    Attributes:
        name: as typed, for messages.
        model: what `timm.create_model` is called with.
        source: a folder or repository with timm's configuration; None of a model of timm by name.
        repo: of the hub, with the weights of a model by name; "" of others.
        names: of the files of weights in `repo`, the first that there is.
        path: a checkpoint of the user's.
        seed: of random weights; None if they are not random.
    """

    name: str
    model: str
    source: Source | None = None
    repo: str = ""
    names: tuple[str, ...] = CHECKPOINTS
    path: Path | None = None
    seed: int | None = None

    def weights(self) -> Path | None:
        """The file of weights, which is downloaded if it is not here; None of random ones.

        Raises:
            UsageError: if there is none, or it is no file of weights.
            PluginError: if it is not here and can't be downloaded.
        """
        if self.source is not None:
            paths = self.source.checkpoint()
            if len(paths) > 1:
                raise UsageError(f"{self.name}: its weights are in {len(paths)} files, and timm reads one")
            return paths[0]
        path = hub.fetch(self.repo, self.names, OTHERWISE) if self.repo else self.path
        if path is not None:
            refuse_pointer(path)
        return path

    def identity(self) -> str:
        """Of weights and saved configuration, by content; weights of the hub are downloaded for it, not loaded."""
        path = self.weights()
        if self.source is not None:
            return self.source.identity()
        if path is not None:
            return digest(path)
        import torch

        return f"{_RANDOM}{self.seed}, torch {torch.__version__}"

    def configuration(self) -> str:
        """Of the saved configuration, by content; "" where timm has it."""
        return "" if self.source is None else digest(self.source.file(CONFIG))

    def space(self) -> str:
        """Name of the space: of a repository, or the model with its weights' digest."""
        if self.repo:
            return f"timm:{self.repo}"
        if self.source is not None:
            return self.source.space()
        return f"timm:{self.model}/" + (f"{_RANDOM}{self.seed}" if self.path is None else self.identity()[:12])

    def pretrained(self) -> tuple[Weights, ...]:
        """What `xm.Encoder.pretrained` gives."""
        if self.source is not None:
            return self.source.pretrained()
        if self.path is not None:
            return (of_files(self.path),)
        return (hub.weights(self.repo, self.names, OTHERWISE),) if self.repo else ()


def resolve(argument: str) -> Reference:
    """Resolve what followed the colon.

    Raises:
        UsageError: for an unknown model or tag, a missing file, or a folder that timm did not save.
        PluginError: if the configuration of a repository is not here and can't be downloaded.
    """
    if not argument:
        raise UsageError(f"timm needs a model: timm:{EXAMPLE}; those that there are: timm.list_models()")
    name = f"timm:{argument}"
    if Path(argument).expanduser().is_dir():
        return _saved(name, source_of("timm", argument, f"timm/{EXAMPLE}"))
    model, _, rest = argument.partition("/")
    if not rest:
        return _by_name(name, model)
    if rest.startswith(_RANDOM):
        return _random(name, _known(model), rest.removeprefix(_RANDOM))
    if rest.lower().endswith(SUFFIXES):
        if Path(argument).expanduser().is_file() and not _is_model(model):
            raise UsageError(f"{name}: whose weights are these? type the model before the file: timm:MODEL/{argument}")
        return _file(name, _known(model), rest)
    if hub.parsed(argument) is None:
        raise UsageError(f"{name}: no such folder, and neither MODEL[.TAG], ORG/NAME nor MODEL/FILE{SUFFIXES[0]}")
    return _saved(name, source_of("timm", argument, f"timm/{EXAMPLE}"))


def _saved(name: str, source: Source) -> Reference:
    """A folder or repository with a ``config.json`` of timm's."""
    path = source.file(CONFIG)
    config = source.config()
    if not isinstance(config.get("architecture"), str):
        kind = f"; for a model of transformers type transformers:{source.name}" if "model_type" in config else ""
        raise UsageError(f"{path}: names no architecture of timm{kind}")
    _known(config["architecture"])
    return Reference(name, f"local-dir:{path.parent}", source=source)


def _by_name(name: str, model: str) -> Reference:
    from timm.models import get_pretrained_cfg

    found: Any = get_pretrained_cfg(_known(model))
    if found is not None and found.hf_hub_id:
        names = _alternatives(found.hf_hub_filename) if found.hf_hub_filename else CHECKPOINTS
        return Reference(name, model, repo=found.hf_hub_id, names=names)
    if found is not None and found.url:
        raise UsageError(f"{name}: its weights are not on the hub; download {found.url} and type timm:{model}/FILE.pth")
    tags = ", ".join(_tags(model)) or "none has"
    raise UsageError(f"{name} has no weights (tags with weights: {tags}); name a file: timm:{model}/FILE.safetensors")


def _file(name: str, model: str, rest: str) -> Reference:
    path = Path(rest).expanduser()
    if not path.is_file():
        hint = f"; for /{rest} write timm:{model}//{rest}" if Path("/", rest).is_file() else ""
        raise UsageError(f"no such checkpoint: {path}{hint}")
    return Reference(name, model, path=path)


def _random(name: str, model: str, seed: str) -> Reference:
    if not seed.isdecimal():
        raise UsageError(f"{name}: expected a seed, a whole number, as in timm:{model}/random:0")
    return replace(Reference(name, model), seed=int(seed))


def _is_model(model: str) -> bool:
    import timm

    return bool(timm.is_model(model))


def _known(model: str) -> str:
    """The model's name, if timm has such a model and it has such a tag.

    Raises:
        UsageError: if not; it names the nearest.
    """
    import timm

    architecture, _, tag = model.partition(".")
    models = timm.list_models()
    if architecture not in models:
        raise unknown("timm model", architecture, models)
    tags = _tags(architecture, all_of_them=True)
    if tag and tag not in tags:
        raise unknown(f"tag of timm's {architecture}", tag, tags)
    return model


def _tags(model: str, all_of_them: bool = False) -> list[str]:
    import timm

    names = timm.list_models(f"{model.partition('.')[0]}.*", pretrained=not all_of_them, include_tags=True)
    return [tag for name in names if (tag := name.partition(".")[2])]


def _alternatives(file: str) -> tuple[str, ...]:
    """Names to look for in place of a repository's file: safetensors first."""
    stem = file.removesuffix(".bin").removesuffix(".pth")
    first = "model.safetensors" if stem == "pytorch_model" else f"{stem}.safetensors"
    return (file,) if file.endswith(".safetensors") else (first, file)
