"""Three network namespaces of the test's own: a client, a server, and a hop between them.

They are joined by veth pairs and by nothing else, and their addresses are of 127.0.0.0/8, so that
nothing in them could reach past this machine. They vanish with the processes that hold them.
What the hop drops a packet filter drops: nftables, or iptables where there is no `nft`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENT, SERVER = "127.77.1.1", "127.77.2.1"
_HOP_NEAR, _HOP_FAR = "127.77.1.2", "127.77.2.2"
PORT = 8080
ENVIRON = {
    **{key: value for key, value in os.environ.items() if not key.startswith(("T3PROBE", "COV_"))},
    "T3PROBE_LOOPBACK_ONLY": "1",
    "PYTHONPATH": str(ROOT),
    "PYTHONUNBUFFERED": "1",
}
SETUP = "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; echo 1 >/proc/sys/net/ipv4/ip_forward"


class CannotBuildError(Exception):
    """The namespaces cannot be made here."""


def unavailable(why: str) -> NoReturn:
    """Skip with a sentence; in CI that is a failure."""
    words = f"no network namespaces here: {why}; run as root with iproute2 and nftables"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise CannotBuildError(f"{' '.join(words)!r} says {done.stderr.strip()[:200]!r}")


class Ground:
    """The namespaces and what the hop does with the packets."""

    def __init__(self) -> None:
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        self._filter: list[str] = []

    def build(self) -> None:
        """Raises CannotBuildError."""
        for program in ("ip", "unshare", "nsenter"):
            if shutil.which(program) is None:
                raise CannotBuildError(f"{program} is not installed")
        for name in ("client", "hop", "server"):
            # It says so once it is in its namespace, and ends when we do.
            words = ["unshare", "--net", "sh", "-c", "echo in; exec cat"]
            holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._holders[name] = holder
            assert holder.stdout is not None
            if holder.stdout.readline() != b"in\n":
                raise CannotBuildError("unshare --net is not allowed")
        for name, near, far in (("c", "client", "hop"), ("s", "server", "hop")):
            here, there = self._pid(near), self._pid(far)
            pair = ["ip", "link", "add", name, "netns", here, "type", "veth"]
            _run(*pair, "peer", "name", f"h{name}", "netns", there)
        for name in self._holders:
            self.sh(name, SETUP)
        # Without `global` iproute2 gives addresses of 127/8 a scope that does not leave the host.
        for name, device, address in (
            ("client", "c", CLIENT),
            ("hop", "hc", _HOP_NEAR),
            ("hop", "hs", _HOP_FAR),
            ("server", "s", SERVER),
        ):
            self.sh(name, f"ip addr add {address}/24 dev {device} scope global")
            self.sh(name, f"ip link set {device} up")
        self.sh("client", f"ip route add {SERVER} via {_HOP_NEAR}")
        self.sh("server", f"ip route add {CLIENT} via {_HOP_FAR}")
        self._filter = self._usable_filter()

    def _usable_filter(self) -> list[str]:
        """The commands that drop what goes to ADDRESS, and that let it through again."""
        base = "add chain ip t3 f { type filter hook forward priority 0; }"
        ways = [
            (
                ["nft add table ip t3", f"nft '{base}'"],
                ["nft add rule ip t3 f ip daddr ADDRESS drop", "nft flush chain ip t3 f"],
            ),
            ([], ["iptables -A FORWARD -d ADDRESS -j DROP", "iptables -F FORWARD"]),
            ([], ["iptables-legacy -A FORWARD -d ADDRESS -j DROP", "iptables-legacy -F FORWARD"]),
        ]
        problem = ""
        for first, (drop, clear) in ways:
            try:
                for words in (*first, drop.replace("ADDRESS", "127.77.3.3"), clear):
                    self.sh("hop", words)
            except CannotBuildError as error:
                problem = str(error)
            else:
                return [drop, clear]
        raise CannotBuildError(f"no packet filter works ({problem})")

    def _pid(self, name: str) -> str:
        return str(self._holders[name].pid)

    def inside(self, name: str, *words: str) -> list[str]:
        """The command that runs `words` in a namespace."""
        return ["nsenter", "--target", self._pid(name), "--net", *words]

    def sh(self, name: str, line: str) -> None:
        _run(*self.inside(name, "sh", "-ec", line))

    def drop(self, *addresses: str) -> None:
        """From now on the hop drops what goes to these."""
        for address in addresses:
            self.sh("hop", self._filter[0].replace("ADDRESS", address))

    def restore(self) -> None:
        """The hop lets everything through."""
        self.sh("hop", self._filter[1])

    def take_over(self) -> None:
        """The hop answers in the server's place. It knows none of its connections: RST."""
        self.sh("hop", f"ip route add local {SERVER} dev hc table local")

    def close(self) -> None:
        for holder in self._holders.values():
            holder.kill()
            holder.wait()
            for stream in (holder.stdin, holder.stdout):
                if stream is not None:
                    stream.close()

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        """`t3probe echo` in the server's namespace."""
        words = [sys.executable, "-m", "t3probe.echo", "--listen", f"{SERVER}:{PORT}"]
        process = subprocess.Popen(
            self.inside("server", *words),
            env=ENVIRON,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


class Client:
    """A run of one leg in the client's namespace, told when to begin and to end."""

    def __init__(self, ground: Ground, *arguments: str) -> None:
        script = str(Path(__file__).with_name("netns_client.py"))
        self.process = subprocess.Popen(
            ground.inside("client", sys.executable, script, f"{SERVER}:{PORT}", *arguments),
            env=ENVIRON,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next thing that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
