"""Runs for the tests of the report: real ones of the lab, and made-up large and hostile ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from t3probe.observation import (
    AddressTry,
    Attempt,
    Beat,
    Drop,
    EnvoyView,
    Observation,
    RunRecord,
    TcpSample,
)
from t3probe.record.facts import Recording
from t3probe.record.reading import read_recording
from t3probe.show.page.history import History
from t3probe.show.page.page import render_page

HERE = Path(__file__).resolve().parent
replace = msgspec.structs.replace


@cache
def lab(name: str) -> Recording:
    """A run of the lab: `clean`, `tunnel` (a black hole) or `two_incidents` (doh refused, and
    dispatch cut a second later)."""
    return read_recording(HERE / "runs" / f"{name}.log")


def page_of(*recordings: Recording) -> bytes:
    return render_page(History.of(recordings))


def history(runs: int = 40) -> list[Recording]:
    """Mostly clean runs, one a minute, with an hour in which nobody looked."""
    out = []
    for at in range(runs):
        name = {7: "tunnel", 8: "tunnel", 20: "two_incidents"}.get(at, "clean")
        one = lab(name)
        start = 1_700_000_000.0 + 60 * at + (3600 if at > 30 else 0)
        out.append(Recording(replace(one.run, started_at=start), one.observations))
    return out


def upstreams(count: int, bad_every: int = 997) -> Recording:
    """The lab's clean run with that many upstreams, a few of which refuse."""
    clean = lab("clean")
    legs = [one for one in clean.observations if not one.leg.startswith("envoy-")]
    legs += [_upstream(at, at % bad_every == 5) for at in range(count)]
    own = tuple(f"upstream-svc-{at}" for at in range(count))
    run = replace(clean.run, segments=(*clean.run.segments, "rack"), own_segments=own)
    return Recording(run, tuple(legs))


def _upstream(at: int, bad: bool) -> Observation:
    drop = Drop(
        began=0.0, noticed=0.01, reason="connect_refused", symptom="down", stage="connect", call=1,
        attempt=Attempt(started=0.01, ended=0.02, ok=False, reason="connect_refused",
                        stage="connect"),
    )  # fmt: skip
    good = tuple(
        Beat(sent=2.0 * n, ended=2.0 * n + 0.0003 * (1 + at % 7), ok=True, conn=n) for n in range(3)
    )
    return Observation(
        leg=f"envoy-svc-{at}",
        kind="tcp",
        path=("rack", f"upstream-svc-{at}"),
        outcome="failed" if bad else "passed",
        reason="connect_refused" if bad else None,
        detail="connection refused" if bad else "",
        level="connect",
        ended=6.0,
        observed_seconds=6.0,
        connected=not bad,
        beats=() if bad else good,
        drops=(drop,) if bad else (),
        address=f"10.{at // 2500}.{at // 250 % 250}.{at % 250}:8443",
        labels={
            "route": f"r-{at % 40}",
            "listen_port": f"{9000 + at % 40}",
            "backend": f"svc-{at}",
        },
    )


PAYLOADS = (
    "<script>window.hit=1;alert(1)</script>",
    '"><img src=x onerror="window.hit=2">',
    "' onmouseover='window.hit=3' autofocus onfocus='window.hit=3",
    "javascript:window.hit=4",
    "</style><script>window.hit=5</script><style>",
    "</script><script>window.hit=6</script>",
    "</title></head><body onload=window.hit=7>",
    "<svg onload=window.hit=8><a href='javascript:window.hit=8'>x</a></svg>",
    "<!--<script>window.hit=9</script>-->]]><!-- ",
    "\u2028window.hit=10\u2029</script>{{constructor.constructor('window.hit=10')()}}",
    "<iframe srcdoc='<script>parent.hit=11</script>'></iframe><meta http-equiv=refresh "
    "content='0;url=data:text/html,x'><base href=//evil.test/><link rel=stylesheet href=//e.test/>",
    "<form action=//evil.test/><input formaction=javascript:1 type=image src=//evil.test/p.png>",
    "\u202eevil\u202c \x00\x1b[31m &lt;b&gt; &#60;script&#62; \ud800",
)
"""What a hostile peer would like to see in the page. `window.hit` tells which one ran."""


