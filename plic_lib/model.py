"""Plic: the networks of the paper, wired together.

Its Figure 2::

    x -> encoder -> y -> * gain = y_bar -> round -> y_hat -> * inverse gain -> generator -> x_hat
                                |                     |
                          hyper-encoder            context
                                |                     |
                           z -> round -> z_hat        |
                                |                     |
                          hyper-decoder -> gather <---+
                                              |
                              means, scales_left, scales_right of y_hat
"""

from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plic_lib import asymmetric
from plic_lib.context import SLOPE, Gather, MaskedConvolution, fronts
from plic_lib.gain import GainUnits
from plic_lib.hyperprior import FactorisedPrior, HyperDecoder, HyperEncoder
from plic_lib.layers import GDN, AttentionBlock, affine, convolution, deconvolution, kaiming_
from plic_lib.quantise import quantise, snap, straight_through, uniform_noise


@dataclass(frozen=True)
class Widths:
    """The settings of the networks; the code is the same for all of them."""

    N: int = 192  #: channels inside encoder, generator and hyper networks, and of z
    M: int = 192  #: channels of y
    levels: int = 3  #: gain vectors
    pooled: bool = False  #: average pooling after every deconvolution (section 3.1)
    symmetric: bool = False  #: equal scales left and right, the ordinary Gaussian


PAPER = Widths()
MINI = Widths(N=64, M=96)


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


class Plic(nn.Module):
    """The codec's networks. Images are RGB in [0, 1], sides multiples of 64.

    >>> networks = Plic(Widths(N=8, M=12))
    >>> x_hat, y_bits, z_bits = networks(torch.rand(2, 3, 64, 128), level=torch.tensor([[1.0]]))
    >>> x_hat.shape, y_bits.shape, z_bits.shape
    (torch.Size([2, 3, 64, 128]), torch.Size([2, 12, 4, 8]), torch.Size([2, 8, 1, 2]))
    """

    #: Of the latents y: what its ``bits`` says is trained, and from its ``survival`` the coding tables are made.
    density = asymmetric

    def __init__(self, widths: Widths = PAPER):
        super().__init__()
        self.widths = widths
        N, M = widths.N, widths.M
        up = lambda inputs, outputs: deconvolution(inputs, outputs, widths.pooled)
        self.encoder = nn.Sequential(
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
        self.generator = nn.Sequential(
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
        self.gain_units = GainUnits(M, widths.levels)
        self.hyper_encoder = HyperEncoder(N, M)
        self.hyper_decoder = HyperDecoder(N, M)
        self.prior = FactorisedPrior(N)
        self.context = MaskedConvolution(M, M * 2)
        self.gather = Gather(M, widths.symmetric)
        kaiming_(self)
        with torch.no_grad():
            self.context.weight.mul_(self.context.get_buffer("mask"))

    def settings(self) -> dict:
        """``widths`` as plain values, as a checkpoint stores them."""
        return asdict(self.widths)

    def parameters_of(self, y_hat: Tensor, features: Tensor) -> Parameters:
        """Context and gather over a whole map, in parallel: what ``y_hat`` says of itself.

        Args:
            y_hat: (B, M, h, w), decoded latents.
            features: (B, 2M, h, w), the hyper-decoder's output.
        """
        return Parameters(*self.gather(torch.cat([features, self.context(y_hat)], dim=1)))

    def forward(self, x: Tensor, level: Tensor, seeds: list[int] | None = None) -> Output:
        """One training pass.

        The mean of a latent depends, through the context, on how its neighbours were
        rounded, and that on *their* means. So y_hat is first found as the decoder finds
        it, front by front and without gradients; with that context, one parallel pass
        gives the same parameters, with gradients. Rates come from noisy latents, the
        picture from rounded ones.

        Args:
            x: (B, 3, H, W) in [0, 1], sides multiples of 64.
            level: (1, 1) level of the whole batch, or (H/16, W/16) map.
            seeds: one an image, for noise that does not depend on the batch.
        """
        y_bar = self.encoder(x).float() * self.gain_units.gain(level)
        # rates are differences of small numbers: never in half precision
        with torch.autocast(x.device.type, enabled=False):
            z = self.hyper_encoder(y_bar)
            z_bits = self.prior.bits(z + uniform_noise(z, seeds))
            features = self.hyper_decoder(quantise(z, self.prior.medians))
            context = straight_through(y_bar, self.decode_order(y_bar, features))
            parameters = self.parameters_of(context, features)
            y_bits = self.density.bits(y_bar + uniform_noise(y_bar, seeds), *parameters)
            y_hat = quantise(y_bar, parameters.means)
        x_hat = self.generator(y_hat * self.gain_units.inverse_gain(level))
        return Output(x_hat.float(), y_bits, z_bits)

    @torch.no_grad()
    def analyse(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gained latents y_bar, the hyper-decoder's features for them, and the bits of z_hat; no noise."""
        y_bar = self.encoder(x) * self.gain_units.gain(level)
        z_hat = quantise(self.hyper_encoder(y_bar), self.prior.medians)
        return y_bar, self.hyper_decoder(z_hat), self.prior.bits(z_hat)

    @torch.no_grad()
    def decode_order(self, y_bar: Tensor, features: Tensor) -> Tensor:
        """y_hat as a decoder with these float networks would reach it, along the wavefront.

        Args:
            y_bar: (B, M, h, w), gained latents.
            features: (B, 2M, h, w), the hyper-decoder's output.
        """
        batch, M, height, width = y_bar.shape
        first, second, heads = (affine(self.gather.layers[place]) for place in (0, 2, 4))
        matrix = first[0].flatten(1)
        # everything that does not depend on the context, once for all cells
        sums = F.conv2d(features, first[0][:, : 2 * M], first[1]).flatten(2).transpose(1, 2)
        rows = y_bar.flatten(2).transpose(1, 2)
        y_hat = y_bar.new_zeros(batch, (height + 2) * (width + 4), M)
        weight = self.context.matrix()
        for cells, centres, neighbours in fronts(height, width, y_bar.device):
            context = F.linear(y_hat[:, neighbours].reshape(batch, len(cells), -1), weight, self.context.bias)
            x = F.leaky_relu(sums[:, cells] + F.linear(context, matrix[:, 2 * M :]), SLOPE)
            x = F.leaky_relu(F.linear(x, second[0].flatten(1), second[1]), SLOPE)
            means = snap(F.linear(x, heads[0][:M].flatten(1), heads[1][:M]))
            y_hat[:, centres] = torch.round(rows[:, cells] - means) + means
        y_hat = y_hat.reshape(batch, height + 2, width + 4, M)[:, 2:, 2:-2]
        return y_hat.permute(0, 3, 1, 2).contiguous()
