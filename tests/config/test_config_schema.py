"""The JSON Schema for editors is current, and agrees with the loader."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from config_helpers import DEPLOYMENTS, HERE, NOW, RICH, SMALL

from t3probe.config import load
from t3probe.config.schema import schema, schema_text
from t3probe.config.types import KIND_RULES


def errors(text: str) -> list[str]:
    """What an editor would underline."""
    validator = jsonschema.Draft7Validator(schema())
    return [error.message for error in validator.iter_errors(_json(tomllib.loads(text)))]


def _json(value: Any) -> Any:
    """TOML values as language servers hand them to a JSON Schema: dates are strings."""
    if isinstance(value, dict):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_json(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


def test_the_file_is_current() -> None:
    file = DEPLOYMENTS / "schema.json"
    assert file.read_text(encoding="utf-8") == schema_text(), (
        "write it anew: python -m t3probe.config.schema > deployments/schema.json"
    )


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("file", sorted(DEPLOYMENTS.glob("*.toml")), ids=lambda file: file.name)
def test_the_shipped_deployments_validate(file: Path) -> None:
    assert errors(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", sorted(DEPLOYMENTS.glob("*.toml")), ids=lambda file: file.name)
def test_the_shipped_deployments_load(file: Path) -> None:
    assert load(file, {}, now=NOW).warnings == ()


def test_an_editor_finds_the_schema() -> None:
    text = (DEPLOYMENTS / "t3.toml").read_text(encoding="utf-8")
    assert text.startswith("#:schema ./schema.json\n")


@pytest.mark.parametrize("text", [SMALL, RICH], ids=["small", "rich"])
def test_good_files_validate(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    "name",
    [
        "unknown-key-top",
        "unknown-key-leg",
        "unknown-key-timing",
        "missing-name",
        "missing-path",
        "missing-url",
        "leg-without-segments",
        "segments-empty",
        "leg-name-unsafe",
        "leg-as-table",
        "leg-kind-unknown",
        "duration-without-unit",
        "duration-integer",
        "duration-negative",
        "url-scheme",
        "url-on-tcp",
        "url-on-doh",
        "tcp-without-address",
        "tcp-address-and-addresses",
        "doh-empty",
        "doh-missing",
        "expect-status-type",
        "expect-status-kind",
        "refused-ok-type",
        "upstream-listen-port",
        "delivery-token",
        "lab-type",
    ],
)
def test_what_types_can_say_the_schema_says(name: str) -> None:
    assert errors((HERE / "invalid" / f"{name}.toml").read_text(encoding="utf-8"))


def test_fields_carry_their_description() -> None:
    made = schema()
    assert "PEM file" in made["properties"]["tls_ca"]["description"]
    hold = made["definitions"]["Timing"]["properties"]["hold"]
    assert hold["description"] == "How long a run keeps its connections open."
    assert hold["default"] == "35s"
    assert [
        rule["if"]["properties"]["kind"]["const"]
        for rule in made["definitions"]["LegTable"]["allOf"]
    ] == [*KIND_RULES]
