"""Configs of bundles that earlier versions packed."""

import warnings

import pytest

from uniseg_nets.inferers import UniSegInferer


def test_an_argument_that_has_no_effect_any_more_is_taken_and_named_if_it_had_a_value(table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        UniSegInferer(table, "liver", early_exit=None)
    with pytest.warns(FutureWarning, match="argument early_exit of UniSegInferer.__init__ has no effect any more"):
        UniSegInferer(table, "liver", early_exit=0.2)
