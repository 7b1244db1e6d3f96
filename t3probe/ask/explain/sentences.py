"""The answer in plain sentences: for those who run the service, and to send back to the person."""

from __future__ import annotations

from collections.abc import Sequence

from t3probe.ask.explain.client_sentences import (
    client_doubts,
    headline_of_records,
    send_back_of_records,
)
from t3probe.ask.explain.judge import SHARED, Explained
from t3probe.ask.explain.moment import Moment
from t3probe.ask.explain.pressure import HARD_SHARE, MachineThen
from t3probe.ask.explain.seen import Outage
from t3probe.ask.explain.window import COVERED_SHARE, LegThen
from t3probe.ask.forensics.kinds import LAST_MILE
from t3probe.text.words import glossed, listed, percent, span

PLAIN = {
    "wan": "our own line to the internet",
    "doh": "the name service",
    "cf-edge": "the content network in front of us",
    "tunnel": "the tunnel from the content network to us",
    "traefik": "our load balancer",
    "carve-out": "one of our routing rules",
    "wall": "our login rule",
    "devvm": "the machine that runs the service",
    "dispatch": "the process that takes the connections",
    "serve": "the process that serves the app",
}
"""What the reference deployment's segments are to somebody who does not know them."""
LISTED = 3


def headline(told: Explained, when: Moment) -> str:
    """The finding in a sentence or two, with the segments' own names."""
    if text := headline_of_records(told, when):
        return text
    finding, at = told.finding, when.clock(told.question.at)
    several = told.question.people > 1
    if told.outage is not None and finding in ("ours", "ours_one_of"):
        what = (
            f"{listed(glossed(told.convicted, told.gloss))} broke"
            if finding == "ours"
            else f"one of {listed(glossed(told.suspects, told.gloss), word='or')} broke, and these "
            "legs cannot tell which"
        )
        whose = "their last miles are" if several else "their last mile is"
        time = _from_to(told.outage, when)
        if not told.witnesses and any(one.drop is not None for one in told.covering):
            return (
                f"It was us: {what}, {time}. The drop that their own browser recorded is another "
                "one, and this does not explain it."
            )
        seen = ""
        if told.witnesses:
            seen = f" Their own browser {'saw it' if _sure(told) else 'may have seen it'}, too."
        return f"It was us: {what}, {time}. That explains the drop, so {whose} not accused.{seen}"
    if finding == "last_mile":
        mile = "their last miles, or a network that both share" if several else "their last mile"
        age = ", or a limit on age that ours were too young to meet" if told.too_young else ""
        return (
            f"It was not us: at {at} every segment of the way worked, with data. "
            f"What is left is {mile}{age}."
        )
    if finding == "shared_blind_spot":
        return (
            f"A blind spot of ours: {told.question.people} people dropped at once and our legs "
            f"show nothing. That is not {told.question.people} last miles, it is something that "
            "they share."
        )
    if finding == "not_observed":
        if any(one.seconds > 0 for one in told.legs):
            return (
                f"We were not looking at {at}: the runs around it saw no drop, but there was a "
                "pause between them. No segment is cleared or accused."
            )
        if told.legs:
            return (
                f"We were not looking: the runs around {at} tell nothing. No segment is cleared or "
                "accused."
            )
        return (
            f"We were not looking: no leg was observed within {span(told.question.window)} of "
            f"{at}. No segment is cleared or accused."
        )
    if told.outage is not None and told.verdict.status == "inconsistent":
        return (
            "We cannot tell: the outcomes of our legs contradict each other, so at least one of "
            "them is wrong. No segment is accused."
        )
    if told.outage is not None:
        suspects = [one for one in told.verdict.ambiguous if one not in (LAST_MILE, SHARED)]
        return (
            f"We cannot tell: {listed(told.outage.legs)} failed then, and neither "
            f"{listed(glossed(suspects, told.gloss), word='or')} nor the last mile is cleared."
        )
    names = listed(glossed(told.uncleared, told.gloss))
    ours = "of ours " if any(one.drop is not None for one in told.covering) else ""
    was = "was" if len(told.uncleared) == 1 else "were"
    why = f"{names} {was} not observed for long enough"
    if told.spread.issuperset(told.uncleared):
        why = f"{names} {was} not observed machine by machine"
    return (
        f"We cannot tell: no drop {ours}was seen, but {why}, so "
        f"neither {'this' if len(told.uncleared) == 1 else 'these'} nor the last mile is cleared."
    )


