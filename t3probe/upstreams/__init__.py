"""Where Envoy's upstreams come from, and Envoy's own opinion about them.

- `sources`: what a source finds, and the one signature that each of them has.
- `envoy`: Envoy's admin interface; `envoy_config`, `envoy_routes` and `envoy_hosts` read its
  answers without any I/O.
- `nodes`: a JSON API of nodes and their routes.
- `sources_read`: all sources of a deployment at once, bounded in time and size.
- `sources_legs`: what they found as legs of the deployment: names, shared segments. Pure.
- `sources_run`: the sources of one run: read at its start, Envoy's opinion again at its end.
- `views`: that opinion beside what the probe saw. Pure.
- `opinions`: what other programs on the path say of themselves.

The list in the deployment file (`[[upstream]]`) is no part of this: `t3probe.config` reads it.
"""
