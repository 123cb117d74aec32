"""Stacked critics against networks one by one, and the running mean of weights."""

import torch
from torch.nn import functional as F

from limbeck.nn.average import Average
from limbeck.nn.critics import Critics, slopes, wasserstein_loss

COUNT, N, SIZE = 3, 5, 4


def records(seed=0):
    return torch.randn(COUNT, N, SIZE, generator=torch.Generator().manual_seed(seed))


def drawn():
    """Critics that have something to say: at first they are silent."""
    critics = Critics(COUNT, SIZE, width=6, seed=0)
    assert not critics(records()).any()
    torch.nn.init.normal_(critics.weights[2], generator=torch.Generator().manual_seed(9))
    return critics


def one(critics, k, x):
    """What network k says, written out."""
    for layer in range(3):
        x = x @ critics.weights[layer][k] + critics.biases[layer][k]
        x = F.leaky_relu(x, 0.2) if layer < 2 else x
    return x[:, 0]


def test_each_network_is_its_own_and_slopes_are_its_gradients():
    critics = drawn()
    x = records()
    said, steep = critics(x), slopes(critics, x)
    for k in range(COUNT):
        at = x[k].clone().requires_grad_()
        alone = one(critics, k, at)
        torch.testing.assert_close(said[k], alone)
        torch.testing.assert_close(steep[k], torch.autograd.grad(alone.sum(), at)[0])
    assert not torch.equal(critics.weights[0][0], critics.weights[0][1])


def test_the_loss_is_that_of_the_paper_and_keeps_networks_apart():
    critics = drawn()
    real, fake = records(1), records(2)
    shares = torch.rand(COUNT, N, generator=torch.Generator().manual_seed(3))
    expected = torch.zeros(())
    for k in range(COUNT):
        mixed = shares[k, :, None] * real[k] + (1 - shares[k, :, None]) * fake[k]
        mixed.requires_grad_()
        slope = torch.autograd.grad(one(critics, k, mixed).sum(), mixed)[0]
        gap = one(critics, k, fake[k]).mean() - one(critics, k, real[k]).mean()
        expected = expected + gap + 10 * ((slope.norm(dim=1) - 1) ** 2).mean()
    loss = wasserstein_loss(critics, real, fake, shares, 10.0)
    torch.testing.assert_close(loss, expected)
    before = torch.autograd.grad(loss, list(critics.parameters()))
    real[1] += 7
    after = torch.autograd.grad(
        wasserstein_loss(critics, real, fake, shares, 10.0), list(critics.parameters())
    )
    for a, b in zip(before, after, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[2], b[2])
    assert not torch.equal(before[0][1], after[0][1])


def test_a_running_mean_is_a_plain_one_at_first_and_fades_later():
    network = torch.nn.Linear(1, 1, bias=False)
    average = Average(network, decay=0.75)
    for value in (1.0, 2.0, 6.0, 3.0, 7.0):
        network.weight.data.fill_(value)
        average.follow(network)
    # After four the mean is 3; the fifth counts a quarter, as each would from then on.
    assert average.network.weight.item() == 3 + (7 - 3) / 4
    assert network.weight.item() == 7.0
