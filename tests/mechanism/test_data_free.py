"""Data-free distillation: the student learns, and sees nothing private on the way."""

from dataclasses import replace

import pytest
import torch

from limbeck import recipe
from limbeck.audit import prepare, shadow
from limbeck.audit.presets import Preset
from limbeck.cli.audit_mechanism import _mechanism
from limbeck.cli.audit_options import Subject
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import LimbeckError, OptionError
from limbeck.mechanism.data_free import DataFreeDistillation
from limbeck.nn.feature_statistics import FeatureStatistics, watched
from limbeck.nn.networks import make
from limbeck.synthesize.form import Form
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.train.network_classifier import StandardClassifier
from limbeck.train.released import ReleasedClassifier
from limbeck.train.standard import Standard

pytestmark = pytest.mark.usefixtures("whole_audits")

MLP = Standard("mlp", "full", width=8, steps=10)
TINY = DataFreeDistillation(MLP, steps=3, student_steps=1, batch=8, code=4, width=2, images=2)


def copy(data):
    return replace(data, inputs=data.inputs.clone(), labels=data.labels.clone())


def answers(release, data):
    return release.classifier.logits(data.inputs)


@pytest.mark.parametrize("name", ["mlp", "convnet2"])
def test_statistics_are_those_of_every_hidden_layer_over_records_and_places(name, tiny_images):
    network = make(name, tiny_images.shape, 4, width=3, seed=0).requires_grad_(False)
    data = tiny_images.inputs.repeat(8, 1, 1, 1)  # more than a block
    measured = FeatureStatistics.of(network, data)
    logits, outputs = watched(network, data)
    torch.testing.assert_close(logits, network(data))
    assert len(measured.means) == len(outputs) == 2, "two hidden layers, and not the head"
    for x, mean, deviation in zip(outputs, measured.means, measured.deviations, strict=True):
        values = x.transpose(0, 1).flatten(1)
        torch.testing.assert_close(mean, values.mean(1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(deviation, values.std(1, correction=0), rtol=1e-3, atol=1e-4)
    assert measured.distance(outputs) < 1e-4
    assert not network.head._forward_hooks and not any(
        part._forward_hooks for part in network.modules()
    )


def test_images_move_towards_the_statistics_by_their_gradient(tiny_images):
    network = make("mlp", tiny_images.shape, 4, width=8, seed=0).requires_grad_(False)
    wanted = FeatureStatistics.of(network, tiny_images.inputs)
    images = (0.3 * tiny_images.inputs[:10]).requires_grad_(True)
    before = wanted.distance(watched(network, images)[1])
    (slope,) = torch.autograd.grad(before, images)
    moved = images.detach() - 1e-3 * slope / slope.norm()
    assert before > 0.1 and wanted.distance(watched(network, moved)[1]) < before


def test_generator_and_student_never_see_private_records(tiny_images, monkeypatch):
    clean = TINY.run(copy(tiny_images), seed=3)
    teach = DataFreeDistillation.teach

    def teach_and_poison(self, private, **named):
        teacher = teach(self, private, **named)
        private.inputs.fill_(torch.nan)
        private.labels.fill_(-1)
        return teacher

    monkeypatch.setattr(DataFreeDistillation, "teach", teach_and_poison)
    poisoned = TINY.run(copy(tiny_images), seed=3)
    assert torch.equal(answers(clean, tiny_images), answers(poisoned, tiny_images))
    assert torch.equal(clean.synthetic.inputs, poisoned.synthetic.inputs)

    # The poison works: a record that is read leaves its mark.
    spoilt = copy(tiny_images)
    spoilt.inputs[0] = torch.nan
    seen = TINY.distil(teach(TINY, spoilt, seed=3), Form.of(tiny_images), seed=3)
    assert answers(seen, tiny_images).isnan().any()


def test_the_release_is_a_student_and_the_images_it_could_have_seen(tiny_images):
    before = torch.random.get_rng_state()
    release, again, other = (TINY.run(tiny_images, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    made = release.synthetic
    assert made.inputs.shape == (8, 1, 8, 8) and made.labels.bincount().tolist() == [2] * 4
    assert 0 <= made.inputs.min() <= made.inputs.max() <= 1
    torch.testing.assert_close(made.soft_labels.sum(1), torch.ones(8))
    assert made.card["holds_real_records"] is False and made.card["guarantee"] is None
    assert isinstance(release.classifier, StandardClassifier)
    assert torch.equal(answers(release, tiny_images), answers(again, tiny_images))
    assert not torch.equal(answers(release, tiny_images), answers(other, tiny_images))


def test_each_loss_can_be_left_out(tiny_images):
    whole = answers(TINY.run(tiny_images, seed=0), tiny_images)
    for name in ("statistics", "adversarial", "noise"):
        less = replace(TINY, **{name: 0.0}).run(tiny_images, seed=0)
        assert not torch.equal(answers(less, tiny_images), whole)


def test_recipes_shapes_and_refusals(tiny_images):
    resolved = TINY.resolve(tiny_images)
    assert resolved.resolve(tiny_images) == resolved
    assert recipe.from_recipe(recipe.recipe(resolved)) == resolved
    table = LabeledDataset(torch.rand(24, 5), torch.arange(24) % 2, ("a", "b"), name="table")
    release = TINY.run(table, seed=0)
    assert release.synthetic.inputs.shape == (4, 5) and answers(release, table).isfinite().all()
    with pytest.raises(LimbeckError, match=r"\(5,\)"):
        DataFreeDistillation().resolve(table)
    with pytest.raises(OptionError, match="'trainer'"):
        recipe.build("data-free-distillation", {"trainer": KernelRidge()})


@pytest.mark.parametrize(
    ("network", "steps"),
    [("mlp", 300), pytest.param("convnet2", 400, marks=pytest.mark.slow)],
)
def test_the_student_comes_within_ten_points_of_its_teacher(digits, network, steps):
    private, test = digits
    width = {"mlp": 128, "convnet2": 16}[network]
    trainer = Standard(network, "full", width=width, steps=300)
    method = DataFreeDistillation(trainer, steps=steps)
    teacher = method.teach(private, seed=0)
    of_teacher = StandardClassifier(teacher.network).accuracy(test)
    release = method.distil(teacher, Form.of(private), seed=0)
    assert of_teacher > 0.95
    assert release.classifier.accuracy(test) > of_teacher - 0.1


def test_an_audit_repeats_it_beside_the_full_data_and_attacks_its_images(digits):
    private, test = (part.select(range(80)) for part in digits)
    sizes = Preset(
        runs=4, company_runs=4, utility_runs=1, canaries=4, ordinary=6, control=30, views=1
    )
    session = prepare(TINY, private, test, preset=sizes)
    subject, full = session.audited
    assert (subject.role, full.role) == ("subject", "full-data")
    assert subject.title == "data-free-distillation, mlp"
    assert full.mechanism.releases_images and not subject.mechanism.releases_images
    job = shadow.Job.of(
        subject.mechanism, session.plan, test, key="k", control_shift=1.0, device="cpu"
    )
    found = shadow.run(job, shadow.Chunk("c", (0, 4))).values
    assert found["signals"].shape == (1, 1, 3, 44) and found["images"].shape[2] == 14
    assert found["accuracy"].shape == (1,) and len(found["example_inputs"]) == 20
    assert "kept" not in found, "what it makes is no private record"


SET = ["--set", "steps=2", "--set", "batch=4", "--set", "width=1", "--set", "images=1"]


def test_the_command_line_audits_and_trains_it_by_name(run, tmp_path):
    subject = Subject("mlp", ["width=4"], "data-free-distillation", options=["steps=2"])
    made = _mechanism(subject, None)
    assert made == DataFreeDistillation(Standard("mlp", "full", width=4), steps=2)
    with pytest.raises(OptionError, match="--ipc: data-free-distillation has no such option"):
        _mechanism(Subject(method="data-free-distillation", ipc=3), None)

    trainer = 'trainer={"method": "standard", "options": {"network": "mlp", "steps": 2}}'
    words = ("train", "digits", "--trainer", "data-free-distillation", *SET, "--set", trainer)
    code, out, err = run(*words, "-o", tmp_path / "model")
    assert code == 0 and "none" in out, err
    released = ReleasedClassifier.load(tmp_path / "model")
    assert released.card["recipe"]["method"] == "data-free-distillation"
    assert not (tmp_path / "model" / "dataset.safetensors").exists(), "images are not released"
    code, _, err = run("train", "digits", "--trainer", "pipeline", "-o", tmp_path / "other")
    assert code == 2 and "a pipeline needs a synthesizer" in err
