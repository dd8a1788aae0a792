"""What a device can break, seen without having one (see ``tests/device.py``)."""

import copy

import pytest
import torch

from plic_lib import codec, roi
from plic_lib.checkpoint import TrainedModel
from plic_lib.integer import freeze

from .conftest import tiny_model
from .device import Device


@pytest.fixture(params=["cuda:0", "meta"], ids=["as cuda", "as mps"])
def device(request, monkeypatch):
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    return Device(request.param)


def everything(model, image, y) -> tuple[list, list]:
    """What the codec makes of a picture: what is equal everywhere for equal latents ``y``, and what is nearly."""
    analysis = codec.Analysis(y.to(model.device), *image.shape[1:])
    level_map = roi.level_map(roi.box(image, 20, 30, 60, 50), 1.5, 0.5)
    bits = codec.latent_bits(model, analysis, 0.5, level_map)
    data = codec.encode_latents(model, analysis, 0.5, level_map)
    file, y_hat = codec.decode_latents(model, data)
    near, level = codec.encode_to_bpp(model, analysis, 0.5, tolerance=0.5)
    exact = [data, near, level, codec.estimated_bits(model, analysis, 1), *(t.cpu().tolist() for t in (*bits, y_hat))]
    highest = codec.decode(model, codec.encode_latents(model, analysis, 2))
    return exact, [codec.analyse(model, image).y.cpu(), codec.synthesise(model, y_hat, file), highest]


def test_files_and_pictures_are_those_of_the_cpu(photo, device):
    photo, model = photo[:, :64, :128], tiny_model()
    y = (64 * codec.analyse(model, photo).y).round() / 64
    exact, nearly = everything(model, photo, y)
    with device:
        model.to(device.device)
        assert model.device == device.device
        assert model.integers.device.type == ("cuda" if model.device.type == "cuda" else "cpu")
        there, nearly_there = everything(model, photo, y)
        assert there == exact
        for a, b in zip(nearly_there, nearly):
            assert a.device.type == "cpu" and torch.allclose(a, b, rtol=1e-3, atol=1e-3)
        back = model.to("cpu")
        assert back.device.type == back.integers.device.type == "cpu" and codec.encode(back, photo, 1)


def test_a_model_is_frozen_where_it_is(photo, tiny, device):
    photo, networks = photo[:, :64, :64], copy.deepcopy(tiny.networks)
    here = TrainedModel("here", networks, freeze(networks, [photo])).hash
    with device:
        networks.to(device.device)
        assert TrainedModel("there", networks, freeze(networks, [photo])).hash == here


def test_the_device_keeps_its_tensors_apart(device):
    with device:
        x = torch.ones(3, device=device.device)
        for mixed in (lambda: x + torch.ones(3), x.numpy, x.tolist):
            with pytest.raises(RuntimeError):
                mixed()
        assert torch.equal((x + 1).cpu(), torch.full((3,), 2.0))
