"""Audits from plan to evidence, small: resume, keys, workers, and the bytes they leave."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from limbeck.audit import Audit, audit, prepare, shadow
from limbeck.audit.presets import Preset
from limbeck.audit.provenance import without_paths
from limbeck.audit.store import Store
from limbeck.errors import OptionError, StoreError
from limbeck.mechanism.base import Mechanism, Release
from limbeck.mechanism.pipeline import Pipeline
from limbeck.recipe import options, recipe
from limbeck.synthesize.condense.distribution_matching import DistributionMatching
from limbeck.synthesize.generate.noise import NoiseImages
from limbeck.synthesize.select.random_subset import RandomSubset
from limbeck.train.base import Classifier
from limbeck.train.kernel_ridge import KernelRidge
from limbeck.train.standard import Standard

pytestmark = pytest.mark.usefixtures("whole_audits")

SIZES = Preset(
    runs=6,
    company_runs=4,
    utility_runs=2,
    canaries=20,
    ordinary=30,
    control=10,
    views=2,
    networks=1,
)
CONDENSED = Pipeline(
    DistributionMatching(ipc=2, network="convnet2", width=4, steps=3, pairs=2), KernelRidge()
)
WITHOUT_IMAGES = replace(SIZES, control=1)
"""One record that is never in is too few to attack released images with, which takes longest."""


@pytest.fixture(scope="module")
def data(digits):
    private, test = digits
    return private.select(range(400)), test.select(range(60))


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The folder of a finished audit by one process: whoever changes anything takes a copy."""
    folder = tmp_path_factory.mktemp("finished") / "audit"
    audit(CONDENSED, *data, store=folder, preset=SIZES, workers=1, company=False)
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copied")


def chunks(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("private/*.safetensors")}


def test_an_audit_leaves_evidence_of_the_subject_and_its_company(data, tmp_path):
    seen = []
    done = audit(
        CONDENSED,
        *data,
        store=tmp_path,
        preset=SIZES,
        workers=1,
        progress=lambda share, what: seen.append((share, what)),
    )
    roles = [subject.role for subject in done.evidence.subjects]
    assert roles == ["subject", "random-subset", "full-data"]
    assert [subject.runs for subject in done.evidence.subjects] == [6, 4, 4]
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    canary, ordinary = done.evidence.subjects[1].kept
    assert canary.share.low < 20 / 380 < canary.share.high, "a random subset keeps its own share"
    assert (canary.group, ordinary.group) == ("canary", "ordinary")
    assert all(kept.share.value == 0 for kept in done.subject.kept), "a real start moved"
    subject = done.subject
    assert subject.holds_real_records and subject.guarantee is None
    assert subject.utility.trials == 2 and 0.1 < subject.utility.value <= 1
    assert {attack.group for attack in subject.attacks} == {"canary", "ordinary"}
    assert done.tpr_at(0.1) == subject.attack("lira").operating[0].tpr.plain()
    assert done.epsilon_lower_bound().value >= 0
    assert [start.measure for start in subject.starts] == ["l2", "ssim", "embedding"]
    # Two utility runs of twenty images, which three steps hardly moved.
    assert subject.starts[0].hit_at_1.trials == 40
    assert subject.starts[0].hit_at_1.low > subject.starts[0].chance
    with pytest.raises(OptionError, match=r"no TPR was measured at FPR 0\.5; there is: 0\.1"):
        done.tpr_at(0.5)
    assert (tmp_path / "preview.png").read_bytes().startswith(b"\x89PNG")
    again = Audit.load(tmp_path)
    assert again.evidence == done.evidence and again.cost == done.cost
    for cost in done.cost["subjects"].values():
        assert cost["cpu_seconds"] >= 0 and cost["peak_memory_mib"] > 10


def test_same_plan_same_bytes_with_one_worker_or_two(data, finished, tmp_path):
    two = audit(
        CONDENSED,
        *data,
        store=tmp_path,
        preset=SIZES,
        workers=2,
        memory=64 << 30,
        company=False,
    )
    assert two.cost["workers"] == 2, "so much memory limits nobody"
    assert (tmp_path / "evidence.json").read_bytes() == (finished / "evidence.json").read_bytes()


