import warnings

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as Reference
from sklearn.exceptions import ConvergenceWarning

from limbeck.data.dataset import LabeledDataset
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import LimbeckError, OptionError
from limbeck.privacy.accountant import multiplier
from limbeck.privacy.claim import stated
from limbeck.privacy.gaussian import epsilon_of
from limbeck.privacy.statement import Statement
from limbeck.synthesize import initialise
from limbeck.synthesize.condense.distribution_matching import DistributionMatching
from limbeck.synthesize.form import Form
from limbeck.synthesize.initialise import foreign
from limbeck.synthesize.initialise.k_means import centroids
from limbeck.synthesize.initialise.kaleidoscope import kaleidoscope
from limbeck.types import Event, Guarantee

SMALL = {"ipc": 2, "network": "convnet2", "width": 4, "steps": 2, "pairs": 2}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def read(text, data, per_class=2, seed=0):
    everyone = torch.ones(len(data), dtype=torch.bool)
    return initialise.parse(text).read(data, everyone, per_class, seed)


# Names and values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sunshine", "no initialisation is called 'sunshine'; there are: average, k-means, kal"),
        ("noise:3", "init 'noise:3': write noise"),
        ("kaleidoscope:", "init 'kaleidoscope:': write kaleidoscope:STRENGTH"),
        ("public", "init 'public': write public:SOURCE"),
        ("kaleidoscope:much", "'strength': Input should be a valid integer"),
        ("average:1", "'count': Input should be greater than or equal to 2"),
        ("noised-real:1.5", "'level': Input should be less than or equal to 1"),
        ("mixup:0", "'alpha': Input should be greater than or equal to 0.001"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(text, message):
    with pytest.raises(OptionError) as error:
        DistributionMatching(init=text)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_folder_may_be_named_like_a_number():
    assert initialise.parse("public:2024").source == "2024"


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("average:50", r"needs 50 of each class; lower count \(average:COUNT\) or add records$"),
        ("k-means", "needs 20 of each class; lower ipc or add records$"),
    ],
)
def test_too_few_records_are_refused_with_what_helps(tiny_images, init, message):
    method = DistributionMatching(init=init, **{**SMALL, "ipc": 20})
    with pytest.raises(LimbeckError, match=message):
        method.resolve(tiny_images)


# Kaleidoscope


def indexed(n, channels, height, width):
    """Images in which every pixel has a value of its own, equal in no two images or channels."""
    count = n * channels * height * width
    return (torch.arange(count) / (count - 1)).reshape(n, channels, height, width)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (1, 7, 12), (3, 33, 20)], ids=str)
@pytest.mark.parametrize("strength", [1, 3])
def test_kaleidoscope_changes_an_image_and_invents_no_pixel(shape, strength):
    images = indexed(20, *shape)
    seen = kaleidoscope(images, strength, generator(), jitter=0.0)
    assert seen.shape == images.shape
    for image, own in zip(seen, images, strict=True):
        assert not torch.equal(image, own)
        for channel, of_it in zip(image, own, strict=True):
            assert set(channel.flatten().tolist()) < set(of_it.flatten().tolist())


def test_kaleidoscope_takes_all_channels_from_the_same_pixel():
    images = indexed(5, 3, 8, 8)
    seen = kaleidoscope(images, 3, generator(), jitter=0.0)
    apart = images[:, 1:] - images[:, :1]
    assert torch.allclose(seen[:, 1:] - seen[:, :1], apart[..., :1, :1].expand_as(seen[:, 1:]))


def test_kaleidoscope_of_strength_zero_is_the_real_image(tiny_images):
    assert torch.equal(read("kaleidoscope:0", tiny_images), read("real", tiny_images))


def test_a_round_of_the_kaleidoscope_repeats_pixels_by_mirrors():
    """Mirrors show a pixel several times: clearly fewer of them are left than there were."""
    images = indexed(200, 1, 16, 16)
    seen = kaleidoscope(images, 1, generator(), jitter=0.0)
    left = torch.tensor([len(image.unique()) / image.numel() for image in seen])
    assert left.min() > 0.05 and left.max() < 0.75


