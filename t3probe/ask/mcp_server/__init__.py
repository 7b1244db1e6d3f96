"""`t3probe mcp`: what the last run saw, for an assistant that speaks the Model Context Protocol.

Read-only: it answers questions out of recorded runs, a Pushgateway or Prometheus, and probes
nothing itself. Every answer says how old its source is.

- `answers`: the form of each answer; the schemas that clients see are made of it. Pure.
- `of_run`, `of_group`: the answers out of a recorded run, and out of a gateway's group. Pure.
- `fit`: cuts an answer to a bounded size and says what it left out. Pure.
- `runs`, `gateway`: the newest run of some files, and the gateway's group, read when asked.
- `drop`: the question that `t3probe explain` answers.
- `tools`: the tools, their arguments checked, their time bounded.
- `serve`, `over_http`: the protocol and its two transports. Only these load the
  package `mcp`.
- `command`: the subcommand.
"""
