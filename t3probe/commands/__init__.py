"""The subcommands of `t3probe`: a line each here, and a module each, loaded when asked for."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "Command"]


class Command(NamedTuple):
    """A subcommand as the overview shows it."""

    help: str
    example: str
    module: str
    """Holds `add(commands)`, given argparse's subparsers or the like, or `main(words)`."""


COMMANDS: dict[str, Command] = {
    "check": Command(
        "run every check: on a deployment file, a URL or the built-in lab",
        "t3probe check my.toml -k cloudflare",
        "t3probe.commands.check",
    ),
    "init": Command(
        "write a deployment file of your own",
        "t3probe init --host t3.example.org --internal 10.0.0.5",
        "t3probe.setup.init",
    ),
    "doctor": Command(
        "say what of the environment is missing, and what fixes it",
        "t3probe doctor deployments/t3.toml",
        "t3probe.setup.doctor",
    ),
    "verdict": Command(
        "judge a recorded run again, or a made-up case",
        "t3probe verdict results/junit.xml --text",
        "t3probe.commands.verdict",
    ),
    "report": Command(
        "write one HTML page about a run, or about many",
        "t3probe report results/junit.xml -o report.html",
        "t3probe.commands.report",
    ),
    "compare": Command(
        "what got worse between two runs: before a deploy and after it",
        "t3probe compare before.xml after.xml --gate dispatch",
        "t3probe.commands.compare",
    ),
    "explain": Command(
        'answer "what broke when I dropped?"',
        "t3probe explain --at 14:03 --runs results/",
        "t3probe.commands.explain",
    ),
    "availability": Command(
        "what share of the observed time was good, per leg and segment",
        "t3probe availability --prometheus http://127.0.0.1:9090 --days 30",
        "t3probe.commands.availability",
    ),
    "forensics": Command(
        "read the servers' own logs: which side died",
        "t3probe forensics dispatch.log cloudflared.log --runs results/",
        "t3probe.commands.forensics",
    ),
    "push": Command(
        "push recorded runs, or another suite's JUnit file",
        "t3probe push results/junit.xml --gateway http://127.0.0.1:9091",
        "t3probe.commands.push",
    ),
    "retire": Command(
        "delete the groups of a vantage that is gone",
        "t3probe retire --gateway http://127.0.0.1:9091 --vantage attic",
        "t3probe.commands.retire",
    ),
    "watch": Command(
        "hold the legs for ever, with metrics of its own",
        "t3probe watch deployments/t3.toml --listen 127.0.0.1:9108",
        "t3probe.commands.watch",
    ),
    "mcp": Command(
        "answer an assistant's questions about the last run",
        "t3probe mcp --runs results/",
        "t3probe.commands.mcp",
    ),
    "echo": Command(
        "answer /probe/ws and /probe/healthz where nothing else does",
        "t3probe echo --listen 127.0.0.1:8080",
        "t3probe.echo.__main__",
    ),
    "lab": Command(
        "run the built-in lab until SIGTERM",
        "t3probe lab --write lab.toml --fault tunnel:blackhole",
        "t3probe.lab.__main__",
    ),
    "legs": Command(
        "which legs cross which segments, and what they cannot tell apart",
        "t3probe legs deployments/t3.toml --vantage laptop",
        "t3probe.commands.legs",
    ),
    "schema": Command(
        "print the JSON Schema of the deployment file",
        "t3probe schema > deployments/schema.json",
        "t3probe.commands.schema",
    ),
    "alertmanager": Command(
        "print a deployment's inhibit_rules for Alertmanager",
        "t3probe alertmanager deployments/t3.toml > fragment.yml",
        "t3probe.commands.alertmanager",
    ),
    "manifests": Command(
        "print objects of Kubernetes, units of systemd, a compose file",
        "t3probe manifests networkpolicy deployments/t3.toml",
        "t3probe.commands.manifests",
    ),
    "completion": Command(
        "print what completes these words in a shell",
        "t3probe completion bash > ~/.t3probe.bash",
        "t3probe.commands.completion",
    ),
}