def test_jitter_moves_contrast_and_brightness_of_each_image_a_little():
    images = indexed(6, 1, 8, 8) * 0.4 + 0.3
    plain, moved = (kaleidoscope(images, 1, generator(), jitter=j) for j in (0.0, 0.05))
    for one, other in zip(plain, moved, strict=True):
        x = torch.stack([one.flatten() - 0.5, torch.ones(64)], 1).double()
        fit = torch.linalg.lstsq(x, other.flatten()[:, None].double() - 0.5)
        gain, shift = fit.solution[:, 0].tolist()
        assert torch.allclose(x @ fit.solution, other.flatten()[:, None].double() - 0.5, atol=1e-5)
        assert abs(gain - 1) <= 0.0501 and abs(shift) <= 0.0501
        assert (gain, shift) != (1, 0)


# Mixtures of records


def test_an_average_has_the_mean_of_its_class_and_a_share_of_its_variance():
    data = LabeledDataset(
        torch.rand(500, 20, generator=generator()), torch.zeros(500, dtype=torch.int64), ("a",)
    )
    images = read("average:8", data, per_class=2000)
    assert images.mean() == pytest.approx(float(data.inputs.mean()), abs=0.002)
    # Of a mean of 8 drawn without replacement from 500: variance / 8 * (500 - 8) / (500 - 1).
    expected = float(data.inputs.var(0, correction=0).mean()) / 8 * 492 / 499
    assert float(images.var(0).mean()) == pytest.approx(expected, rel=0.05)


def test_the_average_of_a_whole_class_is_its_mean(tiny_images):
    images = read("average:10", tiny_images).unflatten(0, (4, 2))
    for label in range(4):
        mean = tiny_images.inputs[tiny_images.labels == label].mean(0)
        assert torch.allclose(images[label], mean.expand_as(images[label]), atol=1e-6)


def test_mixup_lies_between_two_members_of_the_class(tiny_images):
    for label, images in enumerate(read("mixup", tiny_images).unflatten(0, (4, 2))):
        own = tiny_images.inputs[tiny_images.labels == label].flatten(1)
        for image in images.flatten(1):
            found = []
            for i in range(10):
                for j in range(i):
                    line = own[i] - own[j]
                    share = float((image - own[j]) @ line / (line @ line))
                    if torch.allclose(own[j] + share * line, image, atol=1e-5):
                        found.append(share)
            assert len(found) == 1 and 0 <= found[0] <= 1


def test_a_small_alpha_mixes_little_and_a_large_one_by_halves():
    data = LabeledDataset(torch.tensor([[0.0], [1.0]]), torch.zeros(2, dtype=torch.int64), ("a",))
    little, halves = (read(f"mixup:{a}", data, per_class=200) for a in ("0.001", "1000"))
    assert ((little < 0.01) | (little > 0.99)).float().mean() > 0.95
    assert (halves - 0.5).abs().max() < 0.06


def test_noised_real_shares_out_the_variance_between_real_and_noise(tiny_images):
    real, mixed = read("real", tiny_images), read("noised-real:0.2", tiny_images)
    noise = initialise.parse("noise").draw(Form.of(tiny_images), 2, 0)
    expected = 0.5 + 0.8**0.5 * (real - 0.5) + 0.2**0.5 * (noise - 0.5)
    assert torch.allclose(mixed, expected.clamp(0, 1), atol=1e-6)
    assert torch.equal(read("noised-real:0", tiny_images), real)
    assert torch.equal(read("noised-real:1", tiny_images), noise)


# k-means


