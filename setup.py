"""Finds the packages, which setup.cfg cannot together with one that lies elsewhere; all else stands in setup.cfg."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["uniseg_nets", "uniseg_nets.*"]), "uniseg_nets.bundles"])
