"""The PatchGAN discriminator and the relativistic average loss (paper, section 2.1.4 and Figure 3).

A plain discriminator asks: is this picture real? The relativistic average one asks: is it
*more* real than the average of the other kind? With C the raw output (a logit a patch),
x_r real and x_f fake,

    D(x_r, x_f) = sigmoid(C(x_r) - mean C(x_f))

    L_D = -mean log D(x_r, x_f) - mean log(1 - D(x_f, x_r))
    L_G = -mean log(1 - D(x_r, x_f)) - mean log D(x_f, x_r)

L_G is L_D with the roles exchanged (ESRGAN, Wang et al. 2018). The paper prints another
L_G, whose arguments are exchanged once more: that is L_D again, and a generator that
minimises it helps the discriminator. A misprint; see notebook 09 and the tests.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Discriminator(nn.Sequential):
    """Pictures (B, 3, H, W) in [0, 1] -> one logit a patch, (B, 1, H/16, W/16).

    Four pairs of 3x3 convolutions, each pair halves the resolution; no normalisation, so
    that a picture is judged alike in every batch. Each logit sees 93 x 93 pixels.

    Args:
        width: channels of the first pair; doubled with each pair. 64 as in CRDR, where Figure 3 is read so: 4.7 M parameters.
    """

    def __init__(self, width: int = 64):
        layers, inputs = [], 3
        for outputs in (width, 2 * width, 4 * width, 8 * width):
            layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(outputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2)]
            inputs = outputs
        super().__init__(*layers, nn.Conv2d(inputs, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(2 * x - 1)


def _mean(logits: Tensor) -> Tensor:
    """The mean over all patches, pictures and processes; gradients pass to all of them."""
    mean = logits.mean()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        from torch.distributed.nn.functional import all_reduce

        mean = all_reduce(mean) / torch.distributed.get_world_size()
    return mean


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """L_D: small where real patches have larger logits than the average fake one, and fake ones smaller.

    Args:
        real, fake: logits of the same step, any shape.
    """
    return F.softplus(_mean(fake) - real).mean() + F.softplus(fake - _mean(real)).mean()


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """L_G: L_D with the roles exchanged. Arguments as for ``discriminator_loss``."""
    return discriminator_loss(fake, real)
