"""What is timed: pictures of any size, and models."""

import torch
from torch import Tensor

from plic_lib import checkpoint, datasets, images
from plic_lib.checkpoint import TrainedModel
from plic_lib.grid import CELL, ceil_div
from plic_lib.integer import freeze
from plic_lib.model import PAPER, Plic


def picture(height: int, width: int) -> Tensor:
    """A photograph of any size: scikit-image's motorcycle, repeated and cut."""
    x = datasets.sample("motorcycle")
    return x.repeat(1, ceil_div(height, x.shape[1]), ceil_div(width, x.shape[2]))[:, :height, :width].contiguous()


def shape(megapixels: float) -> tuple[int, int]:
    """(height, width) in pixels of about that many megapixels: 3:2, sides in whole cells of 16."""
    height, width = (CELL * max(1, round((megapixels * 1e6 * ratio) ** 0.5 / CELL)) for ratio in (2 / 3, 3 / 2))
    return height, width


def load(model_name: str) -> TrainedModel:
    """A shipped model, a file, or "untrained-paper": the paper's width with random weights."""
    return untrained() if model_name == "untrained-paper" else checkpoint.load(model_name)


def untrained(widths=PAPER) -> TrainedModel:
    """A model of random weights. Its latents spread over a third of a step, of which its entropy model knows nothing: the bits are many."""
    torch.manual_seed(0)
    networks = checkpoint.round_weights_(Plic(widths).eval())
    x = images.pad(picture(256, 256)[None])
    with torch.no_grad():
        y = networks.encoder(x)
        networks.gain_units.theta.sub_(torch.log(3 * y.std(dim=(0, 2, 3))))
    return TrainedModel("untrained", networks, freeze(networks, [x[0]]))
