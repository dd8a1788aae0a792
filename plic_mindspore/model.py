"""Plic: the networks of the paper, wired together (Figure 2). As ``plic_lib.model``."""

from typing import NamedTuple

import numpy as np
from mindspore import Tensor, nn, ops
from numpy import ndarray

from plic_mindspore import asymmetric
from plic_mindspore.context import SLOPE, TAPS, Gather, MaskedConvolution, fronts
from plic_mindspore.gain import GainUnits
from plic_mindspore.hyperprior import FactorisedPrior, HyperDecoder, HyperEncoder
from plic_mindspore.layers import GDN, AttentionBlock, convolution, deconvolution, kaiming_
from plic_mindspore.quantise import GRID, quantise, straight_through, uniform_noise


class Output(NamedTuple):
    """What a training step needs: the picture and the bits of both latents."""

    x_hat: Tensor  #: (B, 3, H, W), unclamped
    y_bits: Tensor  #: (B, M, H/16, W/16)
    z_bits: Tensor  #: (B, N, H/64, W/64)


class Parameters(NamedTuple):
    """The asymmetric Gaussian of each latent, (B, M, h, w) each."""

    means: Tensor
    scales_left: Tensor
    scales_right: Tensor


class Plic(nn.Cell):
    """The codec's networks. Images are RGB in [0, 1], sides multiples of 64.

    Args:
        N, M, levels, pooled, symmetric: as ``plic_lib.model.Widths``, and as a checkpoint states them.
        seed: of the initial weights.
    """

    def __init__(self, N: int = 192, M: int = 192, levels: int = 3, pooled: bool = False, symmetric: bool = False, seed: int = 0):
        super().__init__()
        random = np.random.default_rng(seed)
        up = lambda inputs, outputs: deconvolution(inputs, outputs, pooled)
        self.encoder = nn.SequentialCell(
            convolution(3, N),
            GDN(N),
            convolution(N, N),
            GDN(N),
            AttentionBlock(N),
            convolution(N, N),
            GDN(N),
            convolution(N, M),
            AttentionBlock(M),
        )
        self.generator = nn.SequentialCell(
            AttentionBlock(M),
            up(M, N),
            GDN(N, inverse=True),
            up(N, N),
            GDN(N, inverse=True),
            AttentionBlock(N),
            up(N, N),
            GDN(N, inverse=True),
            up(N, 3),
        )
        self.gain_units = GainUnits(M, levels)
        self.hyper_encoder = HyperEncoder(N, M)
        self.hyper_decoder = HyperDecoder(N, M)
        self.prior = FactorisedPrior(N, random)
        self.context = MaskedConvolution(M, M * 2)
        self.gather = Gather(M, symmetric)
        kaiming_(self, random)
        self.context.weight.set_data(self.context.weight * self.context.mask)

    def parameters_of(self, y_hat: Tensor, features: Tensor) -> Parameters:
        """Context and gather over a whole map: y_hat (B, M, h, w), and the hyper-decoder's output (B, 2M, h, w)."""
        return Parameters(*self.gather(ops.cat([features, self.context(y_hat)], 1)))

    def construct(self, x: Tensor, level: ndarray, seeds: list[int] | None = None) -> Output:
        """One training pass.

        Args:
            x: (B, 3, H, W) in [0, 1], sides multiples of 64.
            level: (1, 1) level of the whole batch, or (H/16, W/16) map.
            seeds: one an image, for noise that does not depend on the batch.
        """
        y_bar = self.encoder(x) * self.gain_units.gain(level)
        z = self.hyper_encoder(y_bar)
        z_bits = self.prior.bits(z + uniform_noise(z, seeds))
        features = self.hyper_decoder(quantise(z, self.prior.medians))
        context = straight_through(y_bar, self.decode_order(y_bar, features))
        parameters = self.parameters_of(context, features)
        y_bits = asymmetric.bits(y_bar + uniform_noise(y_bar, seeds), *parameters)
        y_hat = quantise(y_bar, parameters.means)
        return Output(self.generator(y_hat * self.gain_units.inverse_gain(level)), y_bits, z_bits)

    def decode_order(self, y_bar: Tensor, features: Tensor) -> Tensor:
        """y_hat as a decoder with these float networks would reach it, along the wavefront.

        Hundreds of small steps that need no gradient: in NumPy, they take a fraction of the time.

        Args:
            y_bar: (B, M, h, w), gained latents.
            features: (B, 2M, h, w), the hyper-decoder's output.
        """
        batch, M, height, width = y_bar.shape
        y_bar, features = (t.asnumpy().transpose(0, 2, 3, 1) for t in (y_bar, features))
        # one by one: a slice of a SequentialCell is a new one, which renames the parameters
        layers = [self.gather.layers[place] for place in (0, 2, 4)]
        first, second, heads = ((layer.weight.asnumpy()[:, :, 0, 0].T, layer.bias.asnumpy()) for layer in layers)
        weight, bias = self.context.matrix().T, self.context.bias.asnumpy()
        leaky = lambda x: np.where(x < 0, x * np.float32(SLOPE), x)
        sums = features @ first[0][: 2 * M] + first[1]  # what does not depend on the context, once for all cells
        y_hat = np.zeros((batch, height + 2, width + 4, M), np.float32)  # with a border of zeros
        for rows, columns in fronts(height, width):
            neighbours = np.concatenate([y_hat[:, 2 + rows + dy, 2 + columns + dx] for dy, dx in TAPS], axis=2)
            x = leaky(sums[:, rows, columns] + (neighbours @ weight + bias) @ first[0][2 * M :])
            x = leaky(x @ second[0] + second[1])
            means = np.round((x @ heads[0][:, :M] + heads[1][:M]) * GRID) / GRID
            y_hat[:, 2 + rows, 2 + columns] = np.round(y_bar[:, rows, columns] - means) + means
        return Tensor(y_hat[:, 2:, 2:-2].transpose(0, 3, 1, 2).copy())
