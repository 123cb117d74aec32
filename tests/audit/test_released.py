"""The very release under attack, with classifiers that know the private records or do not."""

import numpy as np
import pytest
import torch

from limbeck.audit import plan, prepare
from limbeck.audit import views as query
from limbeck.audit.inference.shadows import Shadows
from limbeck.audit.presets import Preset
from limbeck.audit.released import attack_release
from limbeck.data.dataset import LabeledDataset
from limbeck.mechanism.pipeline import Pipeline
from limbeck.synthesize.select.random_subset import RandomSubset
from limbeck.train.base import Classifier
from limbeck.train.kernel_ridge import KernelRidge

pytestmark = pytest.mark.usefixtures("whole_audits", "quick_attackers")

SIZES = Preset(8, 0, 1, canaries=10, ordinary=120, control=80, views=1, networks=1)


def draw(n, seed):
    inputs = torch.rand(n, 6, generator=torch.Generator().manual_seed(seed))
    return LabeledDataset(inputs, torch.arange(n) % 2, ("a", "b"))


class Knowing(Classifier):
    """Surer by ``shift`` of the label of what it was made from; records differ in difficulty."""

    def __init__(self, known, shift, seed):
        self.known, self.shift = {row.numpy().tobytes() for row in known.inputs}, shift
        self.noise = torch.Generator().manual_seed(seed)

    def logits(self, inputs):
        inside = torch.tensor([row.numpy().tobytes() in self.known for row in inputs])
        noise = torch.randn(len(inputs), generator=self.noise)
        margin = 8 * inputs[:, 0] + noise + self.shift * inside
        # Of the second class for odd labels: signed so that the own label gains.
        own = 1.0 - 2.0 * self.labels
        return torch.stack([own * margin / 2, -own * margin / 2], 1)


@pytest.fixture(scope="module")
def made():
    private, test = draw(300, 0), draw(100, 1)
    views = query.choose(1, private.shape, mirror=False)
    return plan.make(private, test, views, preset=SIZES, canary_kind="mislabelled", seed=0)


def attacked(made, shift):
    groups = np.array(made.groups)
    members = np.zeros((8, len(groups)), dtype=bool)
    members[:, : len(made.observed)] = made.membership[:8, made.observed]
    members[:, groups == "canary-true"] = made.membership[:8, made.canary]
    hard = 8 * made.queries.inputs[:, 0].numpy()
    g = np.random.default_rng(0)
    signals = np.repeat((hard + g.standard_normal((8, len(groups))))[:, None, None], 2, axis=2)
    shadows = Shadows(
        signals=signals.astype(np.float32),
        membership=members,
        groups=groups,
        halves=np.arange(8) % 2 == 1,
        control=g.standard_normal((8, 1, len(made.canary))).astype(np.float32),
    )
    classifier = Knowing(made.data, shift, seed=3)
    asked = np.isin(groups, ["ordinary", "control"])
    classifier.labels = made.queries.labels[torch.from_numpy(asked)]
    return attack_release(classifier, made, shadows)


def test_a_release_that_gives_its_records_away_is_told(made):
    for found in attacked(made, 3.0):
        # Two normal scores three standard deviations apart, each less a mean of about 8 / 2 runs.
        assert found.auc.low > 0.9 and found.p_value < 1e-9
        assert (found.members, found.others) == (120, 80)


def test_difficulty_alone_is_no_sign_of_membership(made):
    found = attacked(made, 0.0)
    assert {one.signal for one in found} == {"margin", "hinge"}
    for one in found:
        assert one.auc.low < 0.5 < one.auc.high and one.p_value > 0.01


def test_an_audit_of_a_release_tells_of_that_release(digits, tmp_path):
    private, test = digits[0].select(range(300)), digits[1].select(range(60))
    sizes = Preset(6, 0, 2, canaries=10, ordinary=100, control=40, views=1, networks=1)
    mechanism = Pipeline(RandomSubset(5), KernelRidge())
    own = RandomSubset(5).synthesize(private, seed=3)
    session = prepare(mechanism, private, test, preset=sizes, company=False, released=own)
    told = session.execute(tmp_path, workers=1).subject.released
    assert [one.signal for one in told] == ["margin", "hinge"]
    assert (told[0].members, told[0].others) == (100, 40)
    assert 0 <= told[0].auc.value <= 1
