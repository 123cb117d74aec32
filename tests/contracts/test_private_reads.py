"""Hygiene of every private method: what it reads of the data is what its ledger says, no more."""

import json
from importlib.metadata import version

import pytest
import torch

from limbeck import coins, recipe, registry
from limbeck.data.dataset import LabeledDataset
from limbeck.privacy import sums
from limbeck.privacy.digits import up
from limbeck.privacy.owed import parts_of
from limbeck.privacy.sampled import Sampler
from limbeck.privacy.shards import Shards
from limbeck.synthesize.form import Form

pytest.importorskip("opacus", reason="private methods need the extra 'private'")

QUICK = {
    "dp-sgd": {"epochs": 1, "rate": 0.5, "width": 2, "multiplier": 3.0},
    "psg": {"ipc": 1, "network": "convnet1", "width": 2, "networks": 1, "outer": 2, "inner": 1},
    "dp-kip": {"ipc": 1, "steps": 2},
    "private-copula": {"ipc": 1, "steps": 0, "features": 5},
    "private-matching": {
        **{"ipc": 1, "network": "convnet1", "width": 2, "pairs": 2, "features": 6, "steps": 2},
        **{"waves": 1.0, "rounds": 2},
    },
    "private-ridge": {"features": 5},
    "dp-merf": {"ipc": 1, "features": 10, "steps": 2, "batch": 2, "width": 2},
    "dp-sinkhorn": {"ipc": 1, "rate": 0.5, "steps": 2, "batch": 2, "width": 2},
    "gs-wgan": {"ipc": 1, "shards": 2, "steps": 2, "batch": 2, "warmup": 0, "width": 2},
}
SYNTHESIZERS = [m for m in registry.methods("synthesizer").values() if m.guarantee != "none"]
TRAINERS = [m for m in registry.methods("trainer").values() if m.guarantee != "none"]


class Tripwire(LabeledDataset):
    """Data whose counts and records tell when they are looked at from outside the ledger."""

    looked: list[str]

    def counts(self):
        self.looked.append("counts")
        return super().counts()

    def select(self, index):
        self.looked.append("select")
        return super().select(index)

    def require_every_class(self):
        self.looked.append("require_every_class")
        super().require_every_class()

    def __len__(self):
        self.looked.append("len")
        return super().__len__()


@pytest.fixture
def reads(monkeypatch):
    """Noisy reads of the records that happen from now on, by the functions that make them."""
    found = []
    for name in ("vectors", "products"):
        plain = getattr(sums, name)

        def noted(*given, plain=plain, name=name, **words):
            found.append(name)
            return plain(*given, **words)

        monkeypatch.setattr(sums, name, noted)
    step, init = Sampler.step, Sampler.__init__

    def stepped(self, *given, **words):
        found.append("step")
        return step(self, *given, **words)

    def counted(self, *given, **words):
        if words.get("counting") is not None:
            found.append("count")
        init(self, *given, **words)

    for cls, name in ((Sampler, "jointly"), (Shards, "step")):
        plain = getattr(cls, name)

        def read(*given, plain=plain, name=name, **words):
            found.append(name)
            return plain(*given, **words)

        monkeypatch.setattr(cls, name, read)
    monkeypatch.setattr(Sampler, "step", stepped)
    monkeypatch.setattr(Sampler, "__init__", counted)
    return found


def tripwire(data):
    made = Tripwire.__new__(Tripwire)
    object.__setattr__(made, "looked", [])
    made.__init__(data.inputs, data.labels, data.classes, name=data.name)
    made.looked.clear()
    return made


@pytest.mark.parametrize("name", [m.name for m in SYNTHESIZERS])
def test_reads_of_a_private_synthesizer_equal_its_ledger(name, reads, tiny_images, tmp_path):
    method = recipe.build(name, QUICK.get(name, {"ipc": 1}), "synthesizer")
    data = tripwire(tiny_images)
    made = method.synthesize(data, seed=SEED)
    assert made.card["ledger"]
    assert len(reads) == sum(event["count"] for event in made.card["ledger"])
    assert not {"counts", "select", "require_every_class"} & set(data.looked)
    folder = made.save(tmp_path / "release")
    for file in folder.rglob("*"):
        assert str(SEED).encode() not in file.read_bytes(), "no seed of a private choice is stored"
    card_says_all(json.loads((folder / "card.json").read_text(encoding="utf-8"))["limbeck"])


SEED = 918_273_645_546_372_819


