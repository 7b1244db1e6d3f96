"""Reads the blocks of a Markdown document: indented ones, fenced ones, and what stands before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = "<!-- needs a cluster -->"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^(`{3,}|~{3,})\s*(\S*)\s*$")
_PUT = re.compile(r"^(Put this into|Add to) `([^`]+)`:$")


@dataclass(frozen=True)
class Block:
    """One block of code, wherever it stands."""

    document: str
    line: int
    """Of its first line, from 1."""
    language: str
    """What the fence says; empty for an indented block."""
    lines: tuple[str, ...]
    before: str
    """The last line above it that is not empty."""

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def needs_cluster(self) -> bool:
        return self.before == MARK

    @property
    def put(self) -> tuple[str, bool] | None:
        """The file that it is to be written to, and whether it is added to what is there."""
        match = _PUT.match(self.before)
        return (match[2], match[1] == "Add to") if match else None

    @property
    def paragraphs(self) -> list[list[str]]:
        """Its lines without comments, those that end with a backslash joined, parted where a line
        is empty."""
        found: list[list[str]] = [[]]
        for line in "\n".join(self.lines).replace("\\\n", " ").splitlines():
            if not line.strip():
                found.append([])
            elif not line.startswith("#"):
                found[-1].append(line)
        return [one for one in found if one]


def blocks(path: Path) -> list[Block]:
    """Every block of a document, in order."""
    return read(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))


def read(text: str, document: str) -> list[Block]:
    """Every block of a text. An indented one needs an empty line above it, as in Markdown, and
    does not belong to a list."""
    lines = text.splitlines()
    found: list[Block] = []
    before, at = "", 0
    listed = False
    while at < len(lines):
        line = lines[at]
        fence = _FENCE.match(line)
        empty_above = at == 0 or not lines[at - 1].strip()
        if fence:
            end = at + 1
            while end < len(lines) and not lines[end].startswith(fence[1]):
                end += 1
            body = lines[at + 1 : end]
            found.append(Block(document, at + 2, fence[2] or "text", tuple(body), before))
            before, at = "", end + 1
            continue
        if line.startswith("    ") and line.strip() and empty_above and not listed:
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            body = [one[4:] for one in lines[at:end]]
            while body and not body[-1].strip():
                body.pop()
            found.append(Block(document, at + 1, "", tuple(body), before))
            before, at = "", end
            continue
        if line.strip():
            before = line
            listed = bool(re.match(r"(\s*[-*]|\s*[0-9]+\.) ", line)) or (
                listed and line.startswith(" ")
            )
        at += 1
    return found


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+?)\s*$", outside, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number, name = 1, plain
        while name in found:
            name, number = f"{plain}-{number}", number + 1
        found.add(name)
    return found
