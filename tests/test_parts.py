"""Gain units, layers, quantisers, context, hyperprior, model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plic_lib import quantise
from plic_lib.context import TAPS, Gather, MaskedConvolution, wavefront
from plic_lib.gain import GainUnits
from plic_lib.hyperprior import FactorisedPrior
from plic_lib.layers import PooledDeconvolution, deconvolution, kaiming_
from plic_lib.model import MINI, PAPER, Plic, Widths


def at(level):
    return torch.full((1, 1), float(level))


def random_gains():
    torch.manual_seed(0)
    gains = GainUnits(5, levels=3)
    torch.nn.init.normal_(gains.theta)
    torch.nn.init.normal_(gains.theta_inverse)
    return gains


def test_gains_start_at_one():
    gains = GainUnits(4)
    assert torch.equal(gains.gain(at(0.7)), torch.ones(4, 1, 1)) and torch.equal(gains.inverse_gain(at(2)), torch.ones(4, 1, 1))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_trained_levels_are_met_exactly(level):
    gains = random_gains()
    assert torch.equal(gains.gain(at(level))[:, 0, 0], gains.theta[level].exp())


@given(st.floats(0, 2))
@settings(max_examples=50, deadline=None)
def test_interpolation_is_exponential(level):
    gains, s = random_gains(), min(int(level), 1)
    t = level - s
    m = gains.theta.exp()
    torch.testing.assert_close(gains.gain(at(level))[:, 0, 0], m[s] ** (1 - t) * m[s + 1] ** t)


def test_a_level_map_gives_each_cell_its_own_gain():
    gains = random_gains()
    level = torch.tensor([[0.0, 0.5], [1.25, 2.0]])
    whole = gains.gain(level)
    for y in range(2):
        for x in range(2):
            assert torch.equal(whole[:, y, x], gains.gain(level[y : y + 1, x : x + 1])[:, 0, 0])


@pytest.mark.parametrize("level", [-0.01, 2.01, float("nan")])
def test_levels_outside_are_refused(level):
    with pytest.raises(ValueError, match="between 0"):
        GainUnits(3).gain(at(level))


def test_one_level_is_a_fixed_rate_model():
    assert GainUnits(3, levels=1).gain(at(0)).shape == (3, 1, 1)


def test_pooling_removes_the_checkerboard_and_plain_deconvolution_has_one():
    torch.manual_seed(0)
    x = torch.ones(1, 4, 12, 12)
    inner = (..., slice(6, -6), slice(6, -6))
    pooled = kaiming_(PooledDeconvolution(4, 2))(x)
    plain = kaiming_(deconvolution(4, 2))(x)
    assert pooled.shape == plain.shape == (1, 2, 24, 24)
    assert pooled[inner].std(dim=(2, 3)).max() < 1e-6
    assert plain[inner].std(dim=(2, 3)).min() > 1e-2


def test_kaiming_keeps_the_variance_through_a_deconvolution():
    torch.manual_seed(0)
    layer = kaiming_(deconvolution(64, 64))
    out = layer(torch.randn(1, 64, 32, 32))[..., 8:-8, 8:-8]
    assert 1.6 < float(out.var()) < 2.4  # 2: the ReLU that Kaiming's rule is for would halve it


def test_quantisers():
    x = torch.tensor([0.4, 1.6, -2.2], requires_grad=True)
    mu = torch.tensor([0.25, -0.5, 0.125], requires_grad=True)
    y = quantise.quantise(x, mu)
    assert torch.equal(y, torch.tensor([0.25, 1.5, -1.875])) and torch.equal(y * 64, (y * 64).round())
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones(3)) and (mu.grad is None or not mu.grad.any())
    assert torch.equal(quantise.snap(torch.tensor([0.007, 0.0079])) * 64, torch.tensor([0.0, 1.0]))


def test_noise_of_an_image_does_not_depend_on_its_batch():
    like = torch.zeros(3, 2, 4, 4)
    whole = quantise.uniform_noise(like, [5, 6, 7])
    assert torch.equal(whole[1:2], quantise.uniform_noise(like[:1], [6]))
    assert whole.min() >= -0.5 and whole.max() < 0.5 and whole.std() > 0.25


def test_masked_convolution_sees_only_what_is_decoded():
    torch.manual_seed(0)
    conv = MaskedConvolution(2, 3)
    x = torch.randn(1, 2, 7, 9, requires_grad=True)
    conv(x)[0, :, 3, 4].sum().backward()
    seen = {(y - 3, c - 4) for _, y, c in x.grad[0].nonzero().tolist()}
    assert seen == set(TAPS) and len(TAPS) == 12


@given(st.integers(1, 12), st.integers(1, 14))
@settings(max_examples=40, deadline=None)
def test_wavefront_decodes_every_cell_once_and_after_what_it_needs(height, width):
    steps = wavefront(height, width)
    when = {int(cell): i for i, cells in enumerate(steps) for cell in cells}
    assert sorted(when) == list(range(height * width)) == sorted(torch.cat(steps).tolist())
    for cell, i in when.items():
        y, x = divmod(cell, width)
        for dy, dx in TAPS:
            if 0 <= y + dy and 0 <= x + dx < width:
                assert when[(y + dy) * width + x + dx] < i


def test_wavefront_of_a_kodak_picture_has_141_steps():
    assert len(wavefront(32, 48)) == 141


def test_scales_keep_their_bounds_and_their_gradients():
    gather = kaiming_(Gather(6))
    for bias, bound, sign in ((-9.0, 0.11, -1), (9.0, 64.0, 1)):
        torch.nn.init.constant_(gather.layers[-1].bias, bias)
        torch.nn.init.zeros_(gather.layers[-1].weight)
        gather.zero_grad()
        _, left, right = gather(torch.randn(1, 24, 2, 2))
        assert torch.allclose(left, torch.tensor(bound)) and torch.allclose(right, torch.tensor(bound))
        (sign * left).sum().backward()  # pushes the scale back inside
        assert gather.layers[-1].bias.grad[6:12].abs().min() > 0


def test_symmetric_head_has_one_scale():
    _, left, right = kaiming_(Gather(6, symmetric=True))(torch.randn(1, 24, 2, 2))
    assert torch.equal(left, right)


def test_prior_bits_are_those_of_compressai():
    torch.manual_seed(0)
    prior = FactorisedPrior(4).eval()
    z = torch.randn(2, 4, 3, 5) * 3
    z_hat, likelihood = prior(z)  # medians are zero at the start
    torch.testing.assert_close(prior.bits(z_hat), -torch.log2(likelihood))


@pytest.mark.parametrize("widths,millions", [(PAPER, 17.26), (MINI, 3.06)])
def test_sizes(widths, millions):
    assert sum(p.numel() for p in Plic(widths).parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize("pooled", [False, True])
def test_one_training_pass(pooled, photo):
    torch.manual_seed(0)
    model = Plic(Widths(N=16, M=24, pooled=pooled))
    output = model(photo[None], at(1), seeds=[3])
    assert output.x_hat.shape == (1, 3, 128, 192) and output.y_bits.shape == (1, 24, 8, 12) and output.z_bits.shape == (1, 16, 2, 3)
    (output.x_hat.mean() + output.y_bits.mean() + output.z_bits.mean()).backward()
    missing = {name for name, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()}
    assert missing == {"prior.quantiles"}  # trained by the auxiliary loss


def test_the_wavefront_gives_what_a_serial_decoder_would(tiny, photo):
    """Cell by cell, in raster order, with the whole masked convolution each time."""
    networks = tiny.networks
    with torch.no_grad():
        y_bar, features, _ = networks.analyse(photo[None], at(2))
        y_hat = torch.zeros_like(y_bar)
        for y in range(y_bar.shape[2]):
            for x in range(y_bar.shape[3]):
                mu = networks.parameters_of(y_hat, features).means[..., y, x]
                y_hat[..., y, x] = torch.round(y_bar[..., y, x] - mu) + mu
        both = networks.decode_order(torch.cat([y_bar, 0.5 * y_bar]), torch.cat([features, features]))
    assert (both[:1] == y_hat).float().mean() > 0.999  # a last bit may differ between two sums
    assert not torch.equal(both[1], both[0])