def card_says_all(card):
    """Guarantee, unit, neighbours, every event and the libraries, in words and as an entry."""
    claimed, said = card["guarantee"], "\n".join(card["in_words"])
    assert f"({up(claimed['epsilon'])}, 1e-05)-differential privacy in the central model" in said
    assert "unit of privacy: record; neighbours: datasets with and without any one record" in said
    assert (claimed["unit"], claimed["adjacency"]) == ("record", "add-remove")
    for event in card["ledger"]:
        assert f"event: {event['name']}" in said
        assert event["noise_scale"] > 0 and event["sensitivity"] > 0
    [own] = parts_of(card, "the card")
    assert own.guarantee.epsilon == claimed["epsilon"], "all that another release must add up"
    facts = card["deployment"]
    parameters = {"epsilon": claimed["epsilon"], "delta": claimed["delta"]}
    assert facts["privacy_parameters"] == parameters and facts["privacy_unit"] == "record"
    assert facts["mechanisms"] == sorted({event["mechanism"] for event in card["ledger"]})
    assert (facts["deployment_model"], facts["dp_variant"]) == ("Central", "Approximate DP")
    assert "number of records" not in facts["unprotected_quantities"]
    assert set(facts["mechanisms"]) <= {"discrete Gaussian", "Poisson-sampled discrete Gaussian"}
    assert card["privacy_libraries"] == {"dp-accounting": version("dp-accounting")}


@pytest.mark.parametrize("name", [m.name for m in TRAINERS])
def test_reads_of_a_private_trainer_equal_its_ledger(name, reads, tiny_images):
    trainer = recipe.build(name, QUICK.get(name, {}), "trainer").resolve(tiny_images.shape)
    data = tripwire(tiny_images)
    trainer.fit(data, seed=0)
    assert len(reads) == sum(event.count for event in trainer.guarantee.events)
    assert not {"counts", "select", "require_every_class", "len"} & set(data.looked)


@pytest.fixture
def membership():
    coins = torch.rand(2, 40, generator=torch.Generator().manual_seed(0)) < 0.6
    coins[:, :8] = True
    return coins


ONCE = {"private-matching": {"rounds": 1}}


@pytest.mark.parametrize("name", [m.name for m in SYNTHESIZERS])
def test_shadow_runs_that_share_clean_sums_are_those_that_share_nothing(
    name, membership, tiny_images
):
    """Bit for bit: each run draws its own noise, on sums that are those of its records alone."""
    options = {**QUICK.get(name, {"ipc": 1}), **ONCE.get(name, {})}
    method = recipe.build(name, options, "synthesizer").resolve(tiny_images)
    form, seeds = Form.of(tiny_images), [4, 5]
    together = list(method.synthesize_many(tiny_images, membership, seeds))
    reading = method.read(tiny_images, membership, seeds)
    assert (reading is None) == (not method.asks_once)
    if reading is not None:
        # A chunk of an audit is handed its rows of the one reading.
        parts = [{k: v[[run]] for k, v in reading.items()} for run in range(2)]
        crafted = [method.craft(part, form, [s])[0] for part, s in zip(parts, seeds, strict=True)]
    for run, (row, seed) in enumerate(zip(membership, seeds, strict=True)):
        secret = coins.derive(seed, "privacy noise")
        budget = method.budget(tiny_images.select(row), insecure_seed=secret)
        alone = method.publish(budget, form, seed, device="cpu", progress=None)
        assert torch.equal(together[run].inputs, alone.inputs)
        if reading is not None:
            assert torch.equal(crafted[run].inputs, alone.inputs)
            assert crafted[run].card["noise"] == together[run].card["noise"]
            assert crafted[run].card["guarantee"] is None


@pytest.mark.parametrize("name", [m.name for m in TRAINERS])
def test_shadow_classifiers_that_share_features_are_those_that_share_nothing(
    name, membership, tiny_images
):
    trainer = recipe.build(name, QUICK.get(name, {}), "trainer").resolve_for(tiny_images)
    together = list(trainer.fit_subsets(tiny_images, membership, [4, 5]))
    alone = list(trainer.fit_many([tiny_images.select(row) for row in membership], [4, 5]))
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one.logits(tiny_images.inputs), other.logits(tiny_images.inputs))


def test_a_read_beside_the_ledger_is_seen(reads, tiny_images):
    """The test above can fail."""
    data = tripwire(tiny_images)
    data.counts()
    assert data.looked == ["counts"]
    drawn = Sampler(
        torch.zeros(2, 1),
        torch.zeros(2),
        recipe.build("dp-sgd", {"multiplier": 1.0, "epochs": 1, "rate": 0.5}, "trainer")._steps,
        [torch.Size([1])],
    )
    drawn.step(lambda x, _: [x])
    assert reads == ["step"]
