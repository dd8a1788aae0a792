import torch

NOTEBOOK = "06_asymmetric_gaussian"


def _inside(scale):
    return torch.erf(0.5 / (2**0.5 * scale))


def _laplace(k, left, right, weight):
    def beyond(t, s):
        return torch.exp(-t.clamp(min=0) / s)

    below = weight * (beyond(-k - 0.5, left) - beyond(-k + 0.5, left))
    return below + (1 - weight) * (beyond(k - 0.5, right) - beyond(k + 0.5, right))


def _own_side(t):
    return tuple((t[side] ** 2).mean().sqrt() for side in (t < 0, t > 0))


def _maximum(t):
    squares = torch.stack([(t[t < 0] ** 2).sum(), (t[t > 0] ** 2).sum()])
    ratio = (squares[1] / squares[0]) ** (1 / 3)
    left = (squares[0] * (1 + ratio) / len(t)).sqrt()
    return left, ratio * left


EXERCISES = {
    "asymmetric_1": (
        "zero_probability",
        {
            "alike": lambda left, right: (_inside(left) + _inside(right)) / 2,
            "average scale": lambda left, right: _inside((left + right) / 2),
            "swapped": lambda left, right: (right * _inside(left) + left * _inside(right)) / (left + right),
            "add the share": lambda left, right: (left * torch.erf(0.5 / left) + right * torch.erf(0.5 / right)) / (left + right),
        },
    ),
    "asymmetric_2": (
        "quantile",
        {
            "half of the mass": lambda p, left, right: torch.where(p < 0.5, left, right) * torch.special.ndtri(p),
            "left of the mode": lambda p, left, right: (left + right) / 2 * torch.special.ndtri(p),
            "positive": lambda p, left, right: torch.where(
                p < left / (left + right),
                left * torch.special.ndtri((p * (left + right) / (2 * left)).clamp(max=0.5)),
                right * torch.special.ndtri(((1 - p) * (left + right) / (2 * right)).clamp(max=0.5)),
            ),
            "right of the mode": lambda p, left, right: left * torch.special.ndtri((p * (left + right) / (2 * left)).clamp(max=0.999)),
        },
    ),
    "asymmetric_3": (
        "laplace_bin",
        {
            "jumps": lambda k, left, right: _laplace(k, left, right, 0.5),
            "swapped": lambda k, left, right: _laplace(k, right, left, right / (left + right)),
            "density": lambda k, left, right: torch.exp(-k.abs() / torch.where(k < 0, left, right)) / (left + right),
            "holds the mode": lambda k, left, right: torch.where(
                k == 0, right * (1 - torch.exp(-0.5 / right)) / (left + right), _laplace(k, left, right, left / (left + right))
            ),
        },
    ),
    "asymmetric_4": (
        "fit",
        {
            "each side by itself": _own_side,
            "of their own": lambda t: ((t**2).mean().sqrt(),) * 2,
            "swapped": lambda t: _maximum(t)[::-1],
            "not yet the maximum": lambda t: tuple(1.1 * s for s in _maximum(t)),
            "a pair": lambda t: (t**2).mean().sqrt(),
        },
    ),
}