class _Names:
    """The next payload, each with a number so that names differ."""

    def __init__(self) -> None:
        self._at = 0

    def next(self) -> str:
        self._at += 1
        return f"{PAYLOADS[self._at % len(PAYLOADS)]}{self._at}"


def hostile(value: Any, kind: type[Any], names: _Names | None = None) -> Any:
    """The same record with a payload in every field that can hold any text, names included."""
    names = names or _Names()
    data = msgspec.to_builtins(value)
    return msgspec.convert(_poison(data, msgspec.inspect.type_info(kind), names), kind)


def _poison(data: Any, info: Any, names: _Names) -> Any:
    inspect = msgspec.inspect
    if isinstance(info, inspect.UnionType):
        plain = [one for one in info.types if not isinstance(one, inspect.NoneType)]
        return data if data is None else _poison(data, plain[0], names)
    if isinstance(info, inspect.StrType):
        return names.next()
    if isinstance(info, inspect.VarTupleType):
        return [_poison(one, info.item_type, names) for one in data]
    if isinstance(info, inspect.DictType):
        # The keys of labels stay: the report looks for them.
        return {key: _poison(one, info.value_type, names) for key, one in data.items()}
    if isinstance(info, inspect.StructType):
        fields = {one.encode_name: one for one in info.fields}
        return {
            name: _poison(data.get(name, ""), one.type, names)
            for name, one in fields.items()
            # Planned downtime would take a leg out of the verdict.
            if name in data or (isinstance(one.type, inspect.StrType) and name != "planned")
        }
    return data


def _rich() -> list[Observation]:
    """Observations with every fact that can be there."""
    sample = TcpSample(state=1, rtt_seconds=0.01, unacked=2, retransmits=3)
    drop = Drop(
        began=0.5, noticed=2.0, reason="rtt_timeout", symptom="down", stage="hold", call=1,
        strand="held", asked=1.0,
        detail="x", attempt=Attempt(started=2.0, ended=2.1, ok=False, detail="x"), recovered=3.0,
        local_address="x", remote_address="x", family="x", cf_ray="x", colo="x", evidence="x",
        tcp=sample, carried=("x",), accused="x", connection_age_seconds=1.0, conn=0,
    )  # fmt: skip
    base = Observation(
        leg="x", kind="x", path=("x", "x"), outcome="failed", reason="rtt_timeout", detail="x",
        level="hold", ended=5.0, beats=(Beat(sent=0.1, ended=0.2, ok=True, conn=0, nonce="x"),),
        drops=(drop,), addresses=(AddressTry(address="x", ok=False, detail="x"),), address="x",
        cert_not_after=1.0e9, cf_ray="x", colo="x", evidence=("x", "x"), phases={"tls": 0.1},
    )  # fmt: skip
    view = EnvoyView(route="x", listen_port="x", detail="x", disagreements=("probe_only",))
    labels = {"route": "x", "listen_port": "x", "backend": "x"}
    wall = {"path": "x", "expected": "x"}
    return [
        base,
        replace(base, planned="x"),
        replace(base, outcome="inconclusive", drops=()),
        replace(base, kind="walloff", labels=wall, drops=()),
        replace(base, labels=labels, views=(view,)),
        replace(base, labels=labels, outcome="passed", drops=(), views=(view,)),
    ]


def hostile_recording() -> Recording:
    """A run in which every text is a payload."""
    names = _Names()
    run = RunRecord(
        segments=("x",) * 3, own_segments=("x",), paths=(("x", "x"),), not_run=("x",),
        warnings=("x",), started_at=1_700_000_000.0, duration_seconds=6.0, hold_seconds=5.0,
    )  # fmt: skip
    walls = []
    for at, one in enumerate(_rich()):
        made = hostile(one, Observation, names)
        # A wall is known by its kind and an upstream by how its name begins: neither is a peer's
        # to choose.
        if at == 3:
            made = replace(made, kind="walled")
        elif made.labels.keys() == {"route", "listen_port", "backend"}:
            made = replace(made, leg=f"envoy-{made.leg}")
        walls.append(made)
    return Recording(hostile(run, RunRecord, names), tuple(walls))
