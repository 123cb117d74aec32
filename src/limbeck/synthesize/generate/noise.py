"""Noise images: a synthesizer that ignores its data, the negative control of every audit."""

from typing import Annotated

from pydantic import Field

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.base import Progress, Synthesizer
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import labels
from limbeck.synthesize.initialise.noise import Noise


@register(
    "noise-images",
    kind="synthesizer",
    summary="Random noise under every label: the control in which nothing can leak",
    paper="negative control; an audit that finds a leak is broken",
    access="none",
    guarantee="none",
    cost="milliseconds",
)
@options
class NoiseImages(Synthesizer):
    """``ipc`` images of Gaussian noise per class, whatever the private data holds."""

    ipc: Annotated[int, Field(ge=1)] = 10

    serves_empty_classes = True  # it looks at no record

    def synthesize(
        self,
        private: LabeledDataset,
        *,
        seed: int,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> SyntheticDataset:
        form = Form.of(private)
        images = Noise().draw(form, self.ipc, seed)
        return self.release(images, labels(len(form.classes), self.ipc), form)
