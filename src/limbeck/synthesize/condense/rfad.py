"""Random feature regression (RFAD): KIP with random networks in place of the exact kernel."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from limbeck import coins
from limbeck.nn.networks import Network
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.condense.feature_regression import FeatureRegression, FeatureRegressor
from limbeck.synthesize.form import Form


@register(
    "rfad",
    kind="synthesizer",
    summary="Ridge regression on the features of random networks predicts the private records",
    paper="Loo et al. 2022, arXiv 2210.12067",
    access="records",
    guarantee="none",
    cost="60,000 images of 28x28 to 10 per class: one to two CPU-minutes",
)
@options
class RandomFeatureRidge(FeatureRegression):
    """Minimise the error of ridge regression on random features, solved on S, on records T.

        L(S) = 1 / (2 |T|) * | Y_T - K_TS (K_SS + lambda I)^-1 Y_S |^2
        K(x, x') = <psi(A x), psi(A x')>,  lambda = ridge * trace(K_SS) / |S|

    with psi the features of ``networks`` random networks side by side, drawn anew at every step, A
    a siamese augmentation, and Y the one-hot labels less 1/C: KIP's loss with an unbiased estimate
    of a network's Gaussian-process kernel (Loo et al. 2022, arXiv 2210.12067, section 3). T is a
    minibatch. The squared error here is one of the two losses they compare. Images move by Adam,
    its rate falling to zero as a cosine, and are clamped to [0, 1].

    ipc, init, formation: images per class, their start, tiles on a side of each slot.
    steps, batch: optimisation steps, private records in each.
    learning_rate: of Adam, for pixels in [0, 1] and for labels.
    ridge: regularisation as a share of the mean squared norm of the synthetic features.
    learn_labels: also optimise Y_S; the release then has soft labels that sum to 1 but, as targets
    of a regression, lie outside [0, 1] in part.
    network, width: the embedder. None: a ConvNet of width 32, as deep as the images allow, up to
    3; "mlp" for records that are no images. networks: how many are drawn for each step.
    augmented: whether there is an augmentation; one transform a step.

    Reads: records, a minibatch a step. Gives no formal guarantee.
    """

    steps: Annotated[int, Field(ge=1)] = 200
    batch: Annotated[int, Field(ge=1)] = 256
    networks: Annotated[int, Field(ge=1)] = 2

    def regressor(self, form: Form, seeds: Sequence[int], device: str) -> "RandomFeatures":
        return RandomFeatures(self, form, seeds[0], device)


class RandomFeatures(FeatureRegressor):
    """Fresh random networks at every step."""

    method: RandomFeatureRidge
    _drawn = 0

    def networks(self) -> list[Network]:
        drawn = range(self._drawn, self._drawn + self.method.networks)
        self._drawn = drawn.stop
        return [
            self.method.draw(self.form, coins.derive(self.seed, "network", k), self.device)
            for k in drawn
        ]
