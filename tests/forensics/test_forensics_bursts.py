"""What bursts, what does not, and which segment the parts of a burst share."""

from __future__ import annotations

import random

import pytest
from forensics_help import AT, access, bursts, gone, lost, quiet, refused, stamp

from t3probe.ask.forensics.bursts import Burst
from t3probe.ask.forensics.kinds import KINDS, LAST_MILE, REFERENCE, Kind, SegmentMap

HOUR = quiet(AT - 1800, AT + 1800)


def spans(found: list[Burst]) -> list[tuple[int, int]]:
    return [(one.began - AT, one.ended - AT) for one in found]


def test_four_are_few_and_five_are_a_burst() -> None:
    assert bursts([*HOUR, *[refused(AT)] * 4]) == []
    (burst,) = bursts([*HOUR, *[refused(AT)] * 5])
    assert (burst.began, burst.ended, burst.deaths) == (AT, AT, 5)
    assert (burst.suspects, burst.one_cause, burst.sure) == (("serve",), True, "sure")


def test_a_second_boundary_does_not_split_a_burst() -> None:
    assert spans(bursts([*HOUR, *[refused(AT)] * 3, *[refused(AT + 1)] * 2])) == [(0, 1)]
    assert bursts([*HOUR, *[refused(AT)] * 3, *[refused(AT + 2)] * 3]) == []


def test_a_stray_line_does_not_move_the_onset() -> None:
    assert spans(bursts([*HOUR, refused(AT - 1), *[refused(AT)] * 30])) == [(0, 0)]


def test_what_is_usual_is_no_burst() -> None:
    steady = [refused(AT + second) for second in range(-600, 600) for _ in range(4)]
    assert bursts([*HOUR, *steady[2400:]])[0].began == AT  # the onset itself
    assert bursts(steady) == []
    assert spans(bursts([*steady, *[refused(AT + 300)] * 44])) == [(300, 300)]
    assert bursts([*steady, *[refused(AT + 300)] * 30]) == []


@pytest.mark.parametrize("rate", [0.05, 0.25, 1.0, 5.0])
def test_independent_lines_hardly_ever_make_a_burst(rate: float) -> None:
    rng = random.Random(7)
    lines = [refused(AT + rng.randrange(7200)) for _ in range(int(rate * 7200))]
    assert len(bursts([access(AT, 200), access(AT + 7200, 200), *lines])) <= 1


def test_an_excerpt_of_nothing_but_the_burst() -> None:
    assert spans(bursts([refused(AT)] * 40)) == [(0, 0)]