@pytest.mark.parametrize("rounds", [1, 4])
def test_centroids_are_those_of_scikit_learn_from_the_same_start(rounds):
    points = torch.rand(300, 10, generator=generator())
    ours = centroids(points, points[:8], rounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = Reference(8, init=points[:8].numpy(), n_init=1, max_iter=rounds, tol=0)
        theirs.fit(points.numpy())
    assert torch.allclose(ours, torch.from_numpy(theirs.cluster_centers_), atol=1e-5)


def test_centroids_of_a_class_are_near_their_best(digits):
    private, _ = digits
    points = private.inputs[private.labels == 3].flatten(1)
    data = LabeledDataset(points, torch.zeros(len(points), dtype=torch.int64), ("3",))
    ours = torch.cdist(points, read("k-means", data, per_class=10)).min(1).values.square().sum()
    best = Reference(10, n_init=10, random_state=0).fit(points.numpy()).inertia_
    assert best * 0.999 < float(ours) < best * 1.1


def test_as_many_centroids_as_records_are_the_records(tiny_images):
    ours = read("k-means", tiny_images, per_class=10)
    gaps = (ours[:, None] - tiny_images.inputs).flatten(2).abs().amax(2).min(1)
    assert gaps.values.max() < 1e-6 and len(gaps.indices.unique()) == 40


def test_a_centre_that_nothing_is_nearest_to_stays():
    points = torch.tensor([[0.25, 0.5]] * 9 + [[0.75, 1.0]])
    ours = centroids(points, points[[0, 1, 9]])
    assert torch.equal(ours, points[[0, 1, 9]])


# Images made elsewhere


def form(shape=(1, 8, 8), classes=("a", "b"), name="secret"):
    return Form(shape, classes, False, name)


def levels(n_each=4, classes=("b", "c", "a"), shape=(1, 8, 8)):
    """Flat images whose grey level tells the class."""
    labels = torch.arange(len(classes)).repeat_interleave(n_each)
    grey = (labels + 1) / (len(classes) + 1)
    inputs = grey.float().view(-1, *[1] * len(shape)).expand(-1, *shape).clone()
    return LabeledDataset(inputs, labels, classes)


def save(data, path):
    np.savez(
        path,
        inputs=data.inputs.numpy(),
        labels=data.labels.numpy(),
        classes=np.array(data.classes),
    )
    return f"public:{path}"


def test_public_images_go_to_the_class_of_their_name(tmp_path):
    begin = initialise.parse(save(levels(), tmp_path / "other.npz"))
    images = begin.draw(form(), 3, 0)
    assert torch.allclose(images[:3], torch.tensor(0.75))  # "a", the third public class
    assert torch.allclose(images[3:], torch.tensor(0.25))  # "b", the first


def test_public_labels_are_ignored_where_not_all_names_agree(tmp_path):
    begin = initialise.parse(save(levels(n_each=20), tmp_path / "other.npz"))
    grey = begin.draw(form(classes=("a", "dog")), 15, 0).mean((1, 2, 3))
    assert all(len(half.unique()) == 3 for half in grey.split(15))


def test_images_are_dealt_once_while_there_are_enough():
    labels = torch.zeros(6, dtype=torch.int64)
    enough = foreign.deal(labels, ("x",), form(), 3, 0, "here")
    assert sorted(enough.tolist()) == list(range(6))
    scarce = foreign.deal(labels[:4], ("x",), form(), 3, 0, "here")
    assert all(len(own.unique()) == 3 for own in scarce.split(3))


def test_public_images_take_the_private_shape(tmp_path):
    colour = levels(shape=(3, 20, 10))
    begin = initialise.parse(save(colour, tmp_path / "other.npz"))
    for shape in [(1, 8, 8), (3, 32, 32), (1, 9, 12)]:
        begin.check(form(shape), 2)
        images = begin.draw(form(shape), 2, 0)
        assert images.shape == (4, *shape)
        assert torch.allclose(images[:2], torch.tensor(0.75), atol=1e-5)


def test_named_public_data_needs_no_file():
    assert initialise.parse("public:digits").draw(form((3, 16, 16)), 2, 0).shape == (4, 3, 16, 16)


def test_a_changed_public_file_is_read_again(tmp_path):
    begin = initialise.parse(save(levels(), tmp_path / "other.npz"))
    before = begin.draw(form(), 2, 0)
    save(levels(classes=("a", "b")), tmp_path / "other.npz")
    assert not torch.equal(begin.draw(form(), 2, 0), before)


@pytest.mark.parametrize(
    ("shape", "per_class", "message"),
    [
        ((1, 8, 8), 5, "4 images of class 'a' are fewer than the 5 per class to start from"),
        ((5,), 2, r"its records have shape \(1, 8, 8\), those of secret \(5,\)"),
        ((2, 8, 8), 2, "channels is 2"),
    ],
)
def test_public_data_that_cannot_serve_is_refused(tmp_path, shape, per_class, message):
    begin = initialise.parse(save(levels(), tmp_path / "other.npz"))
    with pytest.raises(LimbeckError, match=message) as error:
        begin.check(form(shape), per_class)
    assert "\n" not in str(error.value)


def test_missing_public_data_is_refused_before_anything_is_condensed(tiny_images):
    method = DistributionMatching(init="public:nowhere/photos", **SMALL)
    with pytest.raises(LimbeckError, match="'nowhere/photos' is neither a named source"):
        method.resolve(tiny_images)


def test_the_private_data_is_not_public(tmp_path):
    begin = initialise.parse(save(levels(), tmp_path / "secret.npz"))
    with pytest.raises(OptionError, match="the private data is called 'secret' too"):
        begin.check(form(), 2)


def released(folder, **card):
    data = levels()
    SyntheticDataset(data.inputs, data.labels, data.classes, card=card).save(folder)
    return f"private:{folder}"


def test_a_release_without_a_guarantee_is_refused(tmp_path, tiny_images):
    init = released(tmp_path, guarantee=None)
    with pytest.raises(OptionError, match=r"its card states no guarantee \(None\)"):
        DistributionMatching(init=init, **SMALL).resolve(tiny_images)
    with pytest.raises(OptionError, match="states no guarantee"):
        initialise.parse(init).draw(form(), 2, 0)


def test_a_folder_that_is_no_release_is_refused(tmp_path):
    with pytest.raises(LimbeckError, match=r"holds no card\.json"):
        initialise.parse(f"private:{tmp_path / 'none'}").check(form(), 2)


@pytest.mark.parametrize("loop", ["sums", "minibatch"])
def test_the_card_keeps_the_guarantee_of_the_release_started_from(tmp_path, tiny_images, loop):
    event = Event("sums", "discrete Gaussian", 1000.0, 3700.0)
    mu = 1 / multiplier(event)
    own = Guarantee(epsilon_of(mu, 1e-5), 1e-5, events=(event,), mu=mu)
    said = stated(Statement.of(own, name="first"))
    guarantee, ledger = said["guarantee"], said["ledger"]
    init = released(tmp_path / "first", guarantee=guarantee, ledger=ledger)
    method = DistributionMatching(init=init, form=loop, **SMALL).resolve(tiny_images)
    made = method.synthesize(tiny_images, seed=0)
    made.save(tmp_path / "second")
    card = SyntheticDataset.load(tmp_path / "second").card
    assert card["initialisation"] == {"guarantee": guarantee, "ledger": ledger}
    assert card["guarantee"] is None, "the sums that it matches carry no noise"
    assert card["holds_real_records"] is False


@pytest.mark.parametrize("init", ["noise", "real", "k-means"])
def test_other_starts_owe_nothing(tiny_images, init):
    made = (
        DistributionMatching(init=init, **SMALL)
        .resolve(tiny_images)
        .synthesize(tiny_images, seed=0)
    )
    assert "initialisation" not in made.card


@pytest.mark.parametrize("init", ["kaleidoscope:2", "k-means", "average:3", "public:digits"])
def test_shadow_runs_start_as_single_ones_do(tiny_images, init):
    method = DistributionMatching(init=init, formation=2, **{**SMALL, "ipc": 1})
    method = method.resolve(tiny_images)
    membership = torch.rand(2, len(tiny_images), generator=generator(1)) < 0.8
    many = list(method.synthesize_many(tiny_images, membership, [4, 5]))
    for made, row, seed in zip(many, membership, [4, 5], strict=True):
        alone = method.synthesize(tiny_images.select(row), seed=seed)
        assert torch.allclose(made.inputs, alone.inputs, atol=1e-4)