def _sure(told: Explained) -> bool:
    """Whether the clocks of those whose browser saw the outage are known."""
    return all(one.record.clock is not None for one in told.witnesses)


def _from_to(outage: Outage, when: Moment) -> str:
    began = when.clock(outage.began)
    if outage.ended is None:
        return f"from {began} on, and not seen to recover"
    return f"from {began} to {when.clock(outage.ended)} at the latest"


def doubts(told: Explained, when: Moment) -> list[str]:
    """Why segments of the way are not cleared, and what else limits the answer."""
    question = told.question
    out = []
    if told.finding == "not_observed" and (not told.runs or told.paused):
        before, after = told.paused or (told.before, told.after)
        known = [
            *([f"the run before it ended at {when.clock(before)}"] if before else []),
            *([f"the next one began at {when.clock(after)}"] if after else []),
        ]
        if known:
            out.append(listed(known))
    if told.outage is not None and (apart := told.outage.distance(question.at)) >= 1:
        side = "before" if told.outage.began < question.at else "after"
        out.append(f"that was {span(round(apart))} {side} the time that was named")
    if told.finding in ("unclear", "shared_blind_spot") and told.outage is None:
        for segment in told.uncleared[:LISTED]:
            some = [one for one in told.legs if segment in one.path]
            why = "; ".join(map(_weak, some[:3])) or "no leg over it was run"
            if segment in told.spread:
                why = "several machines, and our legs may have met others than the person did"
            out.append(f"{''.join(glossed([segment], told.gloss))}: {why}")
        if len(told.uncleared) > LISTED:
            out.append(f"and {len(told.uncleared) - LISTED} more segments in the same way")
    others = [one for one in told.outages if one is not told.outage]
    if others and told.outage is None:
        names = listed(leg for one in others for leg in one.legs)
        when_else = ", or at another time than their own drop" if told.covering else ""
        out.append(
            f"{names} failed in the window, beside the person's way or cleared on it{when_else}"
        )
    out += client_doubts(told, when)
    for limit in told.limits:
        which = "that is silent for so long" if limit.kind == "silence" else "so old"
        said = f"a connection of the person {which} is cut there, too, whatever else worked"
        out.append(f"{limit.text(told.gloss)}; {said}")
    stalled = max((one.lag_seconds for one in told.runs), default=0.0)
    if stalled >= 1.0:
        out.append(f"our own prober stood still for up to {span(stalled)} in these runs")
    if any(not one.complete for one in told.runs):
        cut = sum(not one.complete for one in told.runs)
        out.append(f"of {len(told.runs)} runs in the window {cut} ended early or ran only a part")
    if told.finding == "last_mile" and question.at not in (question.began, question.ended):
        looked = max((one.seconds for one in told.legs), default=0.0)
        if looked < question.seconds - 1:
            out.append(
                f"no leg was looking for {span(round(question.seconds - looked))} of these "
                f"{span(round(question.seconds))}; a drop of a few seconds can hide there"
            )
    if question.now < question.at + question.window + 90:
        out.append("the runs of that minute may not all be in yet; ask again in two minutes")
    return out


def _weak(leg: LegThen) -> str:
    """Why a leg does not clear what it crosses."""
    if leg.seconds <= 0:
        return f"{leg.name} told nothing ({leg.why or 'not run'})"
    if leg.state == "too little":
        return f"{leg.name} was looked at for only {span(round(leg.seconds))}"
    if leg.state == "not then":
        return f"{leg.name} was not looked at just then"
    return f"{leg.name} {leg.state}"


