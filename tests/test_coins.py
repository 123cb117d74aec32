"""Seeds by name: a known value, independence of paths, and no touch of global state."""

import hashlib

import numpy as np
import torch

from limbeck import coins


def test_derive_is_the_first_63_bits_of_sha256_of_seed_and_typed_path() -> None:
    digest = hashlib.sha256(b"7\x1fstr:noise\x1fint:3").digest()
    assert coins.derive(7, "noise", 3) == int.from_bytes(digest[:8], "big") >> 1


def test_paths_that_look_alike_give_different_seeds() -> None:
    paths: list[tuple[str | int, ...]] = [
        (), ("1",), (1,), ("a", "b"), ("ab",), ("a", "b", ""), (1, 2), (12,), ("int:1",),
    ]  # fmt: skip
    seeds = {coins.derive(0, *path) for path in paths}
    assert len(seeds) == len(paths)
    assert coins.derive(0, "a") != coins.derive(1, "a")


def test_seeds_fit_every_generator() -> None:
    seeds = [coins.derive(0, i) for i in range(1000)]
    assert min(seeds) >= 0 and max(seeds) < 2**63
    # 63 fair bits: the mean of 1,000 has a standard error of 2**63 / sqrt(12,000).
    assert abs(np.mean([s / 2**63 for s in seeds]) - 0.5) < 5 / np.sqrt(12_000)


def test_generators_repeat_and_leave_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002
    first = torch.rand(4, generator=coins.generator(3, "x"))
    again = torch.rand(4, generator=coins.generator(3, "x"))
    other = torch.rand(4, generator=coins.generator(3, "y"))
    ours = coins.numpy_generator(3, "x").random(4)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert np.array_equal(ours, coins.numpy_generator(3, "x").random(4))
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002
