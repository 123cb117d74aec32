"""The copula: parts against closed forms, noise taken out of spectra, samples like the data."""

import math

import pytest
import torch

import limbeck as lb
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError
from limbeck.privacy.budget import Budget
from limbeck.synthesize.form import Form
from limbeck.synthesize.generate import copula
from limbeck.synthesize.generate.private_copula import PrivateCopula


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def symmetric_noise(d, deviation, seed):
    drawn = torch.randn(d, d, generator=generator(seed), dtype=torch.float64).triu(1) / 2**0.5
    diagonal = torch.randn(d, generator=generator(seed + 1), dtype=torch.float64)
    return deviation * (drawn + drawn.mT + torch.diag(diagonal))


def test_cosines_are_orthonormal_and_the_first_is_flat():
    rows = copula.cosines(7)
    assert torch.allclose(rows @ rows.mT, torch.eye(7), atol=1e-6)
    assert torch.allclose(rows[0], torch.full((7,), 7**-0.5))


@pytest.mark.parametrize(
    ("shape", "d"), [((1, 28, 28), 196), ((3, 16, 16), 192), ((1, 8, 8), 64), ((5,), 5)]
)
def test_directions_are_orthonormal_and_at_most_196(shape, d):
    basis = copula.frequencies(Form(shape, ("a",), False, "some"))
    assert basis.shape == (math.prod(shape), d)
    assert torch.allclose(basis.mT @ basis, torch.eye(d), atol=1e-5)


def test_bins_hold_black_apart_and_reach_to_white():
    values = torch.tensor([[0.0, 0.003, 0.005, 0.5, 0.99, 1.0]])
    assert copula.bins(values).tolist() == [[0, 0, 1, 4, 7, 7]]


def test_normal_scores_are_those_of_middle_ranks():
    chances = torch.tensor([[[0.5, 0.5, 0, 0, 0, 0, 0, 0]]])
    scores = copula.normal_scores(chances)[0, 0]
    assert scores[:2].tolist() == pytest.approx([-0.6745, 0.6745], abs=1e-3)


def test_noise_leaves_the_spectrum_and_a_strong_direction_stays():
    d, deviation = 60, 1.0
    unit = deviation * (d / 2) ** 0.5
    noise = symmetric_noise(d, deviation, 1)
    assert float(torch.linalg.eigvalsh(noise).abs().max()) == pytest.approx(2 * unit, rel=0.15)
    # A margin over the edge, which single draws cross.
    assert copula.above_noise(noise, 1.1 * unit).abs().max() < 1e-9
    axis = torch.nn.functional.normalize(torch.randn(d, generator=generator(3)).double(), dim=0)
    truth = 6 * unit * torch.outer(axis, axis)
    kept = copula.above_noise(truth + noise, 1.1 * unit)
    assert (kept - truth).norm() < 0.5 * noise.norm()
    assert torch.allclose(copula.above_noise(truth, 0.0), truth, atol=1e-6)


def test_smoothing_brings_noisy_counts_closer_to_the_truth():
    form = Form((1, 16, 16), ("a", "b"), False, "some")
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
    inside = torch.sigmoid(6 * (0.6 - (x**2 + y**2).sqrt())).flatten()
    truth = torch.zeros(2, 256, 8, dtype=torch.float64)
    truth[..., 0], truth[..., 5] = 1 - inside, inside
    noisy = 1000 * truth + 150 * torch.randn(
        truth.shape, generator=generator(), dtype=torch.float64
    )
    plain = noisy.clamp(min=0) / noisy.clamp(min=0).sum(2, keepdim=True)
    smooth = copula.distributions(noisy, 150.0, form)
    assert (smooth - truth).abs().mean() < 0.5 * (plain - truth).abs().mean()
    assert torch.allclose(smooth.sum(2), torch.ones(2, 256).double()) and smooth.min() >= 0
    assert torch.allclose(copula.distributions(1000 * truth, 0.0, form), truth)


