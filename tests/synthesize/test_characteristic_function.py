import math

import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.synthesize import statistics
from limbeck.synthesize.condense.characteristic_function import (
    CharacteristicFunctionMatching,
    discrepancy,
    waves,
)
from limbeck.synthesize.form import Form

QUICK = {"ipc": 2, "network": "convnet2", "width": 4, "steps": 6, "pairs": 3, "frequencies": 32}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def complex_mean(features, frequencies):
    return torch.exp(1j * (features @ frequencies.T)).mean(0)


def test_gaussian_samples_have_the_closed_form():
    """phi(t) = exp(i t.mu - t' Sigma t / 2); the mean of n samples is off by about 1/sqrt n."""
    n, mu, root = 200_000, draw(3, seed=1), 0.5 * draw(3, 3, seed=2)
    frequencies = draw(20, 3, seed=3)
    found = waves(mu + draw(n, 3) @ root.T, frequencies).mean(0)
    quadratic = (frequencies @ root).square().sum(1)
    expected = torch.exp(1j * (frequencies @ mu) - quadratic / 2)
    reach = 5 / math.sqrt(n)
    assert torch.allclose(found[:20], expected.real, atol=reach)
    assert torch.allclose(found[20:], expected.imag, atol=reach)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_the_discrepancy_is_the_formula_in_complex_numbers(alpha):
    frequencies = draw(6, 3)
    sides = [draw(5, 3, seed=1), draw(7, 3, seed=2) + 1]
    total = 0.0
    for t in range(6):
        u, v = (complex(complex_mean(side, frequencies[t : t + 1])[0]) for side in sides)
        apart = math.atan2(u.imag, u.real) - math.atan2(v.imag, v.real)
        amplitude = (abs(u) - abs(v)) ** 2
        phase = 2 * abs(u) * abs(v) * (1 - math.cos(apart))
        total += math.sqrt(alpha * amplitude + (1 - alpha) * phase) / 6
    found = discrepancy(*(waves(side, frequencies).mean(0) for side in sides), alpha)
    assert math.isclose(found, total, abs_tol=2e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_equal_sides_are_at_distance_zero_and_pull_nowhere(alpha):
    features, frequencies = draw(9, 4), draw(30, 4, seed=1)
    moved = features[torch.randperm(9, generator=torch.Generator().manual_seed(0))]
    moved = moved.float().requires_grad_()
    target = waves(features, frequencies).mean(0).float()
    found = discrepancy(target, waves(moved, frequencies.float()).mean(0), alpha)
    assert abs(found.item()) < 1e-4
    (exact,) = torch.autograd.grad(discrepancy(target, target.requires_grad_(), alpha), target)
    assert torch.equal(exact, torch.zeros_like(exact))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_gradients_are_finite_at_amplitude_zero(alpha):
    # Opposite angles: the characteristic function of the synthetic side is exactly zero.
    target = torch.tensor([0.6, -0.2, 0.0, 0.3, 0.5, 0.0])
    nothing = torch.zeros(6, requires_grad=True)
    value = discrepancy(target, nothing, alpha)
    (gradient,) = torch.autograd.grad(value, nothing)
    assert torch.isfinite(gradient).all() and torch.isfinite(value)
    if alpha == 0.5:  # half of |u - v|^2 under the root: downhill is towards the target
        assert gradient @ target < 0


def test_the_sums_form_is_the_minibatch_form_on_the_full_batch(tiny_images):
    method = CharacteristicFunctionMatching(**QUICK, pairs_per_record=3).resolve(tiny_images)
    pool = method._pool(Form.of(tiny_images))
    everyone = torch.ones(1, len(tiny_images), dtype=torch.bool)
    reading = statistics.sums(tiny_images, everyone, pool, 3, first=method.first)
    assert reading["first"].shape == (1, 3, 4, 64)
    assert reading["first"].abs().max() <= 10, "one per record, ten records a class"
    members = [(tiny_images.labels == c).nonzero()[:, 0] for c in range(4)]
    images = torch.rand(8, *tiny_images.shape, generator=torch.Generator().manual_seed(0))
    for k in range(3):
        network, transform = pool.pair(k, "cpu")
        batch = method._sums_of(tiny_images, members, network, [transform] * 4, k, "cpu")
        sums = statistics.Sums(reading["first"][:, k], reading["counts"][:, k])
        embedded = network.embed(transform(images)).unflatten(0, (1, 4, 2))
        one, other = (method.distance(embedded, target, k) for target in (batch, sums))
        assert torch.allclose(one, other, rtol=1e-4) and one > 1


def test_the_images_of_the_data_themselves_are_at_distance_zero(tiny_images):
    method = CharacteristicFunctionMatching(**QUICK, pairs_per_record=3).resolve(tiny_images)
    pool = method._pool(Form.of(tiny_images))
    everyone = torch.ones(1, len(tiny_images), dtype=torch.bool)
    reading = statistics.sums(tiny_images, everyone, pool, 3, first=method.first)
    network, transform = pool.pair(1, "cpu")
    order = tiny_images.labels.argsort(stable=True)
    embedded = network.embed(transform(tiny_images.inputs[order])).unflatten(0, (1, 4, 10))
    target = statistics.Sums(reading["first"][:, 1], reading["counts"][:, 1])
    assert method.distance(embedded, target, 1) < 0.05
    assert method.distance(embedded + 1, target, 1) > 1


@pytest.mark.parametrize("form", ["sums", "minibatch"])
def test_it_lowers_the_distance_under_networks_and_frequencies_that_it_has_not_used(
    form, quadrants
):
    data = quadrants
    options = {**QUICK, "form": form, "steps": 20, "init": "noise"}
    method = CharacteristicFunctionMatching(**options).resolve(data)
    made = method.synthesize(data, seed=0)
    other = CharacteristicFunctionMatching(**QUICK, public_coins=99, pairs_per_record=3)
    other = other.resolve(data)
    reading = other.read(data, torch.ones(1, len(data), dtype=torch.bool), [0])
    pool = other._pool(Form.of(data))

    def fresh(images):
        total = 0.0
        for k in range(3):
            network, transform = pool.pair(k, "cpu")
            embedded = network.embed(transform(images)).unflatten(0, (1, 4, 2))
            target = statistics.Sums(reading["first"][:, k], reading["counts"][:, k])
            total += other.distance(embedded, target, k).item()
        return total

    assert fresh(made.inputs) < 0.7 * fresh(method.data_free(Form.of(data), 0))


@pytest.mark.parametrize("shape", [(3, 16, 20), (1, 64, 64), (5,)])
def test_it_serves_colours_sizes_and_tables(shape):
    drawn = torch.rand(8, *shape, generator=torch.Generator().manual_seed(0))
    data = LabeledDataset(drawn, torch.arange(8) % 2, ("a", "b"))
    method = CharacteristicFunctionMatching(ipc=1, pairs=2, steps=2, frequencies=16)
    assert method.synthesize(data, seed=0).inputs.shape == (2, *shape)
