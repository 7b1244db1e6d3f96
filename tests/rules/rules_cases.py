"""For every alert: stories in which it fires, and stories in which it must not."""

from __future__ import annotations

from rules_promtool import END, HOME, RUNS, Case, series, steady, step

DAY = 86400


def here(**labels: str) -> list[dict[str, str]]:
    """One alert of the usual job and vantage."""
    return [{**HOME, **labels}]


def connected(leg: str, values: str) -> dict[str, str]:
    return series("t3probe_connected", values, leg=leg)


def accepting(leg: str, values: str) -> dict[str, str]:
    return series("t3probe_accepting", values, leg=leg)


def drops(leg: str, reason: str, values: str) -> dict[str, str]:
    return series("t3probe_disconnects_total", values, leg=leg, reason=reason)


def state(segment: str, label: str, values: str) -> dict[str, str]:
    return series("t3probe_segment_state", values, segment=segment, state=label)


def walled(path: str, expected: str, values: str) -> dict[str, str]:
    return series("t3probe_walled_off", values, path=path, expected=expected)


def gate(check: str, values: str) -> dict[str, str]:
    return series("t3probe_ingest_gate", values, gate="metrics", check=check)


def rig(metric: str, values: str) -> dict[str, str]:
    return series(f"t3probe_{metric}", values, experiment="spin07")


def backend(values: str, **labels: str) -> dict[str, str]:
    known = {"route": "api", "listen_port": "10001", "backend": "orders", **labels}
    return series("t3probe_backend_reachable", values, **known)


def disagreement(values: str) -> dict[str, str]:
    labels = {"route": "api", "backend": "orders", "kind": "envoy_only"}
    return series("t3probe_backend_disagreement", values, **labels)


def opinion(values: str) -> dict[str, str]:
    labels = {"opinion": "cloudflared", "segment": "tunnel", "kind": "opinion_only"}
    return series("t3probe_opinion_disagreement", values, **labels)


def expiry(leg: str, value: float) -> dict[str, str]:
    return series("t3probe_tls_cert_expiry_timestamp_seconds", steady(value), leg=leg)


def observed(values: str) -> dict[str, str]:
    return series("t3probe_observed_seconds_total", values, leg="cloudflare")


FIVE_AND_THREE = drops("dispatch", "rtt_timeout", "0+0x9 1+1x4 5+0x90") | drops(
    "dispatch", "closed_by_peer", "0+0x10 1+1x2 3+0x90"
)
"""Eight drops between minutes 9 and 14."""
ORDERS = {"route": "api", "listen_port": "10001", "backend": "orders", "leg": "envoy-orders"}
DISAGREES = {"route": "api", "backend": "orders", "kind": "envoy_only"}

