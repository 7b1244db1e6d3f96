"""Which segment broke: pure functions from outcomes, or from observations, to a verdict.

- `solve` labels the segments of a `Case`; `parse_cases` reads cases from JSON.
- `judge_run` judges a run's observations, incident by incident.

Names load their module when they are first used: a clean run needs no search.
"""
