"""Each layer beside its original: outputs within 1e-4, gradients within 1e-3, in float32."""

import numpy as np
import pytest
import torch
from mindspore import Tensor, ops

from plic_lib import asymmetric, context, gain, hyperprior, layers, quantise, reference_decoder
from plic_lib.training import discriminator
from plic_mindspore import asymmetric as ported_asymmetric
from plic_mindspore import context as ported_context
from plic_mindspore import discriminator as ported_discriminator
from plic_mindspore import gain as ported_gain
from plic_mindspore import hyperprior as ported_hyperprior
from plic_mindspore import layers as ported_layers
from plic_mindspore import quantise as ported_quantise

from .parity import copy_weights, distance, original_gradients, ported_gradients

OUTPUT, GRADIENT = 1e-4, 1e-3
RANDOM = np.random.default_rng(0)

PAIRS = {
    "convolution": (layers.convolution(6, 8), ported_layers.convolution(6, 8)),
    "deconvolution": (layers.deconvolution(6, 8), ported_layers.deconvolution(6, 8)),
    "pooled deconvolution": (layers.deconvolution(6, 8, pooled=True), ported_layers.deconvolution(6, 8, pooled=True)),
    "GDN": (layers.GDN(6), ported_layers.GDN(6)),
    "inverse GDN": (layers.GDN(6, inverse=True), ported_layers.GDN(6, inverse=True)),
    "attention": (layers.AttentionBlock(6), ported_layers.AttentionBlock(6)),
    "hyper-encoder": (hyperprior.HyperEncoder(4, 6), ported_hyperprior.HyperEncoder(4, 6)),
    "hyper-decoder": (hyperprior.HyperDecoder(6, 6), ported_hyperprior.HyperDecoder(6, 6)),
    "masked convolution": (context.MaskedConvolution(6, 12), ported_context.MaskedConvolution(6, 12)),
    "discriminator": (discriminator.Discriminator(4), ported_discriminator.Discriminator(4)),
}


