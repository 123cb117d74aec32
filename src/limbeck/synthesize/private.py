"""The form of every synthesizer with a formal guarantee: it is handed a budget, never the data."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace

from jaxtyping import Bool
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.privacy.budget import Budget
from limbeck.privacy.claim import Claim, on_card
from limbeck.recipe import options
from limbeck.synthesize.base import Progress, Synthesizer
from limbeck.synthesize.form import Form


@options
class PrivateSynthesizer(Claim, Synthesizer):
    """A synthesizer whose every read of the private data is a noisy event in a ledger.

    A subclass implements ``publish``, and ``fit_to`` where it fills in options. Neither sees a
    record, nor how many there are: all that the result may depend on is the budget's answers, the
    public form of the data and public coins.

    ``synthesize`` draws the noise from the operating system's entropy: its seed determines public
    coins alone, and no second run gives the same set. ``synthesize_many`` serves the shadow runs
    of audits, which must be resumable with the same bytes and are never released: each run's noise
    follows from its seed, and its card claims nothing.
    """

    @abstractmethod
    def publish(
        self,
        budget: Budget,
        form: Form,
        seed: int,
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        """The synthetic set, made of what ``budget`` answers. ``seed`` is of public coins."""

    def fit_to(self, form: Form) -> "PrivateSynthesizer":
        """A copy with options left to limbeck filled in; errors where the form is not served."""
        return self

    def resolve(self, private: LabeledDataset) -> "PrivateSynthesizer":
        """Options follow from the public form alone: the number of records is private."""
        return replace(self.fit_to(Form.of(private)), unit=self.unit_of(private))

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        this = self.resolve(private)
        return this._run(this.budget(private), Form.of(private), seed, device, progress)

    def synthesize_many(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
    ) -> Iterator[SyntheticDataset]:
        """One set per row of ``membership``, with noise that follows from the run's seed."""
        this, form = self.resolve(private), Form.of(private)
        for row, seed in zip(membership, seeds, strict=True):
            secret = coins.derive(seed, "privacy noise")
            budget = this.budget(private.select(row), insecure_seed=secret)
            yield this._run(budget, form, seed, device, None)

    def _run(
        self, budget: Budget, form: Form, seed: int, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        def stated(made: SyntheticDataset) -> SyntheticDataset:
            return replace(made, card={**made.card, **on_card(budget)})

        def report(share: float, state: SyntheticDataset | None) -> None:
            assert progress is not None
            progress(share, None if state is None else stated(state))

        heard = None if progress is None else report
        return stated(self.publish(budget, form, seed, device=device, progress=heard))
