"""Start from a private release: images made earlier under a differential-privacy guarantee."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from limbeck.data.release import read_card
from limbeck.data.synthetic import SyntheticDataset
from limbeck.privacy.composition import Part
from limbeck.privacy.owed import parts_of
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import DataFree
from limbeck.synthesize.initialise.foreign import deal, fit


@register(
    "private",
    kind="initialisation",
    summary="Random images of a release that has a differential-privacy guarantee",
    paper="limbeck; post-processing of a private release",
    access="none",
    cost="milliseconds",
)
@options
class Private(DataFree):
    """Random images of the release in folder ``release``, resized and recoloured as needed.

    Private data was read when that release was made, and its guarantee is what that cost; reading
    the release again costs nothing. A release without a guarantee is refused, and so is one whose
    card does not say all that it adds up. Whoever starts from one owes it all: ``owed`` hands it
    on, and a private method's card states the sum. The sum is also stated where the other release
    is of other people: it is then more than anyone's own. ``guarantee`` and ``ledger`` stand on the
    new card under "initialisation".

    Classes get images of their own name where the release has them all, otherwise any. All runs
    of an audit start from this one release: what it leaks itself is bounded, not measured, there.

    release: folder that ``limbeck condense`` wrote.
    """

    release: str

    @property
    def guarantee(self) -> Mapping[str, Any]:
        assert self.owed, "raises where there is none"
        found: Mapping[str, Any] = self._card["guarantee"]
        return found

    @property
    def owed(self) -> tuple[Part, ...]:
        return parts_of(self._card, self._where)

    @property
    def ledger(self) -> Sequence[Any]:
        listed = self._card.get("ledger")
        return tuple(listed) if isinstance(listed, list) else ()

    def check(self, form: Form, per_class: int) -> None:
        self.draw(form, per_class, 0)

    def draw(self, form: Form, per_class: int, seed: int) -> Float[Tensor, "images ..."]:
        assert self.owed, "raises where there is none"
        made = SyntheticDataset.load(self._folder)
        chosen = deal(made.labels, made.classes, form, per_class, seed, self._where)
        return fit(made.inputs[chosen], form, self._where)

    @property
    def _where(self) -> str:
        return f"init private:{self.release}"

    @property
    def _folder(self) -> Path:
        return Path(self.release).expanduser()

    @property
    def _card(self) -> dict[str, Any]:
        card: dict[str, Any] = read_card(self._folder)["limbeck"]
        return card
