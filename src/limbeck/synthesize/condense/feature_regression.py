"""Condensers that regress on the features of finite networks."""

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.nn import augment, networks
from limbeck.recipe import options
from limbeck.synthesize.condense.regression import Blocks, RegressionCondenser, Regressor
from limbeck.synthesize.form import Form

_BLOCK = 64  # records embedded at once: first-layer maps of this many stay in a CPU's cache
_WIDTH = 32


@options
class FeatureRegression(RegressionCondenser):
    """A RegressionCondenser whose kernel is the inner product of networks' features.

    network, width: the embedder. None: a ConvNet of width 32, as deep as the images allow, up to
    3; "mlp" for records that are no images.
    augmented: at every step, one siamese augmentation of both sides.
    """

    network: str | None = None
    width: Annotated[int, Field(ge=1)] | None = None
    augmented: bool = True

    def resolve(self, private: LabeledDataset) -> "FeatureRegression":
        self.check(private)
        network, width = networks.choose(self.network, self.width, private.shape, narrow=_WIDTH)
        return replace(self, network=network, width=width)

    def draw(self, form: Form, seed: int, device: str) -> networks.Network:
        """A random network of the chosen kind."""
        assert self.network is not None, "resolve() comes first"
        return networks.make(
            self.network, form.shape, len(form.classes), width=self.width, seed=seed
        ).to(device)


class FeatureRegressor(Regressor):
    """The kernel of one run; a subclass says which networks' features each step has."""

    def __init__(self, method: FeatureRegression, form: Form, seed: int, device: str) -> None:
        self.method, self.form, self.seed, self.device = method, form, seed, device
        self._coin = coins.generator(seed, "augment")

    @abstractmethod
    def networks(self) -> list[networks.Network]:
        """The networks whose features, side by side, the next step regresses on."""

    def blocks(
        self, synthetic: Float[Tensor, "1 s ..."], private: Float[Tensor, "1 t ..."]
    ) -> Blocks:
        transform = augment.identity()
        if self.method.augmented:
            transform = augment.draw(self._coin, self.form.shape, mirror=self.form.mirror)
        used = self.networks()
        ours = torch.cat([network.embed(transform(synthetic[0])) for network in used], 1)
        with torch.no_grad():
            moved = [transform(block) for block in private[0].split(_BLOCK)]
            theirs = torch.cat(
                [torch.cat([network.embed(x) for x in moved]) for network in used], 1
            )
        # Products of float32 features are positive semidefinite only as far as they are exact.
        precise = ours if ours.device.type == "mps" else ours.double()
        return (precise @ precise.mT)[None], (theirs @ ours.mT)[None]
