"""The PatchGAN discriminator and the relativistic average loss. As ``plic_lib.training.discriminator``."""

from mindspore import Tensor, nn, ops

from plic_mindspore.layers import convolution


class Discriminator(nn.SequentialCell):
    """Pictures (B, 3, H, W) in [0, 1] -> one logit a patch, (B, 1, H/16, W/16).

    Args:
        width: channels of the first pair of convolutions; doubled with each pair.
    """

    def __init__(self, width: int = 64):
        layers, inputs = [], 3
        for outputs in (width, 2 * width, 4 * width, 8 * width):
            layers += [convolution(inputs, outputs, kernel=3, stride=1), nn.LeakyReLU(0.2)]
            layers += [convolution(outputs, outputs, kernel=3, stride=2), nn.LeakyReLU(0.2)]
            inputs = outputs
        super().__init__(*layers, convolution(inputs, 1, kernel=3, stride=1))

    def construct(self, x: Tensor) -> Tensor:
        return super().construct(2 * x - 1)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """L_D: small where real patches have larger logits than the average fake one, and fake ones smaller."""
    return ops.softplus(fake.mean() - real).mean() + ops.softplus(fake - real.mean()).mean()


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """L_G: L_D with the roles exchanged. Arguments as for ``discriminator_loss``."""
    return discriminator_loss(fake, real)
