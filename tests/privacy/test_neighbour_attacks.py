"""Adversaries who see the raw answers of noisy sums on neighbouring datasets made to be told apart.

Each attack is tried on what limbeck releases and on a twin that is broken in the way that the
attack looks for: the twin must be refuted, or the attack would prove nothing.
"""

import math

import numpy as np
import pytest
import torch

from limbeck.audit.inference.fixed_threshold import independent_bound
from limbeck.data.dataset import LabeledDataset
from limbeck.nn.networks import make
from limbeck.privacy import blocks, noise
from limbeck.privacy.accountant import epsilon_declared
from limbeck.privacy.noise import discrete_gaussian
from limbeck.privacy.sampled import Sampler, Steps, multiplier_for
from limbeck.privacy.shards import Shards, Turns

WIDE = 2_000
SIGMA = 5.0
STEPS = Steps(rate=1.0, count=1, multiplier=SIGMA, norm=1.0)


def pair(wide=WIDE):
    """D = {a, b} and D' = {a}: a's row is 0, b's has norm 0.99 with equal coordinates."""
    rows = torch.zeros(2, wide)
    rows[1] = 0.99 / math.sqrt(wide)
    return rows, rows[:1]


def stepped(rows):
    drawn = Sampler(rows, torch.zeros(len(rows)), STEPS, [rows.shape[1:]])
    return drawn.step(lambda x, _: [x])[0]


def read_jointly(rows):
    steps = Steps(rate=1.0, count=1, multiplier=SIGMA / 2, norm=2.0)
    drawn = Sampler(rows, torch.zeros(len(rows), dtype=torch.int64), steps, [])
    return drawn.jointly(lambda records, sizes: records.sum(1), 1)[0]


def answered_by_shards(rows):
    data = LabeledDataset(rows, torch.zeros(len(rows), dtype=torch.int64), ("a",))
    turns = Turns(shards=1, norm=1.0, count=1, sensitivity=2.0 * 2**20, multiplier=SIGMA / 2)
    return Shards(data, turns, unit="record").step(lambda records, sizes: records.sum(1))[0]


def float_twin(rows):
    """What must never be released: a float32 sum with float noise."""
    noise = torch.randn(rows.shape[1], dtype=torch.float64) * SIGMA
    return rows.sum(0) + noise.float()


QUERIES = [stepped, read_jointly, answered_by_shards]


def off_the_lattice(answer):
    """Whether a small coordinate is no multiple of half a unit in the last place of b's row."""
    value = 0.99 / math.sqrt(len(answer))
    small = answer[answer.abs() < value / 8].double()
    half = 2.0 ** (math.floor(math.log2(value)) - 24)
    return bool((small / half != (small / half).round()).any())


def advantage(query, calls, wide=WIDE):
    both = [sum(off_the_lattice(query(rows)) for _ in range(calls)) for rows in pair(wide)]
    return abs(both[0] - both[1]) / calls


def delta_at_zero():
    """The largest difference of the chances of any event that mu-GDP allows: mu = 0.99 / sigma."""
    return math.erf(0.99 / SIGMA / 2 / math.sqrt(2))


@pytest.mark.parametrize("query", QUERIES)
def test_the_lattice_attack_fails_on_every_noisy_sum(query):
    calls = 60
    # Four standard errors of a difference of two rates of one half.
    assert advantage(query, calls) <= delta_at_zero() + 4 * math.sqrt(0.5 / calls)


@pytest.mark.slow
@pytest.mark.parametrize("query", QUERIES)
def test_the_lattice_attack_fails_in_two_thousand_calls(query):
    calls = 2_000
    assert advantage(query, calls, wide=20_000) <= delta_at_zero() + 4 * math.sqrt(0.5 / calls)


def test_the_lattice_attack_refutes_float_sums():
    # The small value of a coordinate of D' is off the lattice far more often than one of D is.
    assert advantage(float_twin, 100, wide=20_000) > 0.7


@pytest.mark.parametrize("query", QUERIES)
def test_answers_lie_on_the_public_grid_whatever_the_records(query):
    for rows in pair():
        steps = query(rows).double() * 2**20
        assert torch.equal(steps, steps.round())


@pytest.fixture
def totals(monkeypatch):
    """The integer sums before noise, in the order in which they were asked for."""
    seen = []
    added = blocks.Noise.added

    def spy(self, total, bound):
        seen.append(total.clone())
        return added(self, total, bound)

    monkeypatch.setattr(blocks.Noise, "added", spy)
    return seen


