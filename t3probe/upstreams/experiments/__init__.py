"""Remote rigs: which of them work, by what relay, jump and book say.

- `wire`: what relay and jump write about their connections. Pure.
- `rigs`: the rigs that book offers, and what they are called. Pure.
- `condition`: whether a rig is available and healthy, of what was reported lately. Pure.
- `events`: which changes are events, and when. Pure.
- `manage`: what is to be written to book, and what never. Pure.
- `tokens`: the tokens that the three services take.
- `book`: book's own interface: resources, availability.
- `listen`: listening to relay and jump, with a watchdog and back-off.
- `seen`: reports as observations of legs. Pure.
- `in_run`: the rigs of one run.
"""
