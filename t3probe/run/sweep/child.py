"""The process that sweeps upstreams: TCP connects over bare epoll, and nothing else.

It is a process of its own because ten thousand connects in the event loop of the other legs would
show in their round trips. So it is light: no asyncio, nothing but the standard library's small
modules. It reads one request from standard input, and writes frames (`sweep_wire`) to standard
output. Closing its input, or SIGTERM, ends it at once; what it saw until then is written.

The order of things: every upstream is dialled once, at each of its addresses. What failed is
dialled once more when the first connects of all have been sent. Beside that second look, and after
the failure was noticed, a few others that share a segment with many are dialled again (controls):
whether a shared segment works is told by what was tried at the same moment.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import socket
import sys
from collections import deque
from contextlib import suppress

from t3probe import guard
from t3probe.run.sweep import wire as wire
from t3probe.run.sweep.names import NameAnswers, is_literal
from t3probe.timing import Clock, SystemClock

NICE = 10
TICK_SECONDS = 0.1
ALIVE_SECONDS = 0.5
BATCH = 16
"""So many connects are begun in a row at most. Near upstreams answer at once, and without a pause
this process would never wait: a scheduler lets even a nice one finish its slice of milliseconds
while a leg of the run is to read its echo."""
PAUSE_SECONDS = 0.001
MOST_AT_ONCE = 1024
"""The largest number that a deployment file may state."""
MOST_PARKED = 4096
"""So many unanswered connects wait beside the others at most ..."""
SPARE_DESCRIPTORS = 32
"""... and fewer where descriptors are few: these are left for everything else."""
FLUSH_BYTES = 1 << 14
RTT_AT, INFO_BYTES = 68, 72
"""Where `tcpi_rtt` stands in `struct tcp_info` of linux/tcp.h, in microseconds."""
CONNECTED = (1, 8)
"""Its first byte, the state: established, and closed by the other end already."""
Socket = socket.SocketType
"""The bare one, without what `socket.socket` does in Python."""
_PENDING = {0, errno.EINPROGRESS, errno.EAGAIN}


class _Connect:
    """A connect that is not over."""

    __slots__ = ("attempt", "leg", "parked", "sent", "sock", "target")

    def __init__(self, sock: Socket, leg: int, target: int, attempt: int, sent: int) -> None:
        self.sock: Socket | None = sock
        self.leg, self.target, self.attempt, self.sent = leg, target, attempt, sent
        self.parked = False


class Sweeper:
    """One sweep."""

    def __init__(
        self, settings: wire.Settings, lines: list[str], out: int, stop: int, clock: Clock
    ) -> None:
        """`out` is where frames go, `stop` a descriptor that becomes readable to end it."""
        self._settings, self._clock = settings, clock
        self._patience, self._limit = int(settings.patience * 1e6), int(settings.limit * 1e6)
        self._at_once, self._most_parked = room(settings.at_once)
        self._out, self._stop = out, stop
        self._flags: list[int] = []
        self._targets: list[list[tuple[str, int]]] = []
        for line in lines:
            flags, *words = line.split(" ")
            self._flags.append(int(flags))
            ports = map(int, words[1::2])
            self._targets.append(list(zip(words[::2], ports, strict=True)))
        self._first = deque[int]()
        self._again = deque[tuple[int, int]]()
        """Upstreams to look at a second time, and when their failure was noticed."""
        self._controls: list[int] = []
        self._rounds = 0
        self._round_at = -1
        self._next = deque[tuple[int, int, int]]()
        """Upstream, address and attempt: what is left of an upstream with several addresses."""
        self._left: dict[int, list[int]] = {}
        """Of such an upstream: connects that are not over, and bad ones."""
        self._open: dict[int, _Connect] = {}
        self._waiting = deque[_Connect]()
        """In the order they were sent: those that may have to be parked ..."""
        self._limits = deque[_Connect]()
        """... and those whose time may be over."""
        self._in_place = 0
        self._parked = 0
        self._epoll = select.epoll()
        self._buffer = bytearray()
        self._records = bytearray()
        self._told = self._moment()
        self._sent_all = False
        self.stopped = False

    def _moment(self) -> int:
        return max(0, int((self._clock.monotonic() - self._settings.base) * 1e6))

    # -- the whole -----------------------------------------------------------------------

    def run(self) -> None:
        """Sweep all upstreams, or until it is told to stop. Raises LoopbackOnlyError."""
        named = []
        for number, targets in enumerate(self._targets):
            if all(is_literal(host) for host, _ in targets):
                self._first.append(number)
            else:
                named.append(number)
        names = NameAnswers(self._targets, named, self._settings.resolve_limit, self._clock)
        self._epoll.register(self._stop, select.EPOLLIN | select.EPOLLHUP)
        if names.wake is not None:
            self._epoll.register(names.wake, select.EPOLLIN)
        last = self._moment()
        while not self.stopped:
            if names.left:
                self._take_names(names)
            more = self._dial_more(bool(names.left))
            if not (more or self._open or names.left):
                break
            self._wait(PAUSE_SECONDS if more else TICK_SECONDS)
            now = self._moment()
            if now - last >= (TICK_SECONDS + self._settings.stall) * 1e6:
                pair = wire.MOMENT.pack(last) + wire.MOMENT.pack(now)
                self._tell(wire.STALL, pair)
            last = now
            self._expire(now)
            self._say(now)
        if not self.stopped:
            self._tell(wire.END)
        self._flush()

    def _take_names(self, names: NameAnswers) -> None:
        """Upstreams whose addresses are known now are dialled like all others."""
        for number, took, found in names.answered():
            head = wire.NAMED.pack(number, took)
            if isinstance(found, str):
                self._tell(wire.UNKNOWN_NAME, head + found.encode())
                continue
            self._targets[number] = found
            words = " ".join(f"{host} {port}" for host, port in found)
            self._tell(wire.ADDRESSES, head + words.encode())
            self._first.append(number)

    def _dial_more(self, names_left: bool) -> bool:
        """Fill the places that are free; whether there would be more to dial at once."""
        for _ in range(BATCH):
            if self._in_place >= self._at_once:
                return False
            if self._next:
                self._dial(*self._next.popleft())
            elif self._first:
                self._begin(self._first.popleft(), 0)
            elif self._sent_all and self._again:
                if not self._control(self._again[0][1]):
                    self._begin(self._again.popleft()[0], 1)
            elif not self._sent_all and not names_left:
                self._sent_all = True
            else:
                return False
        return True

    def _control(self, noticed: int) -> bool:
        """Begin a round of controls, if none was begun since this failure was noticed."""
        if self._round_at > noticed or self._rounds == wire.MOST_ROUNDS or not self._controls:
            return False
        self._rounds += 1
        self._round_at = max(self._moment(), noticed + 1)
        self._next.extend((leg, 0, self._rounds) for leg in self._controls)
        return True

    def _wait(self, most: float) -> None:
        for descriptor, _ in self._epoll.poll(most):
            connect = self._open.get(descriptor)
            if connect is not None:
                self._answered(connect)
            elif descriptor == self._stop:
                self.stopped = True

    # -- one connect -----------------------------------------------------------------------

    def _begin(self, leg: int, attempt: int) -> None:
        number = len(self._targets[leg])
        if number > 1:
            self._left[leg] = [number, 0]
            self._next.extend((leg, target, attempt) for target in range(1, number))
        self._dial(leg, 0, attempt)

    def _dial(self, leg: int, target: int, attempt: int) -> None:
        host, port = self._targets[leg][target]
        sent = self._moment()
        sock, rtt = None, 0
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = Socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            problem = sock.connect_ex((host, port))
            if problem in _PENDING:
                # A near one may have answered before the call came back.
                raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
                if raw[0] not in CONNECTED:
                    self._keep(_Connect(sock, leg, target, attempt, sent))
                    return
                problem, rtt = 0, int.from_bytes(raw[RTT_AT:], sys.byteorder)
        except OSError as error:
            problem = error.errno or errno.EIO
        if sock is not None:
            if problem and not attempt:
                self._tell_near_end(sock, leg, target)
            sock.close()
        self._note(leg, target, attempt, problem, rtt, sent)

    def _keep(self, connect: _Connect) -> None:
        assert connect.sock is not None
        descriptor = connect.sock.fileno()
        self._open[descriptor] = connect
        self._in_place += 1
        self._waiting.append(connect)
        self._limits.append(connect)
        self._epoll.register(descriptor, select.EPOLLOUT)

    def _answered(self, connect: _Connect) -> None:
        sock = connect.sock
        assert sock is not None
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
        if raw[0] in CONNECTED:
            self._over(connect, 0, int.from_bytes(raw[RTT_AT:], sys.byteorder))
            return
        problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # Closed politely and then reset, all before we looked, is what a broken pipe is here.
        self._over(connect, errno.ECONNRESET if problem == errno.EPIPE else problem, 0)

    def _over(self, connect: _Connect, problem: int, rtt: int) -> None:
        sock, connect.sock = connect.sock, None
        assert sock is not None
        del self._open[sock.fileno()]
        if problem and not connect.attempt:
            self._tell_near_end(sock, connect.leg, connect.target)
        sock.close()
        if connect.parked:
            self._parked -= 1
        else:
            self._in_place -= 1
        self._note(connect.leg, connect.target, connect.attempt, problem, rtt, connect.sent)

    def _tell_near_end(self, sock: Socket, leg: int, target: int) -> None:
        """What a firewall's log knows a failed connect by."""
        with suppress(OSError):
            host, port = sock.getsockname()[:2]
            text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            if port:
                self._tell(wire.NEAR_END, wire.NEAR.pack(leg, target) + text.encode())

    def _note(self, leg: int, target: int, attempt: int, problem: int, rtt: int, sent: int) -> None:
        """Keep a connect that is over, and see to it that what failed is dialled once more."""
        ended = self._moment()
        self._records += wire.TRIED.pack(leg, target, attempt, problem, rtt, sent, ended)
        bad = bool(problem) and not self._good_all_the_same(leg, problem)
        left = self._left.get(leg)
        if left is not None:
            left[0] -= 1
            left[1] += bad
            if left[0]:
                return
            del self._left[leg]
            bad = left[1] == len(self._targets[leg])
        if bad and not attempt:
            self._again.append((leg, ended))
        elif not attempt and self._flags[leg] & wire.CONTROL:
            self._controls.append(leg)

    def _good_all_the_same(self, leg: int, problem: int) -> bool:
        """As in `t3probe.probes.tcp`: a reset comes after the handshake."""
        if problem == errno.ECONNRESET:
            return True
        return problem == errno.ECONNREFUSED and bool(self._flags[leg] & wire.REFUSED_OK)

    # -- time ------------------------------------------------------------------------------

    def _expire(self, now: int) -> None:
        patience = now - self._patience
        while self._waiting and (
            self._waiting[0].sock is None or self._waiting[0].sent <= patience
        ):
            connect = self._waiting.popleft()
            if connect.sock is not None and self._parked < self._most_parked:
                connect.parked = True
                self._parked += 1
                self._in_place -= 1
        limit = now - self._limit
        while self._limits and (self._limits[0].sock is None or self._limits[0].sent <= limit):
            connect = self._limits.popleft()
            if connect.sock is not None:
                self._over(connect, wire.NO_ANSWER, 0)

    def _say(self, now: int) -> None:
        if now - self._told >= ALIVE_SECONDS * 1e6:
            self._tell(wire.TICK)
            self._flush()
            self._told = now
        elif len(self._records) + len(self._buffer) >= FLUSH_BYTES:
            self._flush()

    def _tell(self, kind: bytes, payload: bytes = b"") -> None:
        if self._records:
            self._buffer += wire.frame(wire.TRIES, bytes(self._records))
            self._records.clear()
        self._buffer += wire.frame(kind, payload)

    def _flush(self) -> None:
        if self._records:
            self._buffer += wire.frame(wire.TRIES, bytes(self._records))
            self._records.clear()
        data = memoryview(bytes(self._buffer))
        self._buffer.clear()
        while data:
            data = data[os.write(self._out, data) :]


