"""Measurements, each beside its plain alternative in one run. `python -m bench` prints them as Markdown."""