def test_evidence_holds_no_time_and_no_path(finished):
    assert finished.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (finished / "private").iterdir())
    text = (finished / "evidence.json").read_text()
    assert str(finished.parent) not in text and "/" not in json.loads(text)["dataset"]["name"]
    assert "seconds" not in text and time.strftime("%Y-") not in text


def test_a_finished_chunk_is_never_computed_again(data, copied):
    evidence, before = (copied / "evidence.json").read_bytes(), chunks(copied)
    lost = next(name for name in before if "signals" in load_file(copied / "private" / name))
    (copied / "private" / lost).unlink()
    (copied / "private" / ".tmp-half-written").write_bytes(b"cut short")
    audit(CONDENSED, *data, store=copied, preset=SIZES, workers=1, company=False)
    after = chunks(copied)
    assert {name for name in before if before[name] != after[name]} <= {lost}
    assert set(after) == set(before)
    assert (copied / "evidence.json").read_bytes() == evidence
    assert not list(copied.glob("private/.tmp-*"))


def test_a_changed_option_never_finds_the_signals_of_another(data):
    def keys(mechanism=CONDENSED, seed=0, sizes=SIZES, canary="mislabelled", records=data[0]):
        session = prepare(
            mechanism, records, data[1], preset=sizes, canary=canary, company=False, seed=seed
        )
        return set(session.scheduler.keys(session.audited[0]))

    base = keys()
    assert keys() == base and len(base) == 5
    synthesizer = CONDENSED.synthesizer
    variants = [
        keys(Pipeline(replace(synthesizer, steps=4), KernelRidge())),
        keys(Pipeline(replace(synthesizer, public_coins=1), KernelRidge())),
        keys(Pipeline(synthesizer, KernelRidge(depth=1))),
        keys(Pipeline(RandomSubset(2), KernelRidge())),
        keys(seed=1),
        keys(sizes=replace(SIZES, views=1)),
        keys(canary="out-of-distribution"),
        keys(records=data[0].select(range(1, 400))),
    ]
    everything = [key for found in (base, *variants) for key in found]
    assert len(everything) == len(set(everything))


def test_a_folder_of_another_plan_is_refused_unless_it_may_go(data, copied):
    before = chunks(copied)
    with pytest.raises(StoreError, match="audit of another plan"):
        audit(CONDENSED, *data, store=copied, preset=SIZES, workers=1, company=False, seed=1)
    assert chunks(copied) == before
    done = audit(
        Pipeline(RandomSubset(1), KernelRidge()),
        *data,
        store=copied,
        preset=WITHOUT_IMAGES,
        workers=1,
        company=False,
        overwrite=True,
    )
    assert json.loads((copied / "plan.json").read_text())["hash"] == done.evidence.plan_hash
    assert Audit.load(copied).evidence == done.evidence
    assert not before.keys() & chunks(copied).keys()


def test_overwriting_leaves_nothing_of_the_other_plan(copied):
    old, store = chunks(copied), Store(copied)
    store.begin({"hash": "another"}, overwrite=True)
    assert old and not chunks(copied) and not (copied / "evidence.json").exists()
    (copied / "plan.json").write_text("[]")
    with pytest.raises(StoreError, match="another plan"):
        store.begin({"hash": "x"}, overwrite=False)
    (copied / "plan.json").write_text("{")
    with pytest.raises(StoreError, match=r"plan\.json is damaged .*--force"):
        store.begin({"hash": "x"}, overwrite=False)
    store.begin({"hash": "x"}, overwrite=True)
    assert json.loads((copied / "plan.json").read_text()) == {"hash": "x"}


def test_other_test_data_is_another_plan(data):
    """Utility is measured on all of the test data, so all of it is part of the plan."""
    private, test = data
    changed = test.labels.clone()
    session = prepare(CONDENSED, private, test, preset=SIZES, company=False)
    outside = [i for i in range(len(test)) if not _among(test.inputs[i], session.plan.control)]
    changed[outside] = (changed[outside] + 1) % 10
    other = prepare(CONDENSED, private, replace(test, labels=changed), preset=SIZES, company=False)
    assert len(outside) == 50
    assert session.plan.control.fingerprint() == other.plan.control.fingerprint()
    assert session.described["hash"] != other.described["hash"]


