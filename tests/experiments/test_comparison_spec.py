"""Specs: what they build, and one line for each thing that can be wrong with them."""

from pathlib import Path
from typing import Any

import pytest

from limbeck.audit.presets import PRESETS
from limbeck.errors import OptionError
from limbeck.experiments.spec import Spec
from limbeck.mechanism.command import CommandMechanism
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import recipe
from limbeck.synthesize.select.random_subset import RandomSubset
from limbeck.train.dp_sgd import DPSGD
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.train.standard import Standard

TOML = """
data = "digits"
trainer = { method = "standard", options = { network = "mlp", steps = 7 } }
[audit]
preset = "quick"
runs = 32
canary = "duplicates"
[mechanisms."subset, 3"]
method = "random-subset"
options = { ipc = 3 }
trainer = "kernel-ridge"
[mechanisms.undefended]
method = "none"
[mechanisms.private]
method = "dp-sgd"
options = { level = "epsilon-1" }
[mechanisms.own]
method = "command"
options = { command = "python make.py {input} {output}", ipc = 2 }
"""


def test_a_spec_builds_its_mechanisms_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "spec.toml"
    file.write_text(TOML)
    spec = Spec.load(file)
    mlp = Standard("mlp", steps=7)
    assert spec.build() == {
        "subset, 3": Pipeline(RandomSubset(3), KernelRidge()),
        "undefended": Pipeline(None, Standard("mlp", "full")),
        "private": Pipeline(None, DPSGD(level="epsilon-1")),
        "own": CommandMechanism("python make.py {input} {output}", mlp, ipc=2),
    }
    assert list(spec.build()) == ["subset, 3", "undefended", "private", "own"]
    assert spec.company and spec.data.source == "digits" and spec.audit.canary == "duplicates"


def test_sizes_are_the_presets_but_for_those_given() -> None:
    sizes = Spec.of(
        {**SMALL, "audit": {"preset": "standard", "runs": 6, "ordinary": 0}}
    ).audit.sizes
    standard = PRESETS["standard"]
    assert (sizes.runs, sizes.ordinary) == (6, 0)
    assert sizes.company_runs == 6, "company is audited as the others are"
    assert (sizes.canaries, sizes.utility_runs) == (standard.canaries, standard.utility_runs)


def test_data_options_are_those_of_the_command_line() -> None:
    private, test = Spec.of({**SMALL, "data": {"source": "digits", "limit": 200}}).data.load()
    assert len(private) == 200 and len(test) > 100
    _, other = Spec.of({**SMALL, "data": {"source": "digits", "split_seed": 1}}).data.load()
    assert not test.inputs.equal(other.inputs)


def test_a_network_is_short_for_the_standard_trainer_with_it() -> None:
    built = Spec.of({**SMALL, "trainer": "mlp"}).build()["a"]
    assert recipe(built) == recipe(Pipeline(RandomSubset(2), Standard("mlp")))


SMALL: dict[str, Any] = {
    "data": "digits",
    "mechanisms": {"a": {"method": "random-subset", "options": {"ipc": 2}}},
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**SMALL, **changes}


def entry(**values: Any) -> dict[str, Any]:
    return changed(mechanisms={"a": values})


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"data": "digits"}, "mechanisms: this key is needed"),
        ({"mechanisms": SMALL["mechanisms"]}, "data: this key is needed"),
        (changed(mechanisms={}), "mechanisms: "),
        (changed(mechanism={}), "mechanism: there is no such key; there are: data, audit, trainer"),
        (changed(data={"source": "digits", "sise": 8}), "data.sise: there is no such key; there"),
        (changed(data=7), "data: "),
        (changed(audit={"runs": 2}), "audit.runs: input should be greater than or equal to 4"),
        (changed(audit={"runs": "many"}), "audit.runs: "),
        (changed(audit={"preset": "slow"}), "'quick', 'standard' or 'thorough' (given: 'slow')"),
        (changed(audit={"canary": "yellow"}), "audit.canary: "),
        (changed(company="perhaps"), "company: "),
        (changed(dp_sgd=[]), "dp_sgd: "),
        (changed(dp_sgd=[1, -1]), "dp_sgd.1: input should be greater than 0"),
        (changed(dp_sgd=[float("inf")]), "dp_sgd.0: "),
        (
            changed(trainer={"method": "kernel-ridge", "options": {"depth": 9}}),
            "trainer: kernel-ridge: option 'depth'",
        ),
        (changed(trainer={"method": "mlp", "option": {}}), "are: method, options"),
        (changed(trainer="kernel-rigde"), "trainer: no trainer or network is called 'kernel-rig"),
        (changed(trainer="convnet7"), "networks: convnet1 to convnet5, mlp"),
        (changed(mechanisms={}), "mechanisms: name at least one"),
        (changed(mechanisms={"a": "dm"}), "mechanisms.a: give a table with the keys method, "),
        (entry(methd="dm"), "mechanisms.a.methd: there is no such key; there are: method"),
        (entry(), "mechanisms.a.method: this key is needed"),
        (entry(method="no-such-method"), "mechanisms.a: no synthesizer is called"),
        (entry(method="dm", ipc=3), "mechanisms.a.ipc: there is no such key; there are: method"),
        (entry(method="dm", options={"icp": 3}), "mechanisms.a: dm has no option 'icp'"),
        (entry(method="dm", options={"ipc": 0}), "mechanisms.a: dm: option 'ipc'"),
        (entry(method="none", options={"ipc": 1}), "mechanisms.a: method 'none' takes no options"),
        (entry(method="dp-sgd", trainer="mlp"), "mechanisms.a: dp-sgd is a trainer itself"),
        (entry(method="dm", trainer={"network": "mlp"}), "mechanisms.a.trainer."),
        (entry(method="lira"), "mechanisms.a: no synthesizer is called 'lira'"),
        (changed(mechanisms={"a\nb": {"method": "dm"}}), "mechanisms: a mechanism's name is one"),
        (changed(mechanisms={" ": {"method": "dm"}}), "mechanisms: a mechanism's name is one"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_that_names_the_key(
    written: dict[str, Any], said: str
) -> None:
    with pytest.raises(OptionError) as caught:
        Spec.of(written).build()
    message = str(caught.value)
    assert said in message and "\n" not in message and len(message) < 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"data = digits", "not TOML: Invalid value (at line 1, column 8)"),
        (b"\xff", "not UTF-8"),
        (b"data = 'digits'", "mechanisms: this key is needed"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(OptionError, match=r"bad\.toml: ") as caught:
        Spec.load(file)
    assert said in str(caught.value)
    with pytest.raises(OptionError, match=r"none\.toml: cannot be read"):
        Spec.load(tmp_path / "none.toml")


def test_the_example_names_what_there_is() -> None:
    built = Spec.load(Path(__file__).parents[2] / "benchmarks" / "compare-digits.toml").build()
    assert len(built) >= 10
