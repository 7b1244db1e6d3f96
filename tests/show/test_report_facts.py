"""The pictures tell the record's numbers: where drops lie, how long phases took."""

from __future__ import annotations

import re

import pytest
from report_browser import Opener
from report_runs import history, lab, page_of, replace

from t3probe.observation import Baseline
from t3probe.record.facts import Recording

BOXES = """(() => {
  const box = (e) => { const b = e.getBoundingClientRect(); return [b.left, b.width]; };
  return [...document.querySelectorAll('.lanes tbody tr')].map(r => {
    const [left, width] = box(r.querySelector('.plot svg'));
    const all = (kind) => [...r.querySelectorAll(kind)].map(box)
      .map(([x, w]) => [(x - left) / width, w / width]);
    return [r.cells[0].innerText, {drop: all('.drop'), after: all('.after'), inc: all('.inc')}];
  }); })()"""


def part(page: bytes, section: str) -> str:
    text = page.decode()
    return text[text.index(f'<section id="{section}"') :].partition("</section>")[0]


def changed(leg: str, **facts: object) -> Recording:
    clean = lab("clean")
    seen = [replace(one, **facts) if one.leg == leg else one for one in clean.observations]
    return Recording(clean.run, tuple(seen))


def test_a_drop_lies_where_it_was(opener: Opener) -> None:
    one = lab("two_incidents")
    lanes = dict(opener(one).run(BOXES))
    span = one.run.duration_seconds
    for leg in ("internal", "dispatch"):
        drop = next(seen for seen in one.observations if seen.leg == leg).drops[0]
        assert len(lanes[leg]["drop"]) == 1
        at, wide = lanes[leg]["drop"][0]
        assert at == pytest.approx(drop.began / span, abs=0.002)
        assert wide == pytest.approx((drop.noticed - drop.began) / span, abs=0.002)
    # Never back: to the end of the axis.
    at, wide = lanes["resolver"]["after"][0]
    assert at + wide == pytest.approx(1, abs=0.003)
    assert all(lanes[leg]["drop"] == [] for leg in ("edge", "traefik", "devvm", "walled-home"))


def test_incidents_lie_over_every_lane(opener: Opener) -> None:
    lanes = dict(opener(lab("two_incidents")).run(BOXES))
    assert {len(one["inc"]) for one in lanes.values()} == {2}
    second = [one["inc"][1] for one in lanes.values()]
    began = min(
        drop.began
        for one in lab("two_incidents").observations
        if one.leg in ("internal", "dispatch")
        for drop in one.drops
    )
    expected = round(began / lab("two_incidents").run.duration_seconds, 2)
    assert {round(at, 2) for at, _ in second} == {expected}


def test_beats_stand_where_they_were_sent() -> None:
    page = page_of(lab("clean"))
    lane = re.findall(r'<th scope="row">cloudflare.*?(?=<tr|$)', part(page, "timeline"), re.S)[0]
    ticks = [int(one) for one in re.findall(r"M(\d+) 9v12", lane)]
    clean = lab("clean")
    seen = next(one for one in clean.observations if one.leg == "cloudflare")
    places = {round(1000 * one.sent / clean.run.duration_seconds) for one in seen.beats}
    # Those of the two strands that touch are one block.
    assert ticks == pytest.approx(sorted(one for one in places if one - 1 not in places), abs=1)


def test_phases_are_drawn_to_scale() -> None:
    text = part(page_of(lab("clean")), "phases")
    row = re.findall(r'<th scope="row">cloudflare.*?(?=<tr|$)', text, re.S)[0]
    seen = next(one for one in lab("clean").observations if one.leg == "cloudflare")
    drawn = dict(re.findall(r'<rect [^>]*?width="([\d.]+)%" height="18" class="p-(\w+)"', row))
    shares = {name: float(width) for width, name in drawn.items()}
    whole = sum(seen.phases.values())
    for name in ("resolve", "tls", "upgrade", "first_echo"):
        assert shares[name] == pytest.approx(100 * seen.phases[name] / whole, abs=0.6)


def test_certificates_are_counted_from_the_run() -> None:
    start = lab("clean").run.started_at
    for left, words in (
        (3 * 86400.0, "<td>3 d<td>.*expires soon"),
        (40 * 86400.0, "<td>40 d<td>.*valid"),
        (-7200.0, "expired 2 h before.*expired"),
    ):
        text = part(page_of(changed("edge", cert_not_after=start + left)), "certificates")
        assert re.search(f'<th scope="row">edge.*?{words}', text)


def test_walls_say_what_must_be() -> None:
    page = page_of(changed("walled-home", outcome="failed", reason="not_walled", detail="200"))
    text = part(page, "walls")
    assert re.search(r"walled-home<td>.*?walled: sent to the SSO.*?failed.*?not_walled: 200", text)
    assert re.search(r"walloff-probe<td>.*?/probe/healthz.*?public: past the SSO.*?passed", text)