def _among(record, data):
    return bool((data.inputs == record).flatten(1).all(1).any())


def test_what_the_coins_would_make_fail_is_refused_beforehand(data):
    sizes = replace(SIZES, canaries=1, runs=2)
    with pytest.raises(OptionError, match="plan more runs or canaries"):
        prepare(CONDENSED, *data, preset=sizes, company=False)
    many = Pipeline(DistributionMatching(ipc=30, init="noise", pairs=2), KernelRidge())
    with pytest.raises(OptionError, match="company that can be left out"):
        prepare(many, *data, preset=replace(SIZES, ordinary=180))
    prepare(many, *data, preset=replace(SIZES, ordinary=180), company=False)


def test_the_estimate_serves_large_sets(data):
    method = DistributionMatching(ipc=25, network="convnet1", width=2, steps=1, pairs=1)
    session = prepare(Pipeline(method, KernelRidge()), *data, preset=SIZES, company=False)
    assert len(session.estimate()) == 1


def test_a_release_that_the_recipe_did_not_make_is_flagged(data, tmp_path):
    pipeline = Pipeline(RandomSubset(5), KernelRidge())
    own = RandomSubset(5).synthesize(data[0], seed=3)
    false = replace(own, labels=(own.labels + 1) % 10)
    sizes = replace(WITHOUT_IMAGES, utility_runs=6)
    session = prepare(pipeline, *data, preset=sizes, company=False, released=own)
    found = session.execute(tmp_path, workers=1).subject.flags
    assert "target-unlike-shadows" not in {flag.name for flag in found}
    # The same shadow runs beside another release.
    found = replace(session, released=false).execute(tmp_path, workers=1).subject.flags
    assert "target-unlike-shadows" in {flag.name for flag in found}


def test_runs_do_not_depend_on_how_they_are_put_into_chunks(data, finished, tmp_path, monkeypatch):
    # Five runs and one, where it was two, two and two.
    monkeypatch.setitem(sys.modules["limbeck.audit.chunks"]._CHUNK, "cpu", 5)
    audit(CONDENSED, *data, store=tmp_path, preset=SIZES, workers=1, company=False)
    assert len(chunks(tmp_path)) < len(chunks(finished))
    assert (tmp_path / "evidence.json").read_bytes() == (finished / "evidence.json").read_bytes()


def test_the_undefended_network_is_caught_and_an_idle_mechanism_is_not(data, tmp_path):
    sizes = replace(SIZES, runs=16, ordinary=100)
    network = Standard("mlp", "full", steps=150)
    caught = audit(
        Pipeline(None, network),
        *data,
        store=tmp_path / "a",
        preset=sizes,
        workers=1,
        company=False,
    )
    assert caught.subject.attack("lira").auc.value > 0.9
    assert caught.subject.positive_control.auc.value > 0.6
    idle = audit(
        Pipeline(NoiseImages(1), KernelRidge()),
        *data,
        store=tmp_path / "b",
        preset=replace(sizes, runs=8),
        workers=1,
        company=False,
    )
    assert idle.evidence.verdict.outcome != "leak"
    area = idle.subject.attack("lira").auc
    assert area.low <= 0.5 <= area.high


def test_a_mechanism_without_classifier_is_refused(data):
    with pytest.raises(OptionError, match="give the pipeline a trainer"):
        prepare(Pipeline(RandomSubset(1)), *data, preset=SIZES)


