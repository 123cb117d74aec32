"""The form of every synthesizer with a formal guarantee: it is handed a budget, never the data."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.privacy.budget import Budget
from limbeck.privacy.claim import REPEATABLE, Claim, on_card, stated
from limbeck.privacy.classes import with_classes
from limbeck.privacy.composition import Part
from limbeck.privacy.noisy_sum import NoisySum
from limbeck.privacy.owed import require_addable
from limbeck.recipe import options
from limbeck.synthesize.base import Progress, Reading, Synthesizer
from limbeck.synthesize.form import Form

Answers = dict[str, NoisySum]
"""Noisy sums by what they are used for."""

_NOISE = " noise"


@options
class PrivateSynthesizer(Claim, Synthesizer):
    """A synthesizer whose every read of the private data is a noisy event in a ledger.

    A subclass implements ``publish``, or, where all that it asks for follows from its options, the
    two halves ``ask`` and ``make``, with ``asks_once``; and ``fit_to`` where it fills in options.
    None sees a record, nor how many there are: all that the result may depend on is the budget's
    answers, the public form of the data and public coins.

    ``synthesize`` draws the noise from the operating system's entropy: its seed determines public
    coins alone, and no second run gives the same set. Shadow runs of audits (``synthesize_many``,
    and ``read`` with ``craft``) must be resumable with the same bytes and are never released: each
    run's noise follows from its seed, and its card claims nothing. They share what may be shared
    (``privacy.shared``): every record's statistic is computed once.
    """

    serves_empty_classes = True  # whether a class has a record is private

    @property
    def asks_once(self) -> bool:
        """Whether ``ask`` and ``make`` are the whole method: one release, then post-processing."""
        return False

    def ask(self, budget: Budget, form: Form, *, device: str) -> Answers:
        """Noisy sums by name, that follow from options and public form alone: ``fixed`` ones."""
        raise TypeError(f"{self.method_name} does not ask for all at once")

    def make(
        self, answers: Answers, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        """The synthetic set, made of what ``ask`` was answered. ``seed`` is of public coins."""
        raise TypeError(f"{self.method_name} does not make its set of one release")

    def publish(
        self, budget: Budget, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        """The synthetic set, made of what ``budget`` answers. ``seed`` is of public coins."""
        answers = self.ask(budget, form, device=device)
        return self.make(answers, form, seed, device=device, progress=progress)

    def fit_to(self, form: Form) -> "PrivateSynthesizer":
        """A copy with options left to limbeck filled in; errors where the form is not served."""
        return self

    def resolve(self, private: LabeledDataset) -> "PrivateSynthesizer":
        """Options follow from the public form alone: the number of records is private."""
        found = replace(self.fit_to(Form.of(private)), unit=self.unit_of(private))
        claimed = found.guarantee
        if claimed is not None:
            own = Part("this release", claimed, private.limit)
            require_addable((own, *found.owed), f"{self.method_name} from {self._begin}")
        return found

    @property
    def _begin(self) -> str:
        return str(getattr(self, "init", "noise"))

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
        shadows = this.shadows(private, membership, seeds)
        for budget, seed in zip(shadows, seeds, strict=True):
            yield this._run(budget, form, seed, device, None)

    def read(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Callable[[float], None] | None = None,
    ) -> Reading | None:
        """The noisy answers of all shadow runs; None where a run's questions follow from answers.

        Each answer's values under its name, and the deviation of its noise under that name with
        " noise" behind it.
        """
        this, form = self.resolve(private), Form.of(private)
        if not this.asks_once:
            return None
        found: dict[str, list[Tensor]] = {}
        for done, budget in enumerate(this.shadows(private, membership, seeds), start=1):
            for name, answer in this.ask(budget, form, device=device).items():
                found.setdefault(name, []).append(answer.values)
                deviation = torch.tensor(answer.noise, dtype=torch.float64)
                found.setdefault(name + _NOISE, []).append(deviation)
            if progress is not None:
                progress(done / len(seeds))
        return {name: torch.stack(values) for name, values in found.items()}

    def craft(
        self,
        reading: Reading,
        form: Form,
        seeds: Sequence[int],
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> list[SyntheticDataset]:
        """The sets of shadow runs, from their noisy answers."""
        this = self.fit_to(form)
        claimed = stated(None, "none" if this.epsilon is None else REPEATABLE)
        names = [name for name in reading if name + _NOISE in reading]
        made = []
        for run, seed in enumerate(seeds):
            answers = {
                name: NoisySum(reading[name][run], float(reading[name + _NOISE][run]))
                for name in names
            }
            one = this.make(answers, form, seed, device=device, progress=progress)
            made.append(replace(one, card={**one.card, **claimed}))
        return made

    def _run(
        self, budget: Budget, form: Form, seed: int, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        owed = self.owed if budget.guarantee is not None else ()

        def stated(made: SyntheticDataset) -> SyntheticDataset:
            said = on_card(budget, name=made.name, owed=owed)
            return replace(made, card=with_classes({**made.card, **said}, budget.classes_from))

        def report(share: float, state: SyntheticDataset | None) -> None:
            assert progress is not None
            progress(share, None if state is None else stated(state))

        heard = None if progress is None else report
        return stated(self.publish(budget, form, seed, device=device, progress=heard))
