"""What every initialisation offers: images to start from, and what they read to make them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from limbeck import registry
from limbeck.data.dataset import LabeledDataset
from limbeck.privacy.composition import Part
from limbeck.synthesize.form import Form
from limbeck.types import Access


class Initialisation(ABC):
    """Images to start from. Subclasses are frozen dataclasses with at most one option."""

    method_name: str
    remedy: ClassVar[str] = "lower ipc or add records"
    """What to do where a class has fewer records than ``needs_per_class``."""

    @property
    def access(self) -> Access:
        """How it reads the private data; a guarantee is possible only where this is "none"."""
        return registry.methods("initialisation")[self.method_name].access

    def needs_per_class(self, per_class: int) -> int:
        """Private records of each class without which ``per_class`` images cannot be made."""
        return 0

    @property
    def guarantee(self) -> Mapping[str, Any] | None:
        """The guarantee of the private release that it starts from, as that release's card has it.

        None where it starts from none. It adds to whatever else is spent on the same people.
        """
        return None

    @property
    def owed(self) -> tuple[Part, ...]:
        """The releases that ``guarantee`` adds up, that one first."""
        return ()

    @property
    def ledger(self) -> Sequence[Any]:
        """The noisy events of the release that it starts from, as its card lists them."""
        return ()

    def check(self, form: Form, per_class: int) -> None:
        """LimbeckError where it cannot make ``per_class`` images for each class of this form."""
        return


class DataFree(Initialisation):
    """An initialisation that reads nothing of the private data."""

    @abstractmethod
    def draw(self, form: Form, per_class: int, seed: int) -> Float[Tensor, "images ..."]:
        """``per_class`` images of each class, class by class, in [0, 1]."""


class FromRecords(Initialisation):
    """An initialisation made of private records: what it shows of them must be audited."""

    def needs_per_class(self, per_class: int) -> int:
        return per_class

    @abstractmethod
    def read(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Float[Tensor, "images ..."]:
        """``per_class`` images of each class, class by class, in [0, 1], from the members alone."""

    def sources(
        self, private: LabeledDataset, member: Bool[Tensor, " records"], per_class: int, seed: int
    ) -> Int64[Tensor, "images k"] | None:
        """The k records that each image of ``read`` was made of; None where they are a cluster.

        An audit asks whether they can be told from the finished images.
        """
        return None


def labels(classes: int, per_class: int) -> Int64[Tensor, " images"]:
    """Labels of ``per_class`` images of each class, class by class."""
    return torch.arange(classes).repeat_interleave(per_class)