def numbers(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (scale * RANDOM.standard_normal(shape)).astype(np.float32)


def same(original, ported, inputs, module=None, cell=None) -> None:
    """Output, and the gradients of a sum with random weights."""
    theirs, ours = original(*map(torch.tensor, inputs)), ported(*map(Tensor, inputs))
    assert distance(ours, theirs) < OUTPUT
    weights = numbers(*theirs.shape)
    _, inner, outer = original_gradients(lambda *x: (original(*x) * torch.tensor(weights)).sum(), inputs, module)
    _, ported_inner, ported_outer = ported_gradients(lambda *x: (ported(*x) * Tensor(weights)).sum(), inputs, cell)
    for theirs, ours in zip(inner, ported_inner):
        assert distance(ours, theirs) < GRADIENT
    assert outer.keys() <= ported_outer.keys()
    for name, theirs in outer.items():
        assert distance(ported_outer[name], theirs) < GRADIENT, name


@pytest.mark.parametrize("name", PAIRS)
def test_a_layer_has_the_outputs_and_gradients_of_its_original(name):
    module, cell = PAIRS[name]
    copy_weights(module, cell)
    inputs = 3 if name == "discriminator" else 6
    side = (32, 48) if name == "discriminator" else (8, 12)
    same(module, cell, [numbers(2, inputs, *side)], module, cell)


def test_a_deconvolution_that_keeps_the_same_size_is_another():
    """The trap of the port: MindSpore's "same" cuts other rows off."""
    module, cell = layers.deconvolution(6, 8), ported_layers.nn.Conv2dTranspose(6, 8, 5, stride=2, pad_mode="same", has_bias=True)
    copy_weights(module, cell)
    x = numbers(1, 6, 8, 12)
    ours, theirs = cell(Tensor(x)).asnumpy(), module(torch.tensor(x)).detach().numpy()
    assert ours.shape == theirs.shape and distance(ours, theirs) > 0.1
    assert distance(ours[:, :, :-1, :-1], theirs[:, :, 1:, 1:]) < OUTPUT or distance(ours[:, :, 1:, 1:], theirs[:, :, :-1, :-1]) < OUTPUT


@pytest.mark.parametrize("symmetric", [False, True])
def test_gather(symmetric):
    module, cell = context.Gather(6, symmetric), ported_context.Gather(6, symmetric)
    copy_weights(module, cell)
    # large enough that scales meet their bounds, where gradients pass in one direction
    joined = lambda cat, network: lambda x: cat(network(x), 1)
    same(joined(torch.cat, module), joined(ops.cat, cell), [numbers(2, 24, 4, 4, scale=20)], module, cell)


@pytest.mark.parametrize("kind", ["gain", "inverse_gain"])
def test_gain_units(kind):
    module, cell = gain.GainUnits(6), ported_gain.GainUnits(6)
    with torch.no_grad():
        module.theta.copy_(torch.tensor(numbers(3, 6)))
        module.theta_inverse.copy_(torch.tensor(numbers(3, 6)))
    copy_weights(module, cell)
    level = RANDOM.uniform(0, 2, (4, 5))
    level[0, :3] = 0, 1, 2
    same(
        lambda y: y * getattr(module, kind)(torch.tensor(level).float()),
        lambda y: y * getattr(cell, kind)(level),
        [numbers(2, 6, 4, 5)],
        module,
        cell,
    )
    with pytest.raises(ValueError, match="a level lies between 0"):
        cell.gain(level + 1)


def test_the_density_of_z():
    module, cell = hyperprior.FactorisedPrior(6), ported_hyperprior.FactorisedPrior(6, np.random.default_rng(0))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.tensor(numbers(*parameter.shape))
    copy_weights(module, cell)
    assert (cell.medians.asnumpy() == module.medians.numpy()).all()
    same(module.bits, cell.bits, [numbers(2, 6, 3, 4, scale=5)], module, cell)
    module.zero_grad()
    theirs, _, gradients = original_gradients(lambda: module.loss(), [], module)
    ours, _, ported = ported_gradients(lambda _: cell.loss(), [numbers(1)], cell)
    assert distance(ours, theirs) < OUTPUT and distance(ported["quantiles"], gradients["quantiles"]) < GRADIENT
    assert not any(ported[name].asnumpy().any() for name in ported if name != "quantiles"), "the auxiliary loss trains the quantiles alone"


def test_bits_near_the_mode_and_far_out():
    means, left, right = numbers(4, 500), RANDOM.uniform(0.11, 64, (4, 500)), RANDOM.uniform(0.11, 64, (4, 500))
    y = np.stack(
        [means[0] + numbers(500, scale=0.3), means[1] + numbers(500, scale=3), means[2] + 40 * numbers(500), means[3] + 400 * numbers(500)]
    )
    same(asymmetric.bits, ported_asymmetric.bits, [a.astype(np.float32) for a in (y, means, left, right)])


def test_a_bound_lets_gradients_back_in():
    from compressai.ops import LowerBound

    same(LowerBound(0.5), ported_layers.LowerBound(0.5), [numbers(200)])


def test_rounding_is_to_even_and_gradients_pass_or_stop():
    y, means = np.array([0.5, 1.5, 2.5, -0.5, 0.7], np.float32), np.array([0, 0, 0, 0, 0.015625 / 2], np.float32)
    assert distance(ported_quantise.quantise(Tensor(y), Tensor(means)), quantise.quantise(torch.tensor(y), torch.tensor(means))) == 0
    assert distance(ported_quantise.snap(Tensor(means)), quantise.snap(torch.tensor(means))) == 0
    _, gradients, _ = ported_gradients(lambda a, b: ported_quantise.quantise(a, b).sum(), [y, means])
    assert (gradients[0].asnumpy() == 1).all() and (gradients[1].asnumpy() == 0).all()


def test_noise_is_uniform_and_its_seed_that_of_an_image():
    like = Tensor(np.zeros((2, 3, 40, 40), np.float32))
    noise = ported_quantise.uniform_noise(like, [7, 8]).asnumpy()
    assert abs(noise).max() <= 0.5 and abs(noise.mean()) < 0.02 and abs(noise.var() - 1 / 12) < 0.005
    assert (ported_quantise.uniform_noise(like[:1], [8]).asnumpy()[0] == noise[1]).all()
    assert (ported_quantise.uniform_noise(like).asnumpy() != ported_quantise.uniform_noise(like).asnumpy()).any()


def test_the_constants_are_those_of_plic_lib():
    assert (ported_quantise.GRID, ported_context.SLOPE, ported_context.TAPS) == (quantise.GRID, context.SLOPE, context.TAPS)
    assert (ported_asymmetric.SCALE_MIN, ported_asymmetric.SCALE_MAX) == (asymmetric.SCALE_MIN, asymmetric.SCALE_MAX)
    assert reference_decoder.TAPS is ported_context.TAPS
