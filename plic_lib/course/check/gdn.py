"""Checks of 02_gdn_autoencoder."""

import random

import torch

from plic_lib.course.check import exercise


def _parameters(channels: int):
    """β and γ of a GDN, γ not symmetric."""
    return torch.rand(channels) + 0.5, torch.rand(channels, channels) / channels


@exercise
def gdn_1(gdn):
    """``gdn(x, beta, gamma)`` of the rows of x (K, C)."""
    channels = random.randint(3, 6)
    beta, gamma = _parameters(channels)
    x = 3 * torch.randn(7, channels)
    activity = beta + x**2 @ gamma.T
    value = gdn(x, beta, gamma)
    same = lambda other: value.shape == other.shape and torch.allclose(value, other, rtol=1e-4, atol=1e-5)  # noqa: E731
    assert value.shape == x.shape, f"x has the shape {tuple(x.shape)}, and so has the result; yours has {tuple(value.shape)}"
    assert not same(x * activity.sqrt()), "this is the multiplication of IGDN; GDN divides"
    assert not same(x / activity), "the square root of the activity is missing"
    assert not same(x / (beta + x**2 @ gamma).sqrt()), "row i of gamma belongs to output i: you have summed over its columns (transposed)"
    assert not same(x / (beta + x**2 * gamma.diagonal()).sqrt()), "only the diagonal of gamma was used; the sum runs over all channels j"
    assert same(x / activity.sqrt()), "the outputs differ from x_i / sqrt(beta_i + Σ_j gamma_ij x_j²)"


@exercise
def gdn_2(soft_round):
    """``soft_round(y)``: rounded in the forward pass, the identity in the backward pass."""
    y = (4 * torch.randn(200)).requires_grad_()
    value = soft_round(y)
    assert value.shape == y.shape, "the result has the shape of y"
    assert not torch.equal(value, y), "the forward pass has to round; this returns y itself"
    assert torch.allclose(value, torch.round(y), atol=1e-5), "the values are not those of torch.round(y)"
    assert value.requires_grad, "the result is cut off from y: detach only the part that shall count as a constant"
    weights = torch.randn(200)
    (gradient,) = torch.autograd.grad((weights * value).sum(), y, allow_unused=True)
    assert gradient is not None and gradient.abs().max() > 0, "the gradient is zero: nothing would be learned through it"
    assert torch.allclose(gradient, weights), "the gradient has to be that of y, a factor of one everywhere"


@exercise
def gdn_3(receptive_field):
    """``receptive_field(kernels, strides)`` in pixels."""
    for trial in range(6):
        depth = 1 if trial == 0 else random.randint(3, 5)
        kernels = [random.choice((3, 5, 7)) for _ in range(depth)]
        strides = [2, 3, *(random.choice((1, 2, 3)) for _ in range(3))][:depth]
        width, apart, late = 1, 1, 1
        for kernel, stride in zip(kernels, strides):
            width += (kernel - 1) * apart
            apart *= stride
            late += (kernel - 1) * apart
        value = int(receptive_field(list(kernels), list(strides)))
        case = f"kernels {kernels}, strides {strides}"
        assert depth > 1 or value == width, f"a single convolution sees as many pixels as its kernel is wide: {case}"
        assert depth == 1 or value != 1 + sum(k - 1 for k in kernels), (
            f"the strides are not used: later taps lie further apart in pixels ({case})"
        )
        assert value != late, f"a layer's own stride spreads the taps of the layers after it, not its own ({case})"
        assert value == width, f"{case}: {width} pixels, not {value}; count how far apart the taps of each layer lie"


@exercise
def gdn_4(ungdn):
    """``ungdn(y, beta, gamma)``: the x of which y is the GDN."""
    for strength in (0.5, 2.0, 5.0):
        channels = random.randint(3, 6)
        beta, gamma = _parameters(channels)
        x = strength * torch.randn(channels)
        x[0] = -x[0].abs() - strength
        y = x / (beta + gamma @ x**2).sqrt()
        value = ungdn(y.clone(), beta, gamma)
        assert value.shape == x.shape, "the result is a vector with the shape of y"
        assert not torch.allclose(value, y * (beta + gamma @ y**2).sqrt(), rtol=1e-3), (
            "this is IGDN, which uses the activity of y: it is near the inverse only for weak inputs"
        )
        assert not torch.allclose(value, x.abs(), rtol=1e-3, atol=1e-3), "the magnitudes are right, the sign is lost: it is that of y"
        assert not torch.allclose(value, x.sign() * x**2, rtol=1e-3, atol=1e-3), "these are the squares of x: take the root at the end"
        assert torch.allclose(value, x, rtol=2e-2, atol=1e-2 * strength), (
            "GDN of your result is not y; the unknown squares of x obey linear equations (an iteration needs enough rounds)"
        )
