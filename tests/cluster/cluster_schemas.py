"""Schemas of the two custom kinds we use, as narrow as our use of them.

Fields after the Prometheus operator's API reference (monitoring.coreos.com/v1).
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

DURATION = (
    r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"
)
TEXT = {"type": "string", "minLength": 1}
SPAN = {"type": "string", "minLength": 2, "pattern": DURATION}
LABEL = {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}


def closed(needs: list[str], **properties: Schema) -> Schema:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": needs,
        "additionalProperties": False,
    }


def several(items: Schema) -> Schema:
    """An array with something in it."""
    return {"type": "array", "items": items, "minItems": 1}


def custom(kind: str, spec: Schema) -> Schema:
    """A custom object."""
    return closed(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "monitoring.coreos.com/v1"},
        kind={"const": kind},
        metadata=closed(["name", "namespace", "labels"], name=TEXT, namespace=TEXT, labels=TEXTS),
        spec=spec,
    )


RELABEL = closed(
    ["action", "targetLabel"],
    action={"enum": ["replace"]},
    sourceLabels=several(LABEL),
    separator={"type": "string"},
    regex=TEXT,
    targetLabel=LABEL,
    replacement={"type": "string"},
)
ENDPOINT = closed(
    ["port"],
    port=TEXT,
    path={"type": "string", "pattern": "^/"},
    scheme={"enum": ["http", "https"]},
    interval=SPAN,
    scrapeTimeout=SPAN,
    honorLabels={"type": "boolean"},
    honorTimestamps={"type": "boolean"},
    relabelings=several(RELABEL),
    metricRelabelings=several(RELABEL),
)
RULE = {
    **closed(
        ["expr"],
        alert=TEXT,
        record={"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"},
        expr=TEXT,
        **{"for": SPAN},
        keep_firing_for=SPAN,
        labels=TEXTS,
        annotations=TEXTS,
    ),
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}
GROUP = closed(["name", "rules"], name=TEXT, interval=SPAN, rules=several(RULE))
SCHEMAS: dict[str, Schema] = {
    "PodMonitor": custom(
        "PodMonitor",
        closed(
            ["selector", "podMetricsEndpoints"],
            selector=closed(["matchLabels"], matchLabels=TEXTS),
            podMetricsEndpoints=several(ENDPOINT),
        ),
    ),
    "PrometheusRule": custom("PrometheusRule", closed(["groups"], groups=several(GROUP))),
}