def test_a_class_too_small_for_its_noise_still_has_chances():
    form = Form((4,), ("a",), False, "some")
    found = copula.distributions(torch.full((1, 4, 8), 1.0).double(), 1e6, form)
    assert torch.allclose(found.sum(2), torch.ones(1, 4).double())


def test_without_noise_samples_have_the_marginals_and_the_correlations_of_the_data(monkeypatch):
    monkeypatch.setattr(copula, "LONGEST", 3.0)  # four pixels: hardly a record is cut
    n = 4000
    shared = torch.randn(n, 1, generator=generator(1))
    own = torch.randn(n, 3, generator=generator(2))
    scores = torch.cat([shared, 0.8 * shared + 0.6 * own[:, :1], own[:, 1:]], 1)
    inputs = torch.special.ndtr(scores)
    inputs[:, 3] = (inputs[:, 3] - 0.5).clamp(min=0)  # half of them black
    data = LabeledDataset(inputs, torch.zeros(n, dtype=torch.int64), ("a",), name="some")
    model = copula.fit(Budget(data, epsilon=None), Form.of(data), 1.0)
    drawn = model.draw(n, generator(3))
    assert drawn.shape == (n, 4) and drawn.min() >= 0 and drawn.max() <= 1
    assert torch.allclose(drawn.mean(0), inputs.mean(0), atol=0.03)
    assert float((drawn[:, 3] == 0).double().mean()) == pytest.approx(0.5, abs=0.03)
    correlation = torch.corrcoef(drawn.mT)
    # Of normal scores 0.8 times 1 - LOOSE, which is 6/pi asin(0.38) of uniform ones; less for bins.
    assert 0.65 < float(correlation[0, 1]) < 0.76
    assert correlation[2].abs().sort().values[:3].max() < 0.06


def test_images_of_digits_are_told_apart_by_who_learnt_on_real_ones():
    private, test = lb.load("digits")
    private = private.select(torch.arange(700))
    real = lb.KernelRidge().fit(private, seed=0)
    method = PrivateCopula(epsilon=None, ipc=20, steps=0, features=60)
    drawn = method.synthesize(private, seed=0)
    assert (real.logits(drawn.inputs).argmax(1) == drawn.labels).double().mean() > 0.75
    assert drawn.soft_labels.shape == (200, 10)
    learnt = lb.KernelRidge().fit(drawn, seed=0).accuracy(test)
    assert learnt > 0.75
    noisy = next(
        iter(
            PrivateCopula(epsilon=10.0, ipc=20, steps=0, features=60).synthesize_many(
                private, torch.ones(1, len(private), dtype=torch.bool), [0]
            )
        )
    )
    assert 0.2 < lb.KernelRidge().fit(noisy, seed=0).accuracy(test) < learnt


def test_it_reads_the_data_five_times_and_spends_all_of_the_budget():
    private = lb.load("digits")[0].select(torch.arange(300))
    card = PrivateCopula(epsilon=1.0, ipc=1, steps=0, features=10).synthesize(private, seed=0).card
    assert [event["name"] for event in card["ledger"]] == [
        "mean and number",
        "products of features",
        "features by class",
        "brightness of pixels by class",
        "products of normal scores by class",
    ]
    assert card["guarantee"]["epsilon"] == pytest.approx(1.0, abs=1e-6)


def test_long_tables_are_refused_in_one_line():
    data = LabeledDataset(torch.rand(4, 200), torch.zeros(4, dtype=torch.int64), ("a",), name="t")
    with pytest.raises(OptionError, match=r"t have shape \(200,\); tables may have 196 columns"):
        PrivateCopula().resolve(data)


def test_the_events_declared_beforehand_are_those_that_run():
    private = lb.load("digits")[0].select(torch.arange(100))
    method = PrivateCopula(epsilon=3.0, ipc=1, steps=0, features=10)
    ledger = method.synthesize(private, seed=0).card["ledger"]
    for declared, run in zip(method.guarantee.events, ledger, strict=True):
        assert (declared.name, declared.sensitivity) == (run["name"], run["sensitivity"])
        assert declared.noise_scale == pytest.approx(run["noise_scale"], rel=1e-9)