def test_damaged_and_missing_audits_are_named_in_one_line(data, tmp_path):
    with pytest.raises(StoreError, match="no finished audit"):
        Audit.load(tmp_path)
    (tmp_path / "evidence.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        Audit.load(tmp_path)
    (tmp_path / "evidence.json").write_text('{"schema_version": 99}')
    with pytest.raises(StoreError, match="of another version"):
        Audit.load(tmp_path)
    store = Store(tmp_path / "s")
    store.begin({"hash": "x"}, overwrite=False)
    (tmp_path / "s" / "private" / "k.safetensors").write_bytes(b"no tensors")
    with pytest.raises(StoreError, match="delete it"):
        store.read("k")


def test_memory_limits_the_workers(data, tmp_path):
    quick = prepare(Pipeline(RandomSubset(1), KernelRidge()), *data, preset=SIZES, company=False)
    with pytest.raises(OptionError, match="allow more, or audit a slice"):
        quick.execute(tmp_path, workers=2, memory=1 << 20)
    assert not list(tmp_path.iterdir())


def test_the_estimate_is_of_the_right_order(data):
    """The cost named beforehand is what is then spent, within a factor of five."""
    session = prepare(CONDENSED, *data, preset=SIZES, company=False)
    (estimate,) = session.estimate().values()
    assert estimate.rows == 8
    assert 0.01 < estimate.cpu_seconds < 60


KILLED = """
import os, signal, threading
import limbeck
from limbeck.audit import audit
from limbeck.audit.presets import Preset
from limbeck.synthesize.select.random_subset import RandomSubset
private, test = limbeck.load("digits")
sizes = Preset({sizes})
pipeline = limbeck.Pipeline(RandomSubset(2), limbeck.Standard("mlp", steps=60))
def kill(share, what):
    if share > {share}:
        threading.Timer({delay}, os.killpg, (os.getpgrp(), signal.SIGKILL)).start()
audit(pipeline, private.select(range(400)), test.select(range(60)), store={store!r}, preset=sizes,
      workers={workers}, company=False, progress=kill)
"""


def test_killed_three_times_it_ends_with_the_same_evidence(data, tmp_path):
    sizes = replace(WITHOUT_IMAGES, runs=24)
    pipeline = Pipeline(RandomSubset(2), Standard("mlp", steps=60))
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    audit(pipeline, *data, store=whole, preset=sizes, workers=1, company=False)
    random = np.random.default_rng(0)
    finished: dict[str, int] = {}
    # With all of its workers, at any moment soon after a chunk.
    for share, workers in ((0.05, 2), (0.3, 1), (0.55, 1)):
        program = KILLED.format(
            sizes="24, 4, 2, 20, 30, 1, 2, 1",
            store=str(folder),
            share=share,
            delay=random.uniform(0, 0.1),
            workers=workers,
        )
        process = subprocess.run([sys.executable, "-c", program], start_new_session=True)
        assert process.returncode == -signal.SIGKILL, "it was killed in mid-audit"
        now = chunks(folder)
        assert finished.items() < now.items(), "a finished chunk was run again"
        finished = now
    audit(pipeline, *data, store=folder, preset=sizes, workers=1, company=False)
    assert finished.items() < chunks(folder).items(), "a finished chunk was run again"
    assert (folder / "evidence.json").read_bytes() == (whole / "evidence.json").read_bytes()


def test_a_dask_cluster_that_loses_a_worker_gives_the_same_evidence(data, tmp_path):
    distributed = pytest.importorskip("distributed")
    sizes = replace(SIZES, runs=16)
    pipeline = Pipeline(RandomSubset(2), Standard("mlp", steps=60))
    here = audit(pipeline, *data, store=tmp_path / "here", preset=sizes, workers=1, company=False)
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=":0",
        silence_logs="CRITICAL",
    ) as cluster:
        lost = []

        def kill_one(share, what):
            if share > 0.2 and not lost:
                worker = cluster.workers[0]
                os.kill(worker.process.process.pid, signal.SIGKILL)
                lost.append(worker)

        there = audit(
            pipeline,
            *data,
            store=tmp_path / "there",
            preset=sizes,
            company=False,
            cluster=cluster.scheduler_address,
            progress=kill_one,
        )
    assert lost, "no worker was killed"
    assert there.evidence == here.evidence


STOPPING = replace(SIZES, runs=16, ordinary=0, views=1)


