"""The denoiser: every weight drawn by limbeck, shapes of any size, one image at a time."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

pytest.importorskip("diffusers", reason="diffusion needs the extra 'generate'")

from limbeck.nn.denoiser import Denoiser


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 5, 11), (1, 9, 12)])
def test_it_hears_time_and_label_and_sees_one_image_at_a_time(shape):
    generator = torch.Generator().manual_seed(0)
    network = Denoiser(shape, 3, width=4, seed=0)
    x = torch.randn(4, *shape, generator=generator)
    times, labels = torch.full((4,), 500), torch.zeros(4, dtype=torch.int64)
    with torch.no_grad():
        bias = network.unet.conv_out.bias.view(-1, 1, 1).expand(shape)
        torch.testing.assert_close(network(x, times, labels)[0], bias, msg="it begins flat")
        nn.init.normal_(network.unet.conv_out.weight, generator=generator)
        plain = network(x, times, labels)
        assert plain.shape == x.shape
        assert not torch.allclose(plain, network(x, times // 2, labels), atol=1e-3)
        assert not torch.allclose(plain, network(x, times, labels + 1), atol=1e-3)
        torch.testing.assert_close(plain[2:3], network(x[2:3], times[:1], labels[:1]))


def test_what_was_padded_is_cut_off_where_it_was_put():
    network = Denoiser((1, 9, 14), 2, width=4, seed=0)
    sizes = []

    class Same(nn.Module):
        def forward(self, images, times, labels):
            sizes.append(images.shape[2:])
            return SimpleNamespace(sample=images)

    network.unet = Same()
    x = torch.rand(2, 1, 9, 14, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros(2, dtype=torch.int64)
    assert torch.equal(network(x, zeros, zeros), x) and sizes == [(10, 14)]


def test_weights_follow_from_the_seed_and_none_is_left_undrawn():
    """diffusers would draw from global state, and what nobody draws is whatever memory held."""
    one, same, other = (Denoiser((1, 16, 16), 3, width=3, seed=seed) for seed in (0, 0, 1))
    kinds = {type(m) for m in one.modules() if any(True for _ in m.parameters(recurse=False))}
    assert kinds == {nn.Conv2d, nn.Linear, nn.GroupNorm, nn.Embedding}
    assert not list(one.buffers())
    for name, value in one.named_parameters():
        assert torch.equal(value, same.get_parameter(name))
        drawn = "norm" not in name and name != "unet.conv_out.weight"
        assert torch.equal(value, other.get_parameter(name)) != drawn, name
