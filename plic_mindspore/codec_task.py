"""Training the codec: one step of all its optimisers, with the paper's objective. As ``plic_lib.training.codec_task``.

The loop around it, the schedule of weights and rates, averages, checks and states are plic_lib's (``plic_lib.training``).
"""

import numpy as np
from mindspore import Parameter, Tensor, ops, value_and_grad

from plic_mindspore import losses
from plic_mindspore.adam import Adam, clip
from plic_mindspore.discriminator import Discriminator, discriminator_loss, generator_loss
from plic_mindspore.losses import Terms
from plic_mindspore.metrics import LPIPS
from plic_mindspore.model import Output, Plic


class CodecTask:
    """The networks of ``Plic``, a discriminator, and their optimisers.

    Args:
        model: the networks; they are changed.
        discriminator: where the objective has an adversarial term.
        perceptual: where it has LPIPS.
        learning_rate: of the networks; ``gain_speed`` is that of the gains, relative to it.
        clip: largest norm of the gradient.
    """

    def __init__(
        self,
        model: Plic,
        discriminator: Discriminator | None = None,
        perceptual: LPIPS | None = None,
        learning_rate: float = 1e-4,
        gain_speed: float = 10.0,
        clip: float = 1.0,
    ):
        self.model, self.discriminator, self.perceptual, self.clip = model.set_train(), discriminator, perceptual, clip
        self.quantiles: Parameter = model.prior.quantiles
        own = [p for p in model.trainable_params() if p is not self.quantiles]
        self.optimizer = Adam(own, [learning_rate * (gain_speed if p.name.startswith("gain_units.") else 1) for p in own])
        self.aux_optimizer = Adam([self.quantiles], [1e-3])
        if discriminator is not None:
            judge = discriminator.trainable_params()
            self.discriminator_optimizer = Adam(judge, [1e-4] * len(judge))

    def terms(self, x: Tensor, output: Output, weights: Terms) -> Terms:
        """The losses of a batch (B, 3, H, W); a term of weight zero is not computed."""
        return Terms(
            rate=losses.rate(output),
            l1=losses.l1(x, output.x_hat),
            lpips=self.perceptual(x, output.x_hat).mean() if weights.lpips else 0.0,
            gan=generator_loss(*self._logits(x, output.x_hat)) if weights.gan else 0.0,
            mse=losses.mse(x, output.x_hat) if weights.mse else 0.0,
        )

    def gradients(self, x: Tensor, level: float, seeds: list[int], weights: Terms) -> tuple[Terms, Tensor, list[Tensor]]:
        """The losses of a batch, the decoded pictures, and the gradients of the optimiser's parameters."""

        def forward() -> tuple:
            output = self.model(x, np.full((1, 1), level), seeds)
            terms = self.terms(x, output, weights)
            return losses.objective(weights, terms), output.x_hat, terms

        # only the parameters that are named get gradients: the discriminator passes them on
        (_, x_hat, terms), gradients = value_and_grad(forward, None, self.optimizer.parameters, has_aux=True)()
        return terms, x_hat, list(gradients)

    def step(self, x: Tensor, level: float, seeds: list[int], weights: Terms) -> dict[str, float]:
        """One step of all optimisers on ``x`` (B, 3, H, W) in [0, 1]; returns its figures."""
        terms, x_hat, gradients = self.gradients(x, level, seeds, weights)
        gradients, norm = clip(gradients, self.clip)
        self.optimizer.step(gradients)
        aux, gradients = value_and_grad(self.model.prior.loss, None, [self.quantiles])()
        self.aux_optimizer.step(gradients)
        figures = terms._asdict() | {"gradient": norm, "aux": aux}
        if weights.gan:
            figures |= self._train_discriminator(x, ops.stop_gradient(x_hat))
        return {name: float(value) for name, value in figures.items()}

    def _logits(self, x: Tensor, x_hat: Tensor) -> tuple[Tensor, ...]:
        return ops.chunk(self.discriminator(ops.cat([x, x_hat])), 2)

    def _train_discriminator(self, x: Tensor, x_hat: Tensor) -> dict[str, Tensor]:
        parameters = self.discriminator_optimizer.parameters
        loss, gradients = value_and_grad(lambda: discriminator_loss(*self._logits(x, x_hat)), None, parameters)()
        gradients, norm = clip(gradients, self.clip)
        self.discriminator_optimizer.step(gradients)
        return {"discriminator": loss, "discriminator_gradient": norm}
