"""What every generator ends with: images drawn from it, as many of each class."""

from limbeck import coins
from limbeck.data.synthetic import SyntheticDataset
from limbeck.nn.generator import Generator
from limbeck.synthesize.base import Progress, Synthesizer
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.base import labels

WARMUP = 0.1
"""Share of the steps over which the learning rates of generators rise (see ``fit.cosine``)."""
_EVERY = 50  # steps between two states that are drawn to be looked at


class Drawing:
    """Draws ``ipc`` images of each class for ``method``, and reports how far training has come.

    The codes of the images follow from ``seed``: states on the way show the same images improve.
    """

    def __init__(
        self, method: Synthesizer, form: Form, ipc: int, seed: int, device: str = "cpu"
    ) -> None:
        self._method, self._form, self._seed, self._device = method, form, seed, device
        self._labels = labels(len(form.classes), ipc)

    def __call__(self, generator: Generator) -> SyntheticDataset:
        """The images as a release of the method."""
        codes = coins.generator(self._seed, "images")
        images = generator.draw(self._labels, codes, device=self._device)
        return self._method.release(images, self._labels, self._form)

    def report(
        self, progress: Progress | None, generator: Generator, step: int, steps: int
    ) -> None:
        """Tell ``progress`` that step ``step`` of 0 to ``steps`` - 1 is done."""
        if progress is not None:
            shown = step + 1 == steps or step % _EVERY == 0
            progress((step + 1) / steps, self(generator) if shown else None)
