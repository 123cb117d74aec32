"""Statistic matching on noisy sums: what is asked for, what is made of it, and that it learns."""

import json
import math
from dataclasses import replace

import pytest
import torch

from limbeck.errors import OptionError
from limbeck.privacy import noise, records
from limbeck.privacy.budget import Budget
from limbeck.privacy.digits import up
from limbeck.privacy.gaussian import epsilon_of, mu_of
from limbeck.privacy.noisy_sum import NoisySum
from limbeck.privacy.records import Bound
from limbeck.recipe import build
from limbeck.synthesize.condense.noisy_target import positive, shrunk
from limbeck.synthesize.condense.private_matching import PrivateMatching
from limbeck.synthesize.form import Form
from limbeck.train.standard import Standard

QUICK = {"ipc": 1, "network": "convnet1", "width": 2, "pairs": 2, "features": 6, "steps": 3}
ALL = {"means": 1.0, "moments": 2.0, "waves": 1.0, "frequencies": 5}


@pytest.fixture
def method(tiny_images):
    return PrivateMatching(**QUICK, **ALL).resolve(tiny_images)


def shadow(method, data):
    everyone = torch.ones(1, len(data), dtype=torch.bool)
    return next(iter(method.synthesize_many(data, everyone, [0])))


def test_without_noise_the_target_is_what_the_records_say(method, tiny_images):
    form = Form.of(tiny_images)
    answers = replace(method, epsilon=None).ask(
        Budget(tiny_images, epsilon=None), form, device="cpu"
    )
    embedding = method._random(form, "cpu")
    target = method._target(embedding, answers["counts"], answers, 0, "cpu")
    z = embedding(tiny_images.inputs)
    assert torch.allclose(z.norm(dim=1), torch.ones(40), atol=1e-5)
    for label in range(4):
        own = z[tiny_images.labels == label]
        assert torch.allclose(target.sums.first[0, label], own.sum(0), atol=1e-3)
        angles = own @ method._frequencies(embedding, 0).mT
        phi = torch.cat([angles.cos(), angles.sin()], 1).mean(0)
        assert torch.allclose(target.phi[label], phi, atol=1e-3)
    assert torch.allclose(target.sums.counts, torch.full((1, 4), 10.0), atol=1e-4)
    assert torch.allclose(target.sums.second[0], z.mT @ z, atol=2e-3)
    # The records themselves are at no distance but for the error that ridge regression has.
    images = tiny_images.inputs[torch.argsort(tiny_images.labels, stable=True)]
    only_means = replace(target, sums=replace(target.sums, second=None))
    assert float(only_means.distance(images)) < 1e-3


def test_a_records_vector_does_not_depend_on_its_company(method, tiny_images):
    embedding = method._random(Form.of(tiny_images), "cpu")
    assert not records.varies(tiny_images, lambda x, _: embedding(x), Bound.of(1.0))


def test_shrunken_means_are_nearer_to_the_truth():
    generator = torch.Generator().manual_seed(0)
    counts, noise = torch.full((10,), 50.0, dtype=torch.float64), 20.0
    truth = 0.1 * torch.randn(10, 40, generator=generator, dtype=torch.float64)
    drawn = torch.randn(10, 40, generator=generator, dtype=torch.float64)
    released = NoisySum(truth * 50 + noise * drawn, noise)
    plain = (released.values / 50 - truth).square().sum()
    assert (shrunk(released, counts) - truth).square().sum() < 0.5 * plain
    exact = NoisySum(truth * 50, 0.0)
    assert torch.allclose(shrunk(exact, counts), truth)


def test_moments_have_no_eigenvalue_that_only_noise_can_make():
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(60, 8, generator=generator, dtype=torch.float64)
    first, counts = torch.stack([rows[:30].sum(0), rows[30:].sum(0)]), torch.tensor([30.0, 30.0])
    mean = rows.mean(0)
    noisy = rows.mT @ rows + 100 * torch.diag(drawn := torch.linspace(-1, 1, 8).double())
    found = positive(NoisySum(noisy, 10.0), first, counts.double())
    least = torch.linalg.eigvalsh(found - 60 * mean[:, None] * mean).min()
    assert float(least) >= 2 * 0.2 * 10 * math.sqrt(8) - 1e-6 and drawn.min() < 0
    same = positive(NoisySum(rows.mT @ rows, 0.0), first, counts.double())
    assert torch.allclose(same, rows.mT @ rows)


@pytest.mark.parametrize("rounds", [1, 2])
def test_the_events_declared_beforehand_are_those_that_run(rounds, method, tiny_images):
    several = replace(method, rounds=rounds, epsilon=2.0)
    made = several.synthesize(tiny_images, seed=0)
    declared = several.guarantee
    assert len(made.card["ledger"]) == 1 + 3 * rounds == len(declared.events)
    for event, run in zip(declared.events, made.card["ledger"], strict=True):
        assert (event.name, event.sensitivity) == (run["name"], run["sensitivity"])
        assert event.noise_scale == pytest.approx(run["noise_scale"], rel=1e-9)
    assert made.card["guarantee"]["epsilon"] == pytest.approx(2.0, abs=1e-6)
    assert made.card["guarantee"]["mu"] == pytest.approx(declared.mu, rel=1e-6)


