"""The owner of the private data: it spends before it answers, and refuses once all is spent.

What may still be asked, and with how much noise, the ledger says (``ledger``). Here a clean sum is
computed and noised in one go, or the records are handed to a sampler or to shards, which do that.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Int64
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.privacy import sums
from limbeck.privacy.ledger import Ledger
from limbeck.privacy.noisy_sum import NoisySum, noised, noised_products
from limbeck.privacy.queries import Query
from limbeck.privacy.records import Bound, Embedding, Statistic, embed
from limbeck.privacy.sampled import Sampler
from limbeck.privacy.shards import Shards
from limbeck.privacy.shared import Shared
from limbeck.types import Adjacency, Event, Guarantee, Unit


def protected(private: LabeledDataset, unit: Unit | None) -> Unit:
    """The unit asked for, or else groups where the data has them; whether it has them is public.

    OptionError where groups are to be protected and there are none.
    """
    if unit not in (None, "record", "group"):
        raise OptionError(f"unit is 'record' or 'group', not {unit!r:.40}")
    if unit == "group" and private.groups is None:
        raise OptionError(
            f"{private.name}: no record of shape {private.shape} has a group; protect the unit "
            "'record', or give groups"
        )
    return unit or ("record" if private.groups is None else "group")


class Budget:
    """Private data that answers noisy sums only, up to (epsilon, delta) in all.

    epsilon: None: sums without noise, and no guarantee: the same computation, to compare with.
    adjacency: "add-remove" one unit (the number of units is then private too) or "replace-one".
    unit: what is protected; None: groups where the data has them, else records.
    insecure_seed: repeatable noise, and no guarantee: for shadow runs, which are never released.
    among: of shadow runs alone: what computes the clean sums of all runs at once, and which run of
        them has ``private`` as its records.
    Raises OptionError where these are no guarantee, or the data has no groups to protect.
    """

    def __init__(
        self,
        private: LabeledDataset,
        *,
        epsilon: float | None,
        delta: float = 1e-5,
        adjacency: Adjacency = "add-remove",
        unit: Unit | None = None,
        insecure_seed: int | None = None,
        among: tuple[Shared, int] | None = None,
    ) -> None:
        assert among is None or insecure_seed is not None, "a release shares nothing"
        self.shape, self.classes = private.shape, private.classes
        self.classes_from = private.classes_from
        self.unit: Unit = protected(private, unit)
        self.epsilon = epsilon
        self.limit = private.limit
        self.grouped = private.groups is not None
        self._ledger = Ledger(epsilon=epsilon, delta=delta, adjacency=adjacency, unit=self.unit)
        self._private = private
        self._insecure_seed = insecure_seed
        self._among = among
        self._kept: tuple[Embedding, Tensor] | None = None

    @property
    def left(self) -> float:
        """The share of the budget, in mu^2, that is not spent."""
        return self._ledger.left

    @property
    def events(self) -> tuple[Event, ...]:
        """The ledger so far; without noise there is none."""
        return self._ledger.events

    @property
    def guarantee(self) -> Guarantee | None:
        """What holds of everything released so far; None without noise that is secret."""
        return None if self._insecure_seed is not None else self._ledger.guarantee

    def release(
        self,
        name: str,
        statistic: Statistic,
        bound: Bound,
        share: float,
        *,
        by_class: bool = False,
        after: Embedding | None = None,
        fixed: bool = False,
        device: str = "cpu",
    ) -> NoisySum:
        """The sum of the units' bounded statistics with noise worth ``share`` of the budget.

        name: of the event in the ledger. by_class: each record is added to its own class's sum.
        after: an embedding, whose rows the statistic is given in place of the inputs. Those of the
        last one are kept, for releases of several statistics of them.
        fixed: statistic and embedding follow from options alone, from no earlier answer and from no
        coin of the run: shadow runs may then share what they compute.
        BudgetError, before anything is read, where less is left.
        """
        query = Query(name, share, reach=bound.reach)
        scale = self._ledger.query(query)
        total = self._sum(query, statistic, bound, by_class, after, fixed, device)
        noisy = noised(total, scale, self._noise_seed(""))
        return NoisySum(noisy.double() * bound.step, scale * bound.step)

    def products(
        self,
        name: str,
        statistic: Statistic,
        norm: float,
        share: float,
        *,
        by_class: bool = False,
        after: Embedding | None = None,
        fixed: bool = False,
        device: str = "cpu",
    ) -> NoisySum:
        """The sum of z z', with z each record's statistic cut to ``norm``, with noise as above.

        What a unit adds has a Frobenius norm of at most norm^2. Noise is drawn for the entries on
        and above the diagonal, and counted on those above it as sqrt 2 times itself: that is the
        matrix as a vector of the same norm.
        """
        bound = Bound.of(norm, sums.PRODUCT_BITS)
        query = Query(name, share, products=True, reach=bound.reach)
        scale = self._ledger.query(query)
        total = self._sum(query, statistic, bound, by_class, after, fixed, device)
        noisy = noised_products(total, scale, self._noise_seed)
        return NoisySum(noisy.double() * bound.step**2, scale * bound.step**2)

    def steps(
        self,
        name: str,
        shapes: Iterable[torch.Size],
        *,
        rate: float,
        count: int,
        norm: float,
        device: str = "cpu",
    ) -> Sampler:
        """All of the budget for ``count`` noisy sums of gradients, declared before the first.

        shapes: of the gradients, one a parameter. rate: chance of each unit to take part in a
        step. norm: that a unit's gradients, all parameters together, are cut to. The sampler
        hands its rows inputs and labels. BudgetError where anything was spent before: the losses
        of sampled steps add up by privacy loss distributions, for what is declared beforehand.
        """
        declared = self._ledger.steps(name, rate=rate, count=count, norm=norm)
        return Sampler(
            self._private.inputs,
            self._private.labels,
            declared,
            shapes,
            groups=self._private.groups if self.unit == "group" else None,
            device=device,
            insecure_seed=self._insecure_seed,
        )

    def shards(
        self, name: str, *, shards: int, norm: float, count: int, share: float, device: str = "cpu"
    ) -> Shards:
        """``count`` noisy sums over ``shards`` parts of each class, worth ``share`` in all.

        norm: that the answer of each part is cut to. BudgetError, before anything is read, where
        less is left.
        """
        turns = self._ledger.turns(
            name, shards=shards, norm=norm, count=count, share=share, classes=len(self.classes)
        )
        return Shards(
            self._private,
            turns,
            unit=self.unit,
            device=device,
            insecure_seed=self._noise_seed("shards"),
        )

    def _sum(
        self,
        query: Query,
        statistic: Statistic,
        bound: Bound,
        by_class: bool,
        after: Embedding | None,
        fixed: bool,
        device: str,
    ) -> Int64[Tensor, "..."]:
        """The clean sum in grid steps: of these records, or this run's part of all runs'."""
        # A group's weights depend on how many of its records a run has.
        if self._among is not None and fixed and self.unit == "record":
            shared, run = self._among
            kind = shared.products if query.products else shared.vectors
            return kind(
                query.name, run, statistic, bound, by_class=by_class, after=after, device=device
            )
        return (sums.products if query.products else sums.vectors)(
            self._private,
            statistic,
            bound,
            unit=self.unit,
            by_class=by_class,
            embedded=self._embedded(after, device),
            device=device,
        )

    def _embedded(self, after: Embedding | None, device: str) -> Tensor | None:
        if after is None:
            return None
        if self._among is not None:
            shared, run = self._among
            return shared.embedded(run, after, device)
        if self._kept is None or self._kept[0] is not after:
            self._kept = after, embed(self._private, after, device=device)
        return self._kept[1]

    def _noise_seed(self, part: str) -> int | None:
        """Of noise that is to be repeatable: another seed for every event and part of it."""
        if self._insecure_seed is None:
            return None
        return coins.derive(self._insecure_seed, "noise", len(self.events), part)
