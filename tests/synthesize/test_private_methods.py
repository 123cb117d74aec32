"""DP-MERF, PSG and DP-KIP: what they compute, what they read, and that they learn something."""

import math

import pytest
import torch
from torch.nn import functional as F

from limbeck.errors import OptionError
from limbeck.nn.networks import make
from limbeck.nn.ridge import ridge_loss
from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.budget import Budget
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.sampled import Sampler
from limbeck.synthesize.condense.dp_kip import DPKIP
from limbeck.synthesize.condense.kip import TangentKernel
from limbeck.synthesize.condense.psg import PSG
from limbeck.synthesize.form import Form
from limbeck.synthesize.generate.dp_merf import DPMERF, RandomFeatures
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.train.standard import Standard

pytest.importorskip("opacus", reason="private methods need the extra 'private'")

QUICK_PSG = PSG(ipc=1, networks=2, outer=3, inner=1, network="convnet1", width=2, rate=0.5)
QUICK_KIP = DPKIP(ipc=1, steps=5, rate=0.5)
QUICK_MERF = DPMERF(ipc=1, features=10, steps=3, batch=2, width=4)


def shadow(method, data, seed=0):
    """A set with repeatable noise."""
    everyone = torch.ones(1, len(data), dtype=torch.bool)
    return next(iter(method.synthesize_many(data, everyone, [seed])))


class Watched(torch.Tensor):
    """Private records that note every reading of them."""

    read = 0

    def __getitem__(self, at):
        self.read += 1
        return self.as_subclass(torch.Tensor)[at]


@pytest.mark.parametrize("method", [QUICK_PSG, QUICK_KIP], ids=["psg", "dp-kip"])
def test_reads_of_the_records_equal_the_ledger(method, tiny_images, monkeypatch, handed):
    """Counted where records are handed out and where noise is added, and held to the ledger."""
    drawn, noised = [], []
    draw, step = Sampler._draw, Sampler.step
    monkeypatch.setattr(Sampler, "_draw", lambda self: drawn.append(1) or draw(self))

    def noisy(self, rows, **words):
        if not isinstance(self._inputs, Watched):
            self._inputs = self._inputs.as_subclass(Watched)
        before = self._inputs.read
        sums = step(self, rows, **words)
        noised.append(self._inputs.read - before)
        assert self.steps.multiplier > 0
        return sums

    monkeypatch.setattr(Sampler, "step", noisy)
    budgets = handed(type(method))
    made = method.synthesize(tiny_images, seed=0)
    [event] = made.card["ledger"]
    assert len(drawn) == len(noised) == event["count"]
    assert sum(noised) <= event["count"], "a batch of forty at most is read once a step"
    assert len(budgets) == 1 and budgets[0].left == 0


def test_dp_merf_reads_once(tiny_images, monkeypatch):
    released = []
    release = Budget.release

    def noted(self, name, statistic, bound, share, **words):
        released.append((name, bound.norm, share))
        return release(self, name, statistic, bound, share, **words)

    monkeypatch.setattr(Budget, "release", noted)
    made = QUICK_MERF.synthesize(tiny_images, seed=0)
    assert released == [("mean embeddings", 1.0, 1.0)]
    assert [event["count"] for event in made.card["ledger"]] == [1]
    assert made.card["guarantee"]["mu"] == pytest.approx(mu_of(1.0, 1e-5), rel=1e-6)


@pytest.mark.parametrize("method", [QUICK_PSG, QUICK_KIP], ids=["psg", "dp-kip"])
def test_sampled_methods_claim_what_dp_accounting_says(method, tiny_images):
    made = method.synthesize(tiny_images, seed=0)
    stated = made.card["guarantee"]
    assert 0.99 < stated["epsilon"] <= 1.0 and stated["mu"] is None
    [event] = made.card["ledger"]
    steps = getattr(method, "steps", None) or method.networks * method.outer
    assert (event["count"], event["rate"]) == (steps, 0.5)
    again = epsilon_declared([type_of_event(event)], 1e-5, grid=1e-3)
    assert stated["epsilon"] == pytest.approx(again)
    more = type_of_event({**event, "count": steps + 1})
    assert epsilon_declared([more], 1e-5, grid=1e-3) > 1.0
    assert method.guarantee.mu is None and method.guarantee.epsilon == 1.0


def type_of_event(values):
    from limbeck.types import Event

    return Event(**values)


@pytest.mark.parametrize("cls", [PSG, DPKIP])
def test_starts_that_read_records_are_refused(cls, tiny_images):
    for init in ("real", "k-means", "kaleidoscope:3"):
        with pytest.raises(OptionError, match="reads the private records themselves") as caught:
            cls(init=init).resolve(tiny_images)
        assert "\n" not in str(caught.value)


