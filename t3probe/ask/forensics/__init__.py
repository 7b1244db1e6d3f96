"""Server-side logs: which side died, when many died at once, and what the runs saw then.

`stream` reads lines, `formats` peels what a collector put before them, `stamps` reads times,
`classify` and `access` name what a line says, `tally` counts it in bounded memory, `bursts`
finds what happened at one moment, `beside` lays that on the timeline of the runs.
"""
