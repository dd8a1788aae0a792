"""Checks of 04_hyperprior."""

import math
import random

import torch

from plic_lib.course.check import exercise


def _bits(k: torch.Tensor, scale: float) -> torch.Tensor:
    """Bits of integers under a Gaussian with mean 0, in float64."""
    near, far = (k.double().abs() - 0.5) / scale, (k.double().abs() + 0.5) / scale
    return 1 - torch.log2(torch.erfc(near / math.sqrt(2)) - torch.erfc(far / math.sqrt(2)))


def _extra(true: float, assumed: float) -> float:
    k = torch.arange(-40, 41)
    own = _bits(k, true)
    weight = torch.exp2(-own)
    terms = weight * (_bits(k, assumed) - own)
    return float(terms[weight > 1e-14].sum())


@exercise
def hyper_1(gaussian_price):
    """``gaussian_price(k, scale)``: bits of integers under a Gaussian with mean 0."""
    scale = random.choice([random.uniform(0.6, 0.75), random.uniform(1.5, 2.5)])
    k = torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0])[torch.randperm(5)]
    expected = _bits(k, scale)
    value = torch.as_tensor(gaussian_price(k, scale)).double()
    assert value.shape == k.shape, f"one price a symbol: {tuple(k.shape)} in, {tuple(value.shape)} out"
    density = 0.5 * math.log2(2 * math.pi) + math.log2(scale) + 0.5 * (k.double() / scale) ** 2 / math.log(2)
    close = lambda a, b: torch.allclose(a, b.double(), rtol=1e-3, atol=1e-3)  # noqa: E731
    assert not close(value, torch.exp2(-expected)), "this is the probability; the price is -log2 of it"
    assert not close(value, expected * math.log(2)), "this is in nats; bits need a logarithm to the base 2"
    assert not close(value, density) or close(density, expected), (
        "this is the density at k; a symbol has the mass of the bin from k - 1/2 to k + 1/2"
    )
    assert not close(value, _bits(k, math.sqrt(scale))), "scale is the standard deviation, not the variance"
    i = int((value - expected).abs().argmax())
    assert close(value, expected), f"k = {k[i]:.0f} under the scale {scale:.2f} costs {expected[i]:.3f} bits, not {value[i]:.3f}"


@exercise
def hyper_2(best_scale):
    """``best_scale(values)``: the scale of the zero-mean Gaussian with the fewest bits."""
    spread = random.uniform(5, 9)
    values = spread * torch.randn(400) + random.choice([-1, 1]) * random.uniform(1.4, 1.8) * spread
    value = float(best_scale(values))
    rms = float(values.square().mean().sqrt())
    near = lambda a, b: math.isclose(a, b, rel_tol=0.02)  # noqa: E731
    assert value > 0, "a scale is positive"
    assert not near(value, rms**2), "this is the mean square; the scale is its root"
    assert not near(value, float(values.std())), "this is the spread around the average, but the mean of the Gaussian is 0"
    assert not near(value, float(values.abs().mean())), "mean magnitude is the best scale of a Laplacian; a Gaussian weighs squares"
    cost, least = (float(_nats(values, scale)) / math.log(2) for scale in (value, rms))
    assert near(value, rms), f"at your scale {value:.2f} a value costs {cost:.3f} bits on average; {least:.3f} are possible"


def _nats(values: torch.Tensor, scale: float) -> torch.Tensor:
    return 0.5 * math.log(2 * math.pi) + math.log(scale) + 0.5 * (values / scale).square().mean()


@exercise
def hyper_3(extra_bits):
    """``extra_bits(true, assumed)``: expected extra bits a symbol."""
    same = random.uniform(0.5, 3)
    assert abs(float(extra_bits(same, same))) < 1e-3, "the right scale costs nothing extra"
    pairs = [(true, true * random.choice([random.uniform(0.6, 0.75), random.uniform(1.5, 2.2)])) for true in (0.4, 0.5, 0.6, 0.7)]
    values = [float(extra_bits(true, assumed)) for true, assumed in pairs]
    assert all(map(math.isfinite, values)), "not finite: leave out symbols so far away that their probability is zero"
    right = [_extra(true, assumed) for true, assumed in pairs]

    def is_always(others: list[float]) -> bool:
        """By chance two formulas may agree for one pair of scales, not for all."""
        return all(math.isclose(a, b, rel_tol=0.02, abs_tol=2e-3) for a, b in zip(values, others))

    density = [((true / assumed) ** 2 - 1) / 2 / math.log(2) - math.log2(true / assumed) for true, assumed in pairs]
    assert not is_always([-e for e in right]), "the sign is wrong: extra is the price under assumed less the price under true"
    assert not is_always([e * math.log(2) for e in right]), "this is in nats; bits need a logarithm to the base 2"
    assert not is_always(density), "this compares the densities; symbols are integers, so sum over their bins"
    swapped = [_extra(assumed, true) for true, assumed in pairs]
    assert not is_always(swapped), "the two scales are swapped: the symbols follow true, so weigh with its probabilities"
    for (true, assumed), expected, value in zip(pairs, right, values):
        assert math.isclose(value, expected, rel_tol=0.02, abs_tol=2e-3), (
            f"symbols of scale {true:.2f} coded with {assumed:.2f} cost {expected:.4f} bits extra, not {value:.4f}"
        )


@exercise
def hyper_4(lower_bound):
    """``lower_bound(x, bound)``: the maximum, with a gradient that can raise a value below the bound."""
    bound = random.uniform(-1, 1)
    x = (bound + torch.tensor([-2.0, -0.5, -1.0, -0.3, 0.4, 1.5, 0.7, 2.0]) * random.uniform(0.5, 1.5)).requires_grad_()
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    arriving = sign * (torch.rand(8) + 0.5)
    value = lower_bound(x, bound)
    assert value.shape == x.shape, f"the shape should stay {tuple(x.shape)}"
    assert torch.allclose(value.detach(), x.detach().clamp(min=bound), atol=1e-5), "forward, it is the larger of x and the bound"
    assert value.requires_grad, "the result has lost its connection to x, so there is no gradient at all"
    (gradient,) = torch.autograd.grad(value, x, arriving)
    below = x.detach() < bound
    assert torch.allclose(gradient[~below], arriving[~below]), "above the bound the gradient passes unchanged, whatever its sign"
    raises, lowers = below & (arriving < 0), below & (arriving > 0)
    both = gradient[raises].abs().sum() == 0 and torch.allclose(gradient[lowers], arriving[lowers])
    assert not both, "the sign is the wrong way round: descent goes against the gradient, so a negative one raises x"
    assert gradient[raises].abs().min() > 0, "a value below the bound is stuck: a negative gradient, which raises it, has to pass"
    assert torch.allclose(gradient[raises], arriving[raises]), "where the gradient passes, it passes unchanged"
    assert gradient[lowers].abs().max() == 0, "below the bound a positive gradient would push further out and has to be stopped"