def test_random_features_are_those_of_a_gaussian_kernel():
    form = Form((6,), ("a", "b"), False, "x")
    inputs = torch.rand(5, 6, generator=torch.Generator().manual_seed(0))
    phi = RandomFeatures(form, 40_000, 0.4, 0, "cpu")(inputs)
    assert torch.allclose(phi.norm(dim=1), torch.ones(5), atol=1e-4)
    exact = torch.exp(-(torch.cdist(inputs, inputs) ** 2) / (2 * 0.4**2 * 6))
    assert (phi @ phi.T - exact).abs().max() < 0.03, "four standard errors"


def test_dp_merf_divides_by_noisy_counts_and_ignores_how_common_a_class_is(tiny_images):
    """Without noise, the wanted means are those of the classes."""
    from limbeck.synthesize.generate import dp_merf

    form = Form.of(tiny_images)
    seen = {}

    class Seeing(DPMERF):
        def _train(self, phi, wanted, *rest):
            seen["wanted"], seen["phi"] = wanted, phi
            return super()._train(phi, wanted, *rest)

    several = tiny_images.select([*range(40), *range(0, 40, 4), *range(0, 40, 4)])
    for data in (tiny_images, several):
        Seeing(epsilon=None, features=12, steps=1, ipc=1, width=4).publish(
            Budget(data, epsilon=None), form, 0, device="cpu", progress=None
        )
        phi = seen["phi"](data.inputs)
        for label in range(4):
            mean = phi[data.labels == label].mean(0)
            assert torch.allclose(seen["wanted"][label], mean, atol=1e-4)
    assert dp_merf._COUNT < 1


def test_psg_asks_for_the_gradients_of_single_records(tiny_images, monkeypatch):
    """One step without noise, every record in it: the sum of slow, clipped gradients."""
    found = {}
    step = Sampler.step

    def kept(self, rows, **words):
        found["rows"], found["sums"] = rows, step(self, rows, **words)
        return found["sums"]

    monkeypatch.setattr(Sampler, "step", kept)
    method = PSG(
        epsilon=None, ipc=1, networks=1, outer=1, network="convnet1", width=2, rate=1.0, clip=0.05
    )
    shadow(method, tiny_images)
    from limbeck import coins

    network = make("convnet1", (1, 8, 8), 4, width=2, seed=coins.derive(0, "network", 0))
    weights = [network.convolutions[0].weight, network.head.weight]
    total = [torch.zeros_like(w.flatten(1)) for w in weights]
    for x, y in zip(tiny_images.inputs, tiny_images.labels, strict=True):
        loss = F.cross_entropy(network(x[None]), y[None])
        own = torch.autograd.grad(loss, weights)
        norm = math.sqrt(sum(float(g.square().sum()) for g in own))
        for part, g in zip(total, own, strict=True):
            part += g.flatten(1) * min(1.0, 0.05 / norm)
    for ours, slow in zip(found["sums"], total, strict=True):
        torch.testing.assert_close(ours, slow, rtol=1e-3, atol=1e-5)


def test_dp_kip_asks_for_the_gradients_of_single_records(tiny_images, monkeypatch):
    found = {}
    step = Sampler.step

    def kept(self, rows, **words):
        found["rows"] = rows(self._inputs[:5], self._targets[:5])[0]
        return step(self, rows, **words)

    monkeypatch.setattr(Sampler, "step", kept)
    method = DPKIP(epsilon=None, ipc=2, steps=1, rate=0.2)
    shadow(method, tiny_images)
    slots = method.data_free(Form.of(tiny_images), 0)
    one_hot = torch.eye(4) - 0.25
    labels = torch.arange(4).repeat_interleave(2)
    regressor = TangentKernel("fully-connected", 2, 1)
    for i in range(5):
        images = slots.clone().requires_grad_()
        kernel, across = regressor.blocks(images[None], tiny_images.inputs[i][None, None])
        wanted = one_hot[tiny_images.labels[i]][None, None]
        loss = ridge_loss(kernel, across, one_hot[labels][None], wanted, 1e-3).sum()
        slow = torch.autograd.grad(loss, images)[0]
        torch.testing.assert_close(found["rows"][i], slow, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "trainer", "least"),
    [
        (
            DPMERF(epsilon=10.0, steps=60, ipc=30, width=8, learning_rate=0.005),
            Standard("linear", steps=100),
            0.45,
        ),
        (
            PSG(epsilon=10.0, ipc=2, networks=2, outer=10, inner=2, network="convnet1", width=8),
            Standard("convnet1", width=8, steps=60, augment=False),
            0.6,
        ),
        (DPKIP(epsilon=10.0, ipc=2, steps=20, rate=0.2), KernelRidge(), 0.5),
    ],
    ids=["dp-merf", "psg", "dp-kip"],
)
def test_they_learn_digits_at_epsilon_10(method, trainer, least, digits):
    private, test = digits
    made = shadow(method, private)
    assert trainer.fit(made, seed=0).accuracy(test) > least, "chance is 0.1"


def test_without_epsilon_the_same_runs_without_noise(tiny_images):
    for method in (QUICK_PSG, QUICK_KIP, QUICK_MERF):
        from dataclasses import replace

        made = replace(method, epsilon=None).synthesize(tiny_images, seed=0)
        assert made.card["guarantee"] is None and made.card["ledger"] == []
