import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from limbeck import recipe
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import OptionError, StoreError
from limbeck.nn import networks
from limbeck.synthesize.condense import experts, trajectory_matching
from limbeck.synthesize.condense.experts import Course
from limbeck.synthesize.condense.trajectory_matching import TrajectoryMatching, mismatch, student
from limbeck.synthesize.form import Form

QUICK = {
    "ipc": 2,
    "network": "convnet2",
    "width": 4,
    "steps": 4,
    "student_steps": 2,
    "batch": 4,
    "expert_count": 1,
    "latest_start": 1,
}
COURSE = Course("mlp", 6, epochs=3, learning_rate=0.1, batch=100, augmented=False)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("network", ["mlp", "convnet2"])
def test_the_loss_is_zero_when_trajectories_coincide(tiny_images, network):
    """A student on all of the data, unaugmented, at the expert's rate, is the expert."""
    course = replace(COURSE, network=network)
    expert = experts.train(tiny_images, course, seed=1)
    start = {name: values[0] for name, values in expert.items()}
    target = {name: values[3] for name, values in expert.items()}
    made = networks.make(network, tiny_images.shape, 4, width=6, seed=9)
    batches = [(tiny_images.inputs, tiny_images.labels)] * 3
    assert mismatch(student(made, start, batches, torch.tensor(0.1)), start, target) < 1e-9
    assert mismatch(student(made, start, batches, torch.tensor(0.05)), start, target) > 0.1
    assert mismatch(start, start, target) == 1


def slow_loss(images, labels, step_size, weight, bias, target_weight, target_bias):
    """MTT's loss for softmax regression: gradients written out, record by record."""
    w, b = weight.copy(), bias.copy()
    for batch, own in zip(images, labels, strict=True):
        up_w, up_b = np.zeros_like(w), np.zeros_like(b)
        for x, label in zip(batch, own, strict=True):
            z = w @ x + b
            p = np.exp(z - z.max())
            p /= p.sum()
            p[label] -= 1
            up_w += np.outer(p, x) / len(batch)
            up_b += p / len(batch)
        w, b = w - step_size * up_w, b - step_size * up_b
    left = ((w - target_weight) ** 2).sum() + ((b - target_bias) ** 2).sum()
    whole = ((weight - target_weight) ** 2).sum() + ((bias - target_bias) ** 2).sum()
    return left / whole


def test_loss_and_gradients_are_those_of_a_slow_loop_and_finite_differences():
    network = networks.make("linear", (4,), 3, seed=0).double()
    start = {"head.weight": draw(3, 4), "head.bias": draw(3, seed=1)}
    target = {name: value + 0.3 * draw(*value.shape, seed=2) for name, value in start.items()}
    images = draw(3, 2, 4, seed=3).requires_grad_()
    labels = torch.tensor([[0, 1], [2, 2], [1, 0]])
    step_size = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    batches = list(zip(images, labels, strict=True))
    loss = mismatch(student(network, start, batches, step_size), start, target)
    by_images, by_step = torch.autograd.grad(loss, [images, step_size])

    sides = [v.numpy() for side in (start, target) for v in side.values()]

    def slow(values, a):
        return slow_loss(values, labels.numpy(), a, *sides)

    plain, reach = images.detach().numpy(), 1e-5
    assert math.isclose(loss.item(), slow(plain, 0.4), rel_tol=1e-12)
    for at in np.ndindex(plain.shape):
        nudge = np.zeros_like(plain)
        nudge[at] = reach
        expected = (slow(plain + nudge, 0.4) - slow(plain - nudge, 0.4)) / (2 * reach)
        assert math.isclose(by_images[at].item(), expected, rel_tol=1e-5, abs_tol=1e-8)
    expected = (slow(plain, 0.4 + reach) - slow(plain, 0.4 - reach)) / (2 * reach)
    assert math.isclose(by_step.item(), expected, rel_tol=1e-6)


@pytest.mark.parametrize(("rate", "moves"), [(0.05, True), (0.0, False)])
def test_the_step_size_is_learned(tiny_images, monkeypatch, rate, moves):
    seen, plain = [], trajectory_matching.student

    def watched(network, start, batches, step_size):
        seen.append(step_size.item())
        return plain(network, start, batches, step_size)

    monkeypatch.setattr(trajectory_matching, "student", watched)
    # Two full-batch students of the whole set against an expert 20 steps ahead: longer is better.
    method = TrajectoryMatching(
        ipc=10, network="mlp", width=6, augmented=False, steps=5, student_steps=2, batch=40,
        expert_epochs=20, expert_batch=40, latest_start=0, step_size=0.01, step_rate=rate,
    )  # fmt: skip
    method.synthesize(tiny_images, seed=0)
    assert len(seen) == 5 and math.isclose(seen[0], 0.01, rel_tol=1e-5)
    if moves:
        assert all(a < b for a, b in pairwise(seen))
    else:
        assert max(seen) == min(seen)


@pytest.fixture
def trainings(monkeypatch):
    """How many experts have been trained."""
    calls, plain = [], experts.train

    def counted(*args, **options):
        calls.append(args)
        return plain(*args, **options)

    monkeypatch.setattr(experts, "train", counted)
    return calls


