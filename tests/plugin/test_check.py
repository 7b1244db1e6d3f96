"""`t3probe check` from folders that know nothing of this repository."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from plugin_runner import ENVIRON, Result

from t3probe.commands.check import parser
from t3probe.lab.process import LabProcess
from t3probe.setup import public
from t3probe.setup.ask import DOH


def check(folder: Path, *words: str, env: dict[str, str] | None = None) -> Result:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "t3probe.cli", "check", *words],
        cwd=folder,
        env={**ENVIRON, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=100,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), folder / "results")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with all that a pytest might read, and that ends it."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "conftest.py").write_text("raise RuntimeError('conftest was read')")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--nor-this'\n")
    (folder / "test_own.py").write_text("def test_own(): raise AssertionError")
    return folder


def test_the_lab_is_looked_at_and_nothing_else_is_read_or_left(hostile: Path) -> None:
    before = set(hostile.iterdir())
    done = check(hostile, "--hold", "0")
    assert done.code == 0, done.output
    assert "t3probe: the built-in lab, hold 0 s" in done.output
    assert "VERDICT  clean: every segment is cleared" in done.output
    assert len(done.legs) == 14
    assert set(hostile.iterdir()) - before == {done.results}


def test_an_empty_word_is_no_request_for_the_lab(tmp_path: Path) -> None:
    """It comes of a variable that is not set, and the gate would be that of another path."""
    done = check(tmp_path, "", "--gate", "serve", "--hold", "0")
    assert done.code == 4, done.output
    assert "expected a deployment file or a URL, found an empty word" in done.output


def test_a_broken_segment_of_the_lab(tmp_path: Path) -> None:
    done = check(tmp_path, "--fault", "serve:exit", "--hold", "0")
    assert done.code == 1, done.output
    # Alone, or beside the machine, if that was too busy to clear itself in time.
    assert "serve" in {*done.verdict["convicted"], *done.verdict["ambiguous"]}


def test_a_file_and_the_rest_for_pytest(plugin_lab: LabProcess, hostile: Path) -> None:
    """The value of an option is no file, wherever it stands."""
    (hostile / "cloudflare").mkdir()
    words = ("-k", "cloudflare", "--hold", "0", plugin_lab.deployment_path, "-v")
    done = check(hostile, *words)
    assert done.code == 0, done.output
    assert set(done.legs) == {"cloudflare"}
    assert "PASSED" in done.output


def test_the_environment_names_the_file_too(plugin_lab: LabProcess, tmp_path: Path) -> None:
    env = {"T3PROBE_DEPLOYMENT": plugin_lab.deployment_path}
    done = check(tmp_path, "--collect-only", "-q", env=env)
    assert done.code == 0, done.output
    assert plugin_lab.deployment_path in done.output


def test_checks_of_ones_own_beside_a_file(plugin_lab: LabProcess, tmp_path: Path) -> None:
    own = tmp_path / "test_own.py"
    own.write_text(
        "import pytest\n@pytest.mark.segments('serve')\n"
        "def test_own(): pytest.fail('no', pytrace=False)\n"
    )
    done = check(tmp_path, plugin_lab.deployment_path, str(own), "--hold", "0")
    assert done.code == 1, done.output
    assert done.verdict["convicted"] == ["serve"]


def test_the_same_record_as_pytest_writes(plugin_lab: LabProcess, tmp_path: Path, checks) -> None:
    here = check(tmp_path, plugin_lab.deployment_path, "--hold", "0")
    there = checks("--hold", "0")
    assert (here.code, there.code) == (0, 0), here.output + there.output
    assert here.legs.keys() == there.legs.keys()
    assert here.recording.run.segments == there.recording.run.segments
    text = [(one.results / "junit.xml").read_text() for one in (here, there)]
    assert text[0].count('classname="checks.') == text[1].count('classname="checks.') == 14


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere.toml"], "nowhere.toml: expected a readable deployment file"),
        (["FILE", "--deployment", "FILE"], "expected one deployment, found"),
        (["FILE", "--fault", "tunnel:cut"], "--fault breaks the built-in lab only"),
        (["FILE", "--doh", "https://1.1.1.1/dns-query"], "--doh and --ca go with a URL"),
        (["FILE", "-n", "2"], "cannot be spread over processes (-n)"),
        (["http://app.example.org/"], "write https://, or wss:// for a WebSocket"),
        (["https://app.example.org/?a=b"], "leave out what follows the ?"),
        (["https://10.0.0.1/"], "an address has no public DNS"),
        (["https://app.example.org/"], "T3PROBE_LOOPBACK_ONLY=1 allows"),
        (["https://user:geheim1@app.example.org/"], "found"),
    ],
)
def test_mistakes_are_one_sentence(
    plugin_lab: LabProcess, tmp_path: Path, words: list[str], sentence: str
) -> None:
    if "-n" in words:
        pytest.importorskip("xdist")
    done = check(tmp_path, *(plugin_lab.deployment_path if w == "FILE" else w for w in words))
    assert done.code == 4, done.output
    assert sentence in done.output
    assert "Traceback" not in done.output
    assert "geheim1" not in done.output
    assert not done.results.exists()


def test_the_help_begins_with_an_example_and_knows_every_option() -> None:
    text = parser().format_help()
    assert text.startswith("example: t3probe check my.toml -k cloudflare")
    for option in ("--deployment", "--hold", "--gate", "--fault", "--doh", "--ca"):
        assert option in text


# -- a URL -----------------------------------------------------------------------------------


def test_the_help_of_pytest_can_be_asked_for(tmp_path: Path) -> None:
    done = check(tmp_path, env={"PYTEST_ADDOPTS": "--help"})
    assert done.code == 0, done.output
    assert "--deployment=FILE" in done.output


def of_lab(lab: LabProcess, path: str) -> list[str]:
    raw = tomllib.loads(Path(lab.deployment_path).read_text())
    legs = {leg["name"]: leg for leg in raw["leg"]}
    site = legs["edge"]["url"].removesuffix("/cdn-cgi/trace")
    doh = [word for url in legs["edge"]["doh"] for word in ("--doh", url)]
    return [site.replace("https:", "wss:") + path[3:] if path.startswith("ws:") else site + path,
            "--ca", raw["tls_ca"], *doh]  # fmt: skip


def test_a_url_has_the_public_legs_and_says_what_they_cannot_tell(
    plugin_lab: LabProcess, tmp_path: Path
) -> None:
    done = check(tmp_path, *of_lab(plugin_lab, "/probe/healthz"), "--hold", "0")
    assert done.code == 0, done.output
    assert set(done.legs) == {"egress", "resolver", "edge", "cloudflare", "page"}
    assert "if one of tunnel (or what the CDN does with this path), traefik breaks" in done.output
    assert "more legs would tell more: t3probe init --host t3.lab.test" in done.output
    assert "no CDN was recognised" not in done.output


def test_a_websocket_url(plugin_lab: LabProcess, tmp_path: Path) -> None:
    done = check(tmp_path, *of_lab(plugin_lab, "ws:/probe/ws"), "--hold", "0")
    assert done.code == 0, done.output
    assert set(done.legs) == {"egress", "resolver", "edge", "cloudflare"}
    assert done.legs["cloudflare"].kind == "ws_echo"


def test_what_is_not_there_is_left_out_and_said() -> None:
    """One look tells no missing echo from a broken one: it is not accused in every run."""
    found = public.public(
        public.asked("https://app.example.org/x", (), ""),
        lambda text: tomllib.loads(text),  # type: ignore[arg-type, return-value]
        lambda _: {
            "edge": public.Tried(False, "", "answers, but not as expected: HTTP 404"),
            "cloudflare": public.Tried(
                False, "HTTP 502", "answers, but not by WebSocket: HTTP 502"
            ),
            "page": public.Tried(False, "HTTP 401: Basic", "answers, but not as expected"),
        },
    )
    made = tomllib.loads(found.text)
    legs = {leg["name"]: leg for leg in made["leg"]}
    assert set(legs) == {"egress", "resolver", "public"}
    assert legs["public"]["expect_status"] == [401]
    assert legs["public"]["doh"] == list(DOH)
    assert made["segments"] == ["wan", "doh", "traefik", "serve"]
    assert found.notes == (
        "no CDN was recognised: its page answers, but not as expected: HTTP 404",
        "no WebSocket is echoed at /probe/ws: it answers, but not by WebSocket: HTTP 502",
        "/x asks for a login: HTTP 401 is expected from it",
    )
