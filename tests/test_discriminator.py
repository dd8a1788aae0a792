import pytest
import torch

from plic_lib.training.discriminator import Discriminator, discriminator_loss, generator_loss


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return torch.randn(4, 1, 8, 8, dtype=torch.double) + 1, torch.randn(4, 1, 8, 8, dtype=torch.double)


def test_one_logit_a_patch():
    discriminator = Discriminator()
    assert discriminator(torch.rand(2, 3, 128, 192)).shape == (2, 1, 8, 12)
    assert sum(p.numel() for p in discriminator.parameters()) == pytest.approx(4.69e6, rel=0.01)


def test_each_logit_sees_93_pixels():
    discriminator = Discriminator(8)
    x = torch.rand(1, 3, 256, 256, requires_grad=True)
    discriminator(x)[0, 0, 8, 8].backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == 93


def test_a_picture_is_judged_alike_in_every_batch():
    discriminator = Discriminator(8)
    x = torch.rand(4, 3, 64, 64)
    assert torch.allclose(discriminator(x)[1:2], discriminator(x[1:2]), atol=1e-5)


def test_losses_are_the_formula(logits):
    real, fake = logits
    more_real = torch.sigmoid(real - fake.mean())
    more_fake = torch.sigmoid(fake - real.mean())
    expected = -torch.log(more_real).mean() - torch.log(1 - more_fake).mean()
    assert discriminator_loss(real, fake) == pytest.approx(float(expected))
    expected = -torch.log(1 - more_real).mean() - torch.log(more_fake).mean()
    assert generator_loss(real, fake) == pytest.approx(float(expected))


def test_symmetry(logits):
    real, fake = logits
    assert generator_loss(real, fake) == discriminator_loss(fake, real) != generator_loss(fake, real)
    # only differences matter
    assert torch.allclose(discriminator_loss(real + 7, fake + 7), discriminator_loss(real, fake))


def test_finite_where_the_sigmoid_saturates():
    far = torch.tensor([200.0], requires_grad=True)
    loss = generator_loss(far, -far)
    loss.backward()
    assert loss.isfinite() and far.grad.isfinite().all()


def gap_after_a_step(loss) -> float:
    """By how much D(fake) - D(real) rises when the fake logits descend the gradient of a loss."""
    torch.manual_seed(1)
    discriminator, real, fake = Discriminator(8), torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64, requires_grad=True)
    gap = lambda x: float((discriminator(x).mean() - discriminator(real).mean()).detach())
    (gradient,) = torch.autograd.grad(loss(discriminator(real), discriminator(fake)), fake)
    return gap(fake - 10 * gradient / gradient.norm()) - gap(fake)


def test_the_generator_wants_fakes_to_look_more_real():
    assert gap_after_a_step(generator_loss) > 0


def test_the_papers_printed_generator_loss_does_the_opposite():
    """Section 2.1.4 prints -E log(1 - D(x_f, x_r)) - E log D(x_r, x_f): the discriminator's loss."""

    def printed(real, fake):
        d_rf, d_fr = torch.sigmoid(real - fake.mean()), torch.sigmoid(fake - real.mean())
        return -torch.log(1 - d_fr).mean() - torch.log(d_rf).mean()

    real, fake = torch.randn(2, 16), torch.randn(2, 16)
    assert torch.allclose(printed(real, fake), discriminator_loss(real, fake), atol=1e-5)
    assert gap_after_a_step(printed) < 0
