"""Gradients of single records against one backward pass for each."""

import pytest
import torch
from torch.nn import functional as F

from limbeck.nn.networks import make

pytest.importorskip("opacus", reason="needs the extra 'private'")


@pytest.mark.parametrize("name", ["convnet2", "lenet", "mlp", "vgg11-group", "linear"])
def test_they_are_those_of_a_slow_loop(name):
    from limbeck.nn.record_gradients import RecordGradients, averaged

    network = make(name, (1, 8, 8), 3, width=4, seed=0)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(6, 1, 8, 8, generator=generator)
    targets = torch.softmax(torch.randn(6, 3, generator=generator), 1)
    with RecordGradients(network) as gradients:
        found = gradients(inputs, targets)
        again = gradients(inputs, targets)
    for i in range(6):
        loss = F.cross_entropy(network(inputs[i : i + 1]), targets[i : i + 1])
        slow = torch.autograd.grad(loss, list(network.parameters()))
        for fast, same, one in zip(found, again, slow, strict=True):
            torch.testing.assert_close(fast[i], one, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(fast[i], same[i], rtol=0, atol=0)
    views = averaged([g[:6] for g in found], 2)
    assert torch.allclose(views[0], (found[0][:3] + found[0][3:]) / 2)
    assert network(inputs).shape == (6, 3), "the network works on without hooks"
