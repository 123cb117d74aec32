"""A trainer by the name that a user gives it: a registered one, or just a network."""

from collections.abc import Mapping
from typing import Any

from limbeck import registry
from limbeck.errors import OptionError
from limbeck.nn.networks import catalogue
from limbeck.recipe import build
from limbeck.train.base import Trainer


def named_trainer(name: str, options: Mapping[str, Any], *, many_records: bool = False) -> Trainer:
    """A registered trainer, or the standard one with the network of that name.

    many_records: to be trained on the private data themselves, where ``options`` name no recipe.
    OptionError where there is no such trainer or option.
    """
    values, trainers = dict(options), registry.methods("trainer")
    if name not in trainers:
        if not catalogue.is_known(name):
            raise OptionError(
                f"no trainer or network is called {name!r}; trainers: {', '.join(trainers)}; "
                f"networks: {catalogue.known()}"
            )
        name, values = "standard", {"network": name, **values}
    made: Trainer = build(name, values, "trainer")
    return made.for_many_records() if many_records and "recipe" not in values else made
