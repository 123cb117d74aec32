"""The docs are true: commands parse, links lead somewhere, examples run, pages are current."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import typer.main
from typer.models import CommandInfo

import limbeck
from limbeck import recipe, registry
from limbeck.cli import app as program
from limbeck.data.dataset import LabeledDataset

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text()) if kind == language]


def registered() -> list[CommandInfo]:
    """Every command, those of groups too."""
    groups = [group.typer_instance for group in program.app.registered_groups]
    return [c for app in (program.app, *filter(None, groups)) for c in app.registered_commands]


def commands() -> Iterator[tuple[str, str]]:
    """(where, command line) of every `limbeck ...` in the docs, the help texts, the Makefile."""
    sources = [(page.name, text) for page in PAGES for text in blocks(page, "sh")]
    sources += [("--help of " + str(c.name), c.help or "") for c in registered()]
    makefile = (ROOT / "Makefile").read_text().replace("$(LIMBECK)", "limbeck")
    sources.append(("Makefile", re.sub(r" > \S+", "", makefile)))
    for where, text in sources:
        for line in text.replace("\\\n", " ").splitlines():
            if line.strip().startswith("limbeck "):
                yield where, line.strip()


@pytest.mark.parametrize(("where", "line"), sorted(set(commands())))
def test_every_command_shown_parses(where: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    group = typer.main.get_command(program.app)
    context = group.make_context("limbeck", list(words), resilient_parsing=False)
    while hasattr(group, "resolve_command"):
        given = [*context._protected_args, *context.args]
        name, group, rest = group.resolve_command(context, given)
        context = group.make_context(name, rest, parent=context)


def test_commands_are_found_in_all_places() -> None:
    places = {where for where, _ in commands()}
    assert {"README.md", "quickstart.md", "CONTRIBUTING.md", "Makefile"} <= places
    assert {f"--help of {c.name}" for c in registered()} <= places


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.is_file(), f"{page.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(there), f"{page.name} links to {target}: no such heading"


def test_every_test_that_holds_the_promise_exists() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^def (test_\w+)", sources, re.MULTILINE))
    page = (ROOT / "docs" / "privacy-promise.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20 and named <= there


def test_every_make_target_mentioned_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(page.read_text() for page in PAGES)
    mentioned = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert {"demo", "test", "check"} <= mentioned
    assert mentioned <= targets


def test_methods_page_is_current() -> None:
    from limbeck.cli.method_page import page

    written = (ROOT / "docs" / "methods.md").read_text()
    assert written == page() + "\n", "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_in_the_docs_compiles_and_uses_names_that_exist(page: Path) -> None:
    for text in blocks(page, "python"):
        compile(text, page.name, "exec")
        for name in re.findall(r"\blb\.(\w+)", text):
            assert hasattr(limbeck, name), f"{page.name}: limbeck has no {name}"


def test_example_of_the_budgets_page_works(budgets: Path) -> None:
    [source] = blocks(ROOT / "docs" / "budget.md", "python")
    found: dict[str, Any] = {}
    exec(compile(source, "budget.md", "exec"), found)
    [entry] = found["sheet"].entries
    assert entry.state == "done" and len(list(budgets.glob("*.json"))) == 1


def test_names_of_the_package_are_the_documented_ones() -> None:
    assert sorted(limbeck.__all__) == sorted(set(limbeck.__all__))
    for name in limbeck.__all__:
        assert getattr(limbeck, name).__doc__, f"limbeck.{name} has no docstring"


def test_example_method_of_contributing_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_added", dict(registry._added))
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    [source] = blocks(ROOT / "CONTRIBUTING.md", "python")
    module = ModuleType("limbeck.synthesize.condense.class_mean")
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    exec(compile(source, "CONTRIBUTING.md", "exec"), module.__dict__)

    [read] = registry._read_source(source, module.__name__)
    assert registry.methods()["class-mean"] == read

    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(30) % 3
    private = LabeledDataset(torch.rand(30, 2, 4, 4, generator=generator), labels, ("a", "b", "c"))
    method = recipe.build("class-mean", {"shrink": 0.25}, "synthesizer")
    synthetic = method.synthesize(private, seed=0)
    for c in range(3):
        members = [x for x, y in zip(private.inputs, labels.tolist(), strict=True) if y == c]
        expected = 0.75 * torch.stack(members).mean(0) + 0.25 * 0.5
        torch.testing.assert_close(synthetic.inputs[c], expected)
    assert recipe.from_recipe(synthetic.card["recipe"]) == method