def test_rigs_are_rows_the_broken_ones_first() -> None:
    clean = lab("clean")
    other = {"tcp_ends_at": "", "views": (), "drops": ()}
    rig = [
        replace(clean.observations[0], leg=leg, kind=kind, outcome=outcome, labels=labels,
                detail=detail, path=(f"rig-{labels['experiment']}",), **other)
        for leg, kind, outcome, labels, detail in (
            ("stream-a-data", "stream", "passed", {"experiment": "a", "stream": "data"}, "fine"),
            ("jump-a", "jump", "passed", {"experiment": "a"}, "fine"),
            ("stream-b-data", "stream", "failed", {"experiment": "b", "stream": "data"}, "silent"),
            ("jump-b", "jump", "inconclusive", {"experiment": "b"}, "no <report>"),
        )
    ]  # fmt: skip
    page = page_of(Recording(clean.run, (*clean.observations, *rig)))
    text = part(page, "rigs")
    assert "1 of 2 rigs are well." in text
    assert re.search(r">b<.*?failed.*?data .*?failed.*?inconclusive.*?silent.*?no &lt;report", text)
    assert text.index(">b<") < text.index(">a<")
    assert b'id="rigs"' not in page_of(clean)


def test_gates_say_what_was_asked() -> None:
    page = page_of(
        changed(
            "edge", kind="ingest_gate", labels={"gate": "metrics"}, outcome="failed",
            reason="gate_open", detail="/metrics is open to the token of senders: HTTP 200",
            gate={"no_token": True, "paths": False},
        )
    )  # fmt: skip
    text = part(page, "gates")
    assert re.search(r"metrics<.*?edge.*?failed.*?refuses strangers.*?other paths are closed", text)
    assert "gate_open: /metrics is open" in text
    assert b'id="gates"' not in page_of(lab("clean"))


def test_upstreams_carry_envoys_view() -> None:
    from t3probe.observation import EnvoyView

    view = EnvoyView(route="api", opinion="unhealthy", disagreements=("probe_only",))
    text = part(page_of(changed("envoy-orders", views=(view,))), "upstreams")
    assert "Envoy says" in text
    assert "api: Envoy calls it unhealthy behind api, and it can be reached" in text
    assert "Envoy says" not in part(page_of(lab("clean")), "upstreams")


def test_a_slow_leg_is_compared_with_what_is_usual() -> None:
    usual = Baseline(beats=900, low_seconds=0.001, high_seconds=0.001, moving_seconds=0.001)
    text = part(page_of(changed("edge", baseline=usual)), "slow")
    assert re.search(r"<th[^>]*>edge.*?1 ms to 1 ms.*?11\.\d+ ms.*?as usual", text)
    assert "no leg has a baseline" in part(page_of(lab("clean")), "slow")


def test_our_own_stall_is_no_drop_of_the_leg() -> None:
    two = lab("two_incidents")
    drop = next(one for one in two.observations if one.leg == "dispatch").drops[0]
    page = page_of(changed("dispatch", drops=(replace(drop, stalled=True),)))
    assert 'class="stall"' in part(page, "timeline")
    assert "<td>our own stall" in part(page, "timeline")
    assert "The prober itself stood still in 1 drop" in part(page, "blind")
    assert b"<h1>Every segment is cleared</h1>" in page


def test_planned_downtime_is_said() -> None:
    page = page_of(changed("t3serve", planned="until noon: new disks"))
    assert "t3serve, planned: until noon: new disks" in part(page, "blind")


def test_history_counts_drops_and_states() -> None:
    text = part(page_of(*history()), "history")
    assert "something failed in 3" in text
    assert "3 localised, 37 clean" in text
    assert re.search(r"cloudflare: drops 2 in 2 runs", text)
    assert re.search(r'aria-label="doh: convicted 1"', text)
    assert page_of(lab("clean")).find(b'id="history"') == -1


def test_a_beat_that_tells_nothing_is_no_failed_beat() -> None:
    """A public path that answers 5xx, or not at all, says nothing about its rule."""
    lanes = part(page_of(lab("tunnel")), "timeline").partition("</table>")[0].split("<tr")
    kinds = {
        name: set(re.findall(r'class="(miss|mute)"', lane))
        for lane in lanes
        for name in re.findall(r'<th scope="row">([\w-]+)', lane)
    }
    assert kinds["walloff-probe"] == {"mute"}
    assert kinds["cloudflare"] == {"miss"}
    assert kinds["edge"] == set()


def test_an_incident_says_whether_the_leg_ever_worked() -> None:
    text = part(page_of(lab("two_incidents")), "incidents")
    first, second = text.split("Incident 2:")
    assert "No good beat from the first attempt on:" in first
    assert "Last good beat" in second
    assert "No good beat" not in second


def test_what_the_kernel_saw_is_a_sentence() -> None:
    two = lab("two_incidents")
    drop = next(one for one in two.observations if one.leg == "dispatch").drops[0]
    page = page_of(changed("dispatch", outcome="failed", drops=(
        replace(drop, evidence="the far end closed first"),
    )))  # fmt: skip
    assert "The far end closed first. " in part(page, "incidents")