def read_request(source: int) -> tuple[wire.Settings, list[str]] | None:
    """The request; None when the input ended before it was whole."""
    data = bytearray()
    while not data.endswith(b"\n\n"):
        piece = os.read(source, 1 << 16)
        if not piece:
            return None
        data += piece
    head, *lines = data.decode("utf-8").split("\n")[:-2]
    base, at_once, *rest = head.split(" ")
    return wire.Settings(float(base), int(at_once), *map(float, rest)), lines


def main(source: int = 0, out: int = 1) -> None:
    """Sweep as asked on `source`, answer on `out`. Both are descriptors."""
    guard.install_from_environment()
    # Ctrl-C reaches the whole group; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The legs of the run are measured meanwhile, and the kernel's times do not wait for us.
    os.nice(NICE)
    _more_descriptors()
    asked = read_request(source)
    if asked is None:
        return
    sweeper = Sweeper(*asked, out, source, SystemClock())

    def stop(number: int, frame: object) -> None:
        sweeper.stopped = True

    signal.signal(signal.SIGTERM, stop)
    try:
        sweeper.run()
    except guard.LoopbackOnlyError as error:
        os.write(out, wire.frame(wire.LEFT_LOOPBACK, error.target.encode()))
    except BrokenPipeError:
        return  # no listener is left


def _more_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_PARKED + MOST_AT_ONCE + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def room(at_once: int) -> tuple[int, int]:
    """How many connects may be open at once, and how many parked beside them."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return at_once, MOST_PARKED
    free = max(1, soft - SPARE_DESCRIPTORS)
    at_once = min(at_once, free)
    return at_once, min(MOST_PARKED, free - at_once)
