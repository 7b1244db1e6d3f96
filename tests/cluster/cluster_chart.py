"""Renders the Helm chart, by Helm where it is there, and by the few forms that its templates use.

The templates keep to the forms of `FORMS`, and a whole file may stand in one `if`; anything else is
refused here, so that what is rendered without Helm is what Helm would render. Where Helm is, a test
compares the two.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from cluster_build import ROOT, Object

CHART = ROOT / "cronjob" / "chart"
RELEASE = {"Name": "t3probe", "Namespace": "t3probe", "Service": "Helm"}
FORMS = (
    r"\.Release\.(?P<release>\w+)",
    r"\.Chart\.AppVersion(?P<version>)",
    r"\.Values\.(?P<value>\w+)(?P<quote> \| quote)?",
    r"toJson \.Values\.(?P<json>\w+)",
    r'(?:required "(?P<sentence>[^"]+)" )?\.Values\.(?P<text>\w+) \| indent (?P<by>\d+)',
    r'\.Files\.Get "(?P<file>[\w.]+)" \| indent (?P<file_by>\d+)',
)
WHOLE = re.compile(r"\{\{- if \.Values\.(\w+) \}\}\n(.*\n)\{\{- end \}\}\n", re.DOTALL)


class ChartError(ValueError):
    """What Helm would say, or a form that this cannot render."""


def values(**changes: object) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return {**found, **changes}


def rendered(given: Mapping[str, Any]) -> list[Object]:
    """The objects, without Helm. Raises ChartError."""
    objects: list[Object] = []
    for file in sorted((CHART / "templates").glob("*.yaml")):
        text = file.read_text()
        if (whole := WHOLE.fullmatch(text)) is not None:
            text = whole[2] if given[whole[1]] else ""
        made = re.sub(r"\{\{ (.*?) \}\}", lambda it: _form(it[1], given), text)
        if "{{-" in made or "-}}" in made:
            raise ChartError(f"{file.name}: a form that only Helm renders")
        objects += [one for one in yaml.safe_load_all(made) if one]
    return objects


def _form(words: str, given: Mapping[str, Any]) -> str:
    for form in FORMS:
        if match := re.fullmatch(form, words):
            return _put(match.groupdict(), given)
    raise ChartError(f"a form that only Helm renders: {words}")


def _put(found: Mapping[str, str | None], given: Mapping[str, Any]) -> str:
    if release := found.get("release"):
        return RELEASE[release]
    if found.get("version") is not None:
        return str(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"])
    if name := found.get("value"):
        return json.dumps(given[name]) if found.get("quote") else str(given[name])
    if name := found.get("json"):
        return json.dumps(given[name])
    if file := found.get("file"):
        return _indented((CHART / file).read_text(), int(found["file_by"] or 0))
    text = given[found["text"] or ""]
    if not text and found.get("sentence"):
        raise ChartError(found["sentence"])
    return _indented(text, int(found["by"] or 0))


def _indented(text: str, by: int) -> str:
    return " " * by + text.replace("\n", "\n" + " " * by)


def helm() -> str:
    """Helm's path; empty: there is none."""
    return os.environ.get("T3PROBE_HELM") or shutil.which("helm") or ""


def by_helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Helm with these words."""
    return subprocess.run([helm(), *words], capture_output=True, text=True, timeout=60, check=False)


def flags(folder: Path, given: Mapping[str, Any]) -> list[str]:
    """A file with the values, as Helm takes it."""
    file = folder / "given.yaml"
    file.write_text(yaml.safe_dump(dict(given)))
    return ["--values", str(file)]
