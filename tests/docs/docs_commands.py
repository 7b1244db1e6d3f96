"""What a document's lines mean to the test: what is a command, what is put in place of what.

A block whose first line begins with one of `COMMANDS` is a shell block, and so is each paragraph
of it that begins so: its lines are run, but for queries; other paragraphs show what came out. Any
other block has to begin with something from `SHOWN`. Whoever adds a block that is neither adds a
line here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from docs_reader import Block

COMMANDS = {
    "make", "t3probe", "pytest", "ci/smoke", "python", "python3", ".", "for", "cd", "git",
    "kubectl", "helm", "curl", "openssl", "nc", "prometheus-pushgateway", "pip",
    "docker", "mkdir", "printf",
}  # fmt: skip
"""First words of lines that are run, and of `NAME=value command`."""

SHOWN = (
    r"VERDICT ",  # of the summary
    r"It was (not )?us",  # t3probe explain
    r"(It was the|Two things at once|Not proven, but near|There was no drop)",
    r"A blind spot of ours",
    r"pressure +io stalled",
    r"(t3probe|sigma|push_failure)_\w+[ {]",  # PromQL
    r"(sum by|histogram_quantile|rate|changes|increase|time\(\)|up\{)",
    r"route:",  # Alertmanager
)
"""How a block begins that is output, a query or a piece of configuration."""

NO_RUN = {"toml", "yaml", "json", "python", "text", "promql", "javascript", "mermaid"}
"""Languages of fenced blocks that are no shell."""

SUBSTITUTES: list[tuple[str, str]] = [
    # The services that it listens to are not there; tests/watch/test_watch_rigs.py has the lab's.
    (r"^t3probe watch rigs\.toml .*&$", "true"),
    (r"^curl -s http://127\.0\.0\.1:3007/.*$", "test -s rigs.toml"),
    # A record that the lab's own responder keeps.
    (r"'https://t3\.example\.org/probe/#\w+'", "'{kept}'"),
    # Started by the test already: a lab, a Pushgateway.
    (r"^t3probe lab --write lab\.toml &$", "true"),
    (r"^prometheus-pushgateway .*&$", "true"),
    (r"https?://(pushgateway|127\.0\.0\.1):9091", "{gateway}"),
    (r"http://127\.0\.0\.1:4318", "{receiver}"),
    # ci/wheel installs the wheel by itself.
    (r"^pip install t3probe$", "true"),
    (r"https://app\.example\.org/", "{site}"),
    # A real deployment is the lab, wherever something would be contacted.
    (r"^((?:make check|pytest|t3probe (?:doctor|watch|explain))\b.*)deployments/t3\.toml",
     r"\1{lab}"),
    (r"(\bci/smoke \S+ --deployment )deployments/t3\.toml", r"\1{lab}"),
    # What it writes is tried in tests/setup; the lines after it have the lab for it.
    (r"^t3probe init -o my\.toml$",
     "t3probe init --yes --host t3.example.org --no-probe -o new.toml"),
    (r"\bmy\.toml\b", "{lab}"),
    (r"http://10\.0\.10\.10:3780", "{dispatch}"),
    (r"https://HOST/PATH", "{dispatch}/probe/healthz"),
    (r"http://ENVOY-ADMIN/[^' ]*", "{dispatch}/probe/healthz"),
    (r"http://CONNECTOR:2000/ready", "{dispatch}/probe/healthz"),
    (r"-connect ADDRESS:443 -servername HOST", "-connect {balancer} -servername t3.lab.test"),
    (r"ADDRESS PORT", "{plain}"),
    (r"--prometheus URL", "--prometheus {prometheus}"),
    (r"(?<=^t3probe availability --prometheus )http://127\.0\.0\.1:9090", "{prometheus}"),
    (r"HOLD=35s", "HOLD=1s"),
    (r"^(t3probe init)\b(?!.*--no-probe)", r"\1 --no-probe --yes"),
    # No container runs here; tests/provisioning has the same files on real programs.
    (r"^docker compose -f (\S+) .*$", r"test -f \1"),
    (r"^(curl .*)https://ingest\.box\.test/\S+", r"\1{dispatch}/probe/healthz"),
    # The log of a pod that is gone.
    (r"^kubectl (?:-n \S+ )?logs [^|]*\|", "cat pod.log |"),
    # These would pass the tests inside a test, or make another environment: what is asked is
    # whether the target is there.
    (r"^make (?!check\b)", "make -n "),
    (r"^git clone .*$", "true"),
    (r"^cd \S+$", "true"),
    # A free port in place of a fixed one.
    (r"--listen \S+", "--listen 127.0.0.1:0"),
]  # fmt: skip
"""Pattern -> what stands in its place; {names} are those of the scratch folder's `Places`."""

FOR_LATER = {r"--listen \S+", r"^git clone .*$", r"^cd \S+$", r"^(t3probe init)\b(?!.*--no-probe)"}
"""Entries that no document needs yet."""

STAYS = re.compile(r"^t3probe (watch|echo|mcp|lab)\b(?!.*(--help|&$))")
"""Runs until it is told to end: it is, after `STAY_SECONDS`."""
STAY_SECONDS = 2

CODES: list[tuple[str, set[int]]] = [
    (r"FAULT=\S*:slow", {0}),  # slow is no failure
    (r"FAULT=\S*:idle", {0}),  # nor is the end of what was silent
    (r"^t3probe check --fault", {1}),
    (r"FAULT=", {2}),  # a broken segment: pytest's 1, which make turns into 2
    (r"^t3probe availability --prometheus", {0, 1}),  # 1: nothing was observed yet
    (r"^t3probe explain", {0, 1}),  # 1: nobody was looking at that time
    (r"^t3probe doctor", {0, 1}),
    (r"\| grep ", {0, 1}),
    (r"^nc ", {0, 1}),
    (r"^t3probe push \S+\.log", {0, 1}),  # 1: a newer run was pushed already
]
"""Pattern -> the exit codes that are right; without one: 0."""


def commands(block: Block) -> list[str]:
    """The lines of a shell block that are commands, or ought to be."""
    shell = [part for part in block.paragraphs if is_shell(part[0])]
    return [line for part in shell for line in part if not is_shown(line)]


def is_shell(first: str) -> bool:
    """Whether a block with this first line is a shell block."""
    words = [word for word in first.split() if not re.match(r"[A-Z0-9_]+=", word)]
    return bool(words) and words[0] in COMMANDS


def is_shown(first: str) -> bool:
    """Whether a block with this first line is output, a query or configuration."""
    return any(re.match(pattern, first) for pattern in SHOWN)


def substituted(line: str, places: Mapping[str, str]) -> str:
    """The line as it is run."""
    line = re.sub(r"\s+#\s.*$", "", line).rstrip()
    for pattern, text in SUBSTITUTES:
        line = re.sub(pattern, text, line)
    for name, value in places.items():
        line = line.replace(f"{{{name}}}", value)
    if STAYS.match(line):
        line = f"timeout --preserve-status -s TERM {STAY_SECONDS} {line}"
    return line


def codes(line: str) -> set[int]:
    """The exit codes with which a line of a document may end."""
    for pattern, allowed in CODES:
        if re.search(pattern, line):
            return allowed
    return {0, 143} if STAYS.match(line) else {0}
