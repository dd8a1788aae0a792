"""The asymmetric Gaussian (split normal), the entropy model of y. As ``plic_lib.asymmetric``; here are the bits alone."""

import math

from mindspore import Tensor, ops

SQRT2 = math.sqrt(2)
SCALE_MIN, SCALE_MAX = 0.11, 64.0  #: bounds of both scales
#: Of log(erfcx(x) / t) in powers of t = 1 / (1 + x / 2), right to 1.2e-7 (Numerical Recipes, section 6.2).
_SERIES = (-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277)


def log_erfcx(x: Tensor) -> Tensor:
    """Logarithm of the scaled function exp(x²) erfc(x), x >= 0, which MindSpore does not have; neither end of it overflows."""
    t = 1 / (1 + x / 2)
    series = _SERIES[-1]
    for coefficient in _SERIES[-2::-1]:
        series = coefficient + t * series
    return ops.log(t) + series


def bits(y: Tensor, means: Tensor, scales_left: Tensor, scales_right: Tensor) -> Tensor:
    """``-log2`` of the mass of the unit bin around ``y``, and its gradients, right however far out ``y`` is.

    Bins that do not hold the mode are evaluated in the log domain; see ``plic_lib.asymmetric.bits``.
    """
    t = y - means
    total = scales_left + scales_right

    centre = scales_left * ops.erf(ops.clamp(0.5 - t, min=0) / (SQRT2 * scales_left))
    centre = centre + scales_right * ops.erf(ops.clamp(0.5 + t, min=0) / (SQRT2 * scales_right))

    scales = ops.where(t < 0, scales_left, scales_right)
    near = ops.clamp(ops.abs(t) - 0.5, min=0) / (SQRT2 * scales)
    far = near + 1 / (SQRT2 * scales)
    log_near = log_erfcx(near)
    ratio = ops.exp((near - far) * (near + far) + log_erfcx(far) - log_near)
    tail = ops.log(scales) + log_near - near * near + ops.log1p(-ratio)

    holds_mode = ops.abs(t) < 0.5
    nats = ops.log(total) - ops.where(holds_mode, ops.log(ops.clamp(centre, min=1e-30)), tail)
    return nats / math.log(2)