def uniform_rows():
    generator = torch.Generator().manual_seed(0)
    everyone = torch.rand(250_001, 1, generator=generator) * 0.5 + 0.4
    everyone[0] = -0.95
    return everyone


def rows_at_a_power_of_two():
    """With the first row a float32 sum reaches 2^17, above which small rows are absorbed."""
    everyone = torch.ones(250_001, 1)
    everyone[0], everyone[131_072] = 0.95, 0.5
    everyone[131_073:] = -0.005
    return everyone


@pytest.mark.parametrize("made", [uniform_rows, rows_at_a_power_of_two])
def test_the_clipped_sum_changes_by_at_most_the_declared_sensitivity(totals, made):
    everyone = made()
    once = Steps(rate=1.0, count=1, multiplier=0.0, norm=1.0)
    for rows in (everyone, everyone[1:]):
        drawn = Sampler(rows, torch.zeros(len(rows)), once, [torch.Size([1])])
        drawn.step(lambda x, _: [x], chunk=4096)
    moved = int(totals[0] - totals[1])
    assert moved == math.trunc(float(everyone[0]) * 2**20) and abs(moved) <= 2**20


def test_a_float_sum_of_such_rows_moves_by_hundreds_of_times_the_clipping_norm():
    everyone = rows_at_a_power_of_two()[:, 0].numpy()
    with_one, without = (np.add.accumulate(rows)[-1] for rows in (everyone, everyone[1:]))
    assert abs(float(with_one) - float(without)) > 900


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("members", [1, 5, 64, 65])
def test_a_record_changes_a_sum_of_network_gradients_by_its_own_row_alone(
    totals, members, hashed, monkeypatch
):
    pytest.importorskip("opacus", reason="gradients of records need the extra 'private'")
    from limbeck.nn.record_gradients import RecordGradients

    monkeypatch.setattr(Sampler, "_varies", lambda *_: hashed)
    network = make("convnet1", (1, 8, 8), 3, width=4, seed=0)
    generator = torch.Generator().manual_seed(members)
    inputs = torch.rand(members + 1, 1, 8, 8, generator=generator)
    targets = torch.eye(3)[torch.arange(members + 1) % 3]
    once = Steps(rate=1.0, count=1, multiplier=0.0, norm=0.5)
    shapes = [p.shape for p in network.parameters()]
    with RecordGradients(network) as gradients:
        for chosen in (slice(None), slice(1, None), slice(0, 1)):
            Sampler(inputs[chosen], targets[chosen], once, shapes).step(gradients)
    with_one, without, alone = totals
    assert torch.equal(with_one - without, alone)
    assert 0 < int(alone.square().sum()) <= 2**40


def test_a_block_of_one_class_does_not_change_with_the_size_of_another(totals):
    pytest.importorskip("geomloss", reason="DP-Sinkhorn needs the extra 'generate'")
    from limbeck.synthesize.generate.dp_sinkhorn import Transport

    generator = torch.Generator().manual_seed(0)
    records = torch.rand(40, 1, 4, 4, generator=generator)
    images, others = torch.rand(2, 2, 5, 16, generator=generator)
    transport = Transport(16, 0.05)
    steps = Steps(rate=1.0, count=1, multiplier=0.0, norm=1.0)
    labels = torch.tensor([0] * 3 + [1] * 37)
    for members in (4, 7, 18, 40):
        drawn = Sampler(records[:members], labels[:members], steps, [])
        drawn.jointly(lambda r, s: transport.gradient(images, others, r, s), 2)
    first = torch.stack(totals)[:, 0]
    assert first.any() and (first == first[0]).all()
    assert (torch.stack(totals).flatten(2).square().sum(2) <= 2**38).all(), "half of the norm"


def test_noise_of_secure_answers_is_that_of_the_declared_curve():
    """The matched filter: the sum along b's row is as telling as sigma allows, and no more."""
    rows, without = pair()
    direction = rows[1] / rows[1].norm()
    scores = np.array(
        [[float(stepped(r) @ direction) for _ in range(150)] for r in (rows, without)]
    )
    assert abs(scores[0].mean() - scores[1].mean() - 0.99) < 5 * SIGMA * math.sqrt(2 / 150)
    assert abs(scores.std(1).mean() / SIGMA - 1) < 5 / math.sqrt(2 * 300)
    assert epsilon_declared([STEPS.event("sum")], 1e-5) < 1.0


