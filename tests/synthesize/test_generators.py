"""The undefended generators: their parts against closed forms, and that they learn digits."""

import pytest
import torch
from torch.nn import functional as F

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.nn.networks import make
from limbeck.nn.unet import UNet
from limbeck.synthesize.generate import diffusion
from limbeck.synthesize.generate.cgan import CGAN, judged
from limbeck.synthesize.generate.diffusion import Diffusion, denoised, ladder, noised, signal


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


def test_the_share_of_the_signal_is_the_published_product():
    shares, expected = signal("cpu"), 1.0
    for t in range(1, 1001):
        expected *= 1 - (1e-4 + (0.02 - 1e-4) * (t - 1) / 999)
        if t in (1, 2, 500, 1000):
            assert float(shares[t]) == pytest.approx(expected, rel=1e-5)
    assert shares[0] == 1 and shares[1000] < 5e-5


@pytest.mark.parametrize(("start", "jumps"), [(1000, 1), (1000, 7), (300, 50)])
def test_sampling_with_the_true_noise_gives_the_record_back(start, jumps):
    """Where all data is one record, the noise is known exactly, and so is the sample."""
    record = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    shares = signal("cpu")

    class Exact(UNet):
        def forward(self, images, times, labels):
            kept = shares[(times * 1000).round().long()].view(-1, 1, 1, 1)
            return (images - kept.sqrt() * record) / (1 - kept).sqrt()

    added = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    noisy = noised(record, added, shares[[start]])
    times = torch.linspace(start, 0, jumps + 1).round().long()
    network = Exact((1, 4, 4), 2, width=4, seed=0)
    found = denoised(network, noisy, torch.zeros(3, dtype=torch.int64), times)
    torch.testing.assert_close(found, record, rtol=0, atol=2e-3)


def test_the_ladder_goes_down_from_the_start_to_the_record():
    assert ladder(4, 1.0).tolist() == [1000, 750, 500, 250, 0]
    assert ladder(4, 0.5).tolist() == [500, 250, 0]
    assert ladder(25, 0.0001).tolist() == [1, 0]


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 5, 11)])
def test_the_u_net_hears_time_and_label_and_sees_one_image_at_a_time(shape):
    generator = torch.Generator().manual_seed(0)
    network = UNet(shape, 3, width=4, seed=0)
    torch.nn.init.normal_(network.out.weight, generator=generator)
    x = torch.randn(4, *shape, generator=generator)
    times, labels = torch.full((4,), 0.5), torch.zeros(4, dtype=torch.int64)
    with torch.no_grad():
        plain = network(x, times, labels)
        assert plain.shape == x.shape
        assert not torch.allclose(plain, network(x, times / 2, labels), atol=1e-3)
        assert not torch.allclose(plain, network(x, times, labels + 1), atol=1e-3)
        torch.testing.assert_close(plain[2:3], network(x[2:3], times[:1], labels[:1]))


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


def test_training_asks_for_the_noise_that_was_added(tiny_images, monkeypatch):
    """At the first step the U-Net says about nothing: the loss is that of the added noise."""
    losses = []
    mse = F.mse_loss

    def noted(found, added):
        losses.append((float(mse(found.detach(), added)), float(added.square().mean())))
        return mse(found, added)

    monkeypatch.setattr(diffusion.F, "mse_loss", noted)
    Diffusion(ipc=1, steps=1, width=4, jumps=1).synthesize(tiny_images, seed=0)
    [(loss, power)] = losses
    assert power == pytest.approx(1.0, abs=0.1) and loss == pytest.approx(power, rel=0.3)
