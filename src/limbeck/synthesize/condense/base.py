"""What every condenser shares: how many images, what they start from, what is released."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field, field_validator
from torch import Tensor

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.privacy.composition import Part
from limbeck.recipe import options
from limbeck.synthesize import initialise
from limbeck.synthesize.base import Synthesizer
from limbeck.synthesize.condense import formation
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import DataFree, FromRecords, labels


@options
class Condenser(Synthesizer):
    """A synthesizer that optimises slots of images, class by class.

    A slot is one image, or, with multi-formation, ``formation**2`` small ones. A subclass starts
    from ``initial`` (or ``initial_of_runs``), moves the slots, shows them to its loss through
    ``decode`` with the labels ``labels``, and ends with ``made``.
    """

    ipc: Annotated[int, Field(ge=1)] = 10
    init: str = "real"
    formation: Annotated[int, Field(ge=1, le=8)] = 1

    @field_validator("init")
    @classmethod
    def _known(cls, value: str) -> str:
        initialise.parse(value)
        return value

    @property
    def start(self) -> initialise.Initialisation:
        """The initialisation that ``init`` names."""
        return initialise.parse(self.init)

    @property
    def per_class(self) -> int:
        """Images of each class that are released: slots times images in a slot."""
        return self.ipc * self.formation**2

    @property
    def holds_real_records(self) -> bool:
        return self.start.access == "records"

    @property
    def owed(self) -> tuple[Part, ...]:
        return self.start.owed

    @property
    def needs_per_class(self) -> int:
        return self.start.needs_per_class(self.per_class)

    def check(self, private: LabeledDataset) -> None:
        """DatasetError or OptionError where the data, its size or shape cannot be served."""
        self.require_records(private, self.start.remedy)
        formation.check(private.shape, self.formation)
        self.start.check(Form.of(private), self.per_class)

    def initial(
        self,
        private: LabeledDataset,
        seed: int,
        *,
        member: Bool[Tensor, " records"] | None = None,
    ) -> Float[Tensor, "slots ..."]:
        """The slots that one run starts from; of ``private`` only ``member`` may be read."""
        begin = self.start
        if isinstance(begin, FromRecords):
            if member is None:
                member = torch.ones(len(private), dtype=torch.bool)
            return formation.encode(
                begin.read(private, member, self.per_class, seed), self.formation
            )
        return self.data_free(Form.of(private), seed)

    def data_free(self, form: Form, seed: int) -> Float[Tensor, "slots ..."]:
        """The slots that one run starts from where ``init`` reads nothing private."""
        begin = self.start
        assert isinstance(begin, DataFree), "reading private records needs the private data"
        return formation.encode(begin.draw(form, self.per_class, seed), self.formation)

    def initial_of_runs(
        self,
        private: LabeledDataset,
        membership: Bool[Tensor, "runs records"],
        seeds: Sequence[int],
    ) -> Float[Tensor, "runs slots ..."] | None:
        """What the runs' initial slots read of the private data; None where that is nothing."""
        if not isinstance(self.start, FromRecords):
            return None
        rows = zip(membership, seeds, strict=True)
        return torch.stack([self.initial(private, seed, member=row) for row, seed in rows])

    def decode(self, slots: Float[Tensor, "slots ..."]) -> Float[Tensor, "images ..."]:
        """The images that the slots hold, ``per_class`` of each class; differentiable."""
        return formation.decode(slots, self.formation)

    def labels(self, form: Form) -> Int64[Tensor, " images"]:
        """Labels of the decoded images."""
        return labels(len(form.classes), self.per_class)

    def made(
        self,
        slots: Float[Tensor, "slots ..."],
        form: Form,
        *,
        soft_labels: Float[Tensor, "images classes"] | None = None,
    ) -> SyntheticDataset:
        """The release of these slots: decoded images with their labels and card.

        A guarantee that the initialisation rests on is kept under "initialisation" in the card:
        it is not the whole release's. A private condenser's states the sum of the two.
        """
        images = self.decode(slots.detach()).cpu()
        soft = None if soft_labels is None else soft_labels.detach().cpu()
        made = self.release(
            images,
            self.labels(form),
            form,
            soft_labels=soft,
            formation=self.formation,
            slots_per_class=self.ipc,
        )
        begin = self.start
        if begin.guarantee is None:
            return made
        owed = {"guarantee": dict(begin.guarantee), "ledger": list(begin.ledger)}
        return replace(made, card={**made.card, "initialisation": owed})
