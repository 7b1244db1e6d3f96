"""Markdown for a chat or a summary: it shows what was said, and nothing of it is markup."""

from __future__ import annotations

import html
import re

import msgspec
from gate_runs import leg, run
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from t3probe.show.compare import compare
from t3probe.show.compare.lines import to_markdown
from t3probe.show.markdown import MESSAGE_LIMIT, cell, message, run_markdown, table
from t3probe.text import plain
from t3probe.verdict.incident.run import judge_run

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])
"""https://github.github.com/gfm/ but for what its section 6.9 adds: see AUTOLINK."""
AUTOLINK = re.compile(
    r"(?i)(?:^|[\s*_~(])(?:www\.|https?://|ftp://)|[a-z0-9._+-]+@[a-z0-9_-]+\.|(?:mailto|xmpp):\S+@\w"
)
"""What section 6.9 makes a link of, without brackets around it."""
PING = re.compile(r"(?<!\\)<[!@#]|@(?:all|here|channel|everyone|[A-Za-z0-9_])")
"""Slack's <!channel> and everybody's @name."""

HOSTILE = (
    "</td><script>x</script> | `x` [a](http://evil) @all #1 **b** __c__ <!-- \u2028 \r\n| --- |"
)


def test_markdown_shows_hostile_text_as_it_is() -> None:
    one = run("cloudflare")
    seen = [msgspec.structs.replace(leg, detail=HOSTILE) for leg in one.observations]
    lines = list(run_markdown(one.run, seen, judge_run(one.run, seen)))
    shown = "\n".join(lines)
    assert "<script" not in re.sub(r"\\.", "", shown)
    rows = [line for line in lines if line.startswith("| cloudflare")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 4


@given(st.text(max_size=200))
def test_a_cell_keeps_its_table(text: str) -> None:
    lines = list(table(("a", "b"), [(text, text)]))
    assert len(lines) == 3
    assert not re.search(r"[\r\n\x0b\x0c\u0085\u2028\u2029]", lines[2])
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", lines[2])) == 3
    assert not re.search(r"(?<!\\)(?:\\\\)*`", cell(text))


FRAGMENTS = st.sampled_from(
    ["www.", "WWW.evil.com", "https://x.yz", "a@b.co", "mailto:a@b.co", "<!channel>", "@everyone",
     "**", "__", "_", "~~", "`", "[a](b)", "![i](j)", "|", "\\", "\\|", "&lt;", "<script>", "-->",
     "$x$", "#1", "\r\n", "---", "1. ", "- ", " ", "> "]
)  # fmt: skip
TEXTS = st.lists(FRAGMENTS | st.text(max_size=8), max_size=8).map("".join)


@given(TEXTS)
def test_a_reader_sees_the_very_text(text: str) -> None:
    """Rendered by an independent implementation: no element inside, and nothing lost."""
    shown = cell(text)
    page = GFM.render("\n".join(table(("a", "b"), [(text, "end")])))
    inside = re.findall(r"<td>(.*?)</td>", page, re.S)
    assert len(inside) == 2
    assert inside[1] == "end"
    assert "<" not in inside[0]
    seen = html.unescape(inside[0]).replace("\u200b", "").split()
    said = plain(text, ascii=False).split()
    assert seen == said
    assert not AUTOLINK.search(shown)
    assert not PING.search(shown)


@example([""] * 100, 60)
@example(["abc"] * 100, 100)
@given(st.lists(st.text(max_size=300), max_size=40), st.integers(60, 3000))
def test_a_message_fits_and_says_what_is_missing(lines: list[str], limit: int) -> None:
    shown = list(message(lines, limit))
    assert len("\n".join(shown)) <= limit
    if shown != lines:
        assert len("\n".join(lines)) + 1 > limit
        assert shown[:-2] == lines[: len(shown) - 2]
        assert shown[-1] == f"... and {len(lines) - len(shown) + 2} more lines; the report has all."


def test_a_bad_run_fits_into_a_chat_message() -> None:
    before, after = run(), run("cloudflare", at=1_700_000_600.0)
    legs = [
        msgspec.structs.replace(leg("edge", failed=True), leg=f"leg-{n}", detail=HOSTILE)
        for n in range(60)
    ]
    whole = list(run_markdown(after.run, legs, judge_run(after.run, legs)))
    assert len("\n".join(whole)) > MESSAGE_LIMIT
    assert len("\n".join(message(whole))) <= MESSAGE_LIMIT
    assert "| and 20 more |  |  |" in whole
    assert len("\n".join(message(to_markdown(compare(before, after))))) <= MESSAGE_LIMIT


def test_names_stay_readable() -> None:
    assert cell("cf-edge: rtt_timeout, 502 (bad) in 1.5 s") == (
        "cf-edge: rtt_timeout, 502 (bad) in 1.5 s"
    )
