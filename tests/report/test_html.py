import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

import limbeck.report
from limbeck.audit.evidence import (
    Check,
    Claim,
    Estimate,
    Evidence,
    Precision,
    Released,
    Risk,
    Start,
)
from limbeck.data.synthetic import SyntheticDataset
from limbeck.errors import StoreError
from limbeck.privacy.composition import Part
from limbeck.privacy.gaussian import mu_of
from limbeck.privacy.statement import Statement
from limbeck.report import render, report
from limbeck.report.headline import headline, headline_fpr
from limbeck.report.share import coarse, scrubbed
from limbeck.report.templates import flat
from limbeck.types import Guarantee

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "img", "path", "circle", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """A page's tags, addresses, ids, headings and visible text; fails on unbalanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.text += " " if tag in ("th", "td", "dt", "dd") else ""
        self.addresses += [v for k, v in attributes if k.split(":")[-1] in ("src", "href")]
        self.addresses += [v for k, v in attributes if k in ("action", "data", "poster", "srcset")]
        self.ids += [given["id"]] if "id" in given else []
        self.images += [given] if tag == "img" else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not self._open or self._open[-1] not in ("style", "script"):
            self.text += data


def words(text: str) -> str:
    return re.sub(r"\s+", " ", Page(text).text)


def change(evidence: Evidence, index: int = 0, **changes) -> Evidence:
    subjects = list(evidence.subjects)
    subjects[index] = subjects[index].model_copy(update=changes)
    return evidence.model_copy(update={"subjects": tuple(subjects)})


def test_page_says_what_the_evidence_says_in_order(evidence, page):
    text = words(page)
    expected = [
        "Distribution matching, 10 per class",
        "Internal.",
        "No leak found",
        evidence.verdict.headline,
        evidence.verdict.reasons[1],
        "What was tested, and what was not",
        evidence.verdict.not_tested[1],
        "What would be released",
        "pullover",
        "Could someone be recognised?",
        "not resolvable",
        "Compared with the alternatives",
        "78.3% [77.1%, 79.5%]",
        "no formal guarantee",
        "1 h 2 min",
        "not measured",  # the cost of the full data
        "Reasons for caution",
        "canaries not learnt",
        "Null self-test: passed",
        "0.502 [0.491, 0.513]",
        "Positive control: passed",
        "Provenance",
        evidence.plan_hash,
        "synthesizer: ipc 10",
        "Words",
        "Canary",
    ]
    at = 0
    for part in expected:
        found = text.find(part, at)
        assert found >= 0, f"{part!r} is missing after {text[max(0, at - 40) : at]!r}"
        at = found


def test_images_that_are_kept_back_are_not_called_released(evidence, page):
    kept_back = words(render(change(evidence, releases_images=False)))
    assert "The classifier alone is released." in kept_back
    assert "What would be released" not in kept_back
    assert "The classifier alone is released." not in words(page)


@pytest.mark.parametrize("outcome", ["leak", "none-found", "unclear"])
def test_each_verdict_has_its_word_icon_and_caution(evidence, outcome):
    verdict = evidence.verdict.model_copy(update={"outcome": outcome})
    page = render(evidence.model_copy(update={"verdict": verdict}))
    box = page.partition('<section class="verdict')[2].partition("</section>")[0]
    wanted = {"leak": "Leak found", "none-found": "not proof", "unclear": "Do not read this as"}
    assert wanted[outcome] in re.sub(r"\s+", " ", box)
    assert "<svg" in box


def test_every_word_of_a_user_is_escaped(evidence, synthetic):
    hostile = json.loads(evidence.model_dump_json())
    hostile["dataset"] = {"name": EVIL, EVIL: [EVIL]}
    hostile["plan"] = {EVIL: EVIL, "roles": {EVIL: 3}}
    hostile["plan_hash"] = EVIL
    hostile["versions"] = {EVIL: EVIL}
    hostile["verdict"].update(headline=EVIL, reasons=[EVIL], not_tested=[EVIL])
    for subject in hostile["subjects"]:
        subject["title"] = EVIL + '" onload="alert(2) $\\frac{'
        subject["recipe"] = {"method": EVIL, "options": {EVIL: EVIL}}
        subject["guarantee"] = {"epsilon": EVIL, "delta": 1e-5, "unit": EVIL}
        subject["flags"] = [{"name": EVIL, "severity": "warning", "sentence": EVIL}]
        subject["null_test"]["sentence"] = EVIL
        for attack in subject["attacks"]:
            attack["name"] = EVIL
    named = SyntheticDataset(synthetic.inputs, synthetic.labels, (EVIL, '"><img src=x>', "'", "&"))
    for share in (False, True):
        page = render(
            Evidence.model_validate(hostile),
            cost={"machine": EVIL, EVIL: {"cpu_seconds": 1.0}},
            synthetic=named,
            share=share,
        )
        parsed = Page(page)
        assert "script" not in parsed.tags
        assert EVIL in parsed.text
        assert all("onload" not in image for image in parsed.images)
        assert all(image["src"].startswith("data:image/") for image in parsed.images)


def test_no_address_leaves_the_file(page):
    parsed = Page(page)
    assert len(parsed.addresses) > 5
    assert all(address.startswith(("data:image/", "#")) for address in parsed.addresses)
    assert "script" not in parsed.tags and "link" not in parsed.tags and "iframe" not in parsed.tags
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in page


def test_pictures_and_headings_can_be_read_aloud(page):
    parsed = Page(page)
    levels = [int(tag[1]) for tag in parsed.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert all("alt" in image for image in parsed.images)
    assert (
        sum(bool(image["alt"]) for image in parsed.images) == 4 + 2 + 1
    )  # strips, ROCs, trade-off
    assert len(parsed.ids) == len(set(parsed.ids))
    assert '<html lang="en">' in page


def test_the_page_prints_and_fits_a_phone(page):
    for rule in ("@media print", "@page", "break-inside: avoid", "table-header-group", "max-width"):
        assert rule in page
    assert 'content="width=device-width' in page
    # Each wide table has a box of its own to scroll in, reachable by keyboard.
    assert page.count('<div class="scroll" role="region" tabindex="0"') == page.count(
        "</table></div>"
    )


def test_a_big_set_stays_under_two_megabytes(evidence):
    coins = torch.Generator().manual_seed(0)
    noise = torch.rand(2000, 3, 64, 64, generator=coins)
    classes = tuple(f"class {i}" for i in range(100))
    page = render(evidence, synthetic=SyntheticDataset(noise, torch.arange(2000) % 100, classes))
    assert len(page.encode()) < 2_000_000
    assert "the first 20 classes" in page


def test_same_evidence_same_bytes(evidence, cost, synthetic, page):
    reread = Evidence.model_validate_json(evidence.model_dump_json())
    assert render(reread, cost=cost, synthetic=synthetic) == page


def test_absent_numbers_are_words_and_never_nan(evidence):
    nothing = Estimate(value=math.nan)
    blank = Check(passed=False, auc=nothing, expected_auc=math.nan, sentence="Not run.")
    for i in range(len(evidence.subjects)):
        attacks = tuple(
            a.model_copy(
                update={
                    "auc": nothing,
                    "balanced_accuracy": nothing,
                    "advantage": nothing,
                    "operating": tuple(
                        p.model_copy(update={"tpr": nothing, "realised_fpr": nothing})
                        for p in a.operating
                    ),
                }
            )
            for a in evidence.subjects[i].attacks
        )
        evidence = change(
            evidence,
            i,
            attacks=attacks if i else (),
            utility=nothing,
            utility_with_canaries=nothing,
            epsilon_lower=nothing,
            detectable_tpr=math.nan,
            delta=math.nan,
            null_test=blank,
            positive_control=blank,
            guarantee={"epsilon": math.inf, "delta": math.nan},
        )
    page = render(evidence, cost={"Full data": {"cpu_seconds": math.nan}})
    visible = words(page)
    drawn = re.sub(r"base64,[^\"]*", "", page)
    assert not re.search(r"\b(NaN|nan|inf|None)\b", visible)
    assert not re.search(r"\bnan\b", drawn, re.I)
    assert "not measured" in visible
    assert "Null self-test: failed" in visible
    assert "not attacked" in visible


def test_a_value_without_interval_or_trials_says_so(evidence):
    page = render(change(evidence, utility=Estimate(value=0.7)))
    assert "70.0% (no interval, number of trials not recorded)" in words(page)


def test_unresolvable_rates_print_no_value(evidence):
    attack = (subject := evidence.subjects[0]).attack("lira")
    wrong = Estimate(value=0.4321, low=0.42, high=0.44, trials=5)
    points = (*attack.operating[:2], attack.operating[2].model_copy(update={"tpr": wrong}))
    assert not points[2].resolvable
    changed = attack.model_copy(update={"operating": points})
    page = words(render(change(evidence, attacks=(changed, *subject.attacks[2:]))))
    assert "43.2" not in page
    assert "not resolvable under 10 false alarms expected 3 of 3,200 false alarms" in page


def test_the_page_speaks_of_one_percent_only_where_that_is_resolvable(evidence, page):
    subject, subset, _ = (s.attack("lira") for s in evidence.subjects)
    assert headline_fpr([subject]) == 0.01
    assert headline_fpr([subject, subset]) == 0.1  # 800 negatives: eight false positives at 1%
    assert headline_fpr([]) == 0.01
    assert "Planted records recognised, at 1% false alarms" in words(page)


def test_the_strongest_attack_is_the_one_shown(evidence, page):
    subject = evidence.subjects[0]
    assert headline(subject) is subject.attack("lira")
    assert headline(subject, "ordinary") is subject.attack("lira", group="ordinary")
    assert headline(subject, "control") is None
    assert "Strongest attack LiRA logit margin LiRA logit margin" in words(page)
    assert page.count("▸ drawn above") == 2 * len(evidence.subjects)  # on paper, shades are lost


def test_a_guarantee_is_stated_with_its_terms(evidence):
    given = {"epsilon": 1.0, "delta": 1e-5, "adjacency": "add-remove", "unit": "record"}
    assert "ε = 1, δ = 0.00001 (add-remove, per record)" in words(
        render(change(evidence, guarantee=given))
    )


def test_a_claim_that_adds_up_releases_or_is_of_a_slice_says_so(evidence):
    own = Guarantee(1.0, 1e-5, mu=mu_of(1.0, 1e-5))
    chain = Statement.of(own, name="second", owed=[Part("first", own)]).claim
    page = words(render(change(evidence, guarantee=chain)))
    assert "the sum of 2 releases, of which this one's own is ε = 1, δ = 0.00001" in page
    assert "ε at δ: " in page and " at 1e-12" in page
    sliced = Statement.of(own, name="x", limit=70).claim
    page = words(render(change(evidence, guarantee=sliced)))
    assert "about all the data, of which at most 70 records were kept" in page
    rounded = {"epsilon": 1.00049, "delta": 1.00049e-5}
    assert "ε = 1.001, δ = 0.00001001" in words(render(change(evidence, guarantee=rounded)))


def test_a_release_of_real_records_is_called_that(evidence, page):
    assert "Holds real records." not in page
    assert "Holds real records." in render(change(evidence, holds_real_records=True))


def test_shared_edition_keeps_aggregates_only(evidence, cost, synthetic):
    open_recipe = {
        "method": "command",
        "options": {"command": "/home/ann/run.sh --fast", "seed": 4242, "steps": 20000},
    }
    few = ("On canaries 0.3% were named at 0.1% false alarms (3 of 3,200).", "It leaks little.")
    verdict = evidence.verdict.model_copy(update={"reasons": few})
    evidence = change(evidence, recipe=open_recipe).model_copy(update={"verdict": verdict})
    inside = render(evidence, synthetic=synthetic)
    outside = render(evidence, cost=cost, synthetic=synthetic, share=True)
    secrets = ("77,123", "4,242", "/home/ann", "60,123", "57,500", "beef" * 16, "cafe" * 16)
    secrets += ("991", evidence.plan_hash, "(3 of 3,200)")
    for secret in secrets:
        assert secret in inside
        assert secret not in outside
    assert "image/png" in inside and "image/png" not in outside
    assert "Shared edition: aggregates only." in outside and "Internal." not in outside
    visible = words(outside)
    assert "about 60,000" in visible
    assert "ordinary about 2,000" in visible and "canary about 50" in visible
    assert not re.search(r"[\d,]+ of\s[\d,]+ false alarms", visible), "no exact count"
    assert "It leaks little." in visible
    assert "steps 20,000" in visible  # an option of the mechanism, not a count of records
    assert "not resolvable under 10 false alarms expected" in visible
    assert "expected 3 of 3,200 false alarms" in words(inside)
    assert "expected 3 of" not in visible
    assert "11.7% [9.5%, 14.0%]" in visible.replace("\u00a0", " ")


def test_recipes_read_as_keys_and_values(evidence):
    assert flat(evidence.subjects[0].recipe) == [
        ("method", "pipeline"),
        ("synthesizer", "dm"),
        ("synthesizer: ipc", "10"),
        ("synthesizer: init", "noise"),
        ("synthesizer: steps", "2,000"),
        ("synthesizer: public coins", "yes"),
        ("trainer", "standard"),
        ("trainer: network", "convnet3"),
    ]
    assert flat({"method": "none", "options": {}}) == [("method", "none")]
    assert flat({"a": {"method": "x", "options": {}}}) == [("a", "x")]


def test_report_reads_an_audit_folder(tmp_path, evidence, cost, synthetic, page):
    (tmp_path / "evidence.json").write_text(evidence.model_dump_json(), encoding="utf-8")
    (tmp_path / "cost.json").write_text(json.dumps(cost), encoding="utf-8")
    synthetic.save(tmp_path / "release")
    written = report(tmp_path, tmp_path / "pages" / "report.html")
    assert written.read_text(encoding="utf-8") == page


def test_report_shows_a_preview_where_there_is_no_release(tmp_path, evidence, synthetic):
    (tmp_path / "evidence.json").write_text(evidence.model_dump_json(), encoding="utf-8")
    synthetic.save(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "preview.png").rename(tmp_path / "preview.png")
    page = report(tmp_path, tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'alt="Overview of the synthetic images"' in page


def test_report_takes_an_audit_with_its_folder(tmp_path, evidence, cost, synthetic, page):
    synthetic.save(tmp_path / "release")
    nested = {"machine": cost["machine"], "workers": 2, "subjects": cost}
    audit = SimpleNamespace(evidence=evidence, cost=nested, folder=tmp_path)
    assert report(audit, tmp_path / "report.html").read_text(encoding="utf-8") == page


def test_report_takes_what_holds_evidence_or_evidence_itself(tmp_path, evidence, cost):
    audit = SimpleNamespace(evidence=evidence, cost=cost)
    shared = limbeck.report(audit, tmp_path / "a.html", share=True).read_text(encoding="utf-8")
    assert "Shared edition" in shared and cost["machine"] in shared
    bare = report(evidence, tmp_path / "b.html").read_text(encoding="utf-8")
    assert "Internal." in bare and cost["machine"] not in bare


@pytest.mark.parametrize("content", [None, "{", "{}", '{"schema_version": 99}', b"\xff\xfe\x00"])
def test_a_folder_without_sound_evidence_is_one_line(tmp_path, content):
    if isinstance(content, bytes):
        (tmp_path / "evidence.json").write_bytes(content)
    elif content is not None:
        (tmp_path / "evidence.json").write_text(content)
    with pytest.raises(StoreError) as error:
        report(tmp_path, tmp_path / "report.html")
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert not (tmp_path / "report.html").exists()


def test_damaged_cost_is_one_line(tmp_path, evidence):
    (tmp_path / "evidence.json").write_text(evidence.model_dump_json(), encoding="utf-8")
    for damaged in ("[1]", "{"):
        (tmp_path / "cost.json").write_text(damaged)
        with pytest.raises(StoreError, match=r"cost\.json"):
            report(tmp_path, tmp_path / "report.html")


def test_single_records_and_what_a_finding_is_worth(evidence):
    worst = Estimate(value=0.83, low=0.61, high=0.97, trials=17)
    risk = Risk(
        attack="lira",
        signal="nearest-ssim",
        group="ordinary",
        fpr=0.01,
        records=1234,
        named=7,
        most_exposed=worst,
    )
    worth = [
        Precision(
            attack="rmia-offline",
            signal="tracing",
            nominal_fpr=0.001,
            prior=prior,
            value=Estimate(value=value, low=value - 0.1, high=value + 0.1, trials=64),
        )
        for prior, value in ((0.5, 0.8), (0.01, 0.125))
    ]
    told = change(evidence, risks=(risk,), precision=tuple(worth))
    seen = words(render(told)).replace("\u00a0", " ")
    assert "Ordinary records (LiRA, nearest image, in structure): 7 of 1,234 have" in seen
    assert "named in 83% [61%, 97%] of its runs" in seen
    assert "(RMIA, offline, traces in the images) names someone at 0.1% false alarms" in seen
    assert "50% were in 80% [70%, 90%]" in seen
    assert "1% were in 12.5% [2.5%, 22.5%]" in seen or "1% were in 12% [2%, 22%]" in seen
    shared = words(render(told, share=True))
    assert "1,234" not in shared and "most exposed" not in shared
    assert 'id="exposed"' not in render(evidence)


def test_what_images_began_as_is_told(evidence):
    start = Start(
        measure="ssim", hit_at_1=Estimate(value=0.4, low=0.3, high=0.5, trials=80), chance=0.0237
    )
    seen = words(render(change(evidence, starts=(start,)))).replace("\u00a0", " ")
    assert (
        "that it began as: 40% [30%, 50%] in structure. A guess within the class finds 2.37%"
        in seen
    )
    shared = words(render(change(evidence, starts=(start,)), share=True))
    assert "A guess within the class finds 2%" in shared, "else it tells how many there are"
    assert "begin as private records" not in words(render(evidence))


def test_a_claim_stands_beside_what_the_runs_say(evidence):
    given = {"epsilon": 1.0, "delta": 1e-5, "adjacency": "add-remove", "unit": "record"}
    said = "The runs do not refute the claimed epsilon 1."
    claim = Claim(epsilon=1.0, refuted=False, sentence=said)
    seen = words(render(change(evidence, guarantee=given, claim=claim)))
    assert f"The guarantee in the runs {said} nothing is claimed" in seen


def test_attacks_on_the_images_are_told_apart_from_those_on_a_classifier(evidence):
    subject = evidence.subjects[0]
    images = subject.attack("lira").model_copy(update={"signal": "density-ratio"})
    seen = words(render(change(evidence, attacks=(*subject.attacks, images))))
    assert "From the released images, density of the images: asks how much likelier" in seen
    assert "From the released images" not in words(render(evidence))


def test_the_very_release_has_its_own_part(evidence):
    found = Released(
        name="lira-offline",
        signal="hinge",
        auc=Estimate(value=0.534, low=0.502, high=0.566, trials=2500),
        p_value=0.021,
        members=2001,
        others=499,
    )
    told = change(evidence, released=(found,))
    seen = words(render(told)).replace("\u00a0", " ")
    assert "can its 2,001 ordinary records" in seen and "from 499 records" in seen
    assert "LiRA, offline, hinge: AUC 0.534 [0.502, 0.566] p = 0.021" in seen
    shared = words(render(told, share=True))
    assert "about 2,000 ordinary" in shared and "2,001" not in shared
    assert 'id="released"' not in render(evidence)


def test_sentences_of_the_shared_edition_hold_no_exact_counts():
    told = "1.2% named at 0.9% false alarms (123 of 13,456); 16 of 64 runs."
    assert coarse(told) == "1.2% named at 0.9% false alarms; 16 of 64 runs."
    few = "rests on 8.3 expected false positives of 834, fewer than 10: plan more"
    assert coarse(few) == few.replace("834", "about 830")
    assert coarse("one record, and 137 share a coin.") == "one record, and about 140 share a coin."
    assert coarse("one record, and 3 share a coin.") == (
        "one record, and fewer than 10 share a coin."
    )
    assert scrubbed({"records": 37, "canary": [1, 2], "steps": 37}) == {
        "records": "about 40",
        "canary": "fewer than 10",
        "steps": 37,
    }
