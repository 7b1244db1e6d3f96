"""`t3probe init` against the lab: what it tries, says and writes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from first_help import ENVIRON, ROOT, inside_flags, lab_file, public_flags, t3probe

from t3probe.config import load
from t3probe.lab.process import LabProcess


def test_a_whole_deployment_is_found_and_the_file_runs(lab: LabProcess, tmp_path: Path) -> None:
    words = [*public_flags(lab), *inside_flags(lab), "--upstream", "127.0.0.1:1"]
    done = t3probe("init", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ok       cloudflare: answers 101 and echoes" in done.stderr
    assert "ok       walled-home: asks for a session" in done.stderr
    assert "warning  envoy-127-0-0-1-1: refuses the connection" in done.stderr
    assert "check the address and the port" in done.stderr
    assert "these legs cannot tell which" not in done.stderr
    file = tmp_path / "deployment.toml"
    text = file.read_text()
    assert "# when this was written: answers 101 and echoes\n[[leg]]\n" in text
    assert "# when this was written: refuses the connection: TCP connect to" in text
    found = load(file, {}, now=0.0)
    assert found.segments == tuple(lab_file(lab)["segments"])
    assert not found.warnings
    # The suite itself agrees; only the upstream, which nobody listens for, fails.
    run = subprocess.run(
        [sys.executable, "-m", "pytest", f"--deployment={file}", "--hold", "0",
         f"--results={tmp_path}/results", "-k", "not envoy"],
        cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout


def a_run(file: Path, results: Path) -> tuple[int, dict[str, Any]]:
    """A run of the suite with this file: pytest's code, and the verdict."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", f"--deployment={file}", "--hold", "1s",
         f"--results={results}"],
        cwd=ROOT, env={**ENVIRON, "T3PROBE__TIMING__HEARTBEAT": "300ms"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "VERDICT" in run.stdout, run.stdout + run.stderr
    found: dict[str, Any] = json.loads((results / "verdict.json").read_text())
    return run.returncode, found


def test_the_file_runs_clean_and_convicts_what_is_broken(lab: LabProcess, tmp_path: Path) -> None:
    done = t3probe("init", *public_flags(lab), *inside_flags(lab), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "deployment.toml"
    code, found = a_run(file, tmp_path / "clean")
    assert (code, found["status"], found["convicted"]) == (0, "clean", [])
    lab.switch(["dispatch:refuse"])
    code, found = a_run(file, tmp_path / "broken")
    assert (code, found["status"], found["convicted"]) == (1, "localised", ["dispatch"])


def test_one_resolver_works_and_it_is_said_what_it_costs(lab: LabProcess, tmp_path: Path) -> None:
    flags = public_flags(lab)
    cut = len(flags) - 1 - flags[::-1].index("--doh")
    assert flags.count("--doh") == 2
    done = t3probe("init", *flags[:cut], *flags[cut + 2 :], *inside_flags(lab), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    said = "one provider: `doh` cannot be told from it, nor `wan` from both; a second one tells"
    assert f"{said}: add --doh URL" in done.stderr
    file = tmp_path / "deployment.toml"
    assert f"# {said}" in file.read_text()
    code, found = a_run(file, tmp_path / "clean")
    assert (code, found["status"]) == (0, "clean")
    lab.switch(["doh:blackhole:1"])
    code, found = a_run(file, tmp_path / "broken")
    assert code == 1
    assert "wan" not in found["convicted"], "the only resolver is not the way out"


def test_an_envoy_is_a_source(tmp_path: Path) -> None:
    words = ("--host", "x.org", "--no-probe", "--envoy-admin", "http://127.0.0.1:9901")
    done = t3probe("init", *words, "--envoy-admin", "http://127.0.0.1:9902", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = load(tmp_path / "deployment.toml", {}, now=0.0).upstream_source
    assert [(one.name, one.kind, one.url) for one in found] == [
        ("envoy", "envoy", "http://127.0.0.1:9901"),
        ("envoy-2", "envoy", "http://127.0.0.1:9902"),
    ]


def test_an_envoy_that_does_not_answer_is_a_warning(lab: LabProcess, tmp_path: Path) -> None:
    words = (*public_flags(lab), "--envoy-admin", "http://127.0.0.1:9")
    done = t3probe("init", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning  source-envoy: " in done.stderr
    assert "# when this was written: " in (tmp_path / "deployment.toml").read_text()


def test_a_broken_leg_is_a_warning_and_the_file_is_written(lab: LabProcess, tmp_path: Path) -> None:
    lab.switch(["dispatch:refuse"])
    done = t3probe("init", *public_flags(lab), *inside_flags(lab), folder=tmp_path)
    assert done.returncode == 0
    assert "warning  cloudflare: answers, but not by WebSocket: HTTP 502" in done.stderr
    assert "warning  dispatch: refuses the connection" in done.stderr
    load(tmp_path / "deployment.toml", {}, now=0.0)


def test_without_the_inside_it_says_what_cannot_be_told_apart(
    lab: LabProcess, tmp_path: Path
) -> None:
    done = t3probe("init", *public_flags(lab), "-o", "-", "--walled", "/", folder=tmp_path)
    assert done.returncode == 0
    tunnel = "tunnel (or what the CDN does with this path)"
    assert f"if one of {tunnel}, traefik breaks, these legs cannot tell which" in done.stderr
    assert "more legs would tell more: --internal, --dispatch, --machine, --serve" in done.stderr
    assert 'name = "internal"' not in done.stdout
    assert not list(tmp_path.iterdir())


def test_without_a_cdn_the_public_leg_stays(lab: LabProcess, tmp_path: Path) -> None:
    # The edge's own page is what tells a CDN; here nobody answers for it in time.
    lab.switch(["cf-edge:refuse"])
    done = t3probe("init", *public_flags(lab), *inside_flags(lab), folder=tmp_path)
    assert done.returncode == 0
    assert "no CDN was recognised: its page refuses the connection" in done.stderr
    found = load(tmp_path / "deployment.toml", {}, now=0.0)
    assert "cf-edge" not in found.segments
    assert found.leg("public").path[0] == "wan"
    assert not found.leg("public").headers_present


def test_what_is_beyond_loopback_is_not_tried_under_the_guard(tmp_path: Path) -> None:
    done = t3probe("init", "--host", "t3.example.org", "--internal", "10.0.0.5", folder=tmp_path)
    assert done.returncode == 0
    assert "nothing was tried: T3PROBE_LOOPBACK_ONLY=1" in done.stderr
    text = (tmp_path / "deployment.toml").read_text()
    assert "when this was written" not in text
    load(tmp_path / "deployment.toml", {}, now=0.0)


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("precious")
    words = ["init", "--host", "t3.example.org", "--no-probe", "-o", "mine.toml"]
    done = t3probe(*words, folder=tmp_path)
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        "t3probe: init: mine.toml: there is one already; name another with -o, or add --force"
    ]
    assert file.read_text() == "precious"
    assert t3probe(*words, "--force", folder=tmp_path).returncode == 0
    load(file, {}, now=0.0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "init: expected --host, found none and no terminal to ask on; name the public host"),
        (["--host", "1.2.3.4"], 'init: --host: expected a host name such as t3.example.org, found'),
        (["--host", "https://x.org/"], "leave out the scheme and the path"),
        (["--host", 'a"\nb'], "init: --host: expected"),
        (["--host", "x.org", "--ws-path", "none"], "expected --ws-path or --public, found neither"),
        (["--host", "x.org", "--internal", "lb"], "init: --internal: expected an IP address"),
        (["--host", "x.org", "--doh", "https://dns.org/x"], "a DoH provider with an IP address"),
        (["--host", "x.org", "--envoy-admin", "e:9901"], "init: --envoy-admin: expected a URL"),
        (["--host", "x.org", "--ca", "nowhere.pem"], "expected a readable PEM file"),
        (["--host", "x.org", "-o", "no/where.toml"], "no/where.toml: cannot be written"),
    ],
)  # fmt: skip
def test_wrong_answers_are_one_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    done = t3probe("init", *words, "--no-probe", folder=tmp_path)
    assert done.returncode == 4
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def _own_terminal() -> None:
    """Standard input becomes the terminal whose Ctrl-C this process gets: heard even where the
    tests run in the background of a script, which ignores it for them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A child that believes in a person: its standard input and error are a terminal."""

    def __init__(self, *words: str, folder: Path) -> None:
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "t3probe.cli", *words],
            cwd=folder, env=ENVIRON, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, preexec_fn=_own_terminal,
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    def until(self, text: str) -> None:
        while text not in self.seen:
            ready, _, _ = select.select([self.ours], [], [], 30)
            assert ready, f"waiting for {text!r}: {self.seen}"
            try:
                self.seen += os.read(self.ours, 4096).decode()
            except OSError:  # the terminal is gone with its last user
                assert text in self.seen, f"ended before {text!r}: {self.seen}"

    def answer(self, prompt: str, line: str) -> None:
        self.until(prompt)
        self.seen = ""
        os.write(self.ours, line.encode() + b"\n")

    def end(self) -> int:
        code = self.process.wait(30)
        os.close(self.ours)
        return code


def test_a_person_is_asked_with_defaults_and_once_more_after_a_mistake(tmp_path: Path) -> None:
    terminal = Terminal("init", "--serve", "http://127.0.0.1:1/", folder=tmp_path)
    terminal.answer("Public host: ", "https://t3.example.org/")
    terminal.until("leave out the scheme and the path")
    terminal.answer("Public host: ", "t3.example.org")
    terminal.answer("load balancer [none]: ", "10.0.0.5")
    terminal.answer("WebSocket echo [/probe/ws]: ", "")
    terminal.answer("single sign-on [none]: ", "login.example.org")
    terminal.answer("need no session [/probe]: ", "/probe, /feed")
    terminal.answer("need a session [/]: ", "")
    terminal.answer("takes WebSockets, directly [none]: ", "")
    terminal.answer("neither of the two [none]: ", "")
    terminal.answer("behind Envoy [none]: ", "")
    terminal.answer("one beat? [yes]: ", "no")
    terminal.until("wrote deployment.toml")
    assert terminal.end() == 0
    found = load(tmp_path / "deployment.toml", {}, now=0.0)
    assert found.sso.hosts == ("login.example.org",)
    names = [leg.name for leg in found.legs]
    assert {"internal", "t3serve", "walloff-probe", "walloff-feed", "walled-home"} <= set(names)


def test_a_person_may_say_none_and_leave_with_ctrl_c(tmp_path: Path) -> None:
    terminal = Terminal("init", folder=tmp_path)
    terminal.answer("Public host: ", "t3.example.org")
    terminal.answer("load balancer [none]: ", "lb")
    terminal.until("--internal: expected an IP address")
    terminal.answer("load balancer [none]: ", "none")
    terminal.answer("WebSocket echo [/probe/ws]: ", "")
    terminal.answer("single sign-on [none]: ", "login.example.org")
    terminal.answer("need no session [/probe]: ", "none")
    terminal.answer("need a session [/]: ", "none")
    terminal.until("takes WebSockets, directly [none]: ")
    os.write(terminal.ours, b"\x03")  # Ctrl-C
    terminal.until("stopped; nothing was written")
    assert terminal.end() == 2
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    terminal = Terminal("init", "-o", "no/where.toml", folder=tmp_path)
    terminal.until("no/where.toml: cannot be written: there is no folder no; name another with -o")
    assert terminal.end() == 4
    assert "Public host" not in terminal.seen


def test_force_replaces_what_a_link_names(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("old")
    (tmp_path / "link.toml").symlink_to("real.toml")
    words = ["init", "--host", "t3.example.org", "--no-probe", "-o", "link.toml", "--force"]
    assert t3probe(*words, folder=tmp_path).returncode == 0
    assert (tmp_path / "link.toml").is_symlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.toml", "real.toml"]
    load(tmp_path / "real.toml", {}, now=0.0)


def test_a_person_may_leave(tmp_path: Path) -> None:
    terminal = Terminal("init", folder=tmp_path)
    terminal.answer("Public host: ", "t3.example.org")
    terminal.until("load balancer [none]: ")
    os.write(terminal.ours, b"\x04")  # end of input
    terminal.until("stopped; nothing was written")
    assert terminal.end() == 2
    assert not list(tmp_path.iterdir())
