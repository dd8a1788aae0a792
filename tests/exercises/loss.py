import torch

NOTEBOOK = "08_perceptual_loss"


def _unit(f, eps=0.0):
    return f / (f.norm(dim=1, keepdim=True) + eps)


def _total(pixels, scale=255, average=torch.Tensor.mean):
    """The objective, with a choice of what it divides the bits by, of L1's scale, and of how LPIPS is averaged."""
    return lambda bits, x, y, lpips, w: w[0] * bits / pixels(x) + w[1] * scale * (x - y).abs().mean() + w[2] * average(lpips)


def _pixels(x):
    return x.shape[0] * x.shape[2] * x.shape[3]


EXERCISES = {
    "loss_1": (
        "best_answers",
        {
            "swapped": lambda v: (v.median(), v.mean()),
            "best for the absolute": lambda v: (v.mean(), v.mean()),
            "best for the squared": lambda v: ((v.min() + v.max()) / 2, v.median()),
        },
    ),
    "loss_2": (
        "total",
        {
            "grey levels": _total(_pixels, scale=1),
            "three colour values": _total(lambda x: x.numel()),
            "whole batch": _total(lambda x: x.shape[2] * x.shape[3]),
            "do not sum": _total(_pixels, average=torch.Tensor.sum),
            "bits per pixel": _total(lambda x: 1),
            "one number": _total(_pixels, average=lambda lpips: lpips),
        },
    ),
    "loss_3": (
        "unit_length",
        {
            "not finite": lambda f: f / (torch.sqrt((f**2).sum(dim=1, keepdim=True)) + 1e-10),
            "has to be finite": lambda f: f / torch.sqrt((f**2).sum(dim=1, keepdim=True)),
            "over the channels": lambda f: f * torch.rsqrt((f**2).sum(dim=(2, 3), keepdim=True) + 1e-10),
            "the length, too": lambda f: f * torch.rsqrt((f.detach() ** 2).sum(dim=1, keepdim=True) + 1e-10),
        },
    ),
    "loss_4": (
        "break_even",
        {
            "sign": lambda a, b: (b[1] - a[1]) / (b[0] - a[0]),
            "rate for distortion": lambda a, b: (a[0] - b[0]) / (b[1] - a[1]),
            "not the same": lambda a, b: a[1] / a[0],
        },
    ),
    "loss_5": (
        "layer_distance",
        {
            "unit length over": lambda f, g, w: (w[:, None, None] * (f - g) ** 2).sum(1).mean((1, 2)),
            "sum over the channels": lambda f, g, w: (w[:, None, None] * (_unit(f) - _unit(g)) ** 2).mean((1, 2, 3)),
            "average over the cells": lambda f, g, w: (w[:, None, None] * (_unit(f) - _unit(g)) ** 2).sum((1, 2, 3)),
            "last axis": lambda f, g, w: (w * (_unit(f) - _unit(g)) ** 2).sum(1).mean((1, 2)),
            "square": lambda f, g, w: (w[:, None, None] * (_unit(f) - _unit(g)).abs()).sum(1).mean((1, 2)),
            "one distance for each": lambda f, g, w: (w[:, None, None] * (_unit(f) - _unit(g)) ** 2).sum(1).mean(),
        },
    ),
}
