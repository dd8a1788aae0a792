"""The codec of notebook 05, whose networks compute in float32."""

import pytest
import torch

from plic_lib import codec, coding, datasets
from plic_lib.asymmetric import SCALE_MIN
from plic_lib.course import floats
from plic_lib.tables import LOG_SCALE_STEP

from .conftest import tiny_model


@pytest.fixture(scope="module")
def gained():
    model = tiny_model()
    analysis = codec.analyse(model, datasets.sample("coffee")[:, 100:228, 200:392])
    return model, analysis.y * model.networks.gain_units.gain(torch.ones(1, 1)).detach()


def test_a_file_read_as_it_was_written_is_right(gained):
    model, y_bar = gained
    with floats.threads(1):
        z = model.networks.hyper_encoder(y_bar)[0].detach()
        data, y = coding.encode(floats.FloatNetworks(model.networks), model.frozen.tables, y_bar[0], z)
        assert torch.equal(coding.decode(floats.FloatNetworks(model.networks), model.frozen.tables, data, *y.shape[1:]), y)


def test_another_order_changes_last_bits_only(gained):
    """They are the library's networks, and their sums depend on the order."""
    networks, y_bar = gained[0].networks, gained[1]
    M = networks.widths.M
    z, neighbours = 64 * torch.round(networks.hyper_encoder(y_bar)[0].detach()), 64.0 * torch.randint(-3, 4, (8, 12 * M))
    plain, turned = floats.FloatNetworks(networks), floats.FloatNetworks(networks, torch.arange(4 * M).flip(0))
    for each in (plain, turned):
        each.parameters(each.features(z)[:8], neighbours)
    (a,), (b,) = plain.seen, turned.seen
    assert a.shape == (3, 8, M) and torch.allclose(a, b, atol=1e-2) and not torch.equal(a, b)
    context = torch.nn.functional.linear(neighbours / 64, networks.context.matrix(), networks.context.bias)
    library = networks.gather(torch.cat([plain.features(z)[:8], context], dim=1).T[None, ..., None])
    means, *scales = (t[0, ..., 0].T for t in library)
    assert torch.allclose(a[0], 64 * means, atol=0.51)
    assert torch.allclose(a[1:], torch.log(torch.stack(scales) / SCALE_MIN) / LOG_SCALE_STEP, atol=1e-2)


def test_threads_are_as_before_afterwards():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), floats.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