FIRES = [
    Case(
        "T3ProbeSegmentConvicted",
        "convicted from minute 10 to 30, and a while longer",
        state("tunnel", "convicted", step(0, 10, 1, 30)) | state("wan", "convicted", steady(0)),
        {
            11.5: [],
            12: here(segment="tunnel"),
            45.5: here(segment="tunnel"),
            47: [],
        },
    ),
    Case(
        "T3ProbeLegDown",
        "down from minute 10 to 40",
        connected("edge", step(1, 10, 0, 40)) | connected("internal", steady(1)),
        {14.5: [], 15: here(leg="edge"), 39.5: here(leg="edge"), 40: []},
    ),
    Case(
        "T3ProbeLegDown",
        "down from minute 10 on, with two runs that could not tell",
        connected("edge", "1+0x9 0+0x2 stale _ 0+0x60"),
        {14.5: [], 15: here(leg="edge"), 30: here(leg="edge")},
    ),
    Case(
        "T3ProbeLegRefusing",
        "nothing new is accepted from minute 10 to 40",
        connected("resolver", steady(1))
        | accepting("resolver", step(1, 10, 0, 40))
        | connected("devvm", steady(1))
        | accepting("devvm", steady(1)),
        {14.5: [], 15: here(leg="resolver"), 39.5: here(leg="resolver"), 40: []},
    ),
    Case(
        "T3ProbeLegRefusing",
        "from minute 10 on, with two runs that could not tell",
        connected("resolver", "1+0x11 stale _ 1+0x60")
        | accepting("resolver", "1+0x9 0+0x2 stale _ 0+0x60"),
        {14.5: [], 15: here(leg="resolver"), 30: here(leg="resolver")},
    ),
    Case(
        "T3ProbeDropBurst",
        "eight drops, and now and then a run in which the newest attempt was refused",
        FIVE_AND_THREE | accepting("dispatch", " ".join(["0", "1", "1"] * 33)),
        {14: [], 17: here(leg="dispatch"), 32: []},
    ),
    Case(
        "T3ProbeDropBurst",
        "eight drops of two reasons, and one run that ends unconnected",
        FIVE_AND_THREE | connected("dispatch", step(1, 12, 0, 13)),
        {14: [], 17: here(leg="dispatch"), 24: here(leg="dispatch"), 32: []},
    ),
    Case(
        "T3ProbeDropBurst",
        "every third run ends unconnected",
        FIVE_AND_THREE | connected("dispatch", " ".join(["0", "1", "1"] * 33)),
        {14: [], 17: here(leg="dispatch"), 32: []},
    ),
    Case(
        "T3ProbeDropBurst",
        "the leg is inconclusive in most runs",
        FIVE_AND_THREE,
        {14: [], 17: here(leg="dispatch")},
    ),
    Case(
        "T3ProbeEgressOnlyDivergence",
        "cloudflare down from minute 10, internal up",
        connected("cloudflare", step(1, 10, 0)) | connected("internal", steady(1)),
        {12.5: [], 13: here(leg="cloudflare")},
    ),
    Case(
        "T3ProbePublicPathWalledOff",
        "the SSO answers from minute 10 on",
        walled("/probe/healthz", "public", step(0, 10, 1)),
        {12.5: [], 13: here(path="/probe/healthz")},
    ),
    Case(
        "T3ProbeWalledPathOpen",
        "one run is served without a session",
        walled("/", "walled", step(1, 10, 0, 11)) | walled("/admin", "walled", steady(1)),
        {9.5: [], 10: here(path="/"), 15.5: here(path="/"), 17: []},
    ),
    Case(
        "T3ProbeIngestOpen",
        "one run finds a path open, and the next one finds it closed",
        gate("paths", step(1, 10, 0, 11)) | gate("no_token", steady(1)),
        {
            9.5: [],
            10: here(gate="metrics", check="paths"),
            15.5: here(gate="metrics", check="paths"),
            17: [],
        },
    ),
    Case(
        "T3ProbeIngestOpen",
        "a wrong token is taken, and is tried once an hour",
        gate("wrong_token", "1+0x9 0 stale _x88"),
        {
            9.5: [],
            10: here(gate="metrics", check="wrong_token"),
            80: here(gate="metrics", check="wrong_token"),
        },
    ),
    Case(
        "T3ProbeIngestTokenRefused",
        "from minute 10 to 40",
        gate("token", step(1, 10, 0, 40)),
        {12.5: [], 13: here(gate="metrics"), 39.5: here(gate="metrics"), 41: []},
    ),
    Case(
        "T3ProbeRelaySilent",
        "relay from minute 10 to 40, and jump reports",
        connected("relay-api", step(1, 10, 0, 40)) | connected("jump-api", steady(1)),
        {12.5: [], 13: here(leg="relay-api"), 39.5: here(leg="relay-api"), 40: []},
    ),
    Case(
        "T3ProbeExperimentUnhealthy",
        "from minute 10 to 40, and a report that was missed",
        rig("experiment_healthy", "1+0x9 0+0x2 stale _ 0+0x25 1+0x60"),
        {14.5: [], 15: here(experiment="spin07"), 38.5: here(experiment="spin07"), 41: []},
    ),
    Case(
        "T3ProbeBookMismatch",
        "from minute 10 to 40",
        rig("book_mismatch", step(0, 10, 1, 40)),
        {14.5: [], 15: here(experiment="spin07"), 39.5: here(experiment="spin07"), 40.5: []},
    ),
    Case(
        "T3ProbeBackendUnreachable",
        "no answer from minute 10 on",
        backend(step(1, 10, 0)) | backend(steady(1), backend="billing"),
        {14.5: [], 15: here(**ORDERS)},
    ),
    Case(
        "T3ProbeBackendUnreachable",
        "of two shards the second one has it",
        backend(steady(0), shard="1"),
        {6: here(**ORDERS)},
        series("t3probe_run_timestamp_seconds", f"0+60x{END}", shard="1"),
    ),
    Case(
        "T3ProbeEnvoyDisagrees",
        "only Envoy calls it healthy from minute 10 on",
        disagreement(step(0, 10, 1)),
        {19.5: [], 20: here(**DISAGREES)},
    ),
    Case(
        "T3ProbeOpinionDisagrees",
        "only cloudflared calls its segment well from minute 10 on",
        opinion(step(0, 10, 1)),
        {19.5: [], 20: here(opinion="cloudflared", segment="tunnel", kind="opinion_only")},
    ),
    Case(
        "T3ProbeCertExpiring",
        "13 days are left",
        expiry("edge", 13 * DAY) | expiry("internal", 60 * DAY),
        {9.5: [], 10: here(leg="edge")},
    ),
    Case("T3ProbeCertExpiring", "expired", expiry("edge", -5), {10: here(leg="edge")}),
    Case(
        "T3ProbeSilent",
        "runs stop at minute 10 and come back at minute 40",
        {},
        {17: [], 18: here(), 39: here(), 40: []},
        series("t3probe_run_timestamp_seconds", f"0+60x10 {steady(600, 29)} 2400+60x60"),
    ),
    Case(
        "T3ProbeSilent",
        "one of two vantages stops",
        RUNS,
        {18: here(vantage="lan")},
        series("t3probe_run_timestamp_seconds", f"0+60x10 {steady(600, 89)}", vantage="lan"),
    ),
    Case(
        "T3ProbeSilent",
        "the gateway loses its groups at minute 10",
        {},
        {14: [], 18: here(), 90: here()},
        series("t3probe_run_timestamp_seconds", "0+60x9 stale"),
    ),
    Case(
        "T3ProbeNotDelivered",
        "pushes are refused from minute 10 to 30",
        series("push_time_seconds", "0+60x9 540+0x90")
        | series("push_failure_time_seconds", "0+0x9 600+60x19 1740+0x70"),
        {11.5: [], 12: here(), 30: here(), 36: []},
    ),
    Case(
        "T3ProbeNotDelivered",
        "counts were lost at minute 10",
        series("t3probe_counts_lost_total", step(0, 10, 3)),
        {11.5: [], 12: here(), 60: here(), 72: []},
    ),
    Case(
        "T3ProbeIncomplete",
        "cut short from minute 10 on",
        series("t3probe_run_complete", step(1, 10, 0)),
        {17.5: [], 19: here()},
    ),
    Case(
        "T3ProbeProberStalled",
        "two seconds late in every run from minute 10 on",
        series("t3probe_loop_lag_seconds", step(0.01, 10, 2)),
        {17: [], 19: here()},
    ),
    Case(
        "T3ProbeLowCoverage",
        "five seconds a minute from minute 20 on",
        observed("0+35x20 705+5x79"),
        {65: [], 75: here(leg="cloudflare")},
    ),
    Case("T3ProbeWatchdog", "always", {}, {0: [{}], 50: [{}]}),
]

