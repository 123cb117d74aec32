"""The blind classifier: whether members and others are told apart by their inputs alone.

It never sees the release. Where it succeeds, the split was not random, and an attack on one
finished set that tells the two sides apart shows the split, not a leak.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from limbeck.coins import derive
from limbeck.errors import OptionError

_COMPONENTS = 30


@dataclass(frozen=True)
class Blind:
    """What each classifier made of the inputs, on records that it was not fitted to.

    auc: the area under the ROC curve by classifier, mean over the folds.
    p_value: of "the inputs say nothing", over all classifiers (Bonferroni).
    """

    auc: Mapping[str, float]
    p_value: float

    def tells(self, level: float = 0.001) -> bool:
        """Whether the split is not random, at ``level``."""
        return self.p_value < level


def blind(
    inputs: Float[np.ndarray, "n ..."],
    member: np.ndarray,
    *,
    folds: int = 5,
    seed: int = 0,
) -> Blind:
    """Cross-validated logistic regression and gradient boosting of ``member`` on the inputs.

    Both read the first 30 principal components, of the fitting folds alone, and the mean and the
    spread of each record's values. A fold's area has the variance of the Mann-Whitney statistic
    under the null, (n + m + 1) / (12 n m).

    member: bool (n,). OptionError with fewer than two records of a side a fold.
    """
    fewest = min(np.count_nonzero(member), np.count_nonzero(~member))
    if member.shape != inputs.shape[:1] or fewest < 2 * folds:
        raise OptionError(
            f"inputs of shape {inputs.shape} with {np.count_nonzero(member)} members among "
            f"{len(member)}: {folds}-fold cross-validation needs {2 * folds} of each side"
        )
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    summary = np.stack([flat.mean(1), flat.std(1)], axis=1)
    splits = StratifiedKFold(folds, shuffle=True, random_state=derive(seed, "blind") % 2**32)
    areas: dict[str, list[float]] = {}
    variances: list[float] = []
    for fit, judge in splits.split(flat, member):
        components = PCA(min(_COMPONENTS, len(fit) - 1, flat.shape[1]), random_state=0)
        known = np.hstack([components.fit_transform(flat[fit]), summary[fit]])
        unseen = np.hstack([components.transform(flat[judge]), summary[judge]])
        side = member[judge]
        inside, outside = np.count_nonzero(side), np.count_nonzero(~side)
        variances.append((inside + outside + 1) / (12 * inside * outside))
        for name, model in _models().items():
            chances = model.fit(known, member[fit]).predict_proba(unseen)[:, 1]
            above = stats.rankdata(chances)[side].sum() - inside * (inside + 1) / 2
            areas.setdefault(name, []).append(above / (inside * outside))
    mean = {name: float(np.mean(values)) for name, values in areas.items()}
    z = (max(mean.values()) - 0.5) / (math.sqrt(sum(variances)) / folds)
    return Blind(mean, min(1.0, len(mean) * float(stats.norm.sf(z))))


def _models() -> dict[str, Pipeline | HistGradientBoostingClassifier]:
    return {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)),
        "gradient boosting": HistGradientBoostingClassifier(
            max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=0
        ),
    }
