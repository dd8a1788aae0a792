"""The losses, their gradients and one step of all optimisers beside plic_lib.training, on one batch and its noise."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from mindspore import Parameter, Tensor

from plic_lib import datasets, metrics, quantise
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.recipe import Recipe
from plic_mindspore import adam, model
from plic_mindspore.codec_task import CodecTask as PortedTask
from plic_mindspore.discriminator import Discriminator
from plic_mindspore.losses import Terms
from plic_mindspore.metrics import LPIPS, lpips_weights
from plic_mindspore.model import Plic

from .parity import copy_weights, distance

LOSS = 1e-3
WEIGHTS = {
    "rate": Terms(1.0, 0.0, 0.0, 0.0),
    "l1": Terms(0.0, 1.0, 0.0, 0.0),
    "lpips": Terms(0.0, 0.0, 1.0, 0.0),
    "gan": Terms(0.0, 0.0, 0.0, 1.0),
    "mse": Terms(0.0, 0.0, 0.0, 0.0, 1.0),
    "paper": Terms(2.0, 0.01, 1.0, 5e-4),
}


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.stack([datasets.sample(name)[:, 100:164, 150:214] for name in ("coffee", "chelsea")])


@pytest.fixture
def tasks(batch, mini, monkeypatch, request):
    """The original with the weights of a term alone, and the port with the same networks and the noise that torch draws."""
    weights = WEIGHTS[request.param]
    if weights.lpips and metrics.weights_fault("alex"):
        pytest.skip(f"LPIPS weights are not here: {metrics.weights_path('alex')}")
    start = mini
    recipe = Recipe(
        widths=start.networks.widths,
        steps=10,
        batch=2,
        crop=64,
        alphas=(weights.rate,) * 3,
        alpha_start=1.0,
        l1=weights.l1,
        l1_start=weights.l1,
        lpips=weights.lpips,
        gan=weights.gan,
        mse=weights.mse,
        discriminator=4,
        ramp=0,
    )
    original = CodecTask(recipe, {"model": {k: v.clone() for k, v in start.networks.state_dict().items()}, "steps_before": 0})
    original.prepare(Accelerator(cpu=True))
    networks = copy_weights(original.model, Plic(**start.networks.settings()))
    judge = copy_weights(original.discriminator, Discriminator(4)) if weights.gan else None
    ported = PortedTask(networks, judge, LPIPS(lpips_weights()) if weights.lpips else None)
    noise = lambda like, seeds: Tensor(quantise.uniform_noise(torch.empty(like.shape), seeds).numpy())
    monkeypatch.setattr(model, "uniform_noise", noise)
    return weights, original, ported


def assert_alike(pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """All tensors together within 1e-3, and most of them each.

    A unit whose sum is zero but for float32's rounding passes a gradient in one framework and none in the other, and
    the first step of Adam is as long for a gradient of almost nothing: so a few tensors may be farther off.
    """
    gaps = {name: float(np.linalg.norm(ours - theirs)) for name, (ours, theirs) in pairs.items()}
    sizes = {name: float(np.linalg.norm(theirs)) for name, (_, theirs) in pairs.items()}
    whole = float(np.linalg.norm(list(sizes.values())))
    relative = {name: gaps[name] / max(sizes[name], 1e-6 * whole) for name in pairs}
    print(
        np.linalg.norm(list(gaps.values())) / whole,
        sorted((v, k) for k, v in relative.items())[-8:],
        np.quantile(list(relative.values()), 0.9),
    )
    assert np.linalg.norm(list(gaps.values())) < LOSS * whole
    assert np.quantile(list(relative.values()), 0.9) < LOSS
    assert not {name: gap for name, gap in relative.items() if gap > 50 * LOSS}


def unclipped(original: CodecTask, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradients of the original's first step, as they are before they are clipped."""
    found = {}

    def note(parameters, largest):
        if not found:  # the discriminator's come later
            found.update({name: p.grad.clone() for name, p in original.model.named_parameters() if p.grad is not None})
        return torch.nn.utils.clip_grad_norm_(parameters, largest)

    original.accelerator.clip_grad_norm_, clip = note, original.accelerator.clip_grad_norm_
    original.figures = original.step(0, batch)
    original.accelerator.clip_grad_norm_ = clip
    return found


@pytest.mark.parametrize("tasks", WEIGHTS, indirect=True)
def test_a_loss_and_its_gradients(tasks, batch):
    weights, original, ported = tasks
    level = original.recipe.level(0)
    terms, _, gradients = ported.gradients(Tensor(batch.numpy()), level, [0, 1], weights)
    theirs = unclipped(original, batch)
    for name, weight, loss in zip(Terms._fields, weights, terms):
        if weight:
            assert float(loss) == pytest.approx(original.figures["bpp" if name == "rate" else name].item(), rel=LOSS)
    ours = {p.name: g.asnumpy() for p, g in zip(ported.optimizer.parameters, gradients)}
    assert not [name for name in ours.keys() - theirs.keys() if ours[name].any()], "these have a gradient, and have none in torch"
    assert_alike({name: (ours[name], gradient.numpy()) for name, gradient in theirs.items() if name in ours})


@pytest.mark.parametrize("tasks", ["paper"], indirect=True)
def test_a_step_of_all_optimisers(tasks, batch):
    weights, original, ported = tasks
    before = {name: p.detach().clone() for name, p in original.model.named_parameters()}
    theirs = original.step(0, batch)
    ours = ported.step(Tensor(batch.numpy()), original.recipe.level(0), [0, 1], weights)
    for name in ("l1", "lpips", "gan", "gradient", "aux", "discriminator", "discriminator_gradient"):
        assert ours[name] == pytest.approx(theirs[name].item(), rel=LOSS), name
    moved = {}
    for name, parameter in ported.model.parameters_dict().items():
        after = original.model.get_parameter(name).detach()
        moved[name] = (parameter.asnumpy() - before[name].numpy(), (after - before[name]).numpy())
    assert_alike(moved)


def test_adam_is_that_of_torch():
    """Also where gradients are small, for which MindSpore's own takes other steps."""
    random = np.random.default_rng(0)
    start = random.standard_normal((5, 40)).astype(np.float32)
    theirs, ours = torch.nn.Parameter(torch.tensor(start)), Parameter(Tensor(start), name="weight")
    optimizer, ported = torch.optim.Adam([theirs], lr=1e-2), adam.Adam([ours], [1e-2])
    for _ in range(4):
        gradient = (random.standard_normal((5, 40)) * 10.0 ** np.arange(-8, 2, 2)[:, None]).astype(np.float32)
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        ported.step([Tensor(gradient)])
    assert distance(ours.asnumpy() - start, theirs.detach() - torch.tensor(start)) < 1e-4


def test_clipping_is_that_of_torch():
    gradients = [np.float32([3, 4]), np.float32([[12]])]
    leaves = [torch.nn.Parameter(torch.zeros(g.shape)) for g in gradients]
    for largest in (1.0, 100.0):
        for leaf, gradient in zip(leaves, gradients):
            leaf.grad = torch.tensor(gradient)
        norm = torch.nn.utils.clip_grad_norm_(leaves, largest)
        clipped, ported_norm = adam.clip([Tensor(g) for g in gradients], largest)
        assert distance(ported_norm, norm) < 1e-6
        assert all(distance(ours, leaf.grad) < 1e-6 for ours, leaf in zip(clipped, leaves))
