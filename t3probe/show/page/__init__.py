"""The report: one self-contained HTML page about a run, or about many.

- `markup`: elements that escape by default.
- `view`: a run as the page needs it; `history`: many runs, each in a few numbers.
- `page`: the whole; one module for each picture and table beside it.
- `coverage`: what the legs of a deployment can tell apart, for a terminal.
The commands are `t3probe.commands.report` and `t3probe.commands.legs`.

Pure: the same records give the same bytes.
"""
