import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plic_lib import asymmetric, codec, coding, context, errors
from plic_lib.tables import SCALES, scale_grid

EXTREMES = [0, 1, -1, 2, -7, 300, -300, 511, -512, 10_000, -10_000, 32_000]


@given(st.lists(st.tuples(st.sampled_from(EXTREMES), st.integers(0, SCALES - 1), st.integers(0, SCALES - 1)), min_size=4, max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_symbols_under_any_scales_come_back(tiny_tables, symbols):
    r, left, right = (torch.tensor(column) for column in zip(*symbols))
    encoder = coding.Encoder(tiny_tables)
    encoder.put_front(r, left, right)
    decoder = coding.Decoder(tiny_tables, encoder.bytes(), len(r))
    assert torch.equal(decoder.get_front(left, right), r) and not decoder.has_ended


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
    """Ones are digits of an escape, each of which asks for 15 more: megabytes of them, in any place, would be read far beyond their end."""
    state = (2**63 - 1).to_bytes(8, "little")
    for data in (b"", b"\x00" * 7, state + b"\xff" * 4_000_000, state + b"\x01\x02" + b"\xff" * 4_000_000):
        coding.decode(tiny.integers, tiny.frozen.tables, data, 8, 12)


def test_the_bits_of_a_stream_are_counted(tiny_tables):
    """At the end of a whole stream some bits of the coder's own are left, and never less than none."""
    g = torch.Generator().manual_seed(0)
    for top in (1, 40, SCALES):
        left, right = (torch.randint(0, top, (20_000,), generator=g) for _ in range(2))
        encoder = coding.Encoder(tiny_tables)
        r = asymmetric.sample(torch.zeros(20_000), *(scale_grid()[index] for index in (left, right)), g)
        encoder.put_front(r.round().long(), left, right)
        data = encoder.bytes()
        decoder = coding.Decoder(tiny_tables, data, len(left))
        decoder.get_front(left, right)
        assert 0 <= decoder._bits_left < max(128, 0.02 * 8 * len(data))  # the digits behind escapes are not counted


class Counted:
    """Integer networks that count the fronts they are asked for."""

    def __init__(self, networks):
        self.networks, self.M, self.device, self.features, self.fronts = networks, networks.M, networks.device, networks.features, 0

    def parameters(self, features, neighbours):
        self.fronts += 1
        return self.networks.parameters(features, neighbours)


def test_decoding_stops_where_the_stream_has_ended(tiny, photo):
    analysis = codec.analyse(tiny, photo)
    stream = codec.bitstream.File.unpack(codec.encode_latents(tiny, analysis, 0)).stream
    asked = []
    for data in (stream, stream[: len(stream) // 2], stream[:60]):
        networks = Counted(tiny.integers)
        coding.decode(networks, tiny.frozen.tables, data, 8, 12)
        asked.append(networks.fronts)
    assert asked[0] == len(context.wavefront(8, 12)) and asked[1] < asked[0] and asked[2] == 0


def test_a_small_file_that_claims_a_large_picture_is_refused_at_once(tiny, photo, monkeypatch):
    file = codec.bitstream.File.unpack(codec.encode(tiny, photo, 0))
    data = dataclasses.replace(file, width=7000, height=7000, stream=file.stream[:40]).pack()
    monkeypatch.setattr(type(tiny.integers), "features", lambda *_: pytest.fail("the latents of 49 megapixels are decoded"))
    with pytest.raises(errors.BitstreamError, match="do not match their check"):
        codec.decode(tiny, data)
    with pytest.raises(errors.BitstreamError, match="exceeds the limit"):
        codec.decode(tiny, data, max_pixels=10**7)


def test_wavefront_equals_raster(tiny, photo, monkeypatch):
    """The order of decoding changes the bytes, never the latents."""
    analysis = codec.analyse(tiny, photo)
    _, fronts = codec.decode_latents(tiny, codec.encode_latents(tiny, analysis, 1.5))
    context.fronts.cache_clear()
    monkeypatch.setattr(context, "wavefront", lambda h, w: [torch.tensor([i]) for i in range(h * w)])
    _, raster = codec.decode_latents(tiny, codec.encode_latents(tiny, analysis, 1.5))
    context.fronts.cache_clear()
    assert torch.equal(fronts, raster)
