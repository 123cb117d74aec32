import torch

from limbeck.nn import augment
from limbeck.synthesize import statistics


def pool(data, **changes):
    options = {
        "network": "convnet2",
        "width": 4,
        "size": 5,
        "augmented": True,
        "public_coins": 3,
        "shape": data.shape,
        "classes": len(data.classes),
        "mirror": data.mirror,
    }
    return statistics.Pool(**{**options, **changes})


def test_sums_equal_a_loop_over_records_and_runs(tiny_images):
    data, five = tiny_images, pool(tiny_images)
    membership = torch.rand(3, len(data), generator=torch.Generator().manual_seed(0)) < 0.5
    membership[:, :7] = True  # in every run, as most records of an audit are
    found = statistics.sums(data, membership, five, 2, second=lambda e, k: e[:, :6] + k)
    sums, counts, second = found["first"], found["counts"], found["second"]
    assigned = statistics.assign(data.inputs, 5, 2, 3)
    for run in range(3):
        expected, number = torch.zeros_like(sums[run]), torch.zeros_like(counts[run])
        products = torch.zeros_like(second[run])
        for i in range(len(data)):
            for k in assigned[i].tolist():
                if membership[run, i]:
                    network, transform = five.pair(k, "cpu")
                    record = data.inputs[i : i + 1]
                    embedded = network.embed(transform(record))[0]
                    expected[k, data.labels[i]] += embedded
                    number[k, data.labels[i]] += 1
                    products[k] += torch.outer(embedded[:6] + k, embedded[:6] + k)
        assert torch.allclose(sums[run], expected, atol=1e-4)
        assert torch.equal(counts[run], number)
        assert torch.allclose(second[run], products, rtol=1e-4, atol=1e-3)


def test_a_pair_that_no_record_enters_has_sums_of_zero(tiny_images):
    alone = tiny_images.select(torch.arange(1))
    found = statistics.sums(alone, torch.ones(2, 1, dtype=torch.bool), pool(alone), 1)
    assert found["first"].shape[:3] == (2, 5, 4) and found["counts"].sum() == 2
    assert (found["first"].abs().sum((2, 3)) > 0).sum() == 2


def test_a_records_pairs_depend_on_the_record_alone(tiny_images):
    inputs = tiny_images.inputs
    assigned = statistics.assign(inputs, 7, 3, 0)
    assert torch.equal(statistics.assign(inputs[10:11], 7, 3, 0), assigned[10:11])
    assert torch.equal(statistics.assign(inputs.flip(0), 7, 3, 0), assigned.flip(0))
    assert not torch.equal(statistics.assign(inputs, 7, 3, 1), assigned)
    assert all(len(set(row)) == 3 for row in assigned.tolist())


def test_pairs_fill_evenly():
    inputs = torch.rand(20_000, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    counts = torch.bincount(statistics.assign(inputs, 50, 1, 0)[:, 0], minlength=50)
    # Chi-square with 49 degrees of freedom: below 85.4 except in one of a thousand.
    assert ((counts - 400.0) ** 2 / 400).sum() < 85.4


def test_the_pool_is_public_and_fixed(tiny_images):
    one, same, other = (pool(tiny_images, public_coins=c).pair(2, "cpu") for c in (3, 3, 4))
    assert torch.equal(one[0].head.weight, same[0].head.weight)
    assert not torch.equal(one[0].head.weight, other[0].head.weight)
    assert torch.equal(one[1].coins, same[1].coins)
    assert pool(tiny_images, augmented=False).pair(2, "cpu")[1].name == augment.identity().name


def test_enough_pairs_stays_between_one_and_all():
    assert statistics.enough_pairs(60_000, 10, 100) == 1
    assert statistics.enough_pairs(1_400, 10, 100) == 46
    assert statistics.enough_pairs(50, 10, 100) == 100
