"""Comparisons from the spec to the page: one plan for all, company, resuming, and what is shown."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.audit.images.copying import copying
from limbeck.audit.images.measures import L2
from limbeck.audit.result import Audit
from limbeck.cli.exits import Exit
from limbeck.errors import OptionError, StoreError
from limbeck.experiments import Comparison, Spec, compare, prepare
from limbeck.experiments import run as running
from limbeck.mechanism.pipeline import Pipeline
from limbeck.train.dp_sgd import DPSGD
from limbeck.types import Estimate

pytestmark = pytest.mark.usefixtures("whole_audits", "quick_attackers")

HOSTILE = "<script>alert(1)</script> & 'quoted'"
GIVEN: dict[str, Any] = {
    "data": {"source": "digits", "limit": 300},
    "trainer": "kernel-ridge",
    "audit": {
        "runs": 4,
        "utility_runs": 2,
        "canaries": 15,
        "ordinary": 0,
        "control": 10,
        "views": 1,
        "networks": 1,
    },
    "mechanisms": {
        HOSTILE: {"method": "random-subset", "options": {"ipc": 2}},
        "matching": {
            "method": "dm",
            "options": {"ipc": 2, "network": "convnet2", "width": 4, "steps": 2, "pairs": 2},
        },
        "dp-merf": {
            "method": "dp-merf",
            "options": {"ipc": 2, "features": 20, "steps": 2, "batch": 2, "width": 4},
        },
    },
}
ALONE = {**GIVEN, "company": False}


@pytest.fixture(scope="module", autouse=True)
def quick_dp_sgd() -> Any:
    """DP-SGD of four steps in place of a hundred: what it is worth is not the matter here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            running,
            "dp_sgd",
            lambda epsilons: [
                (e, Pipeline(None, DPSGD(multiplier=9 / e, epochs=1.0, width=2))) for e in epsilons
            ],
        )
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comparison") / "there"


@pytest.fixture(scope="module")
def found(folder: Path) -> Comparison:
    shares: list[float] = []
    done = compare(
        Spec.of({**GIVEN, "dp_sgd": [1.0, 30.0]}),
        folder,
        workers=1,
        progress=lambda share, _: shares.append(share),
    )
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    return done


def plans(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in sorted(folder.glob("mechanisms/*/plan.json"))]


def test_all_have_the_same_records_members_and_seeds(found: Comparison, folder: Path) -> None:
    shared = json.loads((folder / "plan.json").read_text())
    assert shared["hash"] == found.plan_hash and len(plans(folder)) == len(found.rows)
    for plan in plans(folder):
        for key in ("membership", "run_seeds", "roles", "half_b", "dataset", "control", "views"):
            assert plan[key] == shared[key]
    assert len({plan["hash"] for plan in plans(folder)}) == len(found.rows)


def test_the_company_is_there(found: Comparison) -> None:
    roles = [(row.name, row.role) for row in found.rows]
    assert roles[:4] == [
        *((name, "given") for name in GIVEN["mechanisms"]),
        ("full data", "full-data"),
    ]
    assert found.match is not None and found.match.reference == "matching"
    assert [one.epsilon for one in found.match.tried] == [1.0, 30.0]
    near = [
        one.epsilon
        for one in found.match.tried
        if one.utility.low <= found.match.wanted.high and found.match.wanted.low <= one.utility.high
    ]
    assert (found.match.chosen is None) == (not near)
    matched = [name for name, role in roles[4:] if role == "dp-sgd"]
    assert len(matched) == (0 if found.match.chosen is None else 1) == len(roles) - 4


