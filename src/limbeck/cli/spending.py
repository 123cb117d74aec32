"""A release on its way through the owner's book of budgets, for the commands that make one."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import registry
from limbeck.cli import console
from limbeck.cli.options import DataOptions, shell
from limbeck.cli.private_accuracy import NAME, AccuracyOptions
from limbeck.types import Guarantee, Unit

if TYPE_CHECKING:
    import limbeck.data.dataset
    import limbeck.owner.book
    import limbeck.owner.sheet
    from limbeck.privacy.composition import Part


class Spending:
    """One release of ``source`` by ``method``: entered when this is made, before a record is read.

    method: with its options, as they were given. chosen: as the best of several settings (--tune).
    BudgetError where the release does not fit under the total that was set. A method that reads
    no private data is not entered.
    """

    def __init__(
        self,
        command: str,
        source: str,
        method: Any,
        data: DataOptions,
        accuracy: AccuracyOptions,
        output: Path,
        *,
        kind: registry.Kind = "synthesizer",
        chosen: bool = False,
    ) -> None:
        from limbeck.owner import Book

        self._data, self._accuracy, self._chosen = data, accuracy, chosen
        self._source, self._name = source, method.method_name
        self._reserved: limbeck.owner.book.Reserved | None = None
        self._sheet: limbeck.owner.sheet.Sheet | None = None
        reads = registry.methods(kind)[self._name].access != "none"
        if reads or accuracy.private_accuracy is not None:
            self._reads = reads
            self._reserved = Book.usual().reserve(
                source,
                self._parts(method),
                command=command,
                method=self._name,
                unit=getattr(method, "unit", None),
                limit=data.limit,
                output=output,
            )

    def reading(self) -> AbstractContextManager[None]:
        """While the data are read and options fitted to them: an error here costs nothing."""
        return nullcontext() if self._reserved is None else self._reserved.reading()

    def confirm(self, resolved: Any, *data: "limbeck.data.dataset.LabeledDataset") -> None:
        """Hold the release to the budget of these very data, before any noisy answer.

        resolved: the method with all options. data: the private and the held-out records.
        """
        if self._reserved is None:
            return
        from limbeck.privacy.budget import protected

        parts = self._parts(resolved)
        if parts is not None:
            unit = protected(data[0], getattr(resolved, "unit", None))
            parts = [replace(p, guarantee=replace(p.guarantee, unit=unit)) for p in parts]
        sheet = self._reserved.confirm(parts, data, whole=self._data.limit is None)
        known = [part for entry in sheet.entries for part in entry.parts or ()]
        for owed in getattr(resolved, "owed", ()):
            if not any(_alike(owed, part) for part in known):
                console.note(
                    f"warning: this release starts from {owed.name}, which is not in the history "
                    f"of {sheet.title}; where it was made of the same data, its epsilon adds to "
                    "the total"
                )

    def running(self) -> AbstractContextManager[None]:
        """While the private values are used: a failure is spent."""
        return nullcontext() if self._reserved is None else self._reserved.running()

    def done(self) -> None:
        """The release is written."""
        if self._reserved is not None:
            self._sheet = self._reserved.done()

    def tell(self) -> None:
        """Say on stderr, to the data's owner alone, what this dataset came to so far.

        A copy is recognised by its records, so that none of it is for stdout or a JSON document.
        """
        if self._sheet is None:
            return
        from limbeck.cli.budget_words import so_far

        words = shell("limbeck", "budget", "show", self._source)
        console.note(f"budget: {so_far(self._sheet)} (`{words}`)")

    def _parts(self, method: Any) -> "list[Part] | None":
        """What the release costs of its own, and its accuracy; None where nothing bounds it."""
        from limbeck.privacy.composition import Part
        from limbeck.privacy.gaussian import mu_of
        from limbeck.privacy.words import DELTA

        parts: list[Part] = []
        claimed: Guarantee | None = None
        if self._reads:
            claimed = self._claimed(method)
            if claimed is None:
                return None
            parts.append(Part(self._name, claimed, self._data.limit))
        epsilon = self._accuracy.private_accuracy
        if epsilon is not None:
            like = claimed or Guarantee(epsilon, DELTA)
            mu = mu_of(epsilon, like.delta)
            parts.append(Part(NAME, replace(like, epsilon=epsilon, events=(), mu=mu)))
        return parts

    def _claimed(self, method: Any) -> Guarantee | None:
        if self._chosen:
            unit: Unit = method.unit or "record"
            return Guarantee(method.epsilon, method.delta, method.adjacency, unit)
        claimed: Guarantee | None = method.guarantee
        if claimed is None or claimed.events:
            return claimed
        return replace(claimed, events=getattr(method, "sampled_steps", ()))


def _alike(one: "Part", other: "Part") -> bool:
    """Whether two parts are one release: what a card says was spent, rounding moves a little."""
    first, second = one.guarantee, other.guarantee
    return (
        (first.delta, first.adjacency, first.unit, one.limit)
        == (second.delta, second.adjacency, second.unit, other.limit)
    ) and abs(first.epsilon - second.epsilon) <= 1e-3 * second.epsilon
