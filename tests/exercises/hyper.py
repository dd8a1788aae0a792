import math

import torch

NOTEBOOK = "04_hyperprior"


def _price(k, scale):
    near, far = (k.abs() - 0.5) / scale, (k.abs() + 0.5) / scale
    return 1 - torch.log2(torch.erfc(near / math.sqrt(2)) - torch.erfc(far / math.sqrt(2)))


def _extra(true, assumed):
    k = torch.arange(-8.0, 9.0, dtype=torch.float64)
    own, other = _price(k, true), _price(k, assumed)
    return torch.nansum(torch.where(own < 40, torch.exp2(-own) * (other - own), 0.0))


EXERCISES = {
    "hyper_1": (
        "gaussian_price",
        {
            "nats": lambda k, scale: _price(k, scale) * math.log(2),
            "density": lambda k, scale: -torch.distributions.Normal(0.0, scale).log_prob(k) / math.log(2),
            "variance": lambda k, scale: _price(k, math.sqrt(scale)),
            "probability": lambda k, scale: torch.exp2(-_price(k, scale)),
            "one price a symbol": lambda k, scale: _price(k, scale).sum(),
        },
    ),
    "hyper_2": (
        "best_scale",
        {
            "around the average": lambda values: values.std(),
            "Laplacian": lambda values: values.abs().mean(),
            "mean square": lambda values: values.square().mean(),
        },
    ),
    "hyper_3": (
        "extra_bits",
        {
            "swapped": lambda true, assumed: _extra(assumed, true),
            "densities": lambda true, assumed: ((true / assumed) ** 2 - 1) / 2 / math.log(2) - math.log2(true / assumed),
            "nats": lambda true, assumed: _extra(true, assumed) * math.log(2),
            "sign": lambda true, assumed: -_extra(true, assumed),
        },
    ),
    "hyper_4": (
        "lower_bound",
        {
            "stuck": lambda x, bound: x.clamp(min=bound),
            "further out": lambda x, bound: x + (x.clamp(min=bound) - x).detach(),
            "larger of x": lambda x, bound: x.clamp(max=bound),
            "connection": lambda x, bound: x.detach().clamp(min=bound),
        },
    ),
}
