"""What a user types after ``openclip:``, resolved to a model's configuration and weights. Loads neither."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xm import UsageError, fingerprint_of
from xm.plugins.hub import fetch
from xm_openclip import catalogue
from xm_openclip.available import DEFAULT, VARIABLE, WEIGHTS
from xm_openclip.weights import (
    OTHERWISE,
    SUFFIXES,
    FileWeights,
    HubWeights,
    RandomWeights,
    Weights,
    from_file,
    is_torchscript,
)

QUICK = "-quickgelu"
CONFIG = "open_clip_config.json"
_PREFERRED = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)


@dataclass(frozen=True)
class Reference:
    """A resolved reference.

    Attributes:
        name: as typed, for messages.
        space: of the embeddings of both towers.
        config: open_clip's model configuration as JSON, with the effective activation in ``quick_gelu``.
        preprocess: of images, as JSON, without the size.
        tokenizer: what `open_clip.get_tokenizer` is called with.
        weights: where they are.
    """

    name: str
    space: str
    config: str
    preprocess: str
    tokenizer: str
    weights: Weights

    @property
    def dim(self) -> int:
        """Of the embeddings."""
        return int(json.loads(self.config)["embed_dim"])


def resolve(argument: str) -> Reference:
    """Resolve what followed the colon; "" is the environment variable XM_OPENCLIP, or the default model.

    Raises:
        UsageError: for an unknown model or tag, or a file that is missing or not what its name says.
        PluginError: if open_clip is missing, or a configuration can't be downloaded.
    """
    argument = argument or os.environ.get(VARIABLE, "") or DEFAULT
    if argument.startswith("hf-hub:"):
        return _hub(argument)
    if argument.startswith("local-dir:"):
        return _folder(argument)
    model, _, rest = argument.partition("/")
    config = catalogue.model_config(model)
    if not rest:
        known = ", ".join(catalogue.tags(model)[:3])
        raise UsageError(f"openclip:{model} names no weights; write openclip:{model}/TAG (tags: {known or 'none'})")
    if rest.startswith("random:"):
        return _random(argument, model, config, rest.removeprefix("random:"))
    if rest.lower().endswith(SUFFIXES):
        return _file(argument, model, config, Path(rest).expanduser())
    return _tag(argument, model, config, rest)


def _tag(argument: str, model: str, config: dict[str, Any], tag: str) -> Reference:
    found = catalogue.tag_config(model, tag)
    repo, _, file = found["hf_hub"].rpartition("/")
    names = (f"{file.removesuffix('.bin')}.safetensors", file) if file else WEIGHTS
    # open_clip only warns where the two disagree; weights of OpenAI under a model without QuickGELU do.
    quick = bool(config.get("quick_gelu")) or bool(found.get("quick_gelu"))
    label = tag.lower().replace("-", "_")
    reference = _built_in(argument, model, config, quick, label, HubWeights(repo, names))
    return replace(reference, preprocess=_json(catalogue.preprocessing(found)))


def _file(argument: str, model: str, config: dict[str, Any], path: Path) -> Reference:
    if not path.is_file() and Path("/", path).is_file():
        raise UsageError(f"no such checkpoint: {path}; for /{path} write openclip:{model}//{path}")
    weights = from_file(path)
    quick = bool(config.get("quick_gelu"))
    says_quick = re.search("quickgelu|openai", path.name.lower())
    if is_torchscript(path):
        _refuse_unknown_program(weights, model)
        quick = True
    elif says_quick and not quick and model + QUICK in catalogue.models():
        raise UsageError(
            f"the name of {path} says QuickGELU, which model {model} is without; "
            f"write openclip:{model}{QUICK}/{path} or rename the file"
        )
    return _built_in(argument, model, config, quick, weights.digest[:12], weights)


def _refuse_unknown_program(weights: FileWeights, model: str) -> None:
    """TorchScript is a program; only the archives that OpenAI published are opened."""
    if weights.digest not in catalogue.openai_archives():
        raise UsageError(
            f"{weights.path} is a TorchScript archive, and none that OpenAI published; if you trust it, save "
            "its weights with torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt') and name "
            f"openclip:{model}/weights.pt"
        )


def _random(argument: str, model: str, config: dict[str, Any], seed: str) -> Reference:
    if not seed.isdecimal():
        raise UsageError(f"openclip:{argument}: expected a seed, a whole number, as in openclip:{model}/random:0")
    quick = bool(config.get("quick_gelu"))
    return _built_in(argument, model, config, quick, f"random:{int(seed)}", RandomWeights(int(seed)))


def _built_in(
    argument: str, model: str, config: dict[str, Any], quick: bool, label: str, weights: Weights
) -> Reference:
    """A model that open_clip knows by name; the effective activation is part of that name."""
    named = model.removesuffix(QUICK) + (QUICK if quick else "")
    return Reference(
        name=f"openclip:{argument}",
        space=f"openclip:{named}/{label}",
        config=_json(config | {"quick_gelu": quick}),
        preprocess=_json(catalogue.usual_preprocessing(model)),
        tokenizer=model,
        weights=weights,
    )


def _hub(argument: str) -> Reference:
    repo = argument.removeprefix("hf-hub:")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise UsageError(f"openclip:{argument}: expected openclip:hf-hub:ORG/NAME")
    path = fetch(repo, (CONFIG,), OTHERWISE)
    config, preprocess = _read_config(path)
    return Reference(
        name=f"openclip:{argument}",
        space=f"openclip:{argument}{'+quickgelu' if config['quick_gelu'] else ''}",
        config=_json(config),
        preprocess=_json(preprocess),
        tokenizer=argument if config["text_cfg"].get("hf_tokenizer_name") else f"local-dir:{path.parent}",
        weights=HubWeights(repo, WEIGHTS),
    )


def _folder(argument: str) -> Reference:
    folder = Path(argument.removeprefix("local-dir:")).expanduser()
    if argument == "local-dir:" or not folder.is_dir():
        raise UsageError(f"openclip:{argument}: no such folder")
    config, preprocess = _read_config(folder / CONFIG)
    weights = from_file(_checkpoint(folder))
    name = fingerprint_of(weights.digest, _json(config))[:12]
    return Reference(
        name=f"openclip:{argument}",
        space=f"openclip:local-dir:{name}{'+quickgelu' if config['quick_gelu'] else ''}",
        config=_json(config),
        preprocess=_json(preprocess),
        tokenizer=f"local-dir:{folder}",
        weights=weights,
    )


def _checkpoint(folder: Path) -> Path:
    """The weights in a folder, by the names that open_clip prefers."""
    found = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    for name in _PREFERRED:
        if folder / name in found:
            return folder / name
    if len(found) != 1:
        got = ", ".join(path.name for path in found) or "none"
        raise UsageError(f"{folder}: expected one checkpoint, or {_PREFERRED[0]}; found {got}")
    return found[0]


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Model configuration and preprocessing of an ``open_clip_config.json``."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        config, given = content["model_cfg"], content.get("preprocess_cfg") or {}
        missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(config)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; open_clip.push_to_hf_hub writes such a file") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not an open_clip configuration: {type(error).__name__}: {error}") from error
    if missing:
        raise UsageError(f"{path}: model_cfg lacks {', '.join(sorted(missing))}")
    return config | {"quick_gelu": bool(config.get("quick_gelu"))}, catalogue.preprocessing(given)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)
