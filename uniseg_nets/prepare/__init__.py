"""From downloaded public data sets to one datalist over all tasks."""

from uniseg_nets.prepare.add import prepare
from uniseg_nets.prepare.converters import CONVERTERS, Converter
from uniseg_nets.prepare.sources import SOURCES, Source

__all__ = ["CONVERTERS", "SOURCES", "Converter", "Source", "prepare"]