def test_an_audit_that_may_stop_early_makes_no_more_runs_than_show_the_leak(data, tmp_path):
    undefended = Pipeline(None, KernelRidge())
    options = {"preset": STOPPING, "workers": 1, "company": False, "stop_early": True}
    seen = []
    done = audit(
        undefended,
        *data,
        store=tmp_path,
        progress=lambda share, what: seen.append(share),
        **options,
    )
    looks = done.subject.looks
    assert (looks.runs, looks.taken, looks.share) == ((8, 16), 1, 0.5)
    assert looks.stopped and done.subject.runs == 8 and seen[-1] == 1.0
    # Four chunks of two runs, the utility runs and the (empty) reading; nothing of the other half.
    assert len(chunks(tmp_path)) == 4 + 1 + 1
    assert done.evidence.verdict.outcome == "leak"
    assert any("Stopped after 8 of 16 runs" in r for r in done.evidence.verdict.reasons)
    assert "(97.5%)" in done.evidence.verdict.reasons[1], "the bound's confidence, not rounded up"
    # Whatever is said holds at both looks together.
    levels = {a.auc.level for a in done.subject.attacks} | {done.subject.epsilon_lower.level}
    levels |= {a.curve.level for a in done.subject.attacks}
    levels |= {done.subject.utility_with_canaries.level}
    assert levels == {0.975}
    planned = json.loads((tmp_path / "plan.json").read_text())
    assert [look["runs"] for look in planned["looks"]] == [8, 16]
    # Killed and resumed, it takes the same looks.
    before = (tmp_path / "evidence.json").read_bytes()
    (tmp_path / "evidence.json").unlink()
    for name in sorted(chunks(tmp_path))[:3]:
        (tmp_path / "private" / name).unlink()
    audit(undefended, *data, store=tmp_path, **options)
    assert (tmp_path / "evidence.json").read_bytes() == before
    assert len(chunks(tmp_path)) == 6


class Drawn(Classifier):
    """Answers with noise of the run, whatever it was trained on."""

    def __init__(self, seed):
        self.seed = seed

    def logits(self, inputs):
        return torch.randn(len(inputs), 10, generator=torch.Generator().manual_seed(self.seed))


@options
class Deaf(Mechanism):
    """Reads nothing of the private data."""

    method_name = "deaf"

    def run(self, private, *, seed, device="cpu"):
        return Release(classifier=Drawn(seed))


def test_an_audit_that_sees_nothing_goes_on_to_the_end(data, tmp_path):
    silent = Deaf()
    done = audit(
        silent,
        *data,
        store=tmp_path,
        preset=STOPPING,
        workers=1,
        company=False,
        stop_early=True,
        attacks=["loss-threshold-per-class", "rmia-offline"],
    )
    assert {"loss-threshold-per-class", "rmia-offline"} <= {a.name for a in done.subject.attacks}
    assert done.subject.looks.taken == 2 and not done.subject.looks.stopped
    assert done.subject.runs == 16 and done.evidence.verdict.outcome != "leak"
    with pytest.raises(OptionError, match="6 runs leave no look"):
        prepare(silent, *data, preset=SIZES, company=False, stop_early=True)


def test_further_attacks_are_part_of_the_plan_and_whole_answers_of_what_is_stored(data):
    quick = Pipeline(RandomSubset(1), KernelRidge())
    plain, more = (
        prepare(quick, *data, preset=SIZES, company=False, attacks=attacks)
        for attacks in ((), ("shokri",))
    )
    assert plain.described["hash"] != more.described["hash"]
    assert [a["method"] for a in more.described["attacks"]][-1] == "shokri"
    job = shadow.Job.of(
        quick, more.plan, data[1], key="k", control_shift=1.0, device="cpu", softmax=True
    )
    assert more.scheduler.softmax and not plain.scheduler.softmax
    stored = shadow.run(job, shadow.Chunk("key", (0,))).values["softmax"]
    assert stored.shape == (1, len(more.plan.groups), 10) and stored.dtype == np.float32
    np.testing.assert_allclose(stored.sum(2), 1, atol=1e-5)
    with pytest.raises(OptionError, match="no attack is called 'sokri'"):
        prepare(quick, *data, preset=SIZES, company=False, attacks=["sokri"])


def test_a_recipe_in_the_evidence_names_files_without_their_folders():
    command = (
        "python /home/ann/make.py --in {input} --config=/etc/c.toml 'C:\\my files\\x.bin' ../y"
    )
    told = without_paths({"method": "command", "options": {"command": command, "ipc": 3}})
    assert told["options"] == {
        "command": "python make.py --in {input} --config=c.toml 'x.bin' y",
        "ipc": 3,
    }
    plain = recipe(CONDENSED)
    assert without_paths(plain) == plain
