"""Exact entropy parameters: hyper-decoder, context and gather as integer networks.

Encoder and decoder must agree on every table of every symbol. Floating-point sums
depend on their order, and the order on the thread count, the batch and the device; one
different last bit can select another table, and everything after it decodes to noise.
So the codec evaluates these three networks on integers (Ballé et al. 2019):

- a number v with f fraction bits is the integer round(v * 2^f);
- weights have 20 bits, one power of two an output channel; activations have 24 bits,
  one fraction-bit count an activation map, found on photographs when freezing; latents
  and means have 16, six of them after the point;
- a layer is a sum of products of integers, a shift with rounding, and a clamp.

The integers are held in float64 and multiplied by plain matrix products. All sums stay
below 2^52, where float64 is exact, so no order of summation can change them.

Everything integer follows from the float weights by powers of two and rounding, which
IEEE arithmetic does alike everywhere. A checkpoint stores the float weights, the
fraction bits and the tables; its hash covers the integers made from them.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from plic_lib import images, layers, tables
from plic_lib.context import SLOPE
from plic_lib.errors import CheckpointError
from plic_lib.model import Plic
from plic_lib.quantise import GRID

# Fewer bits would code as well. But each mean feeds the next through the context, so deviations from the
# float network grow along the wavefront; these bits keep them as rare as float32's own, and cost nothing,
# since float64 holds them anyway.
WEIGHT_BITS, ACTIVATION_BITS = 20, 24
LIMIT = 2 ** (ACTIVATION_BITS - 1) - 1  #: largest activation
LATENT_LIMIT = 2**15 - 1  #: largest latent and mean, in units of 1/64
GRID_BITS = int(math.log2(GRID))  #: fraction bits of z_hat, y_hat and the means
MOST_FRACTION_BITS = 20  #: of an activation map
EXACT = 2**52  #: float64 represents all integers and halves below
#: activation maps whose fraction bits are found by calibration
MAPS = ("hyper_1", "hyper_2", "features", "gather_1", "gather_2")


@dataclass
class Layer:
    """An integer affine map of rows: ``clamp(round((W x + b) * scale))``, leaky where asked.

    All tensors are float64; all but ``scale`` hold integers.
    """

    weight: Tensor  #: (outputs, inputs), at most 20 bits
    bias: Tensor  #: (outputs,)
    scale: Tensor  #: (outputs,), powers of two
    low: float = -LIMIT  #: of the clamp to 24 bits; 0 makes it a ReLU
    leaky: bool = False  #: negative sums are multiplied by 1/128

    def __post_init__(self):
        # what is multiplied: a power of two leaves all sums exact, and few rows meet a matrix of
        # this orientation 1.4 times as fast
        self.columns, self.start = (self.weight * self.scale[:, None]).T.contiguous(), self.bias * self.scale

    def to(self, device: torch.device) -> "Layer":
        """A copy on another device."""
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device), scale=self.scale.to(device))

    def finish(self, sums: Tensor) -> Tensor:
        """Round and clamp ``(W x + b) * scale``, (cells, outputs), in place."""
        if self.leaky:
            F.leaky_relu_(sums, SLOPE)
        return sums.add_(0.5).floor_().clamp_(self.low, LIMIT)

    def __call__(self, rows: Tensor) -> Tensor:
        """(cells, inputs) -> (cells, outputs)."""
        return self.finish(torch.addmm(self.start, rows, self.columns))


class WindowLayer(Layer):
    """A ``Layer`` of the 3x3 windows around the cells of a map, zero outside, laid out as (C, 3, 3)."""

    def __call__(self, x: Tensor) -> Tensor:
        """(h, w, C) -> (h, w, outputs).

        With a border, the cells of one tap of all windows follow each other in memory, so
        no window has to be laid out. A few cells of the border are computed for nothing.
        """
        height, width, channels = x.shape
        rows = F.pad(x, (0, 0, 1, 1, 1, 2)).flatten(0, 1)
        taps = self.columns.reshape(channels, 9, -1).unbind(1)
        sums = self.start.repeat(height * (width + 2), 1)
        for tap, columns in enumerate(taps):
            first = tap // 3 * (width + 2) + tap % 3
            sums.addmm_(rows[first : first + len(sums)], columns)
        return self.finish(sums).reshape(height, width + 2, -1)[:, :width]


def power_of_two(exponents: Tensor) -> Tensor:
    """Exactly 2^exponents in float64; ``torch.exp2`` may be off in the last bit, and not alike everywhere."""
    return torch.from_numpy(np.ldexp(1.0, exponents.numpy()))


def quantise_layer(weight: Tensor, bias: Tensor, bits_in: int, bits_out: int, kind: type[Layer] = Layer, **settings) -> Layer:
    """Round a float affine map, weight (outputs, inputs) and bias (outputs,), to a ``Layer`` on the CPU.

    Args:
        bits_in: fraction bits of the input.
        bits_out: fraction bits of the output.
        kind: for windows, ``WindowLayer``.
        settings: ``low``, ``leaky`` of the layer.
    """
    weight, bias = weight.detach().cpu().double(), bias.detach().cpu().double()
    # the largest power of two that keeps a row within its bits; frexp is exact, a logarithm is not
    bits = (WEIGHT_BITS - 1) - torch.frexp(weight.abs().amax(dim=1).clamp(min=1e-6)).exponent
    top = 2 ** (WEIGHT_BITS - 1) - 1
    weight = torch.round(weight * power_of_two(bits)[:, None]).clamp(-top, top)
    bias = torch.round(bias * power_of_two(bits + bits_in))
    if not (weight.abs().sum(dim=1) * LIMIT + bias.abs()).max() < EXACT:  # nor where it is no number
        raise CheckpointError("integer sums of this layer could exceed 2^52, beyond which float64 is not exact")
    return kind(weight, bias, power_of_two(bits_out - bits - bits_in), **settings)


def block_matrix(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """A 5x5 stride-2 deconvolution as a map from a cell's 3x3 window to its block of 2x2.

    Returns weight (4 outputs, 9 inputs) and bias (4 outputs,); the four values of a channel follow each other.
    """
    weight, bias = layers.affine(layer)
    return layers.phases(F.pad(weight, (0, 1, 0, 1))).flatten(1), bias.repeat_interleave(4)


class IntegerNetworks:
    """Hyper-decoder, context and gather of one model, on integers.

    They are made on the CPU, wherever the model is; ``to`` moves them.

    Args:
        model: supplies the float weights.
        fraction_bits: for each of ``MAPS``.
    """

    def __init__(self, model: Plic, fraction_bits: dict[str, int]):
        bits = fraction_bits
        first, _, second, _, third = model.hyper_decoder
        matrix = lambda layer: (layers.affine(layer)[0].flatten(1), layers.affine(layer)[1])
        gather = model.gather.layers
        self.layers = {
            "hyper_1": quantise_layer(*block_matrix(first), GRID_BITS, bits["hyper_1"], WindowLayer, low=0),
            "hyper_2": quantise_layer(*block_matrix(second), bits["hyper_1"], bits["hyper_2"], WindowLayer, low=0),
            "hyper_3": quantise_layer(*matrix(third), bits["hyper_2"], bits["features"], WindowLayer),
            "context": quantise_layer(model.context.matrix(), layers.affine(model.context)[1], GRID_BITS, bits["features"]),
            "gather_1": quantise_layer(*matrix(gather[0]), bits["features"], bits["gather_1"], leaky=True),
            "gather_2": quantise_layer(*matrix(gather[2]), bits["gather_1"], bits["gather_2"], leaky=True),
            "gather_3": _heads(gather[4], model.widths.M, bits["gather_2"]),
        }
        self.device = torch.device("cpu")
        self.M = model.widths.M

    def to(self, device: str | torch.device) -> "IntegerNetworks":
        """Move to CUDA, which gives the same integers; for any other device, stay on the CPU (Apple's MPS has no float64)."""
        self.device = torch.device(device if torch.device(device).type == "cuda" else "cpu")
        self.layers = {name: layer.to(self.device) for name, layer in self.layers.items()}
        return self

    def features(self, z: Tensor) -> Tensor:
        """The part of gather's first sums that does not depend on the context.

        Args:
            z: (N, h/4, w/4) integers, 64 * z_hat.

        Returns:
            (h * w, 10M/3) integers in float64, raster order.
        """
        x = z.to(self.device).double().clamp(-LATENT_LIMIT, LATENT_LIMIT).permute(1, 2, 0)
        for name in ("hyper_1", "hyper_2"):
            height, width = x.shape[:2]
            blocks = self.layers[name](x).reshape(height, width, -1, 2, 2)
            x = blocks.permute(0, 3, 1, 4, 2).reshape(2 * height, 2 * width, -1)
        rows = self.layers["hyper_3"](x).flatten(0, 1)
        gather = self.layers["gather_1"]
        return torch.addmm(gather.start, rows, gather.columns[: 2 * self.M])

    def parameters(self, features: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means and scale indices of n cells from their features and decoded neighbours.

        Args:
            features: (n, 10M/3), rows of ``features()``.
            neighbours: (n, 12 M), 64 * y_hat of the cells at ``TAPS``.

        Returns:
            means in units of 1/64, index of the left and of the right scale on the
            grid of ``plic_lib.tables``; (n, M) integers in float64 each.
        """
        context = self.layers["context"](neighbours)
        gather = self.layers["gather_1"]
        x = gather.finish(torch.addmm(features, context, gather.columns[2 * self.M :]))
        heads = self.layers["gather_3"](self.layers["gather_2"](x))
        means = heads[:, : self.M].clamp_(-LATENT_LIMIT, LATENT_LIMIT)
        scales = heads[:, self.M :].clamp_(0, tables.SCALES - 1)
        return means, scales[:, : self.M], scales[:, -self.M :]

    def tensors(self) -> dict[str, Tensor]:
        """All integers by name, for the hash."""
        return {
            f"{name}.{part}": getattr(layer, part).cpu().contiguous()
            for name, layer in self.layers.items()
            for part in ("weight", "bias", "scale")
        }


def _heads(layer: nn.Module, M: int, bits_in: int) -> Layer:
    """Gather's last layer: means in 1/64, and log-scales as steps of the table grid."""
    weight, bias = (part.detach().cpu().flatten(1 if part.ndim > 1 else 0).double() for part in layers.affine(layer))
    means = quantise_layer(weight[:M], bias[:M], bits_in, GRID_BITS)
    scales = quantise_layer(weight[M:] / tables.LOG_SCALE_STEP, (bias[M:] - tables.LOG_SCALE_MIN) / tables.LOG_SCALE_STEP, bits_in, 0)
    join = lambda part: torch.cat([getattr(means, part), getattr(scales, part)])
    return Layer(join("weight"), join("bias"), join("scale"))


@dataclass
class Frozen:
    """What a trained model needs besides its weights to write and read files."""

    fraction_bits: dict[str, int]
    tables: tables.Tables

    def tensors(self) -> dict[str, Tensor]:
        """As a checkpoint stores it."""
        bits = torch.tensor([self.fraction_bits[name] for name in MAPS], dtype=torch.int32)
        return {"fraction_bits": bits, **self.tables.tensors()}

    @classmethod
    def from_tensors(cls, stored: dict[str, Tensor]) -> "Frozen":
        """The inverse of ``tensors``. Raises ValueError for what the coder must not see."""
        bits: dict[str, int] = dict(zip(MAPS, stored["fraction_bits"].tolist(), strict=True))
        if not all(abs(number) <= MOST_FRACTION_BITS for number in bits.values()):
            raise ValueError(f"its fraction bits are {list(bits.values())}")
        return cls(bits, tables.Tables(**{k: v for k, v in stored.items() if k != "fraction_bits"}))


@torch.no_grad()
def freeze(model: Plic, pictures: list[Tensor]) -> Frozen:
    """Find the fraction bits on photographs, and build the coding tables.

    The largest activation seen at any level keeps a fourfold margin below 24 bits;
    what still exceeds them is clamped, in the encoder and the decoder alike.

    Args:
        pictures: (3, H, W) in [0, 1], on the CPU.
    """
    device = model.context.weight.device
    largest: dict[str, float] = dict.fromkeys(MAPS, 1e-3)

    def watch(name: str):
        def hook(_module, _inputs, output):
            largest[name] = max(largest[name], float(output.abs().max()))

        return hook

    hyper, gather = model.hyper_decoder, model.gather.layers
    watched = {
        hyper[1]: "hyper_1",
        hyper[3]: "hyper_2",
        hyper[4]: "features",
        model.context: "features",
        gather[1]: "gather_1",
        gather[3]: "gather_2",
    }
    hooks = [module.register_forward_hook(watch(name)) for module, name in watched.items()]
    for picture in tqdm(pictures, desc="calibration", delay=2, leave=False):
        x = images.pad(picture[None]).to(device)
        for level in range(model.widths.levels):
            y_bar, features, _ = model.analyse(x, torch.full((1, 1), float(level), device=device))
            model.parameters_of(model.decode_order(y_bar, features), features)
    for hook in hooks:
        hook.remove()
    bits = {name: min(MOST_FRACTION_BITS, math.floor(math.log2(LIMIT / (4 * value)))) for name, value in largest.items()}
    return Frozen(bits, tables.build(model.prior, model.density.survival))
