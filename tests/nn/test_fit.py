"""The optimisers against PyTorch's own, and their promise to import no compiler."""

import subprocess
import sys

import pytest
import torch

from limbeck.nn.fit import Adam, MomentumSGD


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 5e-4), (0.5, 0.1)])
def test_equals_torch_optim(momentum: float, weight_decay: float) -> None:
    start = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    reference = torch.optim.SGD([theirs], lr=1.0, momentum=momentum, weight_decay=weight_decay)
    optimiser = MomentumSGD([ours], momentum=momentum, weight_decay=weight_decay)
    for step in range(8):
        rate = 0.1 / (1 + step)
        optimiser.minimise((ours**4).sum(), rate)
        reference.param_groups[0]["lr"] = rate
        reference.zero_grad()
        (theirs**4).sum().backward()
        reference.step()
    torch.testing.assert_close(ours, theirs)
    assert not torch.equal(ours, start)


def test_adam_equals_torch_optim() -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (2, 4)]
    ours, theirs = ([value.clone().requires_grad_() for value in start] for _ in range(2))
    optimiser, reference = Adam(ours), torch.optim.Adam(theirs)
    for step in range(8):
        rate = 0.1 / (1 + step)
        optimiser.minimise((ours[0] ** 4).sum() + (ours[1] ** 2).sum(), rate)
        reference.param_groups[0]["lr"] = rate
        reference.zero_grad()
        ((theirs[0] ** 4).sum() + (theirs[1] ** 2).sum()).backward()
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.equal(ours[1], start[1])


def test_training_does_not_import_the_compiler() -> None:
    script = (
        "import sys, torch; from limbeck.data.dataset import LabeledDataset;"
        "from limbeck.train.standard import Standard;"
        "data = LabeledDataset(torch.rand(6, 1, 8, 8), torch.tensor([0, 1] * 3), ('a', 'b'));"
        "Standard(steps=2, width=2).fit(data, seed=0).accuracy(data);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
