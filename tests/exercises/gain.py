import torch

NOTEBOOK = "07_gain_units"


def _only_first_half(size, target):
    """Bisection with the comparison the wrong way round."""
    low, high = 0.0, 2.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if size(middle) < target else (middle, high)
    return low


def _map(theta, level, last):
    lower = level.floor().long()
    fraction = (level - lower)[..., None]
    return last((1 - fraction), theta[lower], fraction, theta[(lower + 1).clamp(max=len(theta) - 1)])


EXERCISES = {
    "gain_1": (
        "between",
        {
            "straight line between the gains": lambda a, b, f: (1 - f) * a + f * b,
            "straight line between the step sizes": lambda a, b, f: 1 / ((1 - f) / a + f / b),
            "swapped": lambda a, b, f: a**f * b ** (1 - f),
            "one gain for each": lambda a, b, f: (a ** (1 - f) * b**f).mean(),
        },
    ),
    "gain_2": (
        "through",
        {
            "first axis": lambda y, m, i: torch.round(y * m) * i,
            "not 1/m": lambda y, m, i: torch.round(y * m[:, None, None]) / m[:, None, None],
            "symbols": lambda y, m, i: torch.round(y * m[:, None, None]),
            "between the two": lambda y, m, i: torch.round(y * m[:, None, None] * i[:, None, None]),
        },
    ),
    "gain_3": (
        "gain_map",
        {
            "channel comes first": lambda theta, level: _map(theta, level, lambda a, t, b, u: torch.exp(a * t + b * u)),
            "exponential last": lambda theta, level: _map(theta, level, lambda a, t, b, u: a * t.exp() + b * u.exp()).movedim(-1, 0),
            "fraction": lambda theta, level: torch.exp(theta[level.round().long()]).movedim(-1, 0),
            "top level": lambda theta, level: _map(
                theta, level.clamp(max=len(theta) - 1.1), lambda a, t, b, u: torch.exp(a * t + b * u)
            ).movedim(-1, 0),
        },
    ),
    "gain_4": (
        "search",
        {
            "halve": lambda size, target: min((k / 1000 for k in range(2001)), key=lambda level: abs(size(level) - target)),
            "return a level": lambda size, target: size(1.0) + 10,
            "wanted": _only_first_half,
            "levels lie between": lambda size, target: size(3.0),
        },
    ),
}