@pytest.mark.parametrize(("epsilon", "sampled"), [(1.0, True), (3.0, True), (1.0, False)])
def test_sampled_steps_stand_up_to_the_most_powerful_test(epsilon, sampled):
    """The likelihood ratio of all steps. It refutes a twin that takes everybody at each step."""
    rate, count, units = 0.2, 10, 5_000
    multiplier = multiplier_for(epsilon, 1e-5, "add-remove", rate=rate, count=count)
    declared = Steps(rate if sampled else 1.0, count, multiplier, 1.0)
    scores, members = [], []
    for seed in range(2):  # half of the trials to choose a threshold, half to judge it
        coins = torch.rand(units, generator=torch.Generator().manual_seed(seed)) < 0.5
        rows = torch.eye(units)[coins]
        drawn = Sampler(rows, torch.zeros(len(rows)), declared, [torch.Size([units])])
        seen = [drawn.step(lambda x, _: [x])[0].double() for _ in range(count)]
        odds = [torch.log1p(rate * torch.expm1((y - 0.5) / multiplier**2)) for y in seen]
        scores.append(torch.stack(odds).sum(0).numpy())
        members.append(coins.numpy())
    bounds = []
    for level in np.quantile(scores[0], [0.1, 0.25, 0.5, 0.75, 0.9]):
        counts = [
            counted
            for which in (members[1], ~members[1])
            for counted in (int((scores[1][which] > level).sum()), int(which.sum()))
        ]
        bounds.append(independent_bound(*counts, delta=1e-5, level=0.9998).value)
    if sampled:
        assert max(bounds) <= epsilon
    else:
        assert max(bounds) > epsilon


def test_the_average_over_the_real_number_of_records_would_tell_it():
    """Public DP-SGD code divides by the sampled batch's size: with few records a row shows it."""
    gone = Steps(rate=0.5, count=200, multiplier=0.0, norm=1.0)
    rows = torch.full((6, 1), 0.25)
    drawn = Sampler(rows, torch.zeros(6), gone, [torch.Size([1])])
    sums = {float(drawn.step(lambda x, _: [x])[0]) for _ in range(200)}
    # Sums are multiples of a row for each number of records; an average would be 0.25 always.
    assert len(sums) > 3 and sums <= {0.25 * k for k in range(7)}


@pytest.mark.parametrize("margin", [2.0**-40, 2.0**-3])
@pytest.mark.parametrize("scale", [4.0, 5.0, 37.0])
def test_draws_have_the_exact_distribution(scale, margin, monkeypatch):
    """With the wide margin rational numbers decide most comparisons, not floats."""
    from scipy import stats

    monkeypatch.setattr(noise, "_MARGIN", margin)
    size = 200_000 if margin < 0.1 else 4_000
    drawn = discrete_gaussian(np.zeros(size, dtype=np.int64), scale)
    whole = np.arange(-40 * int(scale), 40 * int(scale) + 1)
    mass = np.exp(-(whole**2) / (2 * scale**2))
    mass /= mass.sum()
    inner = np.abs(whole) <= 3.5 * scale
    counts = np.array([(drawn == z).sum() for z in whole[inner]])
    cells = np.append(counts, len(drawn) - counts.sum())
    chances = np.append(mass[inner], mass[~inner].sum())
    assert stats.chisquare(cells, chances * len(drawn)).pvalue > 1e-5


@pytest.mark.parametrize("scale", [2.0**20 + 7, 2.0**41 + 1])
def test_draws_are_those_of_opendp(scale):
    opendp = pytest.importorskip("opendp.prelude", reason="the oracle is OpenDP's sampler")
    from scipy import stats

    opendp.enable_features("contrib")
    space = opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l2_distance(T="f64")
    theirs = np.array(opendp.m.make_gaussian(*space, scale=scale)([0] * 10_000), dtype=np.int64)
    ours = discrete_gaussian(np.zeros(10_000, dtype=np.int64), scale)
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-5
    assert stats.kstest(ours / scale, "norm").pvalue > 1e-5
    assert abs((ours % 2).mean() - 0.5) < 0.03, "no bit is left out"