QUIET = [
    Case(
        "T3ProbeSegmentConvicted",
        "convicted by one run, and never told apart from another afterwards",
        state("tunnel", "convicted", step(0, 10, 1, 11))
        | state("tunnel", "ambiguous", step(0, 11, 1)),
    ),
    Case(
        "T3ProbeLegDown",
        "down for four minutes again and again",
        connected("edge", step(1, 10, 0, 14)) | connected("wan", step(1, 20, 0, 24)),
    ),
    Case(
        "T3ProbeDropBurst",
        "six drops",
        drops("cloudflare", "rtt_timeout", "0+0x9 1+1x5 6+0x80")
        | connected("cloudflare", steady(1)),
    ),
    Case(
        "T3ProbeDropBurst",
        "down for half an hour, a drop a run, and up again",
        drops("cloudflare", "rtt_timeout", "0+0x9 1+1x29 30+0x60")
        | connected("cloudflare", step(1, 10, 0, 40)),
    ),
    Case(
        "T3ProbeDropBurst",
        "down, and every run counts five drops",
        drops("cloudflare", "rtt_timeout", "0+0x9 5+5x29 150+0x60")
        | connected("cloudflare", step(1, 10, 0, 40)),
    ),
    Case(
        "T3ProbeDropBurst",
        "nothing new is accepted for half an hour, and it counts again and again",
        drops("cloudflare", "connect_refused", "0+0x9 5+5x29 150+0x60")
        | connected("cloudflare", steady(1))
        | accepting("cloudflare", step(1, 10, 0, 40)),
    ),
    Case(
        "T3ProbeLegRefusing",
        "nothing new for four minutes, and a leg that is down altogether",
        connected("edge", steady(1))
        | accepting("edge", step(1, 10, 0, 14))
        | connected("internal", step(1, 10, 0))
        | accepting("internal", step(1, 10, 0)),
    ),
    Case(
        "T3ProbeLegRefusing",
        "a gateway that has no `accepting` yet, and a leg that makes no fresh beats",
        connected("edge", steady(1)) | connected("internal", steady(1)),
    ),
    Case(
        "T3ProbeEgressOnlyDivergence",
        "both are down",
        connected("cloudflare", step(1, 10, 0)) | connected("internal", step(1, 10, 0)),
    ),
    Case(
        "T3ProbeEgressOnlyDivergence",
        "internal says nothing any more from minute 10 on",
        connected("cloudflare", step(1, 10, 0)) | connected("internal", "1+0x9 stale"),
    ),
    Case(
        "T3ProbeEgressOnlyDivergence",
        "internal is up at another vantage only",
        connected("cloudflare", steady(0))
        | series("t3probe_connected", steady(1), leg="internal", vantage="lan")
        | series("t3probe_run_timestamp_seconds", f"0+60x{END}", vantage="lan"),
    ),
    Case(
        "T3ProbePublicPathWalledOff",
        "a walled path is walled, and a public one for two minutes",
        walled("/", "walled", steady(1)) | walled("/probe/healthz", "public", step(0, 10, 1, 12)),
    ),
    Case(
        "T3ProbeWalledPathOpen",
        "a public path is open, a walled one is not",
        walled("/", "walled", steady(1)) | walled("/probe/healthz", "public", steady(0)),
    ),
    Case(
        "T3ProbeIngestOpen",
        "our own token is refused, and everything else is as it must be",
        gate("token", steady(0)) | gate("paths", steady(1)),
    ),
    Case(
        "T3ProbeIngestTokenRefused",
        "for two runs, while the token is changed, and an open gate",
        gate("token", step(1, 10, 0, 12)) | gate("paths", steady(0)),
    ),
    Case(
        "T3ProbeRelaySilent",
        "two minutes, and another leg for long",
        connected("relay-api", step(1, 10, 0, 12)) | connected("edge", steady(0)),
    ),
    Case(
        "T3ProbeExperimentUnhealthy",
        "for four minutes, and available or not does not matter",
        rig("experiment_healthy", step(1, 10, 0, 14)) | rig("experiment_available", steady(0)),
    ),
    Case(
        "T3ProbeExperimentUnhealthy",
        "nothing can be told of it after a minute",
        rig("experiment_healthy", "1+0x9 0 stale _x88"),
    ),
    Case("T3ProbeBookMismatch", "for four minutes", rig("book_mismatch", step(0, 10, 1, 14))),
    Case("T3ProbeBackendUnreachable", "down for four minutes", backend(step(1, 10, 0, 14))),
    Case(
        "T3ProbeBackendUnreachable",
        "only the runs of its own shard are old",
        backend(steady(0), shard="1")
        | series("t3probe_run_timestamp_seconds", steady(-3600), shard="1"),
        runs=series("t3probe_run_timestamp_seconds", f"0+60x{END}", shard="0"),
    ),
    Case("T3ProbeEnvoyDisagrees", "for eight minutes", disagreement(step(0, 10, 1, 18))),
    Case("T3ProbeOpinionDisagrees", "for eight minutes", opinion(step(0, 10, 1, 18))),
    Case("T3ProbeCertExpiring", "fifteen days are left", expiry("edge", 15 * DAY)),
    Case(
        "T3ProbeSilent",
        "two runs in a row are missed",
        {},
        runs=series("t3probe_run_timestamp_seconds", "0+60x10 600+0x1 780+60x86"),
    ),
    Case(
        "T3ProbeNotDelivered",
        "a failure long ago, and pushes since",
        series("push_time_seconds", "0+60x100") | series("push_failure_time_seconds", "-60+0x99"),
    ),
    Case(
        "T3ProbeNotDelivered",
        "counts were lost in another week",
        series("t3probe_counts_lost_total", steady(3)),
    ),
    Case(
        "T3ProbeIncomplete",
        "one run in three is cut short",
        series("t3probe_run_complete", " ".join(["1", "1", "0"] * 33)),
    ),
    Case(
        "T3ProbeProberStalled",
        "one run in three is late",
        series("t3probe_loop_lag_seconds", " ".join(["0.01", "0.01", "3"] * 33)),
    ),
    Case("T3ProbeLowCoverage", "a new deployment, 16 seconds a minute", observed("0+16x100")),
    Case(
        "T3ProbeLowCoverage",
        "planned downtime from minute 20 to 60",
        observed("0+35x20 700+0x39 735+35x40")
        | series("t3probe_planned", step(0, 20, 1, 60), leg="cloudflare"),
    ),
]
