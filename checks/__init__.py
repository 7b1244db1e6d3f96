"""What is judged, one file per kind of check; packaged as `t3probe.checks`."""
