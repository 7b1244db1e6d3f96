"""The JSON Schema of the deployment file, for editors.

Made from the file's types, and only when it is asked for: nothing at run time needs it.
`python -m t3probe.config.schema` prints it. JSON Schema draft 7, which the common TOML
language servers read; a TOML date counts as a string there.
"""

from __future__ import annotations

import ast
import inspect
import json
from datetime import datetime
from typing import Any, Literal, get_args, get_origin

import msgspec

from .durations import PATTERN
from .read import MAY_BE_ZERO, field_types, required_fields
from .table import Duration, Table
from .types import EVERY_LEG, KIND_RULES, NAME_PATTERN, DeploymentFile, LegTable

_DURATION = {"type": "string", "pattern": f"^{PATTERN}$"}
_NAMES = {"name", "vantage", "vantages", "segments"}
"""Keys whose values are label-safe names, also as items of an array."""
_SMALL = {"maximum": 65535}
"""Ports, statuses, and numbers of connections."""
_NOT_EMPTY = {"doh", "segments", "path", "addresses"}


def schema_text() -> str:
    """The schema as the text of `deployments/schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=True) + "\n"


def schema() -> dict[str, Any]:
    """The schema as JSON values."""
    definitions: dict[str, Any] = {}
    top = _table(DeploymentFile, definitions)
    definitions["LegTable"]["allOf"] = [_kind_rule(kind) for kind in KIND_RULES]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "t3probe deployment file",
        **top,
        "definitions": dict(sorted(definitions.items())),
    }


def _table(table: type[Table], definitions: dict[str, Any]) -> dict[str, Any]:
    said = descriptions(table)
    properties: dict[str, Any] = {}
    defaults = {field.name: field.default for field in msgspec.structs.fields(table)}
    for key, hint in field_types(table).items():
        value = _value(key, hint, definitions)
        if key in {path[-1] for path in MAY_BE_ZERO}:
            value = {"type": "string", "pattern": f"^(0|{PATTERN})$"}
        default = defaults[key]
        extra: dict[str, Any] = {"description": said[key]} if key in said else {}
        if isinstance(default, Duration):
            extra["default"] = f"{default:g}s"
        elif isinstance(default, str | int) and default != "":
            extra["default"] = default
        # Draft 7 ignores what stands beside a $ref.
        properties[key] = {"allOf": [value], **extra} if "$ref" in value else {**value, **extra}
    made: dict[str, Any] = {"type": "object", "additionalProperties": False}
    if table.__doc__:
        made["description"] = _joined(table.__doc__)
    made["properties"] = properties
    required = required_fields(table)
    if required:
        made["required"] = list(required)
    return made


def _value(key: str, hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin = get_origin(hint)
    if origin is tuple:
        items = _value(key, get_args(hint)[0], definitions)
        made: dict[str, Any] = {"type": "array", "items": items}
        if key in _NOT_EMPTY:
            made["minItems"] = 1
        return made
    if origin is Literal:
        return {"type": "string", "enum": list(get_args(hint))}
    if isinstance(hint, type) and issubclass(hint, Table):
        definitions.setdefault(hint.__name__, _table(hint, definitions))
        return {"$ref": f"#/definitions/{hint.__name__}"}
    if hint is str and key in _NAMES:
        return {"type": "string", "pattern": f"^{NAME_PATTERN}$"}
    plain: dict[Any, dict[str, Any]] = {
        str: {"type": "string"},
        bool: {"type": "boolean"},
        int: {"type": "integer", "minimum": 0, **({} if key.endswith("_bytes") else _SMALL)},
        Duration: dict(_DURATION),
        datetime: {"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]},
    }
    return plain.get(hint, {"type": "object"})


def _kind_rule(kind: str) -> dict[str, Any]:
    """What a leg of one kind must have, and what it cannot have."""
    rule = KIND_RULES[kind]
    allowed = (*rule.needs, *rule.takes, *EVERY_LEG)
    then: dict[str, Any] = {
        "properties": {key: False for key in field_types(LegTable) if key not in allowed}
    }
    if rule.schemes:
        then["properties"]["url"] = {"pattern": f"^({'|'.join(rule.schemes)})://"}
    if rule.needs:
        then["required"] = list(rule.needs)
    if kind == "tcp":
        then["oneOf"] = [{"required": ["address"]}, {"required": ["addresses"]}]
    return {
        "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
        "then": then,
    }


def descriptions(table: type[Table]) -> dict[str, str]:
    """Key → the text that stands under the field in its class, or in one it builds on.

    `msgspec.Meta` would hold these sentences as well, but every run that loads a file would build
    them: 11 ms of CPU for 80 fields, for the sake of an editor.
    """
    found: dict[str, str] = {}
    for part in reversed(table.__mro__):
        if not issubclass(part, Table):
            continue
        (body,) = ast.parse(inspect.getsource(part)).body
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                found[field.target.id] = _joined(text.value.value)
    return found


def _joined(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    print(schema_text(), end="")
