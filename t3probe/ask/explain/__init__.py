"""`t3probe explain`: what broke when a person dropped?

- `moment`: the time that a person names.
- `seen`: what was seen around it, whichever source told it; `from_runs` and `from_prometheus`
  make it out of recorded runs and out of the metrics; `pressure` asks for the serving machine.
- `judge`: the answer, with the person as one leg more. Pure.
- `words`, `report`: the answer for people, and as JSON.
- `command`: the subcommand.
"""
