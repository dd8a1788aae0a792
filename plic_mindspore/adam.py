"""Adam as torch has it (Kingma and Ba 2015), and clipping.

MindSpore adds epsilon before the second moment is freed of its bias, so that in ``nn.Adam`` epsilon is 30 times as large at
the first step, and weights with small gradients move less: another training. Its kernel with a smaller epsilon is torch's.
(``mint.optim.Adam`` of 2.10 leaves the weights as they are on a CPU, without a word.)
"""

from collections.abc import Sequence

from mindspore import Parameter, Tensor, ops

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """One optimiser of some parameters, each with its learning rate.

    Args:
        parameters: what it changes.
        rates: learning rate of each.
    """

    def __init__(self, parameters: Sequence[Parameter], rates: Sequence[float]):
        self.parameters, self.rates, self.steps = list(parameters), list(rates), 0
        self._first, self._second = ([Parameter(ops.zeros_like(p)) for p in parameters] for _ in range(2))
        self._kernel = ops.Adam()

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Change the parameters; ``gradients`` in their order."""
        self.steps += 1
        power_1, power_2 = BETA_1**self.steps, BETA_2**self.steps
        epsilon = EPSILON * (1 - power_2) ** 0.5
        for parameter, first, second, rate, gradient in zip(self.parameters, self._first, self._second, self.rates, gradients):
            self._kernel(parameter, first, second, power_1, power_2, rate, BETA_1, BETA_2, epsilon, gradient)


def clip(gradients: Sequence[Tensor], largest: float) -> tuple[list[Tensor], Tensor]:
    """Gradients of a norm of at most ``largest``, all of them together, and the norm that they had."""
    norm = ops.sqrt(sum((g * g).sum() for g in gradients))
    factor = ops.clamp(largest / (norm + 1e-6), max=1.0)
    return [g * factor for g in gradients], norm
