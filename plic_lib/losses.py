"""The training objective (paper, section 2.2).

    L = alpha * rate + lambda_1 * L1 + lambda_2 * LPIPS  (+ lambda_3 * adversarial loss)

The rate is in bits per pixel, L1 on the 0-255 scale: only there does the paper's
lambda_1 = 0.01 weigh about as much as LPIPS.
"""

from torch import Tensor

from plic_lib.model import Output


def rate(output: Output) -> Tensor:
    """Estimated bits per pixel of a batch, y and z together."""
    batch, _, height, width = output.x_hat.shape
    return (output.y_bits.sum() + output.z_bits.sum()) / (batch * height * width)


def l1(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean absolute error in grey levels (pictures in [0, 1], result on 0-255)."""
    return 255 * (x - x_hat).abs().mean()
