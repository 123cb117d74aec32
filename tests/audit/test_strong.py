"""The strong adversary on mechanisms whose leak is known, and his bound by simulation."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import stats

from limbeck.audit.inference.trials import judge_trials, sides
from limbeck.audit.store import Store
from limbeck.audit.strong import strong
from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import OptionError
from limbeck.mechanism.base import Mechanism, Release
from limbeck.mechanism.pipeline import Pipeline
from limbeck.privacy.gaussian import mu_of
from limbeck.recipe import options
from limbeck.synthesize.condense.distribution_matching import DistributionMatching

pytestmark = pytest.mark.usefixtures("whole_audits")


def draw(n=30):
    inputs = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return LabeledDataset(inputs, torch.arange(n) % 2, ("a", "b"))


@options
class NoisyMean(Mechanism):
    """Each class's mean with noise; of no noise worth the name, or of nothing but noise."""

    method_name = "noisy-mean"
    noise: float = 0.001

    def run(self, private: LabeledDataset, *, seed: int, device: str = "cpu") -> Release:
        means = torch.stack([private.inputs[private.labels == c].mean(0) for c in range(2)])
        noise = torch.randn(means.shape, generator=torch.Generator().manual_seed(seed))
        images = (means + self.noise * noise).clamp(0, 1)
        return Release(SyntheticDataset(images, torch.arange(2), private.classes))


def test_what_a_mean_gives_away_is_found_and_noise_hides_it():
    private = draw()
    found = strong(NoisyMean(), private, [3, 10], trials=32)
    assert min(found.auc) == 1.0
    assert (found.tpr.value, found.fpr.value) == (1.0, 0.0)
    assert (found.tpr.trials, found.fpr.trials) == (16, 16)
    # All 16 trials of either side right: ln(TPR / FPR) at the exact limits.
    low = 0.025 ** (1 / 16)
    assert found.epsilon.value == pytest.approx(np.log((low - 1e-5) / (1 - low)))
    hidden = strong(NoisyMean(noise=1e3), private, [3, 10], trials=32)
    assert hidden.mean_auc.low < 0.5 < hidden.mean_auc.high
    assert hidden.epsilon.value == 0.0


def test_records_that_are_not_known_are_in_no_trial():
    private = draw(20)
    known = np.arange(20) < 12
    seen = []

    @options
    class Spy(NoisyMean):
        def run(self, private: LabeledDataset, *, seed: int, device: str = "cpu") -> Release:
            seen.append((len(private), seed))
            return super().run(private, seed=seed)

    strong(Spy(), private, [3, 15], trials=16, known=known)
    sizes = np.array([size for size, _ in seen]).reshape(2, 16)
    inside, _ = sides(16)
    np.testing.assert_array_equal(sizes[0], np.where(inside, 12, 11))
    np.testing.assert_array_equal(sizes[1], np.where(inside, 13, 12))
    assert len({seed for _, seed in seen}) == 32  # no trial shares its coins


def test_sums_are_read_once_for_all_trials(monkeypatch):
    private = draw(40)
    dm = DistributionMatching(ipc=1, init="noise", pairs=2, pairs_per_record=2, width=4, steps=2)
    reads: list[int] = []
    before = DistributionMatching.read

    def read(
        self: DistributionMatching,
        private: LabeledDataset,
        membership: torch.Tensor,
        seeds: Sequence[int],
        **named: object,
    ) -> object:
        reads.append(len(membership))
        return before(self, private, membership, seeds, **named)

    monkeypatch.setattr(DistributionMatching, "read", read)
    found = strong(Pipeline(dm, None), private, [0, 1], trials=16)
    assert reads == [32]
    assert found.reads in ("lda", "nearest-l2", "nearest-ssim", "nearest-embedding", "tracing",
                           "tracing-0", "tracing-1")  # fmt: skip


def test_a_killed_attack_goes_on_where_it_stopped(tmp_path):
    private, ran = draw(20), []

    @options
    class Killed(NoisyMean):
        def run(self, private: LabeledDataset, *, seed: int, device: str = "cpu") -> Release:
            ran.append(seed)
            if len(ran) == 12:
                raise KeyboardInterrupt
            return super().run(private, seed=seed)

    kept = Store(tmp_path)
    kept.begin({"hash": "x"}, overwrite=False)
    with pytest.raises(KeyboardInterrupt):
        strong(Killed(), private, [3], trials=16, store=kept)
    found = strong(Killed(), private, [3], trials=16, store=kept)
    # Twelve before the kill, four of them lost with their task of eight.
    assert len(ran) == 12 + 8 and len(set(ran)) == 16
    assert found == strong(NoisyMean(), private, [3], trials=16)
    ran.clear()
    assert strong(Killed(), private, [3], trials=16, store=kept) == found and not ran
    assert strong(NoisyMean(noise=1e3), private, [3], trials=16, store=kept) != found


@pytest.mark.usefixtures("unchecked")
def test_the_bound_holds_and_the_discriminant_is_as_good_as_the_likelihood_ratio():
    """Three signals of a Gaussian mechanism with epsilon 1: their sum carries all of it."""
    g = np.random.default_rng(0)
    delta, runs = 1e-5, 60
    mu = mu_of(1.0, delta)
    inside, judged = sides(64)
    areas, above, positive = [], 0, 0
    for _ in range(runs):
        noise = g.standard_normal((4, 64, 3))
        signals = noise + (mu / np.sqrt(3)) * inside[:, None]
        found = judge_trials(signals, ("a", "b", "c"), range(4), delta=delta)
        areas.append(found.mean_auc.value)
        above += found.epsilon.value > 1.0
        positive += judge_trials(noise, ("a", "b", "c"), range(4), delta=delta).epsilon.value > 0
    best = stats.norm.cdf(mu / np.sqrt(2))
    assert best - 0.07 < np.mean(areas) <= best + 0.01
    # 95% bounds: more than 9 of 60 has probability 0.001.
    assert above <= 9
    assert positive <= 9
    assert (inside & judged).sum() == (inside & ~judged).sum() == 16


def test_too_few_trials_and_foreign_targets_are_refused():
    private = draw(10)
    with pytest.raises(OptionError, match="multiple of 4"):
        strong(NoisyMean(), private, [0], trials=10)
    with pytest.raises(OptionError, match="index of a record"):
        strong(NoisyMean(), private, [10], trials=16)
    with pytest.raises(OptionError, match=r"known has shape \(3,\)"):
        strong(NoisyMean(), private, [1], trials=16, known=np.ones(3, dtype=bool))
