"""Experiments: many mechanisms compared under one plan, and the papers' claims tried again."""

from limbeck.experiments.comparing import Comparing
from limbeck.experiments.comparison import Comparison
from limbeck.experiments.run import compare, prepare
from limbeck.experiments.spec import Spec

__all__ = ["Comparing", "Comparison", "Spec", "compare", "prepare"]
