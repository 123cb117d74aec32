"""GS-WGAN and DP-Sinkhorn: what they compute, what they read, and that they learn something."""

import pytest
import torch

from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.gaussian import mu_of
from limbeck.synthesize.form import Form
from limbeck.synthesize.generate.dp_sinkhorn import DPSinkhorn, Transport
from limbeck.synthesize.generate.gs_wgan import GSWGAN, ShardCritics
from limbeck.types import Event

pytest.importorskip("opacus", reason="private methods need the extra 'private'")
pytest.importorskip("geomloss", reason="DP-Sinkhorn needs the extra 'generate'")

TINY_WGAN = GSWGAN(
    ipc=1,
    shards=2,
    steps=3,
    batch=2,
    warmup=1,
    critic_steps=1,
    critic_batch=2,
    critic_width=4,
    width=2,
)
TINY_SINKHORN = DPSinkhorn(ipc=1, rate=0.5, steps=3, batch=2, width=2)


def shadow(method, data, seed=0):
    """A set with repeatable noise."""
    everyone = torch.ones(1, len(data), dtype=torch.bool)
    return next(iter(method.synthesize_many(data, everyone, [seed])))


def test_gs_wgan_claims_one_gaussian_event_a_step(tiny_images):
    made = TINY_WGAN.synthesize(tiny_images, seed=0)
    [event] = made.card["ledger"]
    assert (event["count"], event["rate"], event["sensitivity"]) == (3, 1.0, 2 * 2**20)
    stated = made.card["guarantee"]
    assert stated["epsilon"] <= 1.0 and stated["mu"] == pytest.approx(mu_of(1.0, 1e-5), rel=1e-6)
    assert epsilon_declared([Event(**event)], 1e-5) == pytest.approx(1.0, rel=1e-3)
    assert "exactly, from the operating system's entropy" in made.card["noise"]


def test_dp_sinkhorn_claims_what_dp_accounting_says_of_twice_the_clip(tiny_images):
    made = TINY_SINKHORN.synthesize(tiny_images, seed=0)
    [event] = made.card["ledger"]
    assert (event["count"], event["rate"]) == (3, 0.5)
    assert event["sensitivity"] == 2**20, "in grid steps"
    stated = made.card["guarantee"]
    assert 0.99 < stated["epsilon"] <= 1.0 and stated["mu"] is None
    assert stated["epsilon"] == pytest.approx(epsilon_declared([Event(**event)], 1e-5, grid=1e-3))


@pytest.mark.parametrize("method", [TINY_WGAN, TINY_SINKHORN], ids=["gs-wgan", "dp-sinkhorn"])
def test_they_are_handed_a_budget_and_spend_all_of_it(method, tiny_images, handed):
    budgets = handed(type(method))
    method.synthesize(tiny_images, seed=0)
    assert len(budgets) == 1 and budgets[0].left == 0


def test_the_answers_of_critics_are_cut_and_depend_on_their_shard_alone():
    method = GSWGAN(shards=2, batch=3, critic_batch=4, critic_width=5, clip=0.5)
    form = Form((1, 2, 2), ("a", "b"), False, "x")
    generator = torch.Generator().manual_seed(0)
    fakes = [torch.rand(2, 3, 1, 2, 2, generator=generator) for _ in range(3)]
    records = torch.rand(4, 6, 1, 2, 2, generator=generator)
    sizes = torch.tensor([6, 2, 3, 0])

    def answers(records, sizes):
        critics = ShardCritics(method, form, 0, "cpu")
        return critics.answer(fakes, fakes[0], records, sizes)

    found = answers(records, sizes)
    assert found.shape == (4, 3, 4)
    lengths = found.norm(dim=2) * 3**0.5
    assert lengths.max() <= 0.5 * (1 + 1e-5) and found.flatten(1).norm(dim=1).max() <= 0.5 * (
        1 + 1e-5
    )
    changed = records.clone()
    changed[1] = 0.3
    other = answers(
        torch.cat([changed, torch.zeros_like(changed)], 1), sizes + torch.eye(4)[1].long()
    )
    same = (found == other).flatten(1).all(1)
    assert same.tolist() == [True, False, True, True], "wider memory and another shard: not a bit"


def test_transport_between_single_records_costs_half_the_squared_distance():
    x, y = torch.rand(2, 1, 5), torch.rand(2, 1, 5)
    there = torch.ones(2, 1, dtype=torch.bool)
    for blur in (0.01, 1.0):
        found = Transport(5, blur).cost(x, y, there)
        torch.testing.assert_close(found, ((x - y) ** 2).sum(2)[:, 0] / 2, rtol=1e-3, atol=1e-4)


def test_transport_pairs_images_with_records_as_an_assignment_does():
    from scipy.optimize import linear_sum_assignment

    generator = torch.Generator().manual_seed(1)
    x, y = (torch.rand(1, 4, 3, generator=generator) for _ in range(2))
    costs = torch.cdist(x, y)[0] ** 2 / 2
    rows, columns = linear_sum_assignment(costs)
    there = torch.tensor([[True] * 4 + [False] * 2])
    wide = torch.cat([y, torch.zeros(1, 2, 3)], 1)
    found = Transport(3, 0.003).cost(x, wide, there)
    assert float(found) == pytest.approx(float(costs[rows, columns].mean()), rel=0.05)
    # The gradient leads from each image to its own record; X~ is far away from its own copy's plan.
    transport = Transport(3, 0.003)
    gradient = transport.gradient(x, x, wide, torch.tensor([4]))[0]
    torch.testing.assert_close(gradient, 2 * (x[0] - y[0][columns]), rtol=0, atol=0.1)


def test_no_class_hears_of_the_records_of_another():
    """Nor of how many they are, or how far away."""
    generator = torch.Generator().manual_seed(0)
    images, records = (torch.rand(2, 3, 4, generator=generator) for _ in range(2))
    transport, sizes = Transport(4, 0.1), torch.tensor([2, 1])
    alone = transport.gradient(images, images, records[:, :2], sizes)
    for extreme in (1.0, 50.0):
        changed = torch.cat([records, torch.full((2, 4, 4), extreme)], 1)
        other = transport.gradient(images, images, changed, torch.tensor([2, 7]))
        torch.testing.assert_close(alone[0], other[0])
        assert not torch.allclose(alone[1], other[1], atol=1e-2)
    none = transport.gradient(images, images, records, torch.tensor([2, 0]))
    torch.testing.assert_close(alone[0], none[0])


def test_without_epsilon_the_same_runs_without_noise(tiny_images):
    from dataclasses import replace

    for method in (TINY_WGAN, TINY_SINKHORN):
        made = replace(method, epsilon=None).synthesize(tiny_images, seed=0)
        assert made.card["guarantee"] is None and made.card["ledger"] == []
