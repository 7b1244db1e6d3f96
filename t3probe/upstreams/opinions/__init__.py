"""What programs on the path say of themselves: `[[opinion]]`.

- `said`: one reading, and two of them as a view. Pure.
- `cloudflared`, `traefik`: their answers to a reading. Pure.
- `ask`: all of them at once, bounded in time and bytes.
- `in_run`: before a run's first beat, and after its last one.
"""
