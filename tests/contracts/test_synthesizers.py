"""What every registered synthesizer must do; a new one is tested here by being registered."""

import pytest
import torch

from limbeck import recipe, registry
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import LimbeckError

# Options that make a method quick on tiny data; the behaviour under test does not depend on them.
_POOL = {"ipc": 2, "network": "convnet2", "width": 4, "steps": 4, "pairs": 2}
_GRADIENTS = {"ipc": 2, "network": "convnet2", "width": 4, "networks": 2, "outer": 2}
_STUDENTS = {"ipc": 2, "network": "convnet2", "width": 4, "steps": 3, "student_steps": 2}
_CRITICS = {"warmup": 1, "critic_steps": 1, "critic_batch": 2, "critic_width": 4}
QUICK = {
    "dm": _POOL,
    "dm-ridge": _POOL,
    "ncfm": {**_POOL, "frequencies": 16},
    "mtt": {**_STUDENTS, "batch": 4, "expert_count": 1, "latest_start": 1},
    "dc": _GRADIENTS,
    "dsa": _GRADIENTS,
    "kip": {"ipc": 2, "steps": 4, "batch": 16, "learn_labels": True},
    "rfad": {"ipc": 2, "network": "convnet2", "width": 4, "steps": 4, "batch": 16},
    "frepo": {"ipc": 2, "width": 4, "steps": 4, "batch": 16, "pool": 2, "oldest": 2},
    "psg": {**_GRADIENTS, "inner": 1},
    "dp-kip": {"ipc": 2, "steps": 4},
    "private-matching": {**_POOL, "features": 8, "waves": 1.0, "frequencies": 4},
    "private-copula": {"ipc": 2, "steps": 0, "features": 8},
    "dp-merf": {"ipc": 2, "features": 20, "steps": 4, "batch": 3, "width": 4},
    "dp-sinkhorn": {"ipc": 2, "rate": 0.5, "steps": 3, "batch": 2, "width": 4},
    "gs-wgan": {**_CRITICS, "ipc": 2, "shards": 2, "steps": 3, "batch": 2, "width": 4},
    "cgan": {"ipc": 2, "steps": 3, "batch": 4, "width": 4, "network_width": 8},
    "diffusion": {"ipc": 2, "steps": 3, "batch": 4, "width": 4, "jumps": 2},
}
# Nothing there to pack.
_GENERATED = ("cgan", "diffusion", "dp-merf", "dp-sinkhorn", "gs-wgan", "private-copula")
NAMES = list(registry.methods("synthesizer"))
PRIVATE = [name for name in NAMES if registry.methods()[name].guarantee != "none"]


@pytest.fixture(params=NAMES)
def method(request, tiny_images):
    options = QUICK.get(request.param, {"ipc": 2})
    return recipe.build(request.param, options, "synthesizer").resolve(tiny_images)


def synthesize(method, data, seed):
    """A set whose coins follow from its seed: of private methods, a shadow run's."""
    if method.method_name not in PRIVATE:
        return method.synthesize(data, seed=seed)
    everyone = torch.ones(1, len(data), dtype=torch.bool)
    return next(iter(method.synthesize_many(data, everyone, [seed])))


def test_the_same_seed_gives_the_same_result(method, tiny_images):
    one, same = (synthesize(method, tiny_images, 3) for _ in range(2))
    assert torch.equal(one.inputs, same.inputs)
    assert torch.equal(one.labels, same.labels)


@pytest.mark.parametrize("name", PRIVATE)
def test_noise_of_a_private_release_follows_from_no_seed(name, tiny_images):
    method = recipe.build(name, QUICK.get(name, {"ipc": 2}), "synthesizer").resolve(tiny_images)
    one, other = (method.synthesize(tiny_images, seed=3) for _ in range(2))
    assert not torch.equal(one.inputs, other.inputs)
    stated = one.card["guarantee"]
    assert 0 < stated["epsilon"] <= method.epsilon and stated["delta"] == method.delta
    assert one.card["ledger"] and one.card["in_words"]


def test_output_is_a_valid_dataset_of_the_same_form(method, tiny_images):
    made = method.synthesize(tiny_images, seed=0)
    assert made.shape == tiny_images.shape and made.classes == tiny_images.classes
    assert made.inputs.dtype == torch.float32 and made.labels.dtype == torch.int64
    assert 0 <= made.inputs.min() <= made.inputs.max() <= 1
    assert set(made.labels.tolist()) == set(range(len(tiny_images.classes)))
    assert made.inputs.device.type == "cpu" and not made.inputs.requires_grad


def test_many_equals_one_by_one(method, tiny_images):
    membership = torch.rand(2, len(tiny_images), generator=torch.Generator().manual_seed(0)) < 0.8
    many = list(method.synthesize_many(tiny_images, membership, [4, 5]))
    for made, row, seed in zip(many, membership, [4, 5], strict=True):
        alone = synthesize(method, tiny_images.select(row), seed)
        assert torch.allclose(made.inputs, alone.inputs, atol=1e-4)
        assert torch.equal(made.labels, alone.labels)


