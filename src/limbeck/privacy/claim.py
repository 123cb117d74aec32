"""The options of a guarantee, which every private method has, and the budget that they make."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated, Any, ClassVar

from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.privacy.budget import Budget, protected
from limbeck.privacy.composition import Part
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.queries import Query
from limbeck.privacy.sampled import MECHANISM as SAMPLED
from limbeck.privacy.sampled import Steps, multiplier_for
from limbeck.privacy.shards import MECHANISM as FULL
from limbeck.privacy.shared import Shared
from limbeck.privacy.statement import Statement
from limbeck.recipe import options
from limbeck.types import Adjacency, Event, Guarantee, Unit


@options
class Claim:
    """The options of a guarantee.

    epsilon: None: no noise and no guarantee, but the same computation otherwise.
    delta: the chance of exception, well below 1 over the number of records.
    adjacency: "add-remove" one unit, where the number of units is private too, or "replace-one".
    unit: "record", or "group": all records of one person; None: groups where the data has them.
    """

    epsilon: Annotated[float, Field(gt=0)] | None = 1.0
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    adjacency: Adjacency = "add-remove"
    unit: Unit | None = None

    gaussian: ClassVar[bool] = True
    """Whether all events are Gaussian sums over all records, so that mu-GDP can be claimed."""

    @property
    def queries(self) -> tuple[Query, ...]:
        """All sums that will be asked for, where that is known before anything runs."""
        return ()

    @property
    def sampling(self) -> tuple[float, int] | None:
        """Rate and number of sampled steps, where those take the whole budget."""
        return None

    @property
    def sampled_steps(self) -> tuple[Event, ...]:
        """The event that ``sampling`` becomes, sensitivity and noise in units of any norm."""
        if self.sampling is None or self.epsilon is None:
            return ()
        rate, count = self.sampling
        multiplier = multiplier_for(
            self.epsilon, self.delta, self.adjacency, rate=rate, count=count
        )
        return (Steps(rate, count, multiplier, norm=1.0).event("sampled steps"),)

    @property
    def guarantee(self) -> Guarantee | None:
        """What is claimed before anything runs, with the events that ``queries`` declares."""
        if self.epsilon is None:
            return None
        unit = self.unit or "record"
        if not self.gaussian:
            return Guarantee(self.epsilon, self.delta, self.adjacency, unit)
        mu = mu_of(self.epsilon, self.delta)
        events = tuple(query.event(mu, self.adjacency) for query in self.queries)
        return Guarantee(self.epsilon, self.delta, self.adjacency, unit, events, mu)

    def unit_of(self, private: LabeledDataset) -> Unit:
        """What is protected of these data; OptionError as of ``budget.protected``."""
        return protected(private, self.unit)

    def budget(
        self,
        private: LabeledDataset,
        *,
        insecure_seed: int | None = None,
        among: tuple[Shared, int] | None = None,
    ) -> Budget:
        """The budget that these options make of the data; all access to them goes through it."""
        return Budget(
            private,
            epsilon=self.epsilon,
            delta=self.delta,
            adjacency=self.adjacency,
            unit=self.unit,
            insecure_seed=insecure_seed,
            among=among,
        )

    def shadows(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
    ) -> Iterator[Budget]:
        """The budget of each shadow run: they share clean sums, and nothing of their noise."""
        shared = Shared(private, membership)
        for run, (row, seed) in enumerate(zip(membership, seeds, strict=True)):
            secret = coins.derive(seed, "privacy noise")
            yield self.budget(private.select(row), insecure_seed=secret, among=(shared, run))


REPEATABLE = "repeatable, for audits and tests alone"
"""The noise of shadow runs, in the words of their cards."""


def on_card(budget: Budget, *, name: str = "release", owed: Sequence[Part] = ()) -> dict[str, Any]:
    """What a card says of what was spent: guarantee, ledger and libraries, in JSON values.

    owed: by releases that this one, called ``name``, was made from.
    """
    claimed = budget.guarantee
    if claimed is None:
        return stated(None, "none" if budget.epsilon is None else REPEATABLE)
    return stated(
        Statement.of(claimed, name=name, limit=budget.limit, owed=owed, grouped=budget.grouped)
    )


def stated(statement: Statement | None, noise: str = "none") -> dict[str, Any]:
    """A guarantee on a card; ``noise`` says why there is none."""
    if statement is None:
        return {"guarantee": None, "ledger": [], "noise": noise}
    events = statement.parts[0].guarantee.events
    kinds = {event.mechanism for event in events}
    noises = {words for kind, words in _NOISES.items() if kind in kinds}
    return {
        "guarantee": statement.claim,
        "in_words": statement.sentences,
        "deployment": statement.deployment,
        "ledger": [asdict(event) for event in events],
        "noise": "; ".join(sorted(noises)),
        "privacy_libraries": {name: version(name) for name in ("dp-accounting",)},
    }


_NOISES = {
    FULL: "discrete Gaussian, exactly, from the operating system's entropy",
    SAMPLED: "discrete Gaussian, exactly, from the operating system's entropy",
}
