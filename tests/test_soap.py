"""SOAP against its definition, written out for one matrix in double precision."""

import math

import pytest
import torch

from plic_lib.training.soap import SOAP


def by_the_book(weight, gradients, lr, beta=0.95, eps=1e-8, every=4):
    """Vyas et al. 2024, algorithm 3: momentum in the weight's own basis, everything spelled out."""
    left, right = ((1 - beta) * g for g in (gradients[0] @ gradients[0].T, gradients[0].T @ gradients[0]))
    q_left, q_right = (torch.linalg.eigh(m)[1].flip(-1) for m in (left, right))
    momentum, squares = torch.zeros_like(weight), torch.zeros_like(weight)
    for step, g in enumerate(gradients[1:], start=1):
        momentum = beta * momentum + (1 - beta) * g
        squares = beta * squares + (1 - beta) * (q_left.T @ g @ q_right) ** 2
        update = q_left @ ((q_left.T @ momentum @ q_right) / (squares.sqrt() + eps)).clamp(-1, 1) @ q_right.T
        weight = weight - lr * math.sqrt(1 - beta**step) / (1 - beta**step) * update
        left, right = beta * left + (1 - beta) * g @ g.T, beta * right + (1 - beta) * g.T @ g
        if step % every == 0:
            for side, (mean, q) in enumerate(((left, q_left), (right, q_right))):
                order = (q * (mean @ q)).sum(0).argsort(descending=True)
                squares = squares.index_select(side, order)
                q = torch.linalg.qr((mean @ q)[:, order])[0]
                q_left, q_right = (q, q_right) if side == 0 else (q_left, q)
    return weight


def gradients(shape, number=30):
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(0.1, 3, shape[-1], dtype=torch.float64)
    mix = torch.linalg.qr(torch.randn(shape[-1], shape[-1], generator=generator, dtype=torch.float64))[0]
    return [(torch.randn(shape, generator=generator, dtype=torch.float64) * scale) @ mix for _ in range(number)]


def descend(weights, steps, **settings):
    """One SOAP over all weights, each with its own gradients."""
    parameters = [torch.nn.Parameter(w.clone()) for w in weights]
    optimizer = SOAP(parameters, lr=1e-2, **settings)
    for gs in zip(*steps):
        for p, g in zip(parameters, gs):
            p.grad = g.clone()
        optimizer.step()
    return [p.detach() for p in parameters], optimizer


def test_it_is_the_published_algorithm():
    weight, steps = torch.randn(8, 8, dtype=torch.float64), gradients((8, 8))
    (mine,), _ = descend([weight], [steps], renew_statistics=1, renew_bases=4)
    torch.testing.assert_close(mine, by_the_book(weight, steps, 1e-2), rtol=0, atol=1e-9)


def test_stacking_changes_nothing():
    """Weights of one shape are handled together; each ends as alone. A 1 x 1 kernel is a matrix."""
    weights = [torch.randn(8, 8, dtype=torch.float64) for _ in range(3)]
    steps = [[g.roll(i, 0) for g in gradients((8, 8))] for i in range(3)]
    together, _ = descend(weights, steps)
    for weight, gs, one in zip(weights, steps, together):
        torch.testing.assert_close(descend([weight], [gs])[0][0], one)
        kernel = descend([weight[..., None, None]], [[g[..., None, None] for g in gs]])[0][0]
        torch.testing.assert_close(kernel[..., 0, 0], one)


def test_vectors_get_adams_step():
    weight, steps = torch.randn(8, dtype=torch.float64), [g[0] for g in gradients((8, 8))]
    (mine,), _ = descend([weight], [steps])
    p = torch.nn.Parameter(weight.clone())
    adam = torch.optim.Adam([p], lr=1e-2, betas=(0.95, 0.95))
    for g in steps[1:]:  # SOAP's first step only looks
        p.grad = g.clone()
        adam.step()
    torch.testing.assert_close(mine, p.detach())


def test_an_axis_that_is_too_long_keeps_its_basis():
    _, optimizer = descend([torch.randn(8, 40, dtype=torch.float64)], [gradients((8, 40))], largest=16)
    (state,) = optimizer.state.values()
    assert state["axes"] == [0] and state["bases"][0].shape == (1, 8, 8)


def test_statistics_and_bases_have_to_agree():
    with pytest.raises(ValueError, match="multiple"):
        SOAP([torch.nn.Parameter(torch.ones(2))], renew_statistics=3, renew_bases=10)
