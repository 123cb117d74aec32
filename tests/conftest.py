"""Shared set-up: shapes and types are checked while testing, and small datasets to test with."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from jaxtyping import config, install_import_hook

# Before the first import of limbeck: every annotated function then checks its arguments.
install_import_hook("limbeck", "beartype.beartype")

from limbeck.data.dataset import LabeledDataset  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def no_budget_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures that live longer than a test enter their releases here, and never at home."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LIMBECK_BUDGETS", str(tmp_path_factory.mktemp("budgets")))
        yield


@pytest.fixture(autouse=True)
def budgets(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of budgets of one test, empty at first."""
    folder = tmp_path_factory.mktemp("budgets") / "own"
    monkeypatch.setenv("LIMBECK_BUDGETS", str(folder))
    return folder


@pytest.fixture(scope="session")
def digits() -> tuple[LabeledDataset, LabeledDataset]:
    """The embedded 8x8 digits as (private, test)."""
    from limbeck.data.sources import load

    return load("digits")


@pytest.fixture(scope="session")
def tiny_images() -> LabeledDataset:
    """Forty random 1x8x8 images, ten of each of four classes."""
    inputs = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 4
    return LabeledDataset(inputs, labels, ("a", "b", "c", "d"), name="tiny")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit code, stdout, stderr)."""
    from limbeck.cli import main

    def limbeck(*words: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(w) for w in words])
        out, err = capfd.readouterr()
        return code, out, err

    return limbeck


@pytest.fixture(scope="module")
def whole_audits() -> Iterator[None]:
    """For modules that run audits from end to end: shapes are checked where the parts are tested.

    Checking takes half of such an audit's time.
    """
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def quick_attackers() -> Iterator[None]:
    """An attacker's own networks take ten steps and not 150, in audits by this process alone.

    For modules where what he finds is not the matter: his attack has tests of its own.
    """
    from limbeck.audit.images import retrained

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retrained, "Standard", partial(retrained.Standard, steps=10))
        yield
