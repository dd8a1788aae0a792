"""LPIPS on AlexNet's features, the one metric that is also a loss. As ``plic_lib.metrics.LPIPS``."""

import numpy as np
from mindspore import Tensor, nn, ops
from numpy import ndarray

#: AlexNet's convolutions, each followed by a ReLU: number in torchvision's network, inputs, outputs, kernel, stride; and
#: whether a maximum over 3x3 comes before it.
LAYERS = (
    (0, 3, 64, 11, 4, False),
    (3, 64, 192, 5, 1, True),
    (6, 192, 384, 3, 1, True),
    (8, 384, 256, 3, 1, False),
    (10, 256, 256, 3, 1, False),
)


def lpips_weights() -> dict[str, ndarray]:
    """The weights by name, read as ``plic_lib.metrics`` reads them: with torch. Raises WeightsMissing."""
    from plic_lib import metrics

    return {name: value.numpy() for name, value in metrics.LPIPS().parts.state_dict().items()}


class LPIPS(nn.Cell):
    """Distances (B,) between two batches (B, 3, H, W) in [0, 1]; gradients reach the second only.

    Args:
        weights: what ``lpips_weights`` gives.
    """

    def __init__(self, weights: dict[str, ndarray]):
        super().__init__()
        self.convolutions = nn.CellList()
        for place, (number, inputs, outputs, kernel, stride, _) in enumerate(LAYERS):
            padding = 2 if kernel > 3 else 1
            layer = nn.Conv2d(inputs, outputs, kernel, stride, pad_mode="pad", padding=padding, has_bias=True)
            for part in ("weight", "bias"):
                getattr(layer, part).set_data(Tensor(weights[f"net.slice{place + 1}.{number}.{part}"]))
            self.convolutions.append(layer)
        self.weigh = [Tensor(weights[f"lin{place}.model.1.weight"]) for place in range(len(LAYERS))]
        self.shift, self.scale = (Tensor(weights[f"scaling_layer.{part}"]) for part in ("shift", "scale"))
        for parameter in self.get_parameters():
            parameter.requires_grad = False

    def features(self, x: Tensor) -> list[Tensor]:
        """Unit-length feature maps of a picture in [0, 1]."""
        x, found = (2 * x - 1 - self.shift) / self.scale, []
        for layer, (*_, pooled) in zip(self.convolutions, LAYERS):
            x = ops.relu(layer(ops.max_pool2d(x, 3, 2) if pooled else x))
            # the tiny constant inside the root keeps value and gradient finite where a vector is zero
            found.append(x * ops.rsqrt((x * x).sum(axis=1, keepdims=True) + np.float32(1e-10)))
        return found

    def construct(self, x: Tensor, x_hat: Tensor) -> Tensor:
        reference = [ops.stop_gradient(f) for f in self.features(x)]
        parts = [(w * (f - g) ** 2).sum(axis=1).mean(axis=(1, 2)) for w, f, g in zip(self.weigh, reference, self.features(x_hat))]
        return sum(parts[1:], parts[0])
