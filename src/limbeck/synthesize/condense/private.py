"""Condensers with a formal guarantee: images optimised against noisy sums over the records."""

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field

from limbeck.errors import OptionError
from limbeck.privacy.budget import Budget
from limbeck.privacy.sampled import Sampler
from limbeck.recipe import options
from limbeck.synthesize.condense import formation
from limbeck.synthesize.condense.base import Condenser
from limbeck.synthesize.form import Form
from limbeck.synthesize.private import PrivateSynthesizer


@options
class PrivateCondenser(PrivateSynthesizer, Condenser):
    """A condenser that is handed a budget: it starts from what reads no private data.

    Subclasses fill in their options in ``fit_to``, which calls ``check_form``.
    """

    init: str = "noise"

    def fit_to(self, form: Form) -> "PrivateCondenser":
        self.check_form(form)
        return self

    def check_form(self, form: Form) -> None:
        """OptionError where the form, or the start, cannot be served."""
        if self.start.access != "none":
            raise OptionError(
                f"{self.method_name}: init {self.init!r} reads the private records themselves, "
                "outside the guarantee; start from noise, public images or a private release"
            )
        formation.check(form.shape, self.formation)
        self.start.check(form, self.per_class)


@options
class SampledCondenser(PrivateCondenser):
    """A private condenser that moves images by noisy gradient sums of random parts of the records.

    rate: chance of each unit to take part in a step. clip: the norm that a unit's gradients, all
    parameters together, are cut to.
    """

    rate: Annotated[float, Field(gt=0, le=1)] = 0.2
    clip: Annotated[float, Field(gt=0)] = 0.1

    gaussian = False  # sampled steps have no single mu

    def steps_of(
        self, budget: Budget, name: str, shapes: Iterable[torch.Size], count: int, device: str
    ) -> Sampler:
        """All of the budget for ``count`` noisy sums of gradients of these shapes."""
        return budget.steps(
            name, shapes, rate=self.rate, count=count, norm=self.clip, device=device
        )
