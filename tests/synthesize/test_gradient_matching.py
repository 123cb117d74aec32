from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from limbeck import coins
from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError, OptionError
from limbeck.nn.class_gradients import class_gradients, cosine_distance
from limbeck.nn.networks import make
from limbeck.synthesize.condense.dc import DC
from limbeck.synthesize.condense.dsa import DSA
from limbeck.synthesize.form import Form

SMALL = {"ipc": 2, "network": "convnet2", "width": 4, "networks": 2, "outer": 2, "inner": 1}


@pytest.mark.parametrize("method", [DC, DSA])
@pytest.mark.parametrize("batch", [10, 256])
def test_images_whose_gradients_are_the_datas_stay_where_they_are(tiny_images, method, batch):
    """All records of each class as the start: the distance is zero, also under augmentation.

    Were the two sides not augmented alike, the images would move.
    """
    options = {**SMALL, "init": "real", "ipc": 10, "batch": batch, "learning_rate": 1.0}
    method = method(**options).resolve(tiny_images)
    start = method.initial(tiny_images, 0)
    made = method.synthesize(tiny_images, seed=0)
    assert torch.allclose(made.inputs, start, atol=1e-3)
    fewer = replace(method, batch=3).synthesize(tiny_images, seed=0)
    assert not torch.allclose(fewer.inputs, start, atol=1e-2), "part of the data pulls elsewhere"


def fresh_distance(images, data):
    """Distance of the class gradients under networks that no method has used."""
    labels, total = torch.arange(4), 0.0
    private = torch.stack([data.inputs[data.labels == c] for c in range(4)])
    for k in range(10):
        network = make("convnet2", data.shape, 4, width=4, seed=1000 + k)
        one, other = (
            class_gradients(network, several, labels, several.new_full(several.shape[:2], 1 / m))
            for several, m in ((images.unflatten(0, (4, -1)), 2), (private, 10))
        )
        total += cosine_distance(one, other).item()
    return total


@pytest.mark.parametrize("inner", [0, 1])
def test_it_lowers_the_distance_under_other_networks(tiny_images, inner):
    method = DC(**{**SMALL, "networks": 20, "inner": inner, "learning_rate": 0.3})
    method = method.resolve(tiny_images)
    start = method.initial(tiny_images, 0)
    made = method.synthesize(tiny_images, seed=0)
    assert fresh_distance(made.inputs, tiny_images) < 0.9 * fresh_distance(start, tiny_images)


@pytest.mark.parametrize(("inner", "batches"), [(0, 2), (1, 6)])
def test_a_network_that_stays_reads_the_data_once(counted, inner, batches):
    data, reads = counted
    method = DC(**{**SMALL, "inner": inner, "outer": 3, "batch": 5}).resolve(data)
    before = reads()
    method.synthesize(data, seed=0)
    assert reads() - before == batches * 4 * 5


def test_inner_epochs_fit_the_network_to_the_images(tiny_images):
    method = DC(**{**SMALL, "inner": 100, "network_rate": 0.05}).resolve(tiny_images)
    form = Form.of(tiny_images)
    images, labels = method.initial(tiny_images, 0), method.labels(form)
    network = method._fresh(form, 0)
    before = F.cross_entropy(network(images), labels).item()
    method._train(network, images, form, coins.generator(0))
    assert F.cross_entropy(network(images), labels).item() < 0.9 * before


@pytest.mark.parametrize("inner", [0, 1])
def test_a_class_that_a_subset_lacks_leaves_its_noise_and_no_nan(tiny_images, inner):
    method = DC(**{**SMALL, "inner": inner}).resolve(tiny_images)
    (made,) = method.synthesize_many(tiny_images, (tiny_images.labels != 2)[None], [0])
    start = method.initial(tiny_images, 0)
    assert torch.isfinite(made.inputs).all()
    assert torch.equal(made.inputs[4:6], start[4:6])
    assert not torch.equal(made.inputs[:4], start[:4])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 12), (3, 64, 64), (6,)])
@pytest.mark.parametrize("method", [DC, DSA])
def test_images_of_any_size_and_tables_are_served(method, shape):
    data = LabeledDataset(
        torch.rand(8, *shape, generator=torch.Generator().manual_seed(0)),
        torch.arange(8) % 2,
        ("a", "b"),
    )
    method = method(ipc=1, networks=1, outer=2, inner=1, batch=4).resolve(data)
    made = method.synthesize(data, seed=0)
    assert made.inputs.shape == (2, *shape)
    assert not torch.equal(made.inputs, method.initial(data, 0))


def test_several_images_in_one_slot(tiny_images):
    made = DSA(**SMALL, formation=2).synthesize(tiny_images, seed=0)
    assert len(made) == 4 * 2 * 4 and made.card["formation"] == 2


def test_the_two_methods_start_as_published():
    assert (DC().init, DC().augmented) == ("noise", False)
    assert (DSA().init, DSA().augmented) == ("real", True)
    assert DSA().holds_real_records and not DC().holds_real_records


def test_reference_options_are_the_published_ones():
    for method in (DC, DSA):
        loops = {ipc: method.reference(ipc=ipc) for ipc in (1, 10, 50)}
        assert [(m.outer, m.inner) for m in loops.values()] == [(1, 1), (10, 50), (50, 10)]
        one = loops[10]
        assert (one.networks, one.batch, one.learning_rate, one.momentum) == (1000, 256, 0.1, 0.5)
        assert (one.width, one.schedule, one.blur, one.init) == (128, "constant", 0, method().init)


def test_bad_requests_are_refused_in_one_line(tiny_images):
    with pytest.raises(DatasetError, match="lower ipc"):
        DSA(ipc=1000).synthesize(tiny_images, seed=0)
    with pytest.raises(OptionError, match="at least 16 pixels"):
        DC(network="convnet4").resolve(tiny_images)
    table = LabeledDataset(torch.rand(8, 5), torch.arange(8) % 2, ("a", "b"))
    with pytest.raises(OptionError, match="use network 'mlp'"):
        DSA(ipc=1, network="convnet2").resolve(table)
