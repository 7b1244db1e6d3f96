"""What people's own records add to the answer, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t3probe.ask.explain.clients import STILL_SECONDS, ClientThen
from t3probe.ask.explain.judge import Explained
from t3probe.ask.explain.moment import Moment
from t3probe.record.client import ClientDrop, ClientGap
from t3probe.text.words import glossed, listed, span

WHAT = {
    "slept": "slept",
    "frozen": "had its browser stop the page",
    "late": "was too busy, or too sparing, to run the page",
    "offline": "was offline",
    "network": "changed its network",
}
DROPPED = {
    "down": "was down: what it held failed, and so did new tries",
    "refusing": "was not let in anew; what it held lived on",
    "cut": "was cut, and worked again at once",
    "unknown": "broke",
}


def pause_words(pause: ClientGap, when: Moment) -> str:
    """`slept from 14:02:51 to 14:03:20`."""
    what, began = WHAT.get(pause.kind, "stood still"), when.clock(pause.began)
    if pause.ended is None:
        return f"{what} from {began} on"
    if pause.ended - pause.began < 1:
        return f"{what} at {began}"
    return f"{what} from {began} to {when.clock(pause.ended)}"


def _outlived(told: Explained, when: Moment) -> str:
    """What devices did around the time, and their connections outlived; empty where nothing."""
    some = [(one.name, one.outlived) for one in told.covering if one.outlived is not None]
    whose = "their device" if len(told.covering) == 1 else "the device of {}"
    return listed(f"{whose.format(name)} {pause_words(gap, when)}" for name, gap in some)


def _pauses(told: Explained, when: Moment) -> str:
    """What the devices did, of each person once."""
    some = [one for one in told.covering if one.drop is not None and one.pause is not None]
    words = [pause_words(one.pause, when) for one in some if one.pause is not None]
    if len(some) == 1:
        return f"their device {words[0]}"
    return listed(f"the device of {one.name} {text}" for one, text in zip(some, words, strict=True))


def _dropped(drop: ClientDrop) -> str:
    if drop.new_alone and drop.symptom == "unknown":
        return "was not let in anew; whether what it held lived on is not known"
    return DROPPED.get(drop.symptom, "broke")


def _lost(told: Explained) -> str:
    """What the devices cost."""
    some = [one.drop for one in told.covering if one.drop is not None and one.pause is not None]
    held_on = all(one.new_alone for one in some)
    return "no new connection could be opened" if held_on else "the connection ended"


def headline_of_records(told: Explained, when: Moment) -> str:
    """The finding where people's records decide; empty where they do not."""
    finding = told.finding
    if finding == "their_device":
        looked = "" if told.looking_at else " We were not looking at our side just then."
        return (
            f"It was the device: {_pauses(told, when)}, and {_lost(told)} in that time. "
            f"Nothing of ours is accused.{looked}"
        )
    if finding == "both" and told.outage is not None:
        names = told.convicted or told.suspects
        what = listed(glossed(names, told.gloss), word="and" if told.convicted else "or")
        of = "" if told.convicted else "one of "
        return (
            f"Two things at once: {of}{what} broke at {when.clock(told.outage.began)}, and "
            f"{_pauses(told, when)}. Each alone explains the drop."
        )
    if finding == "their_edge":
        one = next(one for one in told.covering if told.told(one) == "edge")
        segment, ours = told.our_edges(one)
        return (
            f"Not proven, but near: they reached {''.join(glossed([segment], told.gloss))} at "
            f"{_place(one)}, we at {listed(map(_named, ours), word='or')}, and ours worked. What "
            f"is left is {segment} at their place, or their last mile."
        )
    if finding == "no_drop":
        whose = "their own browser" if len(told.covering) == 1 else "their own browsers"
        looked = "no leg of ours broke" if told.looking_at else "we were not looking at our side"
        did = _outlived(told, when)
        device = f"; or in what the device did: {did}, which the connection outlived" if did else ""
        return (
            f"There was no drop on this way: at {when.clock(told.question.at)} {whose} held the "
            f"connection, and {looked}. What they saw lies in the app itself, or in a "
            f"part of the way that the page does not use{device}."
        )
    if finding == "last_mile" and told.proven:
        mile = "their last mile"
        if told.question.people > 1:
            whose = listed(one.name for one in told.covering if told.told(one) == "last mile")
            mile = f"the last mile of {whose}, or a network that these people share"
        met = any(told.our_edges(one)[0] in told.way.page for one in told.covering)
        place = ", through the same place of the CDN" if met else ""
        several = any(told.told(one) == "device" for one in told.covering)
        more = f" ({_pauses(told, when)})" if several else ""
        return (
            f"It was {mile}, proven: their own browser saw the drop, and at the same moment our "
            f"legs over the same way were good{place}.{more}"
        )
    return ""


