"""The undefended generators: their parts against closed forms, and that they learn digits."""

import pytest
import torch
from torch.nn import functional as F

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.nn.networks import make
from limbeck.synthesize.generate import diffusion
from limbeck.synthesize.generate.cgan import CGAN, judged
from limbeck.synthesize.generate.diffusion import Diffusion

pytest.importorskip("diffusers", reason="diffusion needs the extra 'generate'")


def test_the_discriminators_penalty_is_the_squared_slope_on_real_records():
    network = make("mlp", (1, 4, 4), 3, width=5, seed=0)
    real = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % 3
    found = CGAN(penalty=4.0)._real_loss(network, real.clone(), labels)
    expected = torch.zeros(())
    for x, y in zip(real, labels, strict=True):
        x = x.clone().requires_grad_()
        said = network(x[None])[0, y]
        slope = torch.autograd.grad(said, x)[0]
        expected += (F.softplus(-said) + 2 * slope.square().sum()).detach() / 6
    torch.testing.assert_close(found.detach(), expected)
    torch.testing.assert_close(
        judged(network, real, labels), network(real)[torch.arange(6), labels]
    )


def test_image_starts_come_from_private_images_and_are_declared(tiny_images):
    method = Diffusion(ipc=3, steps=1, width=4, start="image", strength=0.001, jumps=1)
    made = method.synthesize(tiny_images, seed=0)
    assert made.card["holds_real_records"] is True
    apart = torch.cdist(made.inputs.flatten(1), tiny_images.inputs.flatten(1))
    near = apart.min(1)
    assert near.values.max() < 0.1, "one of 1000 parts of noise"
    assert torch.equal(tiny_images.labels[near.indices], made.labels)
    assert len(set(near.indices.tolist())) == 12, "without replacement"
    assert Diffusion().holds_real_records is False
    with pytest.raises(DatasetError, match="10 records, diffusion needs 11"):
        Diffusion(ipc=11, start="image").resolve(tiny_images)


def test_tables_are_refused_by_diffusion_and_served_by_cgan():
    table = LabeledDataset(torch.rand(20, 5), torch.arange(20) % 2, ("a", "b"), name="table")
    with pytest.raises(OptionError, match=r"table have shape \(5,\).* use cgan"):
        Diffusion().resolve(table)
    assert CGAN(ipc=2, steps=1, batch=4).synthesize(table, seed=0).shape == (5,)
    with pytest.raises(OptionError, match="convnet2"):
        CGAN(network="convnet2").resolve(table)


def test_the_missing_extra_is_named(tiny_images, monkeypatch):
    monkeypatch.setattr(diffusion, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"limbeck\[generate\]"):
        Diffusion().resolve(tiny_images)


def test_training_asks_for_the_noise_that_was_added(tiny_images, monkeypatch):
    """At the first step the U-Net says about nothing: the loss is that of the added noise."""
    losses = []
    mse = F.mse_loss

    def noted(found, added):
        losses.append((float(mse(found.detach(), added)), float(added.square().mean())))
        return mse(found, added)

    monkeypatch.setattr(diffusion.F, "mse_loss", noted)
    before = torch.get_rng_state()
    Diffusion(ipc=1, steps=1, width=4, jumps=1).synthesize(tiny_images, seed=0)
    assert torch.equal(torch.get_rng_state(), before), "diffusers draws from global state"
    [(loss, power)] = losses
    assert power == pytest.approx(1.0, abs=0.1) and loss == pytest.approx(power, rel=0.3)