def test_a_kept_expert_is_reused_and_a_changed_anything_never_reuses_it(
    tiny_images, tmp_path, trainings
):
    def get(data=tiny_images, course=COURSE, coins=0):
        before = len(trainings)
        found = experts.trajectories(data, course, 2, public_coins=coins, folder=tmp_path / "kept")
        return found, len(trainings) - before

    first, made = get()
    again, remade = get()
    assert (made, remade) == (2, 0)
    for one, same in zip(first, again, strict=True):
        assert list(one) and all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(first[0]["head.weight"], first[1]["head.weight"])

    nudged = tiny_images.inputs.clone()
    nudged[7, 0, 3, 3] = 0.5
    changes = [
        {"data": replace(tiny_images, inputs=nudged)},
        {"data": replace(tiny_images, labels=tiny_images.labels.flip(0))},
        {"data": tiny_images.select(torch.arange(39))},
        {"coins": 1},
        *(
            {"course": replace(COURSE, **changed)}
            for changed in (
                {"network": "linear"},
                {"width": 7},
                {"epochs": 2},
                {"learning_rate": 0.2},
                {"batch": 10},
                {"augmented": True},
            )
        ),
    ]
    for change in changes:
        assert get(**change)[1] == 2, f"{list(change)} must train anew"
    assert len(list((tmp_path / "kept").iterdir())) == 2 * (len(changes) + 1)


def test_experts_on_disk_are_for_their_owner_and_change_nothing(tiny_images, tmp_path, trainings):
    folder = tmp_path / "experts"
    kept = TrajectoryMatching(**QUICK, experts=str(folder))
    made = kept.synthesize(tiny_images, seed=0)
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0 and folder.stat().st_mode & 0o077 == 0
    other_seed = kept.synthesize(tiny_images, seed=1)
    assert len(trainings) == 1, "experts are of the data and the public coins"
    assert not torch.equal(made.inputs, other_seed.inputs)
    in_memory = TrajectoryMatching(**QUICK).synthesize(tiny_images, seed=0)
    assert torch.equal(made.inputs, kept.synthesize(tiny_images, seed=0).inputs)
    assert torch.equal(made.inputs, in_memory.inputs)
    assert list(tmp_path.iterdir()) == [folder], "nothing is left where no folder is named"
    written = recipe.from_recipe(made.card["recipe"])
    assert written == replace(kept, experts=None).resolve(tiny_images)


def test_folders_and_files_that_do_not_serve_are_refused_in_one_line(tiny_images, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="name another folder"):
        TrajectoryMatching(**QUICK, experts=str(tmp_path / "file")).synthesize(tiny_images, seed=0)
    method = TrajectoryMatching(**QUICK, experts=str(tmp_path / "kept"))
    method.synthesize(tiny_images, seed=0)
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(StoreError, match="delete it"):
        method.synthesize(tiny_images, seed=0)


def test_the_limit_bounds_what_experts_see(tiny_images, trainings):
    TrajectoryMatching(**QUICK, limit=15).synthesize(tiny_images, seed=0)
    ((seen, _),) = trainings
    rows = {tuple(record.flatten().tolist()) for record in tiny_images.inputs}
    assert len(seen) == 15
    assert all(tuple(record.flatten().tolist()) in rows for record in seen.inputs)


def test_students_of_its_images_go_where_experts_that_it_has_not_seen_went(quadrants):
    data = quadrants
    options = {**QUICK, "init": "noise", "expert_batch": 10, "latest_start": 0, "batch": 8}
    options |= {"steps": 15, "student_steps": 4, "expert_count": 2, "augmented": False}
    options |= {"network": "convnet1", "width": 8}
    method = TrajectoryMatching(**options).resolve(data)
    made = method.synthesize(data, seed=0)
    other = replace(method, public_coins=99)
    (expert, _) = other._experts(data, "cpu", None)
    start, target = ({name: v[t] for name, v in expert.items()} for t in (0, 1))
    network = networks.make("convnet1", data.shape, 4, width=8, seed=0)

    def fresh(images):
        batches = [(images, made.labels)] * 4
        return mismatch(student(network, start, batches, torch.tensor(0.05)), start, target)

    before, after = fresh(method.data_free(Form.of(data), 0)), fresh(made.inputs)
    assert after < 0.9 * before and after < 0.95


def test_a_diverging_student_is_named():
    records = torch.rand(20, 5, generator=torch.Generator().manual_seed(0))
    data = LabeledDataset(records, torch.arange(20) % 2, ("a", "b"))
    method = TrajectoryMatching(ipc=2, steps=2, expert_count=1, step_size=1e30, width=8)
    with pytest.raises(OptionError, match="lower step_size"):
        method.synthesize(data, seed=0)


@pytest.mark.parametrize("shape", [(3, 16, 20), (1, 64, 64), (3, 8, 8), (5,)])
def test_it_serves_colours_sizes_and_tables(shape):
    drawn = torch.rand(8, *shape, generator=torch.Generator().manual_seed(0))
    data = LabeledDataset(drawn, torch.arange(8) % 2, ("a", "b"))
    method = TrajectoryMatching(ipc=1, width=2, steps=1, student_steps=2, expert_count=1)
    made = method.synthesize(data, seed=0)
    assert made.inputs.shape == (2, *shape) and torch.isfinite(made.inputs).all()


def test_several_images_in_a_slot_all_learn(tiny_images):
    method = TrajectoryMatching(**QUICK | {"ipc": 1}, formation=2).resolve(tiny_images)
    made = method.synthesize(tiny_images, seed=0)
    assert len(made) == 16 and made.labels.tolist() == [c for c in range(4) for _ in range(4)]
    start = method.decode(method.initial(tiny_images, 0))
    assert (made.inputs - start).abs().flatten(1).amax(1).min() > 0