def _place(client: ClientThen) -> str:
    edge = client.edge
    if edge is None or edge.colo is None or edge.family is None:
        return "a place that is not known"
    return _named((edge.colo, edge.family))


def _named(edge: tuple[str, int]) -> str:
    return f"{edge[0] or 'an unknown place'} over IPv{edge[1]}"


def client_lines(told: Explained, when: Moment) -> Iterator[str]:
    """One sentence or two for each record."""
    for one in told.clients:
        yield f"{one.leg}: {' '.join(_client(told, one, when))}"


def _client(told: Explained, client: ClientThen, when: Moment) -> Iterator[str]:
    record, drop = client.record, client.drop
    first, last = when.clock(record.known_from), when.clock(record.made)
    if not client.covers:
        early, late = told.question.vague
        early += client.within
        if told.question.at - early < record.known_from <= told.question.at + late:
            yield (
                f"its record, from {first} to {last}, tells only of a part of the time that was "
                "named; ask for the second."
            )
            return
        why = ""
        if record.known_from <= told.question.at <= record.made:
            why = ": its page did not run then, or still waited for an answer when it was made"
        yield f"its record, from {first} to {last}, tells nothing of the time that was named{why}."
        return
    if drop is None:
        yield f"no drop; its record goes from {first} to {last}."
    else:
        over = "was not back when the record was made"
        if drop.ended is not None:
            over = f"worked again at {when.clock(drop.ended)}"
        age = "" if drop.age_seconds is None else f", {span(round(drop.age_seconds, 1))} old"
        code = "" if drop.code is None else f", close code {drop.code}"
        yield (
            f"the connection {_dropped(drop)}; last good at "
            f"{when.clock(drop.began)}, noticed at {when.clock(drop.noticed)} ({drop.reason}{code}"
            f"{age}), {over}."
        )
    if client.pause is not None:
        yield f"The device {pause_words(client.pause, when)}."
    if client.outlived is not None:
        yield f"The device {pause_words(client.outlived, when)}; the connection outlived that."
    edge, (segment, ours) = client.edge, told.our_edges(client)
    if edge is not None and edge.colo is not None:
        same = "another place than ours" if told.other_edge(client) else "as ours"
        known = f", {same} ({listed(map(_named, ours), word='or')})" if segment and ours else ""
        yield f"Over {_place(client)}{known}."
    if client.aged_out:
        yield "Its last two connections ended at about the same age: a limit on age may do that."
    if record.clock is None:
        yield f"How its clock stands is not known; it may be wrong by {span(client.within)}."
    else:
        yield f"Its clock is known within {span(round(client.within, 2))}."


def client_doubts(told: Explained, when: Moment) -> Iterator[str]:
    """What limits the answer that the records give."""
    for one in told.covering:
        if one.drop is None:
            if told.outage is not None:
                yield f"{one.leg} itself saw no drop then, over {listed(told.way.page, most=9)}"
            continue
        said = told.told(one)
        if told.outage is not None and one not in told.witnesses:
            began = when.clock(one.drop.began)
            yield f"the drop that {one.leg} saw began at {began}, apart from that"
        if said == "likely last mile":
            why = "none of our beats was near enough to that moment to prove it"
            old, ours = one.drop.age_seconds, told.held_seconds
            if one.edge is None or one.edge.colo is None:
                why = "which place of the CDN it used is not known"
            if one.drop.symptom == "cut" and old is not None and ours is not None and old > ours:
                why = (
                    f"its connection was {span(round(old))} old, ours at most {span(round(ours))}: "
                    "a limit on age is not excluded"
                )
            yield f"not proven for {one.leg}: {why}"
        if said == "unclear" and one.drop.closed_in_words:
            yield (
                f"the connection of {one.leg} was closed with code {one.drop.code}, and that came "
                "through its last mile"
            )
        if said == "unclear" and one.drop.edge_answered and one.drop.symptom != "cut":
            yield f"{one.leg} had short answers of the CDN meanwhile: its last mile carried those"
    if told.finding == "both":
        yield f"a device that sleeps {span(STILL_SECONDS)} or more may lose its connections alone"


