"""Feature regression with pooling (FRePo): on networks that train on the synthetic images."""

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.nn.fit import Adam
from limbeck.nn.networks import Network
from limbeck.recipe import options
from limbeck.registry import register
from limbeck.synthesize.condense.feature_regression import FeatureRegression, FeatureRegressor
from limbeck.synthesize.form import Form


@register(
    "frepo",
    kind="synthesizer",
    summary="Ridge regression on features of networks trained on the synthetic images meanwhile",
    paper="Zhou et al. 2022, arXiv 2206.00719",
    access="records",
    guarantee="none",
    cost="60,000 images of 28x28 to 10 per class: one to two CPU-minutes",
)
@options
class FeatureRegressionPool(FeatureRegression):
    """Minimise the error of ridge regression on trained features, solved on S, on records T.

        L(S) = 1 / (2 |T|) * | Y_T - K_TS (K_SS + lambda I)^-1 Y_S |^2
        K(x, x') = <psi(A x), psi(A x')>,  lambda = ridge * trace(K_SS) / |S|

    with psi all but the last layer of one network out of a pool, A a siamese augmentation, and Y
    the one-hot labels less 1/C (Zhou et al. 2022, arXiv 2206.00719, algorithm 1). After each step
    on S, the network that served takes one step of Adam on the squared error between its outputs
    and Y_S; it never sees T. At a certain age it gives way to a new random network, so that the
    pool holds every stage of training. T is a minibatch. Images move by Adam, its rate falling to
    zero as a cosine, and are clamped to [0, 1].

    ipc, init, formation: images per class, their start, tiles on a side of each slot.
    steps, batch: optimisation steps, private records in each.
    learning_rate: of Adam, for pixels in [0, 1] and for labels.
    ridge: regularisation as a share of the mean squared norm of the synthetic features.
    learn_labels: also optimise Y_S; the release then has soft labels that sum to 1 but, as targets
    of a regression, lie outside [0, 1] in part.
    network, width: the embedder. None: a ConvNet of width 32, as deep as the images allow, up to
    3; "mlp" for records that are no images.
    augmented: whether there is an augmentation; one transform a step.
    pool, oldest: networks in the pool, and the training steps after which one is replaced. The
    first ones are of all ages in turn, counted as if they had trained.
    network_rate: learning rate of the networks.

    Reads: records, a minibatch a step. Gives no formal guarantee.
    """

    steps: Annotated[int, Field(ge=1)] = 400
    batch: Annotated[int, Field(ge=1)] = 256
    pool: Annotated[int, Field(ge=1)] = 5
    oldest: Annotated[int, Field(ge=1)] = 100
    network_rate: Annotated[float, Field(gt=0)] = 3e-4

    def regressor(self, form: Form, seeds: Sequence[int], device: str) -> "PoolFeatures":
        return PoolFeatures(self, form, seeds[0], device)


class PoolFeatures(FeatureRegressor):
    """A pool of networks of different ages, one of which serves each step and learns from it."""

    def __init__(self, method: FeatureRegressionPool, form: Form, seed: int, device: str) -> None:
        super().__init__(method, form, seed, device)
        self._options = method
        self._choice = coins.generator(seed, "pool")
        self._drawn = 0
        # Staggered, lest all be replaced at about the same time.
        self._pool = [self._member(k * method.oldest // method.pool) for k in range(method.pool)]
        self._serving = 0

    def _member(self, age: int) -> "_Member":
        seed = coins.derive(self.seed, "network", self._drawn)
        self._drawn += 1
        return _Member(self.method.draw(self.form, seed, self.device), age)

    def networks(self) -> list[Network]:
        self._serving = int(torch.randint(len(self._pool), (), generator=self._choice))
        return [self._pool[self._serving].network]

    def learn(self, synthetic: Float[Tensor, "1 s ..."], targets: Float[Tensor, "1 s c"]) -> None:
        member = self._pool[self._serving]
        member.learn(synthetic[0], targets[0], self._options.network_rate)
        if member.age >= self._options.oldest:
            self._pool[self._serving] = self._member(0)


class _Member:
    """A network, its optimiser, and its age in training steps."""

    def __init__(self, network: Network, age: int) -> None:
        self.network, self.age = network, age
        self._optimiser = Adam(network.parameters())

    def learn(self, inputs: Tensor, targets: Tensor, rate: float) -> None:
        loss = (self.network(inputs) - targets).square().sum(1).mean() / 2
        self._optimiser.minimise(loss, rate)
        self.age += 1
