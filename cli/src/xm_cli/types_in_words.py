"""Types of settings in words, from a JSON schema: "number above 0, below 1", "one of zero, text or none"."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

_NOUNS = {
    "number": "number",
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "null": "none",
    "object": "table",
}
_MANY = {"whole number": "whole numbers", "number": "numbers", "text": "texts", "list": "lists", "table": "tables"}


def types(schema: Schema) -> dict[str, str]:
    """The type of every property of an object's schema, in words."""
    shared = schema.get("$defs", {})
    return {name: in_words(field, shared) for name, field in schema.get("properties", {}).items()}


def in_words(schema: Schema, shared: Mapping[str, Schema]) -> str:
    """A schema in words.

    Args:
        schema: as JSON Schema has it.
        shared: what its references name.
    """
    if "$ref" in schema:
        return in_words(shared[schema["$ref"].rpartition("/")[2]], shared)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(in_words(part, shared) for part in schema[key]))
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        values = ", ".join(_value(value) for value in schema["enum"])
        return f"one of {values}" if len(schema["enum"]) > 1 else values
    kind = schema.get("type", "")
    if kind == "array":
        return _list(schema, shared)
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"table of {_plural(in_words(schema['additionalProperties'], shared))}"
    return _NOUNS.get(kind, "anything") + _bounds(schema)


def _bounds(schema: Schema) -> str:
    """The limits of a number, behind its noun."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    words = []
    if low is not None:
        words.append(f"from {_value(low)}" + (f" to {_value(high)}" if high is not None else ""))
    if above is not None:
        words.append(f"above {_value(above)}")
    if below is not None:
        words.append(f"below {_value(below)}")
    if high is not None and low is None:
        words.append(f"up to {_value(high)}")
    return f" {', '.join(words)}" if words else ""


def _list(schema: Schema, shared: Mapping[str, Schema]) -> str:
    parts: Sequence[Schema] = schema.get("prefixItems", ())
    named = [in_words(part, shared) for part in parts]
    if len(set(named)) > 1:
        return f"list of {', '.join(named)}"
    item = named[0] if named else in_words(schema.get("items", {}), shared)
    if item.startswith("one of "):
        return f"list out of {item.removeprefix('one of ')}"
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    many = f"{least} " if least and least == most else ""
    return f"list of {many}{_plural(item)}"


def _plural(words: str) -> str:
    return " or ".join(_several(part) for part in words.split(" or "))


def _several(words: str) -> str:
    return next((words.replace(one, many, 1) for one, many in _MANY.items() if words.startswith(one)), words)


def _value(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)
