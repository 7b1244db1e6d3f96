"""Kubernetes objects that follow from the deployment file and the alert rules.

Pure but for `command.py`, which reads the files and prints.
"""
