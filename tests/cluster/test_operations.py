"""docs/operations.md: its numbers add up, and what it names exists."""

from __future__ import annotations

import re

import pytest
import yaml
from cluster_build import ALL, OVERLAYS, ROOT, built, names, of_kind

TEXT = (ROOT / "docs" / "operations.md").read_text()
RULES = yaml.safe_load((ROOT / "cronjob" / "rules" / "t3probe.rules.yml").read_text())
MARK = "<!-- needs a cluster -->"


def blocks() -> list[tuple[bool, str]]:
    """Each indented block, and whether it is marked as needing a cluster."""
    found = []
    for match in re.finditer(r"(?:^    .*\n)+", TEXT, re.MULTILINE):
        before = TEXT[: match.start()].rstrip().splitlines()[-1]
        found.append((before == MARK, match[0]))
    return found


def number(row: str, column: int) -> int:
    """A number in the row of a table that begins with `row`."""
    (line,) = [one for one in TEXT.splitlines() if one.startswith(f"| {row}")]
    return int(re.sub(r"[^0-9]", "", line.split("|")[column + 1]))


@pytest.mark.parametrize("marked", [True, False])
def test_commands_for_a_cluster_are_marked(marked: bool) -> None:
    some = [text for was, text in blocks() if was == marked]
    assert some
    for text in some:
        away = re.search("kubectl|--(gateway|remote-write) http", text) is not None
        assert away == marked, text


def test_what_the_commands_name_exists() -> None:
    objects = [one for overlay in ALL for one in built(overlay)]
    words = " ".join(text for _, text in blocks())
    # The gateway's own namespace is not ours to make.
    spaces = set(re.findall(r"kubectl -n (\S+)", words)) - {"monitoring"}
    assert spaces == names(objects, "Namespace")
    for folder in re.findall(r"-k (\S+)", words):
        assert (ROOT / folder / "kustomization.yaml").is_file(), folder
    for kind, pattern in (
        ("CronJob", r"cronjobs?[ /](t3probe[-\w]*)"),
        ("Deployment", r"deployment[ /](t3probe[-\w]*)"),
        ("Service", r"service[ /](t3probe[-\w]*)"),
    ):
        found = set(re.findall(pattern, words))
        assert found, kind
        assert found <= names(objects, kind), kind
    labels = {
        f"app.kubernetes.io/component={one['metadata']['labels']['app.kubernetes.io/component']}"
        for one in of_kind(objects, "CronJob", "Deployment")
    } | {"app.kubernetes.io/part-of=t3probe"}
    assert set(re.findall(r"-l (\S+)", words)) <= labels


def test_alerts_and_metrics_exist() -> None:
    alerts = {rule.get("alert") for group in RULES["groups"] for rule in group["rules"]}
    named = set(re.findall(r"T3Probe[A-Z]\w+", TEXT))
    assert {"T3ProbeSilent", "T3ProbeIncomplete", "T3ProbeNotDelivered"} <= named <= alerts
    metrics = set(re.findall(r"\bt3probe_\w+", TEXT))
    assert len(metrics) >= 5
    known = (ROOT / "docs" / "metrics.md").read_text()
    assert [one for one in metrics if one not in known] == []


def test_the_budget_is_the_manifests_own() -> None:
    comment = (ROOT / "cronjob" / "base" / "cronjob.yaml").read_text().split("apiVersion")[0]
    mine = [int(one) for one in re.findall(r"^\| (\d+) \| .* \| \d+ \|$", TEXT, re.MULTILINE)]
    theirs = [int(one) for one in re.findall(r"^# +(\d+)  (?!=|of )", comment, re.MULTILINE)]
    assert mine == theirs
    until = [int(one) for one in re.findall(r"^\| \d+ \| .* \| (\d+) \|$", TEXT, re.MULTILINE)]
    assert until == [sum(mine[: n + 1]) for n in range(len(mine))]


def test_the_costs_add_up() -> None:
    steps = [number(row, 2) for row in ("CronJob |", "Job |", "Pod |", "Events |")]
    assert sum(steps) == number("all |", 2) == number("writes to etcd", 1)
    for row in ("pods |", "writes to etcd", "API calls", "requests to", "the same with"):
        assert number(row, 1) * 1440 == number(row, 2), row
    for row in ("log of a clean", "log of a run"):
        (line,) = [one for one in TEXT.splitlines() if one.startswith(f"| {row}")]
        size, day = re.findall(r"\| ([\d,.]+) (?:bytes|MB)", line)
        assert abs(int(size.replace(",", "")) * 1440 / 1e6 - float(day)) <= 0.06, row
    assert f"{number('writes to etcd', 2):,} writes a day" in TEXT
    assert f"are {number('API calls', 2):,} a day" in TEXT
    assert f"{number('writes to etcd', 2) / 86400:.1f} a second" in TEXT


def test_every_overlay_is_told_of() -> None:
    for overlay in ALL:
        assert f"| `{overlay}` |" in TEXT
        assert (OVERLAYS / overlay).is_dir()


def test_the_held_mode_stands_beside_the_job() -> None:
    """What both overlays bring is the same object in both, so the order does not matter."""

    def keyed(overlay: str) -> dict[tuple[str, str], object]:
        return {(one["kind"], one["metadata"]["name"]): one for one in built(overlay)}

    job, held = keyed("t3"), keyed("watch")
    both = set(job) & set(held)
    assert {kind for kind, _ in both} == {"Namespace", "ConfigMap", "PrometheusRule"}
    for key in both:
        assert job[key] == held[key], key
