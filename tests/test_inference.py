import copy

import pytest
import torch

from plic_lib import codec, datasets, images, inference, metrics
from plic_lib.commands.main import main
from plic_lib.model import Plic, Widths

prepare = inference.prepare


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
    quick, plain = copy.copy(mini).to("cpu", torch.bfloat16), copy.copy(mini).to("cpu")
    data, quick_data = codec.encode(plain, x, 2), codec.encode(quick, x, 2)
    decoded, quickly = codec.decode(plain, data), codec.decode(quick, data)
    quality = metrics.psnr(x, decoded)
    assert not torch.equal(decoded, quickly) and metrics.psnr(x, quickly) == pytest.approx(quality, abs=0.02)
    assert metrics.psnr(x, codec.decode(plain, quick_data)) == pytest.approx(quality, abs=0.1)
    assert len(quick_data) == pytest.approx(len(data), rel=0.01)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_commands_can_be_fast(mini, tmp_path, monkeypatch, dtype):
    source, packed, decoded = (str(tmp_path / name) for name in ("x.png", "x.plic", "y.png"))
    x = datasets.sample("coffee")[:, 100:228, 200:392]
    images.to_image(x).save(source)
    types = []
    monkeypatch.setattr(inference, "fast_type", lambda device: dtype)
    monkeypatch.setattr(inference, "prepare", lambda network, dtype, **other: types.append(dtype) or prepare(network, dtype, **other))
    assert main(["encode", "--fast", source, packed]) == 0 and main(["decode", "--fast", packed, decoded]) == 0
    assert types == [dtype, dtype]
    quality = metrics.psnr(x, codec.decode(mini, codec.encode(mini, x, 1)))
    assert metrics.psnr(x, images.read(decoded)) == pytest.approx(quality, abs=0.1)
