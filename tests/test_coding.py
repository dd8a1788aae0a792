import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plic_lib import codec, coding, context
from plic_lib.tables import SCALES

EXTREMES = [0, 1, -1, 2, -7, 300, -300, 511, -512, 10_000, -10_000, 32_000]


@given(st.lists(st.tuples(st.sampled_from(EXTREMES), st.integers(0, SCALES - 1), st.integers(0, SCALES - 1)), min_size=4, max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_symbols_under_any_scales_come_back(tiny_tables, symbols):
    r, left, right = (torch.tensor(column) for column in zip(*symbols))
    encoder = coding.Encoder(tiny_tables)
    encoder.put_front(r, left, right)
    decoder = coding.Decoder(tiny_tables, encoder.bytes(), len(r))
    assert torch.equal(decoder.get_front(left, right), r)


def test_all_zero_residuals_cost_next_to_nothing(tiny_tables):
    n, lowest = 5000, torch.zeros(5000, dtype=torch.long)
    encoder = coding.Encoder(tiny_tables)
    encoder.put_front(torch.zeros(n, dtype=torch.long), lowest, lowest)
    assert len(encoder.bytes()) <= 12


def test_latents_round_trip_with_extreme_values(tiny):
    torch.manual_seed(0)
    y_bar = torch.randn(24, 8, 12) * torch.logspace(-1, 4, 24)[:, None, None]  # far beyond the clamp
    z = torch.randn(16, 2, 3) * torch.logspace(-1, 4, 16)[:, None, None]
    stream, y = coding.encode(tiny.integers, tiny.frozen.tables, y_bar, z)
    assert torch.equal(coding.decode(tiny.integers, tiny.frozen.tables, stream, 8, 12), y)
    inside = y_bar.abs() < coding.Y_LIMIT
    assert ((y / 64 - y_bar).abs()[inside] <= 0.51).all()


def test_empty_and_endless_streams_end(tiny):
    for data in (b"", b"\xff" * 4000, b"\x00" * 7):
        coding.decode(tiny.integers, tiny.frozen.tables, data, 8, 12)


def test_wavefront_equals_raster(tiny, photo, monkeypatch):
    """The order of decoding changes the bytes, never the latents."""
    analysis = codec.analyse(tiny, photo)
    _, fronts = codec.decode_latents(tiny, codec.encode_latents(tiny, analysis, 1.5))
    context.fronts.cache_clear()
    monkeypatch.setattr(context, "wavefront", lambda h, w: [torch.tensor([i]) for i in range(h * w)])
    _, raster = codec.decode_latents(tiny, codec.encode_latents(tiny, analysis, 1.5))
    context.fronts.cache_clear()
    assert torch.equal(fronts, raster)
