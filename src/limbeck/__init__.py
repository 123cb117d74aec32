"""limbeck condenses a private labelled dataset into a small synthetic one, and audits what leaks.

The names below are the public interface; each is imported when it is first used, so that
``import limbeck`` costs nothing. Where there is more of a kind, its package says so:
``limbeck.data``, ``limbeck.synthesize``, ``limbeck.train``, ``limbeck.mechanism``,
``limbeck.audit``, ``limbeck.report``, ``limbeck.experiments``; ``limbeck.registry`` lists every
method by name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.audit import Audit as Audit
    from limbeck.audit import audit as audit
    from limbeck.data import LabeledDataset as LabeledDataset
    from limbeck.data import SyntheticDataset as SyntheticDataset
    from limbeck.data import load as load
    from limbeck.errors import LimbeckError as LimbeckError
    from limbeck.experiments import compare as compare
    from limbeck.mechanism.pipeline import Pipeline as Pipeline
    from limbeck.report import report as report
    from limbeck.synthesize.condense.distribution_matching import (
        DistributionMatching as DistributionMatching,
    )
    from limbeck.synthesize.condense.dm_ridge import DistributionRidge as DistributionRidge
    from limbeck.synthesize.select.random_subset import RandomSubset as RandomSubset
    from limbeck.train.comparison import utility as utility
    from limbeck.train.evaluate import evaluate as evaluate
    from limbeck.train.kernel_ridge import KernelRidge as KernelRidge
    from limbeck.train.standard import Standard as Standard
    from limbeck.types import Estimate as Estimate
    from limbeck.types import Guarantee as Guarantee

# The same once more for running programs; a test holds the two lists to each other.
_HOME = {
    "Audit": "limbeck.audit",
    "DistributionMatching": "limbeck.synthesize.condense.distribution_matching",
    "DistributionRidge": "limbeck.synthesize.condense.dm_ridge",
    "Estimate": "limbeck.types",
    "Guarantee": "limbeck.types",
    "KernelRidge": "limbeck.train.kernel_ridge",
    "LabeledDataset": "limbeck.data",
    "LimbeckError": "limbeck.errors",
    "Pipeline": "limbeck.mechanism.pipeline",
    "RandomSubset": "limbeck.synthesize.select.random_subset",
    "Standard": "limbeck.train.standard",
    "SyntheticDataset": "limbeck.data",
    "audit": "limbeck.audit",
    "compare": "limbeck.experiments",
    "evaluate": "limbeck.train.evaluate",
    "load": "limbeck.data",
    "report": "limbeck.report",
    "utility": "limbeck.train.comparison",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'limbeck' has no attribute {name!r}")
    module = import_module(_HOME[name])
    # limbeck.audit and limbeck.report are packages that can be called, and stay what they are.
    return module if _HOME[name] == f"limbeck.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
