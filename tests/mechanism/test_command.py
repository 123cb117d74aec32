"""A user's own program as the mechanism: what it is handed, what it may answer, how it may fail."""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data.dataset import LabeledDataset
from limbeck.errors import DatasetError, LimbeckError, OptionError
from limbeck.mechanism.command import CommandMechanism
from limbeck.recipe import build, from_recipe, recipe
from limbeck.train.kernel_ridge import KernelRidge

pytestmark = pytest.mark.usefixtures("whole_audits")

COPY = """
import os, shutil, sys
(shutil.copytree if os.path.isdir(sys.argv[1]) else shutil.copy)(sys.argv[1], sys.argv[2])
"""


@pytest.fixture
def records() -> LabeledDataset:
    """Twelve images of three classes, one of whose names is no file name."""
    inputs = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    groups = torch.arange(12) // 2
    return LabeledDataset(inputs, torch.arange(12) % 3, ("b/x", "a", "z"), groups)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program's files come and must go again."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def mechanism(tmp_path: Path):
    """A mechanism that runs the given Python source with its input, its output and its seed."""

    def made(source: str, words: str = "{input} {output} {seed}", **options) -> CommandMechanism:
        script = tmp_path / "make it.py"
        script.write_text(source)
        return CommandMechanism(f"{sys.executable} '{script}' {words}", KernelRidge(), **options)

    return made


@pytest.mark.parametrize("layout", ["npz", "folder"])
def test_what_the_program_gets_and_gives_back_are_the_records(
    mechanism, records, temporary, layout
):
    made = mechanism(COPY, layout=layout).make(records, seed=0)
    # Folders are read class by class; their pixels have 8 bits.
    order = torch.argsort(records.labels, stable=True) if layout == "folder" else torch.arange(12)
    within = 0.5 / 255 + 1e-6 if layout == "folder" else 0
    assert torch.equal(made.labels, records.labels[order])
    assert float((made.inputs - records.inputs[order]).abs().max()) <= within
    assert made.classes == records.classes and made.card == {}
    assert list(temporary.iterdir()) == []


def test_groups_classes_seed_environment_and_ipc_reach_the_program(mechanism, records, monkeypatch):
    monkeypatch.setenv("MINE", "0.25")
    source = """
import os, sys
import numpy as np
given, seed, ipc = np.load(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4])
assert given["classes"].tolist() == ["b/x", "a", "z"] and given["groups"][3] == 1
assert given["inputs"].dtype == np.float32 and given["labels"].dtype == np.int64
assert sys.argv[5] == "{kept}" and os.environ["OMP_NUM_THREADS"]
made = np.full((3 * ipc, 64), float(os.environ["MINE"]))
made[0, :3] = seed % 1000 / 1000, seed // 1000 % 1000 / 1000, seed // 10**6 / 10**4
np.savez(sys.argv[2], inputs=made, labels=np.repeat(np.arange(3), ipc))
"""
    own = mechanism(source, "{input} {output} {seed} {ipc} {kept}", ipc=2)
    one, same, other = (own.make(records, seed=seed).inputs for seed in (1, 1, 2))
    assert one.shape == (6, 1, 8, 8), "rows of numbers take the records' shape"
    assert float(one[1].max()) == 0.25
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_soft_labels_are_trained_on(mechanism, records):
    source = """
import sys
import numpy as np
soft = np.full((3, 3), 0.1, dtype=np.float32) + 0.7 * np.eye(3, dtype=np.float32)[[1, 2, 0]]
np.savez(sys.argv[2], inputs=np.eye(3, 64).reshape(3, 1, 8, 8), labels=[0, 1, 2], soft_labels=soft)
"""
    release = mechanism(source).run(records, seed=0)
    assert release.synthetic is not None and release.synthetic.soft_labels is not None
    assert release.classifier.logits(release.synthetic.inputs).argmax(1).tolist() == [1, 2, 0]


