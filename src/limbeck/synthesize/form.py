"""The public form of a dataset: what a release may depend on without reading a record."""

from dataclasses import dataclass

from limbeck.data.dataset import LabeledDataset


@dataclass(frozen=True)
class Form:
    """Shape of one record, class names, whether mirroring keeps the label, and the data's name."""

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    mirror: bool
    name: str

    @classmethod
    def of(cls, data: LabeledDataset) -> "Form":
        """The form of ``data``."""
        return cls(data.shape, data.classes, data.mirror, data.name)

    @property
    def is_images(self) -> bool:
        """Whether records are images of shape (channels, height, width)."""
        return len(self.shape) == 3
