import pytest
import torch
from torch import nn

from plic_lib import codec, coding, datasets, integer, tables
from plic_lib.quantise import GRID


def test_blocks_of_windows_are_the_deconvolution():
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(3, 5, 5, stride=2, padding=2, output_padding=1).double()
    x = torch.randn(1, 3, 4, 6, dtype=torch.float64)
    weight, bias = integer.block_matrix(layer)
    rows = nn.functional.unfold(x, 3, padding=1)[0].T @ weight.T + bias
    ours = nn.functional.pixel_shuffle(rows.T.reshape(-1, 4, 6), 2)
    torch.testing.assert_close(ours, layer(x)[0])


def test_integer_layer_is_the_float_layer_within_its_precision():
    torch.manual_seed(0)
    weight, bias, x = torch.randn(8, 20) / 4, torch.randn(8), torch.randn(50, 20)
    layer = integer.quantise_layer(weight, bias, bits_in=8, bits_out=8)
    out = layer((x * 256).round().double()) / 256
    assert torch.equal(layer.weight, layer.weight.round()) and layer.weight.abs().max() < 2**19
    torch.testing.assert_close(out.float(), x @ weight.T + bias, rtol=0, atol=1e-2)


@pytest.mark.parametrize("height,width", [(1, 1), (1, 700), (5, 7), (40, 33)])
def test_windows_are_those_of_a_convolution(height, width):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(5, 2, 3, 3), torch.randn(5), torch.randint(-300, 300, (2, height, width)).double()
    layer = integer.quantise_layer(weight.flatten(1), bias, 8, 8, integer.WindowLayer, low=0)
    sums = nn.functional.conv2d(x[None], layer.weight.reshape(5, 2, 3, 3), layer.bias, padding=1)[0].permute(1, 2, 0)
    assert torch.equal(layer(x.permute(1, 2, 0)), torch.floor(sums * layer.scale + 0.5).clamp(0, integer.LIMIT))


def test_order_of_summation_changes_floats_and_not_integers(tiny):
    layer = tiny.integers.layers["context"]
    rows = torch.randint(-2000, 2000, (40, layer.weight.shape[1]), generator=torch.Generator().manual_seed(0)).double()
    order = torch.randperm(rows.shape[1], generator=torch.Generator().manual_seed(1))
    sums = rows @ layer.weight.T
    assert torch.equal(sums, rows[:, order] @ layer.weight[:, order].T)
    assert torch.equal(sums, sums.round())
    floats, weights = rows.float() / 64, layer.weight.float() / 1000
    one_by_one = lambda order: sum(floats[:, i, None] * weights[:, i] for i in order)
    assert not torch.equal(one_by_one(range(rows.shape[1])), one_by_one(order.tolist()))


def test_clamps_hold_for_any_input(tiny):
    z = torch.full((16, 2, 2), 10.0**6)
    features = tiny.integers.features(z)
    neighbours = torch.full((len(features), 12 * 24), 32767.0, dtype=torch.float64)
    means, left, right = tiny.integers.parameters(features, neighbours)
    assert means.abs().max() <= integer.LATENT_LIMIT
    for index in (left, right):
        assert index.min() >= 0 and index.max() < tables.SCALES


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_integer_parameters_are_the_float_ones_nearly(name, request, photo):
    """Means within 1/64 and scales within one step of the table grid, almost everywhere."""
    model = request.getfixturevalue(name)
    level = torch.full((1, 1), 1.0)
    with torch.no_grad():
        y_bar, _, _ = model.networks.analyse(photo[None], level)
        z = model.networks.hyper_encoder(y_bar)
        seen = []
        medians = model.frozen.tables.z_median[:, None, None] / GRID
        z64 = GRID * torch.round(z[0] - medians) + model.frozen.tables.z_median[:, None, None]

        def note(cells, means, left, right):
            seen.append((cells, means, left, right))
            return torch.round(y_bar[0].flatten(1).T[cells].double() - means / GRID)

        y = coding.walk(model.integers, z64, note)
        floats = model.networks.parameters_of((y / GRID).float()[None], model.networks.hyper_decoder((z64 / GRID).float()[None]))
    order = torch.cat([cells for cells, *_ in seen])
    rows = [p[0].flatten(1).T[order] for p in floats]
    means = torch.cat([m for _, m, _, _ in seen]) / GRID
    assert ((means - rows[0]).abs() <= 1.01 / GRID).float().mean() > 0.99
    for floats, index in zip(rows[1:], (torch.cat([s[2] for s in seen]), torch.cat([s[3] for s in seen]))):
        steps = torch.log(floats.double() / 0.11) / tables.LOG_SCALE_STEP
        assert ((steps - index).abs() <= 1.01).float().mean() > 0.99


@pytest.mark.parametrize("level", [0, 1, 2])
def test_float_latents_are_the_integer_ones_nearly(mini, level):
    """With the decoder's context, the float networks round to the same latents.

    Left to run alone they do not: a mean that falls on the other side of a 1/64 step moves
    its latent by 1/64, that moves the means after it, and such a difference grows along the
    wavefront. The rate is the same all the same.
    """
    x = datasets.sample("astronaut")
    with torch.no_grad():
        analysis = codec.analyse(mini, x)
        data = codec.encode_latents(mini, analysis, level)
        _, y_hat = codec.decode_latents(mini, data)
        y_bar, features, _ = mini.networks.analyse(x[None], torch.full((1, 1), float(level)))
        means = mini.networks.parameters_of(y_hat, features).means
        floats = torch.round(y_bar - means) + means
    assert ((floats - y_hat).abs() <= 1.01 / GRID).float().mean() > 0.99
    assert 8 * len(data) == pytest.approx(codec.estimated_bits(mini, analysis, level), rel=0.02, abs=8 * 40)


def test_tables_are_valid_and_cost_little(tiny):
    t = tiny.frozen.tables
    for cdf, length in ((t.zero_cdf, None), (t.side_cdf, None), (t.magnitude_cdf, t.magnitude_length), (t.z_cdf, t.z_length)):
        for i, row in enumerate(cdf):
            row = row[: length[i]] if length is not None else row
            assert row[0] == 0 and row[-1] == 2**tables.PRECISION and (row.diff() > 0).all()
    # equal scales: both sides cost one bit
    same = t.side_cdf[t.side_class.diagonal().long()]
    assert ((same[:, 1] - 2**15).abs() <= 1).all()


def test_table_cost_against_the_ideal():
    """Symbols drawn from the true distribution: the classes cost less than 0.3 % over it."""
    from plic_lib import asymmetric

    from .conftest import tiny_model

    t = tiny_model().frozen.tables
    g = torch.Generator().manual_seed(0)
    n = 200_000
    left = torch.randint(0, 80, (n,), generator=g)
    right = (left + torch.randint(-12, 13, (n,), generator=g)).clamp(0, tables.SCALES - 1)
    grid = tables.scale_grid()
    r = torch.round(asymmetric.sample(torch.zeros(n, dtype=torch.float64), grid[left], grid[right], g)).long()
    ideal = asymmetric.bits(r.double(), torch.zeros(()).double(), grid[left], grid[right]).sum()
    encoder = coding.Encoder(t)
    encoder.put_front(r, left, right)
    assert 8 * len(encoder.bytes()) < 1.003 * float(ideal) + 64
