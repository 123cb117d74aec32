"""The command line: exit codes, one-line errors, JSON on stdout, and how fast it starts."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from limbeck import registry
from limbeck.cli.exits import Exit
from limbeck.errors import LimbeckError

Run = Callable[..., tuple[int, str, str]]


def refused(answer: tuple[int, str, str], said: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that says what is wrong."""
    code, out, err = answer
    assert code == Exit.USAGE
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dta"], "No such command 'dta'"),
        (["condense"], "Missing argument 'DATA'"),
        (["condense", "digits"], "--output"),
        (["data", "digits", "--limit", "many"], "'--limit'"),
        (["data", "digits", "--limit", "0"], "--limit"),
        (["data", "digits", "--range", "5"], "LOW:HIGH"),
        (["data", "digits", "--range", "5:1"], "LOW:HIGH"),
        (["data", "no-such-data"], "no-such-data"),
        (["data", "digits", "--limit", "3"], "10 classes"),
        (["methods", "no-such-method"], "no-such-method"),
        (["methods", "lira", "--markdown"], "--markdown"),
        (["report", "no-such-audit"], "no-such-audit"),
        (["evaluate", "no-such-release", "--test", "digits"], "no-such-release"),
        (["evaluate", "release"], "--test or --private"),
    ],
)
def test_bad_usage_gets_one_line_and_exit_code_2(run: Run, words: list[str], said: str) -> None:
    refused(run(*words), said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "no-such-method"], "no-such-method"),
        (["--method", "dc", "--epsilon", "1"], "no form with a formal guarantee"),
        (["--method", "dm", "--epsilon", "-1"], "--epsilon -1: give a number above 0"),
        (["--method", "dm", "--epsilon", "0"], "--epsilon 0: give a number above 0"),
        (["--method", "dm", "--epsilon", "nan"], "--epsilon nan: give a number above 0"),
        (["--method", "dm", "--delta", "1"], "--delta 1: give a number between 0 and 1"),
        (["--method", "dm", "--set", "ipc"], "name=value"),
        (["--method", "dm", "--set", "ipc=1", "--set", "ipc=2"], "twice"),
        (["--method", "dm", "--ipc", "3", "--set", "ipc=2"], "one of them"),
        (["--method", "dm", "--set", "no_such_option=2"], "no_such_option"),
        (["--method", "dm", "--set", "learning_rate=Infinity"], "learning_rate"),
        (["--method", "dm", "--device", "no-such-device"], "no-such-device"),
        (["--method", "random-subset", "--init", "noise"], "no such option"),
    ],
)
def test_nothing_is_written_on_bad_input(
    run: Run, tmp_path: Path, options: list[str], said: str
) -> None:
    refused(run("condense", "digits", *options, "-o", tmp_path / "release"), said)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_without_force(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    refused(run("condense", "digits", "-o", tmp_path), "not empty")
    refused(run("condense", "digits", "-o", tmp_path / "thesis.tex", "--force"), "a file")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused(run: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    refused(run("condense", "digits", "-o", tmp_path / "release"), "nothing can be written")


@pytest.mark.parametrize("below", ["release", "deep/release"])
def test_a_folder_below_a_file_is_refused(run: Run, tmp_path: Path, below: str) -> None:
    (tmp_path / "file.txt").write_text("mine")
    output = tmp_path / "file.txt" / below
    refused(run("condense", "digits", "-o", output), "file.txt is a file")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_place_where_even_root_cannot_write_is_refused(run: Run) -> None:
    refused(run("condense", "digits", "-o", "/proc/release"), "nothing can be written in /proc")


def test_a_file_that_is_there_may_be_replaced(tmp_path: Path) -> None:
    from limbeck.cli.outputs import require_writable

    (tmp_path / "page.html").write_text("old")
    require_writable(tmp_path / "page.html")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_condense_writes_a_release_that_can_be_loaded(run: Run, tmp_path: Path) -> None:
    from limbeck.data.synthetic import SyntheticDataset

    folder = tmp_path / "release"
    options = ["--method", "random-subset", "--ipc", "2", "--seed", "5", "-o", folder]
    code, out, err = run("condense", "digits", "--limit", "100", *options, "--json")
    assert code == Exit.OK, err
    said = json.loads(out)
    synthetic = SyntheticDataset.load(folder)
    assert said["records"] == len(synthetic) == 20
    assert said["recipe"] == synthetic.card["recipe"]
    assert said["holds_real_records"] is True
    assert said["private_records"] == 100

    code, out, _ = run("condense", "digits", "--limit", "100", *options, "--force")
    assert code == Exit.OK
    assert "limbeck audit" in out and "--limit 100" in out


def test_set_values_are_json_and_words_are_text() -> None:
    from limbeck.cli.options import assignments

    words = ["a=1", "b=0.5", "c=true", "d=noise", "e=[1, 2]", "f=x=y", 'g="3"', "h="]
    assert assignments(words) == {
        "a": 1, "b": 0.5, "c": True, "d": "noise", "e": [1, 2], "f": "x=y", "g": "3", "h": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [["methods"], ["methods", "lira"], ["data"], ["data", "digits", "--limit", "50"], ["doctor"]],
)
def test_json_is_one_document_on_stdout(run: Run, words: list[str]) -> None:
    code, out, _ = run(*words, "--json")
    assert code == Exit.OK
    assert isinstance(json.loads(out), dict)


def test_methods_lists_the_whole_registry(run: Run) -> None:
    _, out, _ = run("methods", "--json")
    listed = json.loads(out)["methods"]
    assert [m["name"] for m in listed] == list(registry.methods())
    _, table, _ = run("methods")
    assert all(name in table for name in registry.methods())


def test_methods_can_be_read_at_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, narrow, _ = run("methods")
    assert max(map(len, narrow.splitlines())) <= 80
    assert len(narrow.splitlines()) <= 1 + 2 * len(registry.methods())  # two lines for each
    assert "cost" not in narrow.splitlines()[0]
    monkeypatch.setenv("COLUMNS", "200")
    _, wide, _ = run("methods")
    assert wide.splitlines()[0].split() == ["name", "kind", "access", "paper", "guarantee", "cost"]


def test_tables_fit_the_terminal_and_lose_no_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from limbeck.cli.console import table

    monkeypatch.setenv("COLUMNS", "40")
    rows = [["dm", "a b " * 20, "0.5"], ["", "c", "d" * 30]]
    table(["name", "words", "n"], rows)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 40
    assert out.count("a") - 1 == 20 and out.count("d") - 2 == 30  # less those of the header line
    assert out.startswith("name  words")


@pytest.mark.parametrize("parts", [3, 7, 10, 49])
def test_progress_reaches_the_whole_whatever_its_parts_add_up_to(
    parts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    from limbeck.cli.progress import Bar

    done = 0.0
    with Bar("counting") as bar:
        for part in range(parts):
            done += (1 + part) * 2 / (parts * (parts + 1))
            bar.update(done)
    said = capsys.readouterr().err.splitlines()
    assert "100%" in said[-1] and len(said) <= 10


def test_data_counts_every_record_once(run: Run) -> None:
    _, out, _ = run("data", "digits", "--json")
    said = json.loads(out)
    assert said["private_records"] + said["test_records"] == 1797
    assert sum(c["private"] for c in said["classes"]) == said["private_records"]
    assert sum(c["test"] for c in said["classes"]) == said["test_records"]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make `limbeck data` raise."""

    def install(error: BaseException) -> None:
        def available() -> list[object]:
            raise error

        monkeypatch.setattr("limbeck.data.sources.available", available)

    return install


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (LimbeckError("two\nlines"), Exit.USAGE, "error: two lines"),
        (PermissionError(13, "Permission denied", "/secret"), Exit.USAGE, "/secret: Permission"),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "interrupted; nothing was written"),
        (ZeroDivisionError("oops"), Exit.DEFECT, "this is a defect in limbeck (ZeroDivisionError"),
    ],
)
def test_every_failure_is_one_line(
    run: Run,
    failing: Callable[[BaseException], None],
    error: BaseException,
    code: Exit,
    said: str,
) -> None:
    failing(error)
    got, out, err = run("data")
    assert (got, out) == (code, "")
    assert said in err and err.count("\n") == 1


def test_debug_shows_where_limbeck_failed(
    run: Run, failing: Callable[[BaseException], None]
) -> None:
    failing(ZeroDivisionError("oops"))
    with pytest.raises(ZeroDivisionError):
        run("data", "--debug")


def seconds(*words: str) -> float:
    """The best of three times a fresh process takes, in CPU-seconds: other load hardly counts."""

    def once() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "limbeck", *words], check=True, capture_output=True)
        after = os.times()
        return (
            after.children_user
            + after.children_system
            - (before.children_user + before.children_system)
        )

    return min(once() for _ in range(3))


def test_help_and_methods_start_fast() -> None:
    # Half a second and one second on an idle machine; twice that where others work beside us.
    assert seconds("--help") < 1.0
    assert seconds("methods") < 2.0


@pytest.mark.parametrize("words", [["--help"], ["methods"], ["condense", "--help"]])
def test_help_and_methods_leave_torch_alone(words: list[str]) -> None:
    code = (
        "import sys; from limbeck.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'numpy', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_leaves_torch_alone() -> None:
    code = "import sys, limbeck; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_reader_who_leaves_early_is_no_error() -> None:
    pipe = f"{sys.executable} -m limbeck methods --json | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True)
    assert done.stdout == "{0\n"
    assert done.stderr == ""


def test_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == Exit.OK and out.startswith("limbeck ")


def test_every_command_has_json_seed_and_an_example(run: Run) -> None:
    commands = "condense evaluate export audit copying report methods data doctor"
    for command in commands.split():
        code, out, _ = run(command, "--help")
        assert code == Exit.OK
        assert "--json" in out and "--seed" in out
        assert f"    limbeck {command} " in out
