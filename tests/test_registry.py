"""The registry: read from source text, faithful to the decorators, refusing overwrites."""

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import limbeck
from limbeck import registry
from limbeck.errors import OptionError

ROOT = Path(limbeck.__file__).parent


@pytest.fixture(autouse=True)
def forget_test_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in registry.methods():  # a module first imported below would be forgotten with them
        registry.load(name)
    monkeypatch.setattr(registry, "_added", dict(registry._added))
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))


def test_every_use_of_the_decorator_in_the_package_is_listed() -> None:
    # An independent count: every class below a line that starts with @register.
    used = sum(
        line.startswith("@register(")
        for path in ROOT.rglob("*.py")
        for line in path.read_text().splitlines()
    )
    assert used > 0
    assert len(registry._built_in()) == used


@pytest.mark.parametrize("name", sorted(registry.methods()))
def test_what_is_read_from_the_text_is_what_loading_gives(name: str) -> None:
    method = registry.methods()[name]
    cls = registry.load(name)
    assert (cls.__module__, cls.__name__) == (method.module, method.cls)
    assert cls.method_name == name
    assert method.summary and method.paper
    assert registry.load(name, method.kind) is cls


def test_listing_methods_imports_neither_torch_nor_a_method() -> None:
    code = (
        "import sys; from limbeck import registry; found = registry.methods(); assert found;"
        "loaded = [m.module for m in found.values() if m.module in sys.modules];"
        "heavy = [m for m in ('torch', 'numpy', 'sklearn', 'matplotlib') if m in sys.modules];"
        "sys.exit(repr((loaded, heavy)) if loaded or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_people_read_methods_kind_by_kind() -> None:
    kinds = [method.kind for method in registry.by_kind()]
    assert kinds[0] == "synthesizer" and len(kinds) == len(registry.methods())
    changes = sum(one != other for one, other in pairwise(kinds))
    assert changes == len(set(kinds)) - 1


def test_unknown_name_or_kind_lists_what_there_is() -> None:
    with pytest.raises(OptionError, match="no trainer is called 'lira'; there are: "):
        registry.load("lira", "trainer")
    with pytest.raises(OptionError, match="loss-threshold"):
        registry.load("lirra")


def test_a_registered_name_cannot_be_taken_over() -> None:
    def take_over(cls: type) -> type:
        return registry.register("lira", kind="attack", summary="", paper="")(cls)

    class Impostor: ...

    with pytest.raises(OptionError, match=r"'lira' is already registered by limbeck\.audit"):
        take_over(Impostor)


def test_a_method_from_outside_is_listed_beside_the_built_in_ones() -> None:
    @registry.register("mine", kind="trainer", summary="s", paper="p", guarantee="g")
    class Mine: ...

    assert registry.methods("trainer")["mine"].guarantee == "g"
    assert "mine" not in registry.methods("attack")
    assert registry.load("mine") is Mine
    assert list(registry.methods()) == sorted(registry.methods())


def test_source_reader_ignores_other_decorators_and_fills_defaults() -> None:
    source = """
@dataclass
class Plain: ...

@register("x", kind="attack", summary="S", paper="P", access="none")
@options
class Registered: ...
"""
    ast.parse(source)
    [method] = registry._read_source(source, "limbeck.somewhere")
    assert method == registry.Method(
        "x", "attack", "S", "P", "none", "none", "", "limbeck.somewhere", "Registered"
    )