@pytest.mark.parametrize("name", NAMES)
def test_many_runs_fill_in_what_was_left_to_limbeck(name, tiny_images):
    options = {k: v for k, v in QUICK.get(name, {"ipc": 2}).items() if k != "network"}
    method = recipe.build(name, options, "synthesizer")
    everyone = torch.ones(1, len(tiny_images), dtype=torch.bool)
    (left,) = method.synthesize_many(tiny_images, everyone, [4])
    (resolved,) = method.resolve(tiny_images).synthesize_many(tiny_images, everyone, [4])
    assert torch.equal(left.inputs, resolved.inputs)


def test_a_run_depends_on_its_own_records_alone(method, tiny_images):
    membership = torch.ones(2, len(tiny_images), dtype=torch.bool)
    membership[1, : len(tiny_images) // 2] = False
    first = next(iter(method.synthesize_many(tiny_images, membership, [4, 5])))
    membership[1] = True
    again = next(iter(method.synthesize_many(tiny_images, membership, [4, 5])))
    assert torch.allclose(first.inputs, again.inputs, atol=1e-5)


def test_recipe_round_trip(method, tiny_images):
    assert recipe.from_recipe(recipe.recipe(method)) == method
    assert method.resolve(tiny_images) == method, "resolving twice changes nothing"


def test_the_card_is_honest_about_real_records(method, tiny_images):
    made = method.synthesize(tiny_images, seed=0)
    private = {tuple(record.flatten().tolist()) for record in tiny_images.inputs}
    copies = [record for record in made.inputs if tuple(record.flatten().tolist()) in private]
    assert method.holds_real_records or not copies
    assert made.card["holds_real_records"] is method.holds_real_records
    assert (made.card["guarantee"] is None) == (method.method_name not in PRIVATE)


def test_the_abridged_form_is_the_same_method_and_not_longer(method):
    short, factor = method.abridged()
    assert type(short) is type(method) and factor >= 1


def test_progress_rises_to_one(method, tiny_images):
    shares = []
    method.synthesize(tiny_images, seed=0, progress=lambda share, _: shares.append(share))
    assert shares == sorted(shares) and (not shares or shares[-1] == 1)


SHAPES = [(1, 8, 8), (3, 16, 20), (1, 64, 64), (5,)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("name", NAMES)
def test_it_serves_images_small_and_large_and_tables_or_says_so(name, shape):
    """With the networks that the method chooses by itself."""
    generator = torch.Generator().manual_seed(0)
    data = LabeledDataset(
        torch.rand(24, *shape, generator=generator), torch.arange(24) % 2, ("a", "b"), name="some"
    )
    options = {**QUICK.get(name, {"ipc": 2}), "ipc": 1}
    options.pop("network", None)
    before = data.inputs.clone()
    try:
        method = recipe.build(name, options, "synthesizer").resolve(data)
    except LimbeckError as error:
        assert len(shape) == 1, "images of every size are served"
        assert "(5,)" in str(error) and "\n" not in str(error)
        return
    made = method.synthesize(data, seed=0)
    assert made.inputs.shape == (2, *shape) and torch.isfinite(made.inputs).all()
    assert torch.equal(data.inputs, before), "the private data are left as they were"


@pytest.mark.parametrize("name", [n for n in NAMES if n in QUICK and n not in _GENERATED])
def test_every_condenser_can_pack_several_images_into_a_slot(name, tiny_images):
    options = {**QUICK[name], "formation": 2}
    method = recipe.build(name, options, "synthesizer").resolve(tiny_images)
    made = method.synthesize(tiny_images, seed=0)
    assert len(made) == 4 * 2 * 4 and made.labels.tolist() == sorted(made.labels.tolist())
    assert (made.card["formation"], made.card["slots_per_class"]) == (2, 2)
    table = LabeledDataset(torch.rand(24, 5), torch.arange(24) % 2, ("a", "b"), name="table")
    with pytest.raises(LimbeckError, match="formation 2 needs images"):
        recipe.build(name, {"formation": 2, "ipc": 1}, "synthesizer").resolve(table)


@pytest.mark.parametrize("name", ["dm", "dm-ridge", "ncfm", "kip", "rfad"])
def test_gradients_reach_the_images_and_nothing_else(name, tiny_images, monkeypatch):
    """Where embedders and kernels are fixed: what is differentiated for has the slots' shape."""
    wanted: list[torch.Tensor] = []
    differentiate = torch.autograd.grad

    def watched(outputs, inputs, *others, **named):
        wanted.extend([inputs] if isinstance(inputs, torch.Tensor) else inputs)
        return differentiate(outputs, inputs, *others, **named)

    def refused(*_others, **_named):
        raise AssertionError("backward() fills in every leaf that it meets")

    monkeypatch.setattr(torch.autograd, "grad", watched)
    monkeypatch.setattr(torch.Tensor, "backward", refused)
    options = {**QUICK[name], **({"learn_labels": False} if name == "kip" else {})}
    method = recipe.build(name, options, "synthesizer").resolve(tiny_images)
    made = synthesize(method, tiny_images, 0)
    assert wanted
    assert {tensor.numel() for tensor in wanted} == {made.inputs.numel()}
