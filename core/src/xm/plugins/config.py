"""Settings of a strategy, aligner or predictor: a pydantic model that forbids unknown names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, ValidationError

from xm.foundation.errors import UsageError

_NUMBERS = re.compile(r"\s*[-+.\d][-+.\deE,\s]*")


class Config(BaseModel):
    """Base of all settings. Every field has a default and a description that says where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Configurable:
    """Something with settings: a subclass may declare its own `config_type` and read `self.config`."""

    config_type: ClassVar[type[Config]] = Config

    def __init__(self, config: Mapping[str, Any] | Config | None = None) -> None:
        given = config.model_dump() if isinstance(config, Config) else dict(config or {})
        self.config: Any = validated(self.config_type, given, type(self).__name__)


C = TypeVar("C", bound=Config)


def validated(config_type: type[C], given: Mapping[str, Any], what: str) -> C:
    """Settings from plain values.

    Raises:
        UsageError: that names all that is wrong, and the nearest valid name for each unknown one.
    """
    given = {name: _listed(config_type, name, value) for name, value in given.items()}
    try:
        return config_type.model_validate(given)
    except ValidationError as error:
        raise UsageError(f"{what}: {_explain(error, config_type)}") from None


def options_of(name: str, argument: str, example: str) -> tuple[str, dict[str, str]]:
    """An encoder's argument, "TEXT?NAME=VALUE&NAME=VALUE", as the text and the options after the last question mark.

    Args:
        name: of the encoder, for messages.
        argument: as typed after its colon.
        example: of options: "n=16".

    Raises:
        UsageError: if what follows the question mark is no such list.
    """
    text, mark, query = argument.rpartition("?")
    if not mark:
        return argument, {}
    try:
        return text, dict(parse_qsl(query, strict_parsing=bool(query), keep_blank_values=True))
    except ValueError:
        raise UsageError(
            f"{name}:{argument}: what follows the question mark must be NAME=VALUE, several with & between them, "
            f"as in {name}:{text}?{example}"
        ) from None


def _listed(config: type[Config], name: str, value: Any) -> Any:
    """A single value where several may stand, as a list of it; "0.1,0.01" is two numbers."""
    field = config.model_fields.get(name)
    if field is None or get_origin(field.annotation) is not tuple or not isinstance(value, str | int | float):
        return value
    if not isinstance(value, str) or get_args(field.annotation)[0] is str:
        return [value]
    return value.split(",") if _NUMBERS.fullmatch(value) else value


def _explain(error: ValidationError, config: type[Config]) -> str:
    found = []
    places = [item["loc"] for item in error.errors()]
    for item in error.errors():
        where = item["loc"]
        if any(other != where and other[: len(where)] == where for other in places):
            continue  # the consequence of a more precise one
        name = ".".join(str(part) for part in where)
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, config.model_fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(config.model_fields))}"
            found.append(f"unknown setting {name!r} ({hint})")
        else:
            given = f"{name}={item['input']!r}: " if name else ""
            found.append(given + item["msg"].removeprefix("Value error, "))
    return "; ".join(found)