SAVE = "import sys\nimport numpy as np\nnp.savez(sys.argv[2], {})"
FAILURES = {
    "exit": (
        "import sys; print('first', file=sys.stderr); sys.exit('boom')",
        "exit code 1; .*boom",
    ),
    "silent": ("raise SystemExit(3)", "exit code 3; it said nothing"),
    "signal": ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
    "nothing": ("", "nothing was written at output.npz"),
    "no archive": ("import sys; open(sys.argv[2], 'w').write('x')", "no .npz archive"),
    "no labels": (SAVE.format("inputs=np.zeros((3, 64))"), "lacks 'labels'"),
    "NaN": (SAVE.format("inputs=np.full((3, 64), np.nan), labels=[0, 1, 2]"), "NaN"),
    "range": (SAVE.format("inputs=np.full((3, 64), 2.0), labels=[0, 1, 2]"), "range"),
    "shape": (SAVE.format("inputs=np.zeros((3, 60)), labels=[0, 1, 2]"), r"\(60,\).*\(1, 8, 8\)"),
    "label": (
        SAVE.format("inputs=np.zeros((3, 64)), labels=[0, 1, 3]"),
        "label '3' of record 2 is none of the 3 classes",
    ),
    "classes": (
        SAVE.format("inputs=np.zeros((3, 64)), labels=[0, 1, 2], classes=['a', 'b/x', 'z']"),
        "has the classes a, b/x, z",
    ),
    "soft": (
        SAVE.format("inputs=np.zeros((3, 64)), labels=[0, 1, 2], soft_labels=np.ones((3, 3))"),
        "probabilities",
    ),
    "objects": (
        SAVE.format("inputs=np.array([{}, {}, {}]), labels=[0, 1, 2]"),
        "Python objects, which are never loaded",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_told_in_one_line_that_leads_somewhere(mechanism, records, temporary, failure):
    source, said = FAILURES[failure]
    with pytest.raises(LimbeckError, match=said) as caught:
        mechanism(source).make(records, seed=0)
    message = str(caught.value)
    assert "\n" not in message and str(temporary) not in message, "no path that is gone already"
    assert list(temporary.iterdir()) == []


def test_a_program_that_takes_too_long_ends_with_all_that_it_started(
    mechanism, records, temporary, tmp_path
):
    source = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
time.sleep(60)
"""
    started = time.monotonic()
    with pytest.raises(OptionError, match=r"ended after 3 seconds; allow more"):
        mechanism(source, timeout=3).make(records, seed=0)
    assert time.monotonic() - started < 20
    assert list(temporary.iterdir()) == []
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(child)


def _runs(process: int) -> bool:
    """Whether the process is there and not a zombie that nobody has fetched yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("python make.py {input}", {}, "lacks {output}"),
        ("python 'make.py {input} {output}", {}, "No closing quotation"),
        ("make {input} {output} {ipc}", {}, "give ipc"),
        ("make {input} {output}", {"timeout": 0}, "timeout"),
        ("make {input} {output}", {"layout": "zip"}, "layout"),
    ],
)
def test_a_command_that_cannot_work_is_refused_when_it_is_made(command, options, said):
    with pytest.raises(OptionError, match=said) as caught:
        build("command", {"command": command, "trainer": KernelRidge(), **options}, "mechanism")
    assert "\n" not in str(caught.value)


def test_an_unknown_program_and_records_that_are_no_images_are_refused(records):
    with pytest.raises(OptionError, match="no program is called 'no-such-program'"):
        CommandMechanism("no-such-program {input} {output}", KernelRidge()).resolve(records)
    table = LabeledDataset(records.inputs.flatten(1), records.labels, records.classes)
    with pytest.raises(OptionError, match=r"shape \(64,\) are not images"):
        CommandMechanism("true {input} {output}", KernelRidge(), layout="folder").resolve(table)


def test_no_shell_reads_the_words(mechanism, records, tmp_path):
    source = "import sys\nassert sys.argv[3:] == ['$HOME;', '*', '>', 'x']\n" + COPY
    mechanism(source, "{input} {output} '$HOME;' * > x").make(records, seed=0)
    assert not (tmp_path / "x").exists() and not Path("x").exists()


def test_the_fixed_number_per_class_is_held_to(mechanism, records):
    assert len(mechanism(COPY, ipc=4).make(records, seed=0)) == 12
    with pytest.raises(DatasetError, match="has 4 records of class 'b/x', but ipc says 5"):
        mechanism(COPY, ipc=5).make(records, seed=0)


def test_the_recipe_knows_the_program_by_its_content(mechanism, records, tmp_path):
    one = mechanism(COPY).resolve(records)
    assert from_recipe(recipe(one)) == one == one.resolve(records)
    assert one.title.startswith("command make it.py, then ")
    assert one.holds_real_records is None and one.guarantee is None
    script = tmp_path / "make it.py"
    script.write_text(COPY + "# changed\n")
    # The same time and size can hide a change only from a file that is replaced in place.
    assert mechanism(COPY + "# changed\n").resolve(records).program != one.program
    with pytest.raises(OptionError, match=r"make it\.py was changed after the audit"):
        one.make(records, seed=0)
    os.utime(script)
    assert mechanism(COPY).resolve(records).program == one.program


def test_a_file_named_in_an_option_is_part_of_the_program(mechanism, records, tmp_path):
    options = tmp_path / "options.toml"
    found = []
    for content in ("a", "b"):
        options.write_text(content)
        words = f"{{input}} {{output}} --config={options}"
        found.append(mechanism(COPY, words).resolve(records).program)
    assert found[0] != found[1]


def test_a_word_may_hold_a_placeholder_among_others(mechanism, records):
    source = "import sys, shutil\na, b = (w.split('=')[1] for w in sys.argv[1:])\nshutil.copy(a, b)"
    made = mechanism(source, "--in={input} --out={output}").make(records, seed=0)
    np.testing.assert_array_equal(made.inputs, records.inputs)
