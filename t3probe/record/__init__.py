"""The record of a run: observations as JUnit properties or as one log line, and back.

Every leg is one testsuite-level property `t3probe.leg.NAME`, its observation as ASCII JSON;
`t3probe.run` holds what the run knew of itself. The scheduled job says the same once more as one
line of its standard output, since that outlives the pod. Everything downstream reads these, so
that any file the suite ever wrote can be judged again.

- `facts`: the types, and an observation to and from JSON.
- `junit`: the record in a JUnit file.
- `line`: the record as one line; the form is described there.
- `log`: record lines out of the logs of container runtimes, kubectl and Loki.
- `reading`: any of these files, told apart by what is in them.
- `latest`: the latest runs of thousands.

Names load their module when they are first used: a run only writes.
"""
