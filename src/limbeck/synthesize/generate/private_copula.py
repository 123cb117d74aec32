"""Private images: drawn from a noisy Gaussian copula, labelled by a private teacher, condensed."""

import math
from typing import Annotated

from pydantic import Field

from limbeck import coins
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.nn.public_features import public_features
from limbeck.privacy.budget import Budget
from limbeck.privacy.queries import Query
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize import ridge_teacher
from limbeck.synthesize.base import Progress
from limbeck.synthesize.form import Form
from limbeck.synthesize.generate import copula
from limbeck.synthesize.generate.condense_drawn import condense_drawn
from limbeck.synthesize.initialise.base import labels
from limbeck.synthesize.private import PrivateSynthesizer

TEACHER = 0.45
"""Of the budget, what the teacher gets; chosen on training records of Fashion-MNIST."""


@register(
    "private-copula",
    kind="synthesizer",
    summary="Images from noisy marginals and correlations, with a private teacher's labels",
    paper="limbeck; condensing as in arXiv 2110.04181 and arXiv 2206.00719",
    access="sums",
    guarantee="(epsilon, delta) and mu-GDP",
    cost="60,000 images of 28x28: two CPU-minutes, and one to three more to condense",
)
@options
class PrivateCopula(PrivateSynthesizer):
    """Five noisy sums, each released once; everything after them is post-processing.

    A Gaussian copula of each class (``generate.copula``) is fitted to the counts of bins of
    brightness of every pixel, and to the products of normal scores in their lowest frequencies.
    A ridge teacher (``ridge_teacher``, the classifier of "private-ridge") learns to label from 45%
    of the budget. As many images as wanted are drawn, with the teacher's soft labels; or ``pool``
    of each class are drawn and condensed to ``ipc`` of what the teacher takes for each class, by
    "dm-ridge", with hard labels.

    epsilon, delta, adjacency, unit: of the guarantee; epsilon None: no noise and no guarantee.
    ipc: images per class that are released. pool: drawn of each class, to be condensed to fewer.
    steps: of condensing; 0: images are released as they were drawn.
    features: of the teacher; None: 500, or 800 where epsilon is above 3.

    Serves images, and tables of up to 196 columns. Constants were chosen on training records of
    Fashion-MNIST without accounting for that, and are the same for all data.
    """

    ipc: Annotated[int, Field(ge=1)] = 10
    pool: Annotated[int, Field(ge=1)] = 1500
    steps: Annotated[int, Field(ge=0)] = 200
    features: Annotated[int, Field(ge=1)] | None = None

    @property
    def condenses(self) -> bool:
        """Whether fewer images are released than are drawn."""
        return self.steps > 0 and self.ipc < self.pool

    @property
    def queries(self) -> tuple[Query, ...]:
        return (*ridge_teacher.queries(TEACHER), *copula.queries(1 - TEACHER))

    def fit_to(self, form: Form) -> "PrivateCopula":
        if not form.is_images and math.prod(form.shape) > copula.DIRECTIONS:
            raise OptionError(
                f"{self.method_name}: records of {form.name} have shape {form.shape}; tables may "
                f"have {copula.DIRECTIONS} columns at most"
            )
        return self

    def publish(
        self, budget: Budget, form: Form, seed: int, *, device: str, progress: Progress | None
    ) -> SyntheticDataset:
        def report(share: float, state: SyntheticDataset | None = None) -> None:
            if progress is not None:
                progress(share, state)

        size = ridge_teacher.features_for(self.epsilon, self.features)
        public = public_features(form.shape, size, device)
        teacher = ridge_teacher.fit(budget, public, TEACHER, device=device)
        report(0.3)
        model = copula.fit(budget, form, 1 - TEACHER, device=device)
        report(0.5)
        drawn = self.pool if self.condenses else self.ipc
        images = model.draw(drawn, coins.generator(seed, "copula"))
        made = self.release(
            images,
            labels(len(form.classes), drawn),
            form,
            soft_labels=teacher.soft_labels(images),
        )
        if not self.condenses:
            report(1.0, made)
            return made
        found = condense_drawn(
            made,
            self.ipc,
            self.steps,
            seed=seed,
            device=device,
            progress=lambda share, _: report(0.5 + share / 2),
        )
        return self.release(found.inputs, found.labels, form)