def test_a_second_round_asks_by_what_the_first_one_made(method, tiny_images, monkeypatch):
    """Adaptive: other answers in the first round, other questions in the second."""
    asked = []
    release = Budget.release

    def noted(self, name, *others, after=None, **words):
        if after is not None and "round 2" in name:
            asked.append(after(tiny_images.inputs))
        return release(self, name, *others, after=after, **words)

    monkeypatch.setattr(Budget, "release", noted)
    twice = PrivateMatching(**QUICK, moments=0.0, rounds=2).resolve(tiny_images)
    one, other = (
        next(iter(twice.synthesize_many(tiny_images, everyone(), [seed]))) for seed in (0, 1)
    )
    assert not torch.allclose(asked[0], asked[1]) and not torch.equal(one.inputs, other.inputs)
    assert not twice.asks_once and twice.read(tiny_images, everyone(), [0]) is None


def test_steps_on_pixels_draw_no_noise_and_read_no_record(method, tiny_images, monkeypatch):
    drawn = []
    draw = noise.discrete_gaussian

    def counted(values, scale, **words):
        drawn.append(scale)
        return draw(values, scale, **words)

    monkeypatch.setattr(noise, "discrete_gaussian", counted)
    for steps in (1, 5):
        drawn.clear()
        made = replace(method, steps=steps).synthesize(tiny_images, seed=0)
        # One draw an event, and two for the products: on the diagonal and above it.
        assert len(drawn) == len(made.card["ledger"]) + 1 == 5


def everyone():
    return torch.ones(1, 40, dtype=torch.bool)


def test_a_mix_without_anything_to_match_is_refused(tiny_images):
    for weights in ({"means": 0, "moments": 0}, {"means": 0, "moments": 1, "waves": 1}):
        with pytest.raises(OptionError, match="means or waves need a weight") as caught:
            build("private-matching", weights)
        assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="reads the private records themselves"):
        PrivateMatching(init="real").resolve(tiny_images)


def test_the_guarantee_of_a_release_started_from_is_added_to_its_own(tmp_path, tiny_images):
    first = PrivateMatching(**QUICK, epsilon=2.5).synthesize(tiny_images, seed=0)
    assert not any("the sum of" in line for line in first.card["in_words"])
    first.save(tmp_path)
    again = PrivateMatching(**QUICK, epsilon=1.0, init=f"private:{tmp_path}")
    card = again.synthesize(tiny_images, seed=0).card
    both = epsilon_of(math.hypot(mu_of(2.5, 1e-5), mu_of(1.0, 1e-5)), 1e-5)
    assert card["guarantee"]["epsilon"] == pytest.approx(both, rel=1e-4)
    assert card["in_words"][0].startswith(f"({up(both)}, 1e-05)-differential privacy")
    assert any("the sum of 2 releases" in line for line in card["in_words"])
    assert card["initialisation"]["guarantee"] == first.card["guarantee"]


def test_digits_are_learnt_at_epsilon_10(digits):
    private, test = digits
    method = PrivateMatching(epsilon=10.0, ipc=5, steps=100, width=16, pairs=4, features=100)
    made = shadow(method, private)
    judge = Standard("convnet1", width=8, steps=60, augment=False)
    assert judge.fit(made, seed=0).accuracy(test) > 0.8, "0.90 was seen; chance is 0.1"


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("dm", ["records by class", "embeddings by class"]),
        ("ncfm", ["records by class", "characteristic functions by class"]),
    ],
)
def test_a_guarantee_asked_of_a_condenser_is_that_of_its_private_form(name, events, tmp_path, run):
    quick = [f"--set={k}={v}" for k, v in QUICK.items() if k != "ipc"]
    code, out, err = run(
        *("condense", "digits", "--method", name, "--ipc", "1", "--epsilon", "2", "--limit", "200"),
        *(*quick, "-o", tmp_path / "release", "--json"),
    )
    assert code == 0, err
    assert f"{name} with a guarantee is private-matching" in err
    stated = json.loads(out)["guarantee"]
    assert stated["own"]["epsilon"] == pytest.approx(2.0, abs=1e-6)
    assert stated["epsilon"] == pytest.approx(epsilon_of(2 * mu_of(2.0, 1e-5), 1e-5), rel=1e-4)
    card = json.loads((tmp_path / "release" / "card.json").read_text(encoding="utf-8"))["limbeck"]
    assert [event["name"] for event in card["ledger"]] == events
    assert any("of the 200 records (at most) that were kept" in line for line in card["in_words"])
