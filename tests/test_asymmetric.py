import math

import numpy as np
import pytest
import torch
from compressai.entropy_models import GaussianConditional
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from plic_lib import asymmetric

scales = st.floats(0.11, 64)
means = st.floats(-20, 20)


def double(*values):
    return [torch.tensor(v, dtype=torch.float64) for v in values]


@given(means, scales, scales)
@settings(max_examples=40, deadline=None)
def test_pdf_integrates_to_the_cdf(mu, left, right):
    for y in (mu - 2 * left, mu, mu + 0.7 * right, mu + 3 * right):
        mass = 0.0
        for a, b in ((mu - 12 * left, min(y, mu)), (mu, y)):
            if b > a:
                mass += integrate.quad(lambda v: float(asymmetric.pdf(*double(v, mu, left, right))), a, b)[0]
        assert mass == pytest.approx(float(asymmetric.cdf(*double(y, mu, left, right))), abs=1e-7)


@given(means, scales, scales)
@settings(max_examples=40, deadline=None)
def test_bins_add_up_to_one(mu, left, right):
    k = torch.arange(int(mu - 12 * left) - 2, int(mu + 12 * right) + 3, dtype=torch.float64)
    assert float(asymmetric.bin_probability(k, *double(mu, left, right)).sum()) == pytest.approx(1, abs=1e-9)


@given(st.floats(0.001, 0.999), means, scales, scales)
@settings(max_examples=60, deadline=None)
def test_quantile_inverts_the_cdf(p, mu, left, right):
    y = asymmetric.quantile(*double(p, mu, left, right))
    assert float(asymmetric.cdf(y, *double(mu, left, right))) == pytest.approx(p, abs=1e-9)


def exact_bits(t: float, left: float, right: float) -> float:
    """-log2 of the bin's mass by log-domain arithmetic in float64 with scipy."""
    side, t = (right, t) if t > 0 else (left, -t)
    log_far = special.log_ndtr(-(t + 0.5) / side)
    log_near = special.log_ndtr(-(t - 0.5) / side)
    mass = math.log(2 * side / (left + right)) + log_near + math.log(-math.expm1(log_far - log_near))
    return -mass / math.log(2)


@pytest.mark.parametrize("left,right", [(0.11, 0.11), (0.3, 2.0), (5.0, 0.5), (64.0, 64.0)])
def test_bits_are_right_and_pull_the_scale_up_to_30_scales_out(left, right):
    for n in np.linspace(1, 30, 30):
        for t in (n * right + 0.5, -n * left - 0.5):
            s_left, s_right = (torch.tensor([v], dtype=torch.float32, requires_grad=True) for v in (left, right))
            bits = asymmetric.bits(torch.tensor([t], dtype=torch.float32), torch.zeros(1), s_left, s_right)
            t32 = float(torch.tensor(t, dtype=torch.float32))
            assert float(bits.detach()) == pytest.approx(exact_bits(t32, float(s_left), float(s_right)), abs=1e-3)
            bits.backward()
            own = s_right if t > 0 else s_left
            if n > 1.5:  # nearer than that a smaller scale may suit
                assert float(own.grad) < -1e-6  # descending this gradient enlarges the scale


def test_bits_equal_minus_log2_of_the_bin_probability():
    y, mu = torch.linspace(-6, 6, 241, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    left, right = double(1.4, 0.6)
    expected = -torch.log2(asymmetric.bin_probability(y, mu, left, right))
    torch.testing.assert_close(asymmetric.bits(y, mu, left, right), expected, rtol=1e-9, atol=1e-9)


def test_gradients_are_those_of_the_formula():
    arguments = [t.requires_grad_() for t in double([-9.0, -0.2, 0.1, 3.0, 40.0], [0.1] * 5, [0.5] * 5, [1.5] * 5)]
    assert torch.autograd.gradcheck(asymmetric.bits, arguments)


def test_gradients_are_finite_where_the_probability_underflows():
    s = torch.tensor([0.11], requires_grad=True)
    asymmetric.bits(torch.tensor([500.0]), torch.zeros(1), s, s).backward()
    assert torch.isfinite(s.grad).all() and s.grad < 0


def test_equal_scales_give_compressai_s_gaussian():
    gaussian = GaussianConditional(None)
    y = torch.linspace(-3, 3, 61)
    for scale in (0.3, 1.0, 4.0):
        s = torch.full_like(y, scale)
        likelihood = gaussian._likelihood(y, s, means=torch.full_like(y, 0.2))
        above = likelihood > 1e-6  # its floor is 1e-9, and it cancels before
        ours = asymmetric.bits(y, torch.tensor(0.2), s, s)
        torch.testing.assert_close(ours[above], -torch.log2(likelihood[above]), rtol=0, atol=2e-3)


def test_samples_have_the_masses_of_the_cdf():
    left, right = torch.tensor(0.5), torch.tensor(2.0)
    draws = asymmetric.sample(torch.zeros(200_000), left, right, torch.Generator().manual_seed(0))
    for y in (-0.5, 0.0, 1.0, 3.0):
        expected = float(asymmetric.cdf(torch.tensor(y), torch.tensor(0.0), left, right))
        assert float((draws <= y).float().mean()) == pytest.approx(expected, abs=4e-3)


@pytest.mark.parametrize("u", [0.0, 1 - 2**-53])
def test_the_rarest_samples_are_finite_in_float32(u, monkeypatch):
    """The ends of what the generator draws; float32 holds no number between the upper one and 1."""
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, u, dtype=torch.float64))
    draw = asymmetric.sample(torch.zeros(3), torch.full((3,), 0.5), torch.full((3,), 2.0))
    assert draw.dtype == torch.float32 and torch.isfinite(draw).all()
    assert 5 < float(draw[0].abs()) / (2.0 if u else 0.5) < 8  # in scales
