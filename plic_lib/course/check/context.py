"""Checks of 05_context_and_gather."""

import random

import torch
import torch.nn.functional as F

from plic_lib.course.check import exercise


def _taps(k: int) -> list[tuple[int, int]]:
    """Cells before the centre of a k x k window in reading order, as (dy, dx)."""
    reach = range(-(k // 2), k // 2 + 1)
    return [(dy, dx) for dy in reach for dx in reach if (dy, dx) < (0, 0)]


@exercise
def context_1(context_mask):
    """``context_mask(k)``: ones before the centre in reading order."""
    for k in (3, 5, 7):
        mask = context_mask(k)
        assert isinstance(mask, torch.Tensor) and mask.shape == (k, k), f"the mask for k = {k} is a tensor of shape ({k}, {k})"
        c = k // 2
        assert mask[c, c] == 0, "the centre is visible: that is type B, and the decoder does not have this cell yet"
        assert not mask[c, c + 1 :].any(), "cells right of the centre in its own row come later in reading order"
        assert not mask[c + 1 :].any(), "rows below the centre are not decoded yet"
        assert (mask[c, :c] == 1).all(), "the cells left of the centre are decoded already: use them"
        assert (mask[:c] == 1).all(), "the rows above the centre are decoded in their whole width, also right of the centre"


@exercise
def context_2(step_of):
    """``step_of(y, x, k)``: step of the wavefront for a k x k window."""
    assert int(step_of(0, 0, 5)) == float(step_of(0, 0, 5)) == 0, "the first cell, (0, 0), is step 0"
    for k in (5, 3, 7, 9):
        y, x = random.randint(k, 20), random.randint(k, 30)
        here = float(step_of(y, x, k))
        for dy, dx in _taps(k):
            there = float(step_of(y + dy, x + dx, k))
            assert there < here, f"k = {k}: the cell ({y}, {x}) needs its tap at ({dy}, {dx}), but their steps are {here:g} and {there:g}"
        assert here == x + (k // 2 + 1) * y, f"k = {k}: legal, but slower than necessary; which tap forces the slope?"


@exercise
def context_3(number_of_steps):
    """``number_of_steps(height, width)`` of the 5 x 5 window's wavefront."""
    sizes = [(32, 48), (1, 9), (9, 3)] + [(random.randint(2, 60), random.randint(4, 60)) for _ in range(4)]
    for height, width in sizes + [(random.randint(3, 30), 1), (random.randint(3, 30), 2)]:
        expected = len({x + 3 * y for y in range(height) for x in range(width)})
        value = float(number_of_steps(height, width))
        where = f"{height} x {width}"
        assert value != height * width or expected == value, f"{where}: that is one step a cell; cells with equal x + 3 y share one"
        assert value != expected + 3, f"{where}: the last row is number height - 1, so there is one row too many"
        assert value != expected - 1, f"{where}: steps count from 0, so there is one more than the largest number"
        assert width > 2 or value == expected, (
            f"{where}: with fewer than three columns some numbers belong to no cell, and these empty steps do not count"
        )
        assert value == expected, f"{where}: {expected} steps, not {value:g}"


@exercise
def context_4(exact_dot):
    """``exact_dot(weights, activations, bits)``, the same in any order."""
    for bits in (12, 8, 3):
        weights, activations = torch.randn(2000), torch.randn(2000)
        value = torch.as_tensor(exact_dot(weights, activations, bits))
        grid = [torch.round(t.double() * 2**bits) for t in (weights, activations)]
        expected = float((grid[0] * grid[1]).sum()) / 4**bits
        for _ in range(25):
            order = torch.randperm(2000)
            again = torch.as_tensor(exact_dot(weights[order], activations[order], bits))
            assert torch.equal(value, again), "another order of the elements gives another last bit: add integers, in float64 or int64"
        assert value.dtype == torch.float64, "return a float64: float32 cannot hold the sum exactly"
        for power in (1, 2):
            assert float(value) != expected * 2 ** (power * bits), f"the scale is missing: each factor was multiplied by 2^{bits}"
        assert float(value) == expected, (
            f"exact, but not the wanted number: {float(value):.6f} instead of {expected:.6f}; round each factor to the nearest multiple of 2^-{bits} before multiplying"
        )


def _layer(channels: int, k: int, leak: tuple[int, int] | None = None, leaking_channel: int | None = None):
    """A masked convolution with a nonlinearity, with one further tap for all channels or for one."""
    weight = torch.zeros(5, channels, k, k)
    for dy, dx in _taps(k):
        weight[:, :, k // 2 + dy, k // 2 + dx] = torch.randn(5, channels)
    if leak:
        which = slice(None) if leaking_channel is None else slice(leaking_channel, leaking_channel + 1)
        weight[:, which, k // 2 + leak[0], k // 2 + leak[1]] = 1 + torch.rand(weight[:, which, 0, 0].shape)
    bias = torch.randn(5)
    return lambda x: F.leaky_relu(F.conv2d(x, weight.to(x), bias.to(x), padding=k // 2), 0.1)


@exercise
def context_5(is_causal):
    """``is_causal(layer, channels, height, width)``."""
    channels, height, width = random.randint(3, 5), random.randint(6, 8), random.randint(6, 8)
    test = lambda layer: bool(is_causal(layer, channels, height, width))  # noqa: E731
    for k in (3, 5, 7):
        assert test(_layer(channels, k)), f"a masked convolution of type A, {k} x {k}, is causal"
    assert not test(_layer(channels, 5, leak=(0, 0))), "a mask of type B shows each cell itself; that is not causal"
    assert not test(_layer(channels, 5, leak=(0, 1))), "this layer sees the cell to the right, which is later"
    assert not test(_layer(channels, 5, leak=(1, -2))), (
        "this layer sees a cell of the row below, which is later, although it lies to the left"
    )
    for channel in range(channels):
        leaking = _layer(channels, 5, (0, 0), channel)
        assert not test(leaking), f"one channel of {channels} leaks and the others do not: look at all of them"
    late = torch.zeros(1, 1, height, width)
    late[..., -1, :] = 1  # leaks in the last row only
    causal, leaking = _layer(channels, 5), _layer(channels, 5, (0, 0))
    assert not test(lambda x: causal(x) + late.to(x) * leaking(x)), "this layer leaks in its last row only: look at every cell"
