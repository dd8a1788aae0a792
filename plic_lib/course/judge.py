"""A judge small enough to train while one reads: notebook 09 opens with what it says, and builds it by hand later."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plic_lib.training.discriminator import Discriminator, discriminator_loss


def crops(pairs: Sequence[Tensor], batch: int = 8, size: int = 64) -> Tensor:
    """Real and decoded crops at the same places, turned by random quarters: (2, batch, 3, size, size).

    Args:
        pairs: a photograph and its decoding each, (2, 3, H, W) in [0, 1].
    """
    found = []
    for _ in range(batch):
        pair = pairs[int(torch.randint(len(pairs), (1,)))]
        i, j = (int(torch.randint(side - size + 1, (1,))) for side in pair.shape[2:])
        found.append(torch.rot90(pair[:, :, i : i + size, j : j + size], int(torch.randint(4, (1,))), (2, 3)))
    return torch.stack(found, dim=1)


def learn(judge: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, x_hat: Tensor) -> tuple[float, float]:
    """One step of the judge on (B, 3, H, W) of each kind: its loss, and the gap of the mean logits before it."""
    real, fake = judge(torch.cat([x, x_hat])).chunk(2)
    loss = discriminator_loss(real, fake)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
    optimizer.step()
    return loss.item(), (real.mean() - fake.mean()).item()


def train(pairs: Sequence[Tensor], steps: int = 300, seed: int = 0, width: int = 8) -> tuple[Discriminator, Tensor]:
    """A judge of an eighth of the paper's width, ready to be asked, and (steps, 2): loss and gap of each step."""
    torch.manual_seed(seed)
    judge, history = Discriminator(width), []
    optimizer = torch.optim.Adam(judge.parameters(), lr=3e-4)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-4 * min(1.0, 2 - 2 * step / steps)
        history.append(learn(judge, optimizer, *crops(pairs)))
    return judge.requires_grad_(False), torch.tensor(history)
