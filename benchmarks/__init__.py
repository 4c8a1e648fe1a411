"""Measurements, each a script with its command in its docstring; run from the project's root."""