def send_back_of_records(told: Explained, when: Moment, time: str) -> str:
    """The text for the person where records decide; empty where they do not."""
    finding = told.finding
    pauses = [one.pause for one in told.covering if one.drop is not None and one.pause is not None]
    yours = listed(f"your device {pause_words(one, when)}" for one in pauses)
    if finding == "their_device":
        return (
            f"Your browser's own record of the time around {time} shows that {yours}, and that "
            f"{_lost(told)} in that time. A device that sleeps or loses its network drops every "
            "open connection, and the app comes back by itself. There is nothing broken that we "
            "can see; if it happens while you are using the device, please send us another record."
        )
    if finding == "both":
        return (
            f"Two things happened at about {time}: something on our side broke for a moment, and "
            f"{yours}. Either of them ends a connection. Our part is not your fault, and we are "
            "looking into it."
        )
    if finding == "their_edge":
        return (
            f"Around {time} your browser lost the connection. You reach the content network in "
            "front of us at another place than we do, and ours worked. So it happened at that "
            "place, or between it and you. If it happens again, please send us another record, and "
            "try another network such as a phone's."
        )
    if finding == "no_drop":
        did = [one.outlived for one in told.covering if one.outlived is not None]
        device = listed(f"your device {pause_words(one, when)}" for one in did)
        from_it = f", or from your device: the record shows that {device}" if did else ""
        return (
            f"Around {time} your browser's own record shows that its connection to us held"
            f"{', and our measurements show no fault' if told.looking_at else ''}. So what you saw "
            f"may come from the app itself{from_it}. Please tell us what it showed, and to the "
            "second when."
        )
    if finding == "last_mile" and told.proven and told.question.people < 2:
        return (
            f"Your browser's own record shows the drop at about {time}. At that very moment our "
            "own connections over the same way worked. So it happened between you and the content "
            "network in front of us: your Wi-Fi, router, VPN or provider. Please try a cable or "
            "another network such as a phone's."
        )
    if finding == "last_mile" and not _long_enough(told):
        known = told.question.people == len(told.covering)
        record = "Your browser's own record" if known else "The record of a browser"
        old = ""
        if told.too_young:
            old = ", but none of them was as old as yours, so a limit on age is not excluded"
        return (
            f"{record} shows the drop at about {time}. As far as we were measuring then, our own "
            f"connections over the same way worked{old}. Most likely the drop happened between "
            "you and us: your Wi-Fi, router, VPN or provider. Please try a cable or another "
            "network such as a phone's, and send us another record if it happens again."
        )
    return ""


def _long_enough(told: Explained) -> bool:
    """Whether the way was looked at for as long as clears it without a record; what a record's
    drop was compared with is a moment."""
    way = told.way.segments if told.question.people > len(told.covering) else told.way.page
    return set(way).issubset(told.cleared)


def clients_dict(told: Explained) -> Sequence[dict[str, object]]:
    """The records as JSON."""
    out: list[dict[str, object]] = []
    for one in told.clients:
        drop, pause, edge = one.drop, one.pause, one.edge
        out.append(
            {
                "leg": one.leg,
                "covers": one.covers,
                "began_at": one.record.began,
                "ended_at": one.record.made,
                "clock_within_seconds": one.within,
                "clock_known": one.record.clock is not None,
                "told": told.told(one),
                "cleared": sorted(told.proved(one)),
                "drop": None
                if drop is None
                else {
                    "reason": drop.reason,
                    "symptom": drop.symptom,
                    "began_at": drop.began,
                    "noticed_at": drop.noticed,
                    "ended_at": drop.ended,
                    "age_seconds": drop.age_seconds,
                },
                "pause": None
                if pause is None
                else {"kind": pause.kind, "began_at": pause.began, "ended_at": pause.ended},
                "outlived": None
                if one.outlived is None
                else {
                    "kind": one.outlived.kind,
                    "began_at": one.outlived.began,
                    "ended_at": one.outlived.ended,
                },
                "edge": None
                if edge is None
                else {
                    "colo": edge.colo,
                    "family": edge.family,
                    "other_than_ours": told.other_edge(one),
                },
                "network": "" if one.record.seen is None else one.record.seen.network,
            }
        )  # fmt: skip
    return out