def test_an_outage_is_found_at_its_onset_though_it_fills_half_of_the_log() -> None:
    lines = [*quiet(AT - 300, AT + 300), *[refused(AT + n // 20) for n in range(6000)]]
    assert bursts(lines)[0].began == AT


def test_two_sources_make_each_other_count() -> None:
    three = [refused(AT)] * 3
    bad = [access(AT, 502)] * 3
    assert bursts([*HOUR, *three]) == bursts([*HOUR, *bad]) == []
    (burst,) = bursts([*HOUR, *three, *bad])
    assert burst.sources == ("dispatch", "traefik")
    assert (burst.suspects, burst.sure) == (("serve",), "sure")


def test_far_apart_they_do_not() -> None:
    assert bursts([*HOUR, *[refused(AT)] * 3, *[access(AT + 9, 502)] * 3]) == []


def test_the_tunnel_bursts_with_two_connections() -> None:
    assert bursts([*HOUR, *[lost(AT, 1)] * 9]) == []
    (burst,) = bursts([*HOUR, lost(AT, 0), lost(AT + 1, 3), lost(AT + 1, 0)])
    assert (burst.deaths, burst.suspects) == (2, ("wan", "cf-edge", "tunnel"))


def test_the_edge_that_closes_is_the_nearest_segment_before_the_tunnel() -> None:
    lines = [
        f'{stamp(AT)} WRN Serve tunnel error error="Application error 0x0 (remote)" connIndex={n}'
        for n in range(4)
    ]
    lines += [f"{stamp(AT)} INF Unregistered tunnel connection connIndex={n}" for n in range(4)]
    (burst,) = bursts([*HOUR, *lines])
    assert (burst.deaths, burst.suspects) == (4, ("cf-edge", "tunnel"))


def test_one_request_that_makes_two_lines_is_one_death() -> None:
    why = "Unable to reach the origin service: connection refused"
    lines = [
        line
        for n in range(4)
        for line in (
            f'{stamp(AT)} ERR  error="{why}" connIndex={n} originService=https://10.0.0.3',
            f'{stamp(AT)} ERR Request failed error="{why}" connIndex={n} type=http',
        )
    ]
    assert bursts([*HOUR, *lines]) == []
    assert [one.deaths for one in bursts([*HOUR, *lines, lines[1]])] == [5]


def test_a_process_that_died_is_one_whatever_is_usual() -> None:
    line = f"{stamp(AT)} devvm systemd[1]: dispatch.service: Main process exited, code=killed"
    (burst,) = bursts([*HOUR, line, *[access(AT, 502)] * 8])
    assert (burst.suspects, burst.sure) == (("dispatch",), "sure")


def test_websockets_that_end_together_share_something() -> None:
    lived = [access(AT - took, 101, 1000 * took) for took in range(30, 1500, 50)]
    (burst,) = bursts([*HOUR, *lived])
    assert burst.deaths == len(lived)
    assert burst.suspects == REFERENCE[0]
    assert burst.sure == "guess"


def test_a_dead_tunnel_as_everybody_sees_it() -> None:
    lines = [
        *(lost(AT, n) for n in range(4)),
        *[gone(AT + 1)] * 20,
        *[access(AT - 60, 499, 60_000)] * 12,
        *[access(AT - 600, 101, 600_000)] * 15,
    ]
    (burst,) = bursts([*HOUR, *lines])
    assert burst.sources == ("dispatch", "traefik", "tunnel")
    assert (burst.suspects, burst.one_cause, burst.sure) == (
        ("wan", "cf-edge", "tunnel"),
        True,
        "sure",
    )


def test_a_dead_traefik_as_its_neighbours_see_it() -> None:
    origin = f'{stamp(AT)} ERR  error="Unable to reach the origin" connIndex=0 originService=x'
    (burst,) = bursts([*HOUR, *[gone(AT)] * 9, *[origin] * 7])
    assert burst.suspects == ("traefik", "devvm")


def test_a_last_mile_is_no_suspect_but_said_when_it_may_be_one_person() -> None:
    (burst,) = bursts([*HOUR, *[gone(AT)] * 9])
    assert burst.suspects == ("wan", "cf-edge", "tunnel", "traefik", "devvm")
    assert burst.perhaps_one_person
    (burst,) = bursts([*HOUR, *[gone(AT)] * 3, *[access(AT, 502)] * 3])
    assert burst.suspects == ("devvm",)
    assert not burst.perhaps_one_person


def test_what_no_single_segment_explains_is_said() -> None:
    (burst,) = bursts([*HOUR, *[refused(AT)] * 9, *(lost(AT, n) for n in range(4))])
    assert not burst.one_cause
    assert set(burst.suspects) == {"serve", "wan", "cf-edge", "tunnel"}
    assert burst.sure == "likely"


def test_the_rest_of_the_second_is_shown_but_explains_nothing() -> None:
    (burst,) = bursts([*HOUR, *[refused(AT)] * 9, gone(AT)])
    assert [(part.group, part.deaths, part.bursting) for part in burst.parts] == [
        ("dispatch backend", 9, True), ("dispatch client side", 1, False)
    ]  # fmt: skip
    assert (burst.deaths, burst.suspects) == (9, ("serve",))


DEPLOYED = (
    ("wan", "cdn", "cloudflared", "lb", "rule", "box", "dispatch"),
    ("wan", "cdn", "cloudflared", "lb", "wall", "box", "serve"),
)
NAMES = {"tunnel": "cloudflared", "traefik": "lb"}


@pytest.mark.parametrize(
    ("source", "side", "segments"),
    [
        ("tunnel", "link", ("wan", "cdn", "cloudflared")),
        ("tunnel", "peer", ("cdn",)),
        ("tunnel", "self", ("cloudflared",)),
        ("traefik", "before", (LAST_MILE, "wan", "cdn", "cloudflared")),
        ("traefik", "after", ("rule", "box", "dispatch", "wall", "serve")),
        ("dispatch", "after", ("serve",)),
        ("serve", "before", (LAST_MILE, "wan", "cdn", "cloudflared", "lb", "box", "wall")),
        ("devvm", "self", ("devvm",)),
    ],
)
def test_sides_in_a_deployments_words(source: str, side: str, segments: tuple[str, ...]) -> None:
    assert SegmentMap(DEPLOYED, NAMES).segments(source, (side,)) == segments  # type: ignore[arg-type]


def test_a_source_that_is_no_segment_keeps_the_references_words() -> None:
    places = SegmentMap(DEPLOYED)
    assert places.missing == ["tunnel", "traefik"]
    assert places.segments("tunnel", ("link",)) == ("wan", "cf-edge", "tunnel")


def test_what_a_deployment_leaves_out_is_said_in_the_references_words() -> None:
    lan = SegmentMap([("traefik", "dispatch")])
    assert lan.segments("dispatch", ("after",)) == ("serve",)
    (burst,) = bursts([*HOUR, *[access(AT, 499)] * 9], lan)
    assert burst.suspects == ("wan", "cf-edge", "tunnel")


@pytest.mark.parametrize("kind", [one for one in KINDS if one.sides], ids=lambda one: one.name)
@pytest.mark.parametrize("paths", [REFERENCE, DEPLOYED, [("lb",)], []])
def test_every_side_means_some_segment(kind: Kind, paths: list[tuple[str, ...]]) -> None:
    places = SegmentMap(paths, NAMES)
    assert places.placed(kind.source) == (
        bool(set(places.segments(kind.source, kind.sides)) - {LAST_MILE})
    )
