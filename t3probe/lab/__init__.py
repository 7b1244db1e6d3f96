"""The built-in lab: the reference path as real hops on loopback, with faults to switch.

Nothing is imported here, so that `t3probe.lab.process` stays cheap for those who only start
a lab. The parts: `faults` (what can break, as text), `stack` (the hops), `control` (switching
while it runs), `process` (a lab as a child process).
"""
