"""What an attacker's own classifiers, trained on the released records, make of a record.

The attacker holds the set and not one model trained on it: he trains as many as he likes, of kinds
that its maker did not have in mind.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from limbeck import coins
from limbeck.audit.signals import margins
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.train.base import Trainer
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.train.standard import Standard

_MOST = 2_000
"""Records of a release that he trains on at most, drawn at random."""


class Retrained:
    """Margins of exact kernel ridge regression, and the mean of those of several small networks.

    records: with the labels under which they are read. seed: of his coins, the same in all runs.
    networks: how many there are.
    """

    def __init__(self, records: LabeledDataset, *, seed: int = 0, networks: int = 2) -> None:
        self._records = records
        self._seed = seed
        self._seeds = [coins.derive(seed, "retrained", k) for k in range(networks)]
        self._kernel = KernelRidge()
        self._network = Standard("mlp").resolve(records.shape)

    def signal(self, release: SyntheticDataset) -> Float32[np.ndarray, "kinds records"]:
        """One row for kernel ridge regression, one for the networks."""
        release = self._some(release)
        networks = [self._margin(self._network, release, seed) for seed in self._seeds]
        ridge = self._margin(self._kernel, release, self._seed)
        return torch.stack([ridge, torch.stack(networks).mean(0)]).float().numpy()

    def _margin(self, trainer: Trainer, release: SyntheticDataset, seed: int) -> Tensor:
        device = str(self._records.inputs.device)
        classifier = trainer.fit(release, seed=seed, device=device)
        logits = classifier.logits(self._records.inputs)
        return margins(logits, self._records.labels.cpu())[0]

    def _some(self, release: SyntheticDataset) -> SyntheticDataset:
        if len(release) <= _MOST:
            return release
        order = coins.numpy_generator(self._seed, "retrained").permutation(len(release))
        kept = torch.from_numpy(np.sort(order[:_MOST]))
        soft = None if release.soft_labels is None else release.soft_labels[kept]
        return replace(
            release, inputs=release.inputs[kept], labels=release.labels[kept], soft_labels=soft
        )
