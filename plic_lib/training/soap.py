"""SOAP: Adam in the eigenbasis of each weight's gradients (Vyas et al. 2024, arXiv 2409.11321).

Adam divides each coordinate of the gradient by its own running size. That is the right
thing where coordinates do not move together; in a convolution they do. SOAP first turns
the gradient into a basis where they do not: for a matrix G, the eigenvectors of the
running means of G Gᵀ and Gᵀ G. There it makes Adam's step, and turns it back.

Three things make it cheap enough for small networks on a CPU: weights of one shape are
stacked and handled by one matrix product, the running means of G Gᵀ are renewed only
every few steps, and the momentum lives in the turned basis, so that only two turns a
step remain.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor


class SOAP(torch.optim.Optimizer):
    """Adam's step in slowly turning eigenbases.

    A weight (out, in, k, k) is treated as a tensor of three axes, (out, in, k²); axes of
    length one are dropped, and each axis of 2 … ``largest`` elements has a basis of its
    own. Biases and other vectors get Adam's step as it is. The first step only collects
    statistics.

    Args:
        params: parameters or groups, as for any optimiser.
        lr: learning rate; 1e-3 to 3e-3 where Adam takes a few 1e-4.
        betas: how slowly momentum and squares (and the statistics of the bases) move.
        eps: added to the root of the squares.
        renew_statistics: steps between two looks at G Gᵀ.
        renew_bases: steps between two turns of the bases, a multiple of ``renew_statistics``.
        largest: longer axes keep the basis they have.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        renew_statistics: int = 2,
        renew_bases: int = 10,
        largest: int = 128,
    ):
        if renew_bases % renew_statistics:
            raise ValueError(f"renew_bases ({renew_bases}) has to be a multiple of renew_statistics ({renew_statistics})")
        self.renew_statistics, self.renew_bases, self.largest = renew_statistics, renew_bases, largest
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            stacks: dict[tuple, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    stacks.setdefault(_shape(p), []).append(p)
            for shape, params in stacks.items():
                self._step_stack(group, shape, params)
        return loss

    def _step_stack(self, group: dict, shape: tuple, params: list[Tensor]) -> None:
        """All parameters of one shape; their common state hangs on the first of them."""
        gradient = torch.stack([p.grad.reshape(shape) for p in params if p.grad is not None])
        state = self.state[params[0]]
        beta1, beta2 = group["betas"]
        if not state:
            axes = [i for i, size in enumerate(shape) if len(shape) > 1 and 1 < size <= self.largest]
            statistics = _outer(gradient, axes)
            state["step"] = 0
            state["statistics"] = [(1 - beta2) * s for s in statistics]
            # once, so in double precision: in single it may not converge where eigenvalues repeat
            state["bases"] = [torch.linalg.eigh(s.double())[1].flip(-1).to(s) for s in statistics]
            state["axes"] = axes
            state["momentum"] = torch.zeros_like(gradient)
            state["squares"] = torch.zeros_like(gradient)
            return
        state["step"] += 1
        step, axes = state["step"], state["axes"]
        momentum, squares = state["momentum"], state["squares"]
        turned = _turn(gradient, axes, state["bases"])
        momentum.lerp_(turned, 1 - beta1)
        squares.lerp_(turned.square_(), 1 - beta2)
        # after a turn of the bases the squares still belong to the old ones, and where they are small the quotient
        # may be anything; Adam's own exceeds 1 nowhere for long
        update = (momentum / (squares.sqrt() + group["eps"])).clamp_(-1, 1)
        update = _turn(update, axes, [basis.mT for basis in state["bases"]])
        size = group["lr"] * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        for p, u in zip(params, update):
            p.add_(u.reshape(p.shape), alpha=-size)
        if axes and step % self.renew_statistics == 0:
            for mean, outer in zip(state["statistics"], _outer(gradient, axes)):
                mean.lerp_(outer, 1 - beta2**self.renew_statistics)
            if step % self.renew_bases == 0:
                self._renew_bases(state)

    @staticmethod
    def _renew_bases(state: dict) -> None:
        """One step of orthogonal iteration towards the eigenvectors; momentum and squares follow the new bases."""
        turns, axes = [], state["axes"]
        for i, (mean, basis) in enumerate(zip(state["statistics"], state["bases"])):
            product = mean @ basis
            order = (basis * product).sum(-2).argsort(dim=-1, descending=True)
            columns = order[:, None, :].expand_as(product)
            renewed = torch.linalg.qr(product.gather(-1, columns))[0]
            turns.append(basis.mT @ renewed)  # from the old basis to the new one
            # the squares stay with their eigenvectors, which have new places
            axis = axes[i] + 1
            places = order.reshape(len(order), *(-1 if d == axis else 1 for d in range(1, state["squares"].ndim)))
            state["squares"] = state["squares"].gather(axis, places.expand_as(state["squares"]))
            state["bases"][i] = renewed
        state["momentum"] = _turn(state["momentum"], axes, turns)


def _shape(p: Tensor) -> tuple[int, ...]:
    """The axes that SOAP sees: (out, in, k²), without those of length one."""
    shape = (*p.shape[:2], math.prod(p.shape[2:])) if p.ndim > 2 else tuple(p.shape)
    return tuple(size for size in shape if size > 1) or (1,)


def _outer(x: Tensor, axes: list[int]) -> list[Tensor]:
    """G Gᵀ for each axis: (n, …) -> [(n, size, size)], summed over the other axes."""
    rows = [x.movedim(axis + 1, 1).flatten(2) for axis in axes]
    return [r @ r.mT for r in rows]


def _turn(x: Tensor, axes: list[int], bases: list[Tensor]) -> Tensor:
    """Multiply each axis by its basis: coordinates along the columns of ``bases``. (n, …) -> the same shape."""
    for axis, basis in zip(axes, bases):
        moved = x.movedim(axis + 1, 1)
        x = (basis.mT @ moved.flatten(2)).reshape(moved.shape).movedim(1, axis + 1)
    return x
