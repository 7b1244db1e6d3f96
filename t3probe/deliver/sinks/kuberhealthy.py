"""Kuberhealthy: an external check reports by one POST to the URL in `KH_REPORTING_URL`.

The form is that of Kuberhealthy 2's external checks (the client's `ReportSuccess` and
`ReportFailure`): the JSON object `{"OK": true, "Errors": []}`, where `Errors` must be empty
when `OK` is true and must not be when it is false, with the header `kh-run-uuid` holding
`KH_RUN_UUID` where that variable is set. Kuberhealthy answers 200, or 400 when it refuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from t3probe.deliver.sinks import Receipt
from t3probe.exchange.client import Budget, Site, Trouble, exchange
from t3probe.text import cut, plain

MAX_ERRORS = 20
LONGEST_ERROR = 300


def body(ok: bool, errors: Sequence[str]) -> bytes:
    """What is posted; at most `MAX_ERRORS` sentences, each cut and on one line."""
    said = [cut(plain(one, ascii=False), LONGEST_ERROR) for one in errors[:MAX_ERRORS]]
    if len(errors) > MAX_ERRORS:
        said.append(f"{len(errors) - MAX_ERRORS} more")
    if ok:
        said = []
    elif not said:
        said = ["the run failed"]
    return json.dumps({"OK": ok, "Errors": said}).encode()


def report(
    url: str, ok: bool, errors: Sequence[str], environ: Mapping[str, str], budget: Budget
) -> Receipt:
    """Tell Kuberhealthy how the run went. Never raises for what it may answer."""
    headers = {"Content-Type": "application/json"}
    run = environ.get("KH_RUN_UUID", "")
    if run and run.isascii() and run.isprintable():
        headers["kh-run-uuid"] = run
    try:
        site = Site(url)
    except ValueError as error:
        return Receipt(False, f"KH_REPORTING_URL: {error}; nothing was reported to Kuberhealthy")
    words = f"Kuberhealthy at {site.name}"
    for last in (False, True):
        try:
            answer = exchange(site, "POST", None, budget, body=body(ok, errors), headers=headers)
        except Trouble as trouble:
            if trouble.passing and not last and budget.left_seconds > 0.1:
                budget.pause(0.1)
                continue
            return Receipt(False, f"{words} {trouble.what}; it does not know how this run went")
        if 200 <= answer.status < 300:
            break
        return Receipt(
            False, f"{words} answers {answer.status}; it does not know how this run went"
        )
    return Receipt(True, f"{words}: reported {'OK' if ok else 'errors'}")
