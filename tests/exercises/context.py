import torch

NOTEBOOK = "05_context_and_gather"


def _mask(k, b):
    mask = torch.zeros(k * k)
    mask[: k * k // 2 + b] = 1
    return mask.reshape(k, k)


def _dot(w, a, b, scale):
    return (torch.round(w.double() * 2**b) * torch.round(a.double() * 2**b)).sum() / scale**b


def _moves(layer, channels, height, width, cells, which=slice(None), own=True):
    for y, x in cells:
        a = torch.randn(1, channels, height, width)
        b = a.clone()
        b[:, which, y, x] += 1
        moved = (layer(a) != layer(b)).any(dim=1).flatten()
        if moved[: y * width + x + own].any():
            return False
    return True


def _all(height, width):
    return [(y, x) for y in range(height) for x in range(width)]


EXERCISES = {
    "context_1": (
        "context_mask",
        {
            "type B": lambda k: _mask(k, 1),
            "in its own row": lambda k: torch.ones(k, k) - torch.eye(k) * (torch.arange(k) == k // 2),
            "whole width": lambda k: torch.tril(_mask(k, 0)),
        },
    ),
    "context_2": (
        "step_of",
        {
            "needs its tap": lambda y, x, k: x + (k // 2) * y,
            "slower than necessary": lambda y, x, k: x + (3 if k == 5 else k) * y,
            "(0, 0)": lambda y, x, k: 1 + x + (k // 2 + 1) * y,
        },
    ),
    "context_3": (
        "number_of_steps",
        {
            "one step a cell": lambda h, w: h * w,
            "one row too many": lambda h, w: w + 3 * h,
            "count from 0": lambda h, w: w - 1 + 3 * (h - 1),
            "empty steps": lambda h, w: w + 3 * (h - 1),
        },
    ),
    "context_4": (
        "exact_dot",
        {
            "another order": lambda w, a, b: (w * a).sum().double(),
            "scale is missing": lambda w, a, b: _dot(w, a, b, 1),
            "each factor": lambda w, a, b: torch.round(w.double() * a.double() * 2**b).sum() / 2**b,
        },
    ),
    "context_5": (
        "is_causal",
        {
            "type B": lambda f, c, h, w: _moves(f, c, h, w, _all(h, w), own=False),
            "one channel": lambda f, c, h, w: _moves(f, c, h, w, _all(h, w), which=slice(0, 1)),
            "every cell": lambda f, c, h, w: _moves(f, c, h, w, [(h // 2, w // 2)]),
        },
    ),
}
