"""The classifier that stands for a release where its accuracy is counted on private records."""

from limbeck.data.card import evaluation
from limbeck.mechanism.base import Release
from limbeck.train.base import Classifier
from limbeck.train.standard import Standard


def judge(release: Release, shape: tuple[int, ...], *, seed: int, device: str) -> Classifier:
    """The classifier that is released, or a network trained on the set that is."""
    if release.classifier is not None:
        return release.classifier
    assert release.synthetic is not None, "one of the two is released"
    return _trainer(shape).fit(release.synthetic, seed=seed, device=device)


def judge_in_words(trains: bool, shape: tuple[int, ...]) -> str:
    """What ``judge`` gives, for cards. trains: whether a classifier is released."""
    if trains:
        return "the released classifier"
    trainer = _trainer(shape)
    return f"{trainer.network}, recipe {trainer.recipe}, trained on the released set"


def _trainer(shape: tuple[int, ...]) -> Standard:
    return Standard(evaluation(shape)["network"])
