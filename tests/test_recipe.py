"""Options as data: validated, nested, written out whole and read back."""

import json

import pytest

from limbeck import recipe, registry
from limbeck.errors import OptionError


@pytest.fixture(autouse=True)
def forget_test_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_added", dict(registry._added))
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))

    @registry.register("inner-test", kind="trainer", summary="", paper="")
    @recipe.options
    class Inner:
        steps: int = 10

    @registry.register("outer-test", kind="mechanism", summary="", paper="")
    @recipe.options
    class Outer:
        inner: Inner
        rate: float = 0.5
        sizes: tuple[int, ...] = (1, 2)


def outer(**values: object) -> object:
    return recipe.build("outer-test", values)


def test_recipe_spells_out_every_option_and_reads_back_through_json() -> None:
    made = outer(inner={"method": "inner-test", "options": {"steps": 3}})
    written = recipe.recipe(made)
    assert written == {
        "method": "outer-test",
        "options": {
            "inner": {"method": "inner-test", "options": {"steps": 3}},
            "rate": 0.5,
            "sizes": [1, 2],
        },
    }
    assert recipe.from_recipe(json.loads(json.dumps(written))) == made


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"inner": {"method": "inner-test"}, "rate": "fast"}, "'rate'"),
        ({"inner": {"method": "inner-test"}, "rate": float("inf")}, "'rate'"),
        ({"inner": {"method": "inner-test"}, "rate": float("nan")}, "'rate'"),
        ({"inner": {"method": "inner-test"}, "tempo": 2}, "'tempo'; it has: inner, rate, sizes"),
        ({}, "'inner'"),
        ({"inner": {"method": "no-such"}}, "no-such"),
        ({"inner": {"method": "inner-test", "extra": 1}}, "extra"),
        ({"inner": {"method": "inner-test", "options": [3]}}, "[3]"),
    ],
)
def test_bad_options_are_refused_in_one_line_that_names_them(
    values: dict[str, object], named: str
) -> None:
    with pytest.raises(OptionError) as caught:
        outer(**values)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_methods_are_immutable() -> None:
    made = outer(inner={"method": "inner-test"})
    with pytest.raises(AttributeError):
        made.rate = 1.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("written", [{}, {"name": "dm"}, {"method": "outer-test", "seed": 1}])
def test_what_is_no_recipe_is_refused(written: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        recipe.from_recipe(written)


def test_a_missing_option_is_named_without_all_the_others():
    with pytest.raises(OptionError, match="'command': Field required") as caught:
        recipe.build("command", {"ipc": 3}, "mechanism")
    assert "given" not in str(caught.value)