def blind_spots(told: Explained) -> list[str]:
    """Where what several people share can lie; empty unless that is the finding."""
    if told.finding != "shared_blind_spot":
        return []
    out = []
    if told.uncleared:
        several = [one for one in told.uncleared if one in told.spread]
        for some, why in (
            ([one for one in told.uncleared if one not in several],
             "on no leg that was clean and looked at for long"),
            (several, "several machines, of which our legs may have met others"),
        ):  # fmt: skip
            if some:
                out.append(f"{listed(glossed(some, told.gloss))}: {why}")
    out.append("between them and the edge: a network that they share (office, provider, VPN)")
    looked = max((one.seconds for one in told.legs), default=0.0)
    idle = told.question.seconds - looked
    if idle >= 1:
        out.append(f"the {span(round(idle))} of the window in which no leg was looking")
    if told.held_seconds is not None:
        out.append(
            f"connections older than {span(round(told.held_seconds))}: none of ours was, so a "
            "limit on age or an idle timer meets only people"
        )
    out.append("what no leg does: sessions of people who are logged in, large or long messages")
    return out


def strain(machines: Sequence[MachineThen]) -> str:
    """What the machines' pressure adds to the answer; empty when it adds nothing."""
    words = {"io": "I/O", "memory": "memory", "swap": "swap space"}
    for one in machines:
        if one.hard_pressed:
            short = listed(words[name] for name in one.hard_pressed)
            return (
                f"{one.instance} was short of {short} then (its tasks stood still for "
                f"{percent(HARD_SHARE)} of the time or more, or its swap was used up): look at it "
                "first"
            )
    return ""


def send_back(told: Explained, when: Moment, users: Sequence[str]) -> str:
    """The sentence to send to the person: what was found, and what to do next."""
    hello = f"Hello {listed(users)}," if users else "Hello,"
    return f"{hello} thank you for telling us. {_body(told, when, when.brief)}"


def _plain(segment: str) -> str:
    return PLAIN.get(segment, f"the part that we call {segment}")


def _body(told: Explained, when: Moment, time: str) -> str:
    if text := send_back_of_records(told, when, time):
        return text
    finding = told.finding
    if finding in ("ours", "ours_one_of") and told.outage is not None:
        names = told.convicted if finding == "ours" else told.suspects
        also = {_plain(one): words for one, words in told.gloss.items()}
        plain = glossed(map(_plain, names), also)
        what = listed(plain) if finding == "ours" else f"one of these: {listed(plain, word='or')}"
        seen = ""
        if told.witnesses:
            shows = "shows it" if _sure(told) else "may show it"
            seen = f"Your browser's own record {shows}, too. "
        over = (
            f"It worked again by {when.clock(told.outage.ended)}"
            if told.outage.ended is not None
            else "When we last looked it was not over"
        )
        return (
            f"It was us: at about {time} something on our side broke, {what}. {over}. {seen}There "
            "is nothing that you need to change. If it happens again, please tell us the time."
        )
    if finding == "last_mile":
        share = min((one.share for one in told.legs if one.clears), default=COVERED_SHARE)
        return (
            f"Around {time} we were measuring every part of our side of your connection, for at "
            f"least {percent(share)} of the time, and all of it worked. So the "
            "drop most likely happened between you and us: your Wi-Fi, router, VPN or provider. "
            "Next time, please try a cable or another network such as a phone's, note the time to "
            "the second, and tell us whether others near you dropped too."
        )
    if finding == "shared_blind_spot":
        return (
            f"Several of you dropped at about {time}, so this is not your own line. Our "
            "measurements show no fault of ours at that time, but they do not cover everything, "
            "and we are looking further. Please tell us which network, provider or VPN each of "
            "you was on, and the time to the second if you have it."
        )
    if finding == "not_observed":
        return (
            f"We were not measuring at about {time}, so we cannot say what broke, and we do not "
            "rule out our side. If it happens again, please tell us the time right away."
        )
    return (
        f"We cannot say yet what broke at about {time}: our measurements cover only a part of the "
        "way for that moment, and we do not rule out our side. Please tell us whether you were on "
        "Wi-Fi or a cable, and whether others near you dropped too; we will read our logs."
    )
