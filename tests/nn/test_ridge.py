"""Ridge regression from kernel blocks against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from limbeck.nn.ridge import ridge_dual, ridge_loss

RIDGE = 0.03


def problem():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    return draw(6, 4), draw(6, 3), draw(9, 4), draw(9, 3)


def test_equals_ridge_regression_of_scikit_learn_for_a_linear_kernel():
    x, y, at, _ = problem()
    kernel = x @ x.T
    alpha = float(RIDGE * kernel.trace() / len(x))
    theirs = Ridge(alpha=alpha, fit_intercept=False).fit(x.numpy(), y.numpy())
    found = at @ x.T @ ridge_dual(kernel, y, RIDGE)
    np.testing.assert_allclose(found.numpy(), theirs.predict(at.numpy()), rtol=1e-9)


def test_equals_kernel_ridge_of_scikit_learn_for_any_kernel_and_many_runs():
    x, y, _, _ = problem()
    kernels = torch.stack([(x @ x.T) ** 2, torch.exp(-torch.cdist(x, x))])
    found = ridge_dual(kernels, y.expand(2, -1, -1), RIDGE)
    for kernel, dual in zip(kernels, found, strict=True):
        alpha = float(RIDGE * kernel.trace() / len(x))
        theirs = KernelRidge(alpha=alpha, kernel="precomputed").fit(kernel.numpy(), y.numpy())
        np.testing.assert_allclose(dual.numpy(), theirs.dual_coef_, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_loss_is_half_the_mean_squared_error_of_its_predictions(dtype):
    x, y, at, wanted = problem()
    kernel, across = x @ x.T, at @ x.T
    alpha = float(RIDGE * kernel.trace() / len(x))
    predicted = Ridge(alpha=alpha, fit_intercept=False).fit(x.numpy(), y.numpy()).predict(at)
    expected = ((predicted - wanted.numpy()) ** 2).sum() / (2 * len(at))
    loss = ridge_loss(kernel, across.to(dtype), y.to(dtype), wanted.to(dtype), RIDGE)
    assert loss.dtype == dtype
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)


def test_gradients_equal_finite_differences():
    x, y, at, wanted = problem()

    def loss(x, y):
        return ridge_loss(x @ x.T, at @ x.T, y, wanted, RIDGE)

    assert torch.autograd.gradcheck(loss, (x.requires_grad_(), y.requires_grad_()))
