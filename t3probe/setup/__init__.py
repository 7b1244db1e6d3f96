"""First contact: a deployment file from a few answers, and what the environment lacks.

`t3probe init` asks, probes once and writes; `t3probe doctor` looks at the machine; `t3probe
completion` tells a shell the words. Each lives in a file of its own here.
"""
