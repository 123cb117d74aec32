"""Every paper is known by name, and every option that its sizes name exists."""

from typing import Any

import pytest

from limbeck import recipe
from limbeck.cli import main
from limbeck.errors import OptionError
from limbeck.experiments import (
    dong2022,
    gujarathi2022,
    kaleidoscope2024,
    published,
    reproduce,
    zhao2025,
)


def test_help_and_published_figures_know_every_paper(capsys: pytest.CaptureFixture[str]) -> None:
    main(["reproduce", "--help"])
    text = capsys.readouterr().out
    for key in reproduce.PAPERS:
        assert key in text and published.paper(key).key == key
    with pytest.raises(OptionError, match="zhao2025"):
        reproduce.study("nobody1999", "laptop")


def sized() -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for scale in ("LAPTOP", "GPU"):
        many = [getattr(module, scale) for module in (dong2022, zhao2025)]
        for size in many:
            found += [(name, dict(values)) for name, values in size.options.items()]
            found += [("standard", dict(size.trainer)), ("dp-sgd", dict(size.dp_sgd))]
        found.append(("standard", dict(getattr(zhao2025, scale).coreset_trainer)))
        size = getattr(kaleidoscope2024, scale)
        found += [(size.method, dict(size.options)), ("standard", dict(size.trainer))]
        found.append(("dc", dict(getattr(gujarathi2022, scale).dc)))
    return found


@pytest.mark.parametrize(
    ("name", "options"), sized(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_option_of_both_scales_exists(name: str, options: dict[str, Any]) -> None:
    written = recipe.recipe(recipe.build(name, options))["options"]
    assert {key: written[key] for key in options} == options
