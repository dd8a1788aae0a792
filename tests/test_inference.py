import copy

import pytest
import torch

from plic_lib import codec, datasets, inference, metrics
from plic_lib.model import Plic, Widths


@pytest.mark.parametrize("pooled", [False, True])
def test_prepared_networks_give_what_the_layers_give(pooled):
    torch.manual_seed(0)
    networks = Plic(Widths(N=24, M=36, pooled=pooled)).eval().double()  # so that nothing is left but their rounding to float32
    for name, parameter in networks.named_parameters():
        if "bias" in name:  # zeros at the start, which would hide a bias that is left out
            torch.nn.init.normal_(parameter, std=0.1)
    x = torch.stack([datasets.sample(name)[:, 100:228, 40:232] for name in ("coffee", "chelsea")]).double()
    with torch.no_grad():
        y = networks.encoder(x)
        for network, given in ((networks.encoder, x), (networks.generator, y)):
            expected, before = network(given), given.clone()
            ours = inference.prepare(network, torch.float64)(given)
            assert float((ours - expected).abs().max()) < 1e-6 * float(expected.abs().max())
            assert torch.equal(given, before)  # what works in place does so on its own activations
            assert ours.dtype == torch.float32 and not ours.requires_grad


def test_bfloat16_costs_next_to_nothing(mini):
    x = datasets.sample("coffee")[:, 16:272, 60:444]
    quick = copy.copy(mini).to("cpu", torch.bfloat16)
    try:
        data = codec.encode(quick, x, 2.0)
        quality = metrics.psnr(x, codec.decode(quick, data))
        assert not torch.equal(codec.decode(quick, data), codec.decode(copy.copy(mini).to("cpu"), data))
    finally:
        mini.to("cpu")
    plain = codec.encode(mini, x, 2.0)
    assert quality > metrics.psnr(x, codec.decode(mini, plain)) - 0.02
    assert len(data) == pytest.approx(len(plain), rel=0.005)
