"""Condensers with a formal guarantee: images optimised against noisy gradients of the records."""

from limbeck.errors import OptionError
from limbeck.recipe import options
from limbeck.synthesize.condense import formation
from limbeck.synthesize.condense.base import Condenser
from limbeck.synthesize.form import Form
from limbeck.synthesize.private import PrivateSynthesizer


@options
class PrivateCondenser(PrivateSynthesizer, Condenser):
    """A condenser that is handed a budget: it starts from what reads no private data.

    Subclasses state the defaults of ``init``, ``rate`` and the like, and implement ``publish``.
    """

    init: str = "noise"

    gaussian = False  # sampled steps have no single mu

    def check_form(self, form: Form) -> None:
        """OptionError where the form, or the start, cannot be served."""
        if self.start.access != "none":
            raise OptionError(
                f"{self.method_name}: init {self.init!r} reads the private records themselves, "
                "outside the guarantee; start from noise, public images or a private release"
            )
        formation.check(form.shape, self.formation)
        self.start.check(form, self.per_class)
