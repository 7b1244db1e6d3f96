"""The usual ways out of a carve-out: request targets that start public and mean a walled path.

A proxy that matches rules on one reading of a path and forwards another lets a visitor step
from a public prefix into what the wall protects. See RFC 3986 section 6.2.2 for the
normalisations involved and RFC 9112 section 3.2.2 for the absolute form. Pure.
"""

from __future__ import annotations

__all__ = ["ways_out"]


def ways_out(prefix: str, walled_path: str) -> dict[str, str]:
    """Name -> request target, each reaching `walled_path` from `prefix` if the rule leaks.

    `prefix` is such as `/probe`, `walled_path` begins with a slash. Targets in origin form;
    the absolute-form variant is made by the caller, which knows the host.
    """
    start, goal = "/" + prefix.strip("/"), "/" + walled_path.lstrip("/")
    rest = goal[1:]
    up = "/".join([".."] * (start.count("/")))
    encoded_up = up.replace("..", "%2e%2e")
    return {
        "dot segments": f"{start}/{up}{goal}",
        "encoded dots": f"{start}/{encoded_up}{goal}",
        "upper-case encoded dots": f"{start}/{encoded_up.upper()}{goal}",
        "half-encoded dots": f"{start}/{up.replace('..', '.%2e')}{goal}",
        "encoded slash after dots": f"{start}/{up}%2f{rest}",
        "encoded slash before dots": f"{start}%2f{up}{goal}",
        "all encoded": f"{start}%2f{encoded_up.replace('/', '%2f')}%2f{rest}",
        "doubly encoded dots": f"{start}/{encoded_up.replace('%', '%25')}{goal}",
        "doubled slashes": f"{start}//{up}//{rest}",
        "doubled slash in front": f"/{start}/{up}{goal}",
        "path parameter after dots": f"{start}/{up.replace('..', '..;')}{goal}",
        "path parameter with a value": f"{start}/{up.replace('..', '..;a=b')}{goal}",
        "path parameter after the prefix": f"{start};/{up}{goal}",
        "single dots": f"{start}/./{up}/.{goal}",
        "backslash": f"{start}/{up}%5c{rest}",
        "upper case": f"{start.upper()}/{up}{goal}",
        "trailing question mark": f"{start}/{up}{goal}?",
    }
