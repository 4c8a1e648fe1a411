"""The examples in docstrings run, and give what they show."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "module", ["bundle.segmenter", "inferers.sliding_window", "transforms.grid", "transforms.load"]
)
def test_an_example_gives_what_it_shows(module):
    results = doctest.testmod(import_module(f"uniseg_nets.{module}"))
    assert results.attempted > 3 and not results.failed
