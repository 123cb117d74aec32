"""Networks, kernels and differentiable augmentation."""