def test_every_row_is_its_own_audit(found: Comparison, folder: Path) -> None:
    for row in found.rows:
        audit = Audit.load(folder / row.folder)
        subject = audit.subject
        assert subject.title == row.name and subject.runs == row.runs == 4
        assert row.utility == subject.utility and row.epsilon_lower == subject.epsilon_lower
        canaries = [a for a in subject.attacks if a.group == "canary"]
        best = max(canaries, key=lambda a: a.auc.value)
        assert (row.strongest.attack, row.strongest.signal) == (best.name, best.signal)
        assert (row.images is None) == (row.name == "full data" or row.role == "dp-sgd")
        assert row.cost.audit_seconds > 0 and row.cost.peak_mib > 10
        assert 0 < row.cost.release_seconds < row.cost.audit_seconds
    assert found.row(HOSTILE).holds_real_records and found.row("dp-merf").guarantee is not None
    with pytest.raises(KeyError, match="no mechanism 'other'"):
        found.row("other")


def test_copying_is_that_of_the_released_images(found: Comparison, folder: Path) -> None:
    # Real records come nearest to themselves; what was not made of records does no such thing.
    assert found.row(HOSTILE).copies[0].closer.value == 1.0
    planned = prepare(Spec.of(ALONE))
    member = next(m for m in planned.members if m.name == "matching")
    inside = np.setdiff1d(np.arange(len(planned.plan.data)), planned.plan.canary)
    release = member.example(folder)
    assert release is not None
    seen = copying(release, planned.plan.data.select(inside.tolist()), planned.test, [L2()])
    row = found.row("matching").copies[0]
    assert row.closer.plain() == seen.measured[0].closer
    assert row.expected == pytest.approx(seen.measured[0].expected)
    assert found.row("full data").copies == ()


def without_cost(folder: Path) -> dict[str, Any]:
    values = json.loads((folder / "comparison.json").read_text())
    return {**values, "rows": [{**row, "cost": None} for row in values["rows"]]}


def test_a_killed_comparison_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    subset, noise = GIVEN["mechanisms"][HOSTILE], {"method": "noise-images", "options": {"ipc": 2}}
    spec = Spec.of({**ALONE, "mechanisms": {"subset": subset}})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    compare(spec, whole, workers=1)

    for at in (0.2, 0.7):

        def stop(share: float, _: str, at: float = at) -> None:
            if share > at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compare(spec, parts, workers=1, progress=stop)
        assert not (parts / "comparison.json").exists()
    finished = {p: p.stat().st_mtime_ns for p in parts.rglob("*.safetensors")}
    assert len(finished) > 2
    compare(spec, parts, workers=1)
    assert all(p.stat().st_mtime_ns == was for p, was in finished.items())
    assert without_cost(parts) == without_cost(whole)
    names = {str(p.relative_to(whole)) for p in whole.rglob("*")}
    assert names == {str(p.relative_to(parts)) for p in parts.rglob("*")}
    assert Comparison.load(parts).dominance == Comparison.load(whole).dominance

    # Another mechanism joins; what is there is not run again. Another plan is refused.
    more = Spec.of({**ALONE, "mechanisms": {"subset": subset, "noise": noise}})
    stored = {p: p.stat().st_mtime_ns for p in parts.rglob("*.safetensors")}
    joined = compare(more, parts, workers=1)
    assert [row.name for row in joined.rows] == ["subset", "noise"]
    assert all(p.stat().st_mtime_ns == was for p, was in stored.items())
    other = Spec.of({**ALONE, "audit": {**GIVEN["audit"], "seed": 1}})
    with pytest.raises(StoreError, match="another plan"):
        compare(other, parts, workers=1)
    assert (parts / "comparison.json").exists()


