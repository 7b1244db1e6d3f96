"""The ready pipeline files: in each system's published form, and their commands run as written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from smoke_runs import QUICK, ROOT, Smoke, started

CI = ROOT / "ci"
SCHEMAS = {
    "github-actions.yml": "vendor.github-workflows",
    "gitlab-ci.yml": "vendor.gitlab-ci",
    "woodpecker.yml": "vendor.woodpecker-ci",
}
FILES = sorted(SCHEMAS)
SHELLS = {
    # https://docs.github.com/actions/reference/workflow-syntax-for-github-actions: bash -e
    "github-actions.yml": ["bash", "-e"],
    # GitLab's runner: bash where there is one, or sh; it stops at the first failing line.
    "gitlab-ci.yml": ["bash", "-e"],
    # https://woodpecker-ci.org/docs/usage/workflow-syntax#commands: /bin/sh -e
    "woodpecker.yml": ["sh", "-e"],
}
PIP = '#!/bin/sh\ntest "$*" = "install ." && test -f pyproject.toml && echo pip >>pip.log\n'
DEPLOY = "#!/bin/sh\ntest -f results/smoke/before.xml && echo deployed >>deploy.log\n"


def loaded(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((CI / name).read_text(encoding="utf-8"))
    return found


def checked(file: Path, schema: str) -> subprocess.CompletedProcess[str]:
    """By the schema that the tool brings along: nothing is fetched."""
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def merged(data: dict[Any, Any], job: dict[str, Any]) -> dict[str, Any]:
    """https://docs.gitlab.com/ci/yaml/#extends: maps are merged deeply, anything else replaced."""

    def over(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        out = dict(base)
        for key, value in more.items():
            both = isinstance(value, dict) and isinstance(out.get(key), dict)
            out[key] = over(out[key], value) if both else value
        return out

    base = merged(data, data[job["extends"]]) if "extends" in job else {}
    return over(base, {key: value for key, value in job.items() if key != "extends"})


def as_read(name: str) -> str:
    """The file as its system reads it. GitLab's schema lets anything stand in a hidden job, so
    those are merged into the jobs that extend them."""
    text = (CI / name).read_text(encoding="utf-8")
    if name != "gitlab-ci.yml":
        return text
    data = loaded(name)
    jobs = {
        key: merged(data, one) if isinstance(one, dict) else one
        for key, one in data.items()
        if not key.startswith(".")
    }
    return yaml.safe_dump(jobs)


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_published_form(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(as_read(name))
    for file in (CI / name, tmp_path / name):
        done = checked(file, SCHEMAS[name])
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("github-actions.yml", "runs-on:", "run-on:"),
        ("gitlab-ci.yml", "when: always", "when: allways"),
        ("woodpecker.yml", "    commands:", "    comands:"),
    ],
)
def test_the_schemas_find_a_slip(name: str, old: str, new: str, tmp_path: Path) -> None:
    text = as_read(name)
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1))
    assert checked(tmp_path / name, SCHEMAS[name]).returncode == 1


def steps(name: str) -> list[tuple[dict[str, str], list[str]]]:
    """What each step runs, in order: its environment and its commands."""
    data = loaded(name)
    if name == "github-actions.yml":
        job = data["jobs"]["deploy"]
        return [(job["env"], [one["run"]]) for one in job["steps"] if "run" in one]
    if name == "woodpecker.yml":
        return [(one.get("environment", {}), one["commands"]) for one in data["steps"]]
    found = []
    for stage in data["stages"]:
        for job in data.values():
            if isinstance(job, dict) and job.get("stage") == stage:
                whole = merged(data, job)
                lines = [*whole.get("before_script", []), *whole["script"]]
                found.append((whole.get("variables", {}), lines))
    return found


