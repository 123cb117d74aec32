import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.synthesize import statistics
from limbeck.synthesize.condense.distribution_matching import DistributionMatching
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise.noise import Noise
from limbeck.synthesize.initialise.real import Real

SMALL = {"ipc": 2, "network": "convnet2", "width": 4, "steps": 6, "pairs": 3}


def inner(shape=(1, 6, 6), n=60, classes=3, seed=0):
    """Data well inside [0, 1], so that no pixel is clamped."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    base = 0.35 + 0.1 * labels[:, None, None, None] / classes
    inputs = base + 0.2 * torch.rand(n, *shape, generator=generator)
    return LabeledDataset(inputs, labels, tuple(map(str, range(classes))), name="inner")


@pytest.mark.parametrize("form", ["sums", "minibatch"])
def test_linear_embedding_reaches_the_closed_form(form):
    """For linear psi the minimiser is s_j(0) + mean(T_c) - mean(S_c(0)) (Dong et al. 2022)."""
    data = inner()
    method = DistributionMatching(
        ipc=4,
        form=form,
        init="real",
        network="linear",
        augmented=False,
        pairs=1,
        steps=120,
        learning_rate=5.0,
        schedule="constant",
        blur=0.0,
    ).resolve(data)
    made = method.synthesize(data, seed=5)
    everyone = torch.ones(len(data), dtype=torch.bool)
    start = Real().read(data, everyone, 4, 5).unflatten(0, (3, 4))
    means = torch.stack([data.inputs[data.labels == c].mean(0) for c in range(3)])
    expected = start + (means - start.mean(1))[:, None]
    assert (expected.min(), expected.max()) > (0, 0) and expected.max() < 1
    assert torch.allclose(made.inputs, expected.flatten(0, 1), atol=1e-4)


def test_many_runs_at_once_equal_one_by_one(tiny_images):
    method = DistributionMatching(**SMALL).resolve(tiny_images)
    membership = torch.rand(3, len(tiny_images), generator=torch.Generator().manual_seed(1)) < 0.8
    many = list(method.synthesize_many(tiny_images, membership, [1, 2, 3]))
    for made, row, seed in zip(many, membership, [1, 2, 3], strict=True):
        alone = method.synthesize(tiny_images.select(row), seed=seed)
        assert torch.allclose(made.inputs, alone.inputs, atol=1e-4)


def test_stacked_runs_equal_the_loop_over_runs(tiny_images):
    """The form a GPU takes, held on the CPU to the form a CPU takes."""
    method = DistributionMatching(**SMALL).resolve(tiny_images)
    membership = torch.ones(3, len(tiny_images), dtype=torch.bool)
    reading, form = method.read(tiny_images, membership, [1, 2, 3]), Form.of(tiny_images)
    pairs = [method._pool(form).pair(k, "cpu") for k in range(3)]
    stacked = method._craft_together(reading, form, [1, 2, 3], pairs, "cpu", None)
    looped = method.craft(reading, form, [1, 2, 3])
    for one, other in zip(stacked, looped, strict=True):
        assert torch.allclose(one.inputs, other.inputs, atol=1e-4)


@pytest.mark.parametrize("steps", [3, 30])
def test_the_private_data_is_read_once_however_many_steps_and_runs(counted, steps):
    data, reads = counted
    method = DistributionMatching(
        **{**SMALL, "steps": steps, "init": "noise", "pairs_per_record": 2}
    )
    method = method.resolve(data)
    membership = torch.ones(5, len(data), dtype=torch.bool)
    before = reads()
    reading = method.read(data, membership, range(5))
    assert reads() - before == 2 * len(data), "each record once per pair it enters"
    method.craft(reading, Form.of(data), range(5))
    assert reads() - before == 2 * len(data), "crafting must not come back to the data"


def fresh_distance(images, data):
    """Distance of class means under embeddings that no method has used."""
    pool = statistics.Pool("convnet2", 4, 40, True, 99, data.shape, 4, data.mirror)
    everyone = torch.ones(1, len(data), dtype=torch.bool)
    found = statistics.sums(data, everyone, pool, pool.size)
    sums, counts = found["first"], found["counts"]
    total = 0.0
    for k in range(pool.size):
        network, transform = pool.pair(k, "cpu")
        centres = network.embed(transform(images)).unflatten(0, (4, 2)).mean(1)
        total += (centres - sums[0, k] / counts[0, k][:, None]).square().sum().item()
    return total


@pytest.mark.parametrize("form", ["sums", "minibatch"])
def test_it_lowers_the_distance_and_is_reproducible(tiny_images, form):
    options = {**SMALL, "form": form, "steps": 60, "learning_rate": 0.3, "init": "noise"}
    one, same, other = (
        DistributionMatching(**options).synthesize(tiny_images, seed=s) for s in (0, 0, 1)
    )
    assert torch.equal(one.inputs, same.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert one.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert one.inputs.min() >= 0 and one.inputs.max() <= 1
    start = Noise().draw(Form.of(tiny_images), 2, 0)
    assert fresh_distance(one.inputs, tiny_images) < 0.8 * fresh_distance(start, tiny_images)


@pytest.mark.parametrize("form", ["sums", "minibatch"])
def test_a_class_that_a_subset_lacks_leaves_its_noise_and_no_nan(tiny_images, form):
    method = DistributionMatching(**{**SMALL, "form": form, "init": "noise"}).resolve(tiny_images)
    subset = tiny_images.labels != 2
    (made,) = method.synthesize_many(tiny_images, subset[None], [0])
    assert torch.isfinite(made.inputs).all()
    start = Noise().draw(Form.of(tiny_images), 2, 0)
    assert torch.equal(made.inputs[4:6], start[4:6])


def test_card_says_what_made_it(tiny_images):
    made = DistributionMatching(**SMALL).synthesize(tiny_images, seed=0)
    assert made.card["recipe"]["method"] == "dm"
    assert made.card["recipe"]["options"]["pairs_per_record"] == 3
    assert made.card["holds_real_records"] is True
    assert DistributionMatching(init="noise").holds_real_records is False


def test_reference_options_are_the_published_ones():
    reference = DistributionMatching.reference(ipc=10)
    assert (reference.steps, reference.batch, reference.learning_rate) == (20_000, 256, 1.0)
    assert DistributionMatching.reference(ipc=100).learning_rate == 10.0


def test_bad_requests_are_refused_in_one_line(tiny_images):
    with pytest.raises(DatasetError, match="lower ipc"):
        DistributionMatching(ipc=1000, pairs=2).synthesize(tiny_images, seed=0)
    with pytest.raises(OptionError, match="pairs_per_record is 9, but there are only 3 pairs"):
        DistributionMatching(**SMALL, pairs_per_record=9).resolve(tiny_images)
    with pytest.raises(OptionError, match="at least 16 pixels"):
        DistributionMatching(network="convnet4").resolve(tiny_images)


def test_the_embedder_fits_the_records():
    def chosen(*shape):
        data = LabeledDataset(torch.rand(8, *shape), torch.arange(8) % 2, ("a", "b"))
        method = DistributionMatching(ipc=1, pairs=2, steps=2)
        assert method.synthesize(data, seed=0).inputs.shape == (2, *shape)
        return method.resolve(data).network

    shapes = [(1, 4, 4), (1, 8, 8), (3, 16, 20), (1, 28, 28), (5,)]
    assert [chosen(*shape) for shape in shapes] == [
        "convnet1",
        "convnet2",
        "convnet3",
        "convnet3",
        "mlp",
    ]


def test_noise_takes_longer_steps_than_real_images(tiny_images):
    rates = [
        DistributionMatching(init=i).resolve(tiny_images).learning_rate for i in ("real", "noise")
    ]
    assert rates == [2.0, 10.0]
    assert DistributionMatching(ipc=5, init="noise").resolve(tiny_images).learning_rate == 5.0