class Tags(HTMLParser):
    """Every element of a page, with its attributes, and its text outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_small_escapes_names_and_asks_for_nothing(
    found: Comparison, folder: Path
) -> None:
    text = (folder / "comparison.html").read_text()
    assert len(text.encode()) < 3_000_000
    page = Tags(text)
    assert [tag for tag, _ in page.found].count("script") == 1
    assert HOSTILE in page.text and found.dominance in page.text
    links = [value for _, a in page.found for key, value in a.items() if key in ("src", "href")]
    local = [link for link in links if link is not None and not link.startswith("data:")]
    assert local == [f"{row.folder}/report.html" for row in found.rows]
    assert all((folder / link).is_file() for link in local)
    assert not re.search(r"https?://|@import|url\(", re.sub(r"data:[^\"]*", "", text))
    for row in found.rows:
        report = Tags((folder / row.folder / "report.html").read_text())
        assert "script" not in [tag for tag, _ in report.found]
        assert row.name in report.text
    own = Tags((folder / found.row("matching").folder / "report.html").read_text())
    assert HOSTILE in own.text and "full data" in own.text, "a mechanism stands beside its company"


def test_the_policy_of_the_page_allows_its_script_alone(found: Comparison, folder: Path) -> None:
    text = (folder / "comparison.html").read_text()
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    told = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{told}'" in text
    assert "default-src 'none'" in text


def test_what_cannot_be_compared_is_named() -> None:
    big = {"method": "random-subset", "options": {"ipc": 29}}
    with pytest.raises(OptionError, match=r"^mechanisms\.big: .*needs 29 of each class"):
        prepare(Spec.of({**ALONE, "mechanisms": {"big": big}}))


def test_company_that_cannot_be_had_is_a_note() -> None:
    many = {"method": "noise-images", "options": {"ipc": 29}}
    planned = prepare(Spec.of({**GIVEN, "mechanisms": {**GIVEN["mechanisms"], "noise": many}}))
    assert [m.role for m in planned.members] == ["given"] * 4 + ["full-data"]
    [note] = planned.notes
    assert note.startswith("Company that could not be added: random subset, 29 per class")


def test_damaged_comparisons_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Comparison.load(tmp_path)
    (tmp_path / "comparison.json").write_text('{"rows": []}')
    with pytest.raises(StoreError, match="damaged or of another version"):
        Comparison.load(tmp_path)


def test_the_command_shows_what_is_there(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(
        'data = { source = "digits", limit = 200 }\ntrainer = "kernel-ridge"\ncompany = false\n'
        "[audit]\nruns = 4\nutility_runs = 2\ncanaries = 12\nordinary = 0\ncontrol = 4\nviews = 1\n"
        '[mechanisms.noise]\nmethod = "noise-images"\noptions = { ipc = 1 }\n'
    )
    place = tmp_path / "out"
    code, out, err = run("compare", spec, "-o", place, "--workers", "1")
    assert code == Exit.OK, err
    assert out.startswith("No mechanism dominates") and "comparison.html" in out
    assert err.startswith("10 canaries are planted, not 12: at most 5% of 200 records")
    assert "\ncost: about" in err
    code, out, err = run("compare", spec, "-o", place, "--workers", "1", "--json")
    assert code == Exit.OK and "noise" in json.loads(out)["rows"][0]["name"]
    assert "cost: about" not in err, "all of it is there: nothing is timed"
    spec.write_text(spec.read_text().replace("noise-images", "nonesuch"))
    code, out, err = run("compare", spec, "-o", place)
    assert (code, out) == (Exit.USAGE, "") and err.count("\n") == 1
    assert err.startswith(f"error: {spec}: mechanisms.noise: ")
    code, out, err = run("compare", tmp_path / "none.toml", "-o", place)
    assert (code, out) == (Exit.USAGE, "") and err.count("\n") == 1
    code, out, err = run("compare", spec, "-o", spec)
    assert (code, out) == (Exit.USAGE, "") and "this is a file" in err


def test_estimates_are_nearest_among_those_that_meet() -> None:
    from limbeck.experiments.company import matched

    def estimate(value: float, half: float) -> Estimate:
        return Estimate(value, value - half, value + half, 3)

    tried = [estimate(0.5, 0.05), estimate(0.8, 0.05), estimate(0.9, 0.1), estimate(0.97, 0.01)]
    assert matched(estimate(0.83, 0.02), tried) == 1
    assert matched(estimate(0.88, 0.02), tried) == 2
    assert matched(estimate(0.3, 0.02), tried) is None
    assert matched(Estimate(0.5), tried) is None