class Workspace:
    """A clean folder with the suite, in which the steps of a file run."""

    def __init__(self, smoke: Smoke) -> None:
        self.folder = smoke.folder / "workspace"
        self.folder.mkdir()
        for name in ("checks", "ci"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, self.folder / name, ignore=ignored)
        for name in ("conftest.py", "pyproject.toml", "pytest.ini"):
            shutil.copy(ROOT / name, self.folder)
        (self.folder / "deployments").mkdir()
        shutil.copy(smoke.deployment, self.folder / "deployments" / "t3.toml")
        tools = smoke.folder / "tools"
        tools.mkdir()
        self._program(tools / "pip", PIP)
        self._program(self.folder / "deploy", DEPLOY)
        self._program(tools / "python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        gone = ("PYTHON", "T3PROBE_DEPLOYMENT", *QUICK)
        self.environ = {
            **{key: one for key, one in smoke.environ.items() if key not in gone},
            **QUICK,
            "PATH": f"{tools}:{os.environ['PATH']}",
        }

    def _program(self, file: Path, text: str) -> None:
        file.write_text(text)
        file.chmod(0o755)

    def run(self, shell: list[str], environ: dict[str, str], lines: list[str]) -> str:
        command = [*shell, "-c", "\n".join(lines)]
        process = started(command, self.folder, {**self.environ, **environ})
        output, _ = process.communicate(timeout=100)
        return f"{output}\nexit {process.returncode}"


@pytest.mark.parametrize("name", FILES)
def test_the_commands_of_a_file_run_as_written(name: str, smoke: Smoke) -> None:
    """And after a deploy that broke the way the last step fails."""
    work = Workspace(smoke)
    more = {}
    if name == "github-actions.yml":
        more = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(work.folder / "summary.md")}
    said = [work.run(SHELLS[name], {**env, **more}, lines) for env, lines in steps(name)]
    assert all(one.endswith("\nexit 0") for one in said), said
    assert (work.folder / "pip.log").exists()
    assert (work.folder / "deploy.log").read_text() == "deployed\n"
    assert "not run from outside: " in said[0] + said[1]
    assert "gate  open: tunnel, traefik, carve-out cleared" in said[-1]
    kept = {one.name for one in (work.folder / "results" / "smoke").iterdir()}
    for which in ("before", "after"):
        assert {f"{which}.{end}" for end in ("xml", "html", "json", "md")} <= kept
    if more:
        text = (work.folder / "summary.md").read_text(encoding="utf-8")
        assert "**no regression in tunnel, traefik, carve-out**" in text
    smoke.lab.switch(["tunnel:refuse"])
    env, lines = steps(name)[-1]
    broken = work.run(SHELLS[name], env, lines)
    assert broken.endswith("\nexit 1"), broken
    # From outside nobody can tell which of the three, and they are all the deploy's.
    said = " ".join(broken.split())
    assert "traefik, carve-out cannot be cleared any more" in said
    assert "closed: tunnel (or what the CDN does with this path), traefik" in said


def test_what_is_left_behind_is_kept() -> None:
    """Also, and above all, when the gate is closed."""
    kept = loaded("github-actions.yml")["jobs"]["deploy"]["steps"][-1]
    assert kept["uses"].startswith("actions/upload-artifact@")
    assert (kept["if"], kept["with"]["path"]) == ("always()", "results/smoke/")
    data = loaded("gitlab-ci.yml")
    for which in ("before", "after"):
        artifacts = merged(data, data[f"probe-{which}"])["artifacts"]
        assert artifacts["when"] == "always"
        assert artifacts["paths"] == ["results/smoke/"]
        assert artifacts["reports"] == {"junit": f"results/smoke/{which}.xml"}
    assert "probe-before" in data["probe-after"]["needs"], "or before.xml would not be there"


@pytest.mark.parametrize("name", FILES)
def test_both_runs_ask_for_the_same_gate_around_the_deploy(name: str) -> None:
    """A slip in the gate's name is found before the deploy, not after it."""
    lines = [line for _, some in steps(name) for line in some if "pip" not in line]
    before, deploy, after = lines
    assert deploy == "./deploy"
    assert before.replace("before", "after") == after
    assert after.startswith("ci/smoke after --gate ")


@pytest.mark.parametrize("name", FILES)
def test_only_the_main_branch_deploys(name: str) -> None:
    data = loaded(name)
    if name == "github-actions.yml":
        assert data[True] == {"push": {"branches": ["main"]}}, "YAML 1.1 reads `on` as true"
        assert data["concurrency"] == {"group": "deploy"}
        assert data["jobs"]["deploy"]["permissions"] == {"contents": "read"}
    elif name == "woodpecker.yml":
        assert data["when"] == [{"event": "push", "branch": "main"}]
    else:
        for job in ("probe-before", "deploy", "probe-after"):
            rules = [{"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}]
            assert merged(data, data[job])["rules"] == rules


def test_the_script_is_for_any_shell() -> None:
    text = (CI / "smoke").read_text()
    assert text.startswith("#!/bin/sh\n")
    assert os.access(CI / "smoke", os.X_OK)
    for shell in (["sh", "-n"], ["bash", "--posix", "-n"]):
        assert subprocess.run([*shell, str(CI / "smoke")], check=False).returncode == 0
