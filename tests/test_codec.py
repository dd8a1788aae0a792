import os
import subprocess
import sys

import pytest
import torch

from plic_lib import bitstream, checkpoint, codec, datasets, images, metrics
from plic_lib.errors import ImageError
from plic_lib.strips import in_strips

from .conftest import tiny_model


@pytest.mark.parametrize("name", ["tiny", "mini"])
@pytest.mark.parametrize("level", [0, 0.37, 2])
def test_the_decoder_has_the_encoder_s_latents(name, level, request, photo, monkeypatch):
    model = request.getfixturevalue(name)
    checks = []
    monkeypatch.setattr(codec, "_check", lambda y: checks.append(y.clone()) or 0)
    codec.decode(model, codec.encode(model, photo, level))
    assert torch.equal(checks[0], checks[1])


@pytest.mark.parametrize("height,width", [(1, 1), (1, 400), (63, 65), (64, 64), (100, 130)])
def test_any_size(tiny, photo, height, width):
    x = photo.repeat(1, 1, 3)[:, :height, :width]
    data = codec.encode(tiny, x, 1)
    assert codec.decode(tiny, data).shape == x.shape


def test_unsuitable_pictures_and_levels_are_refused(tiny, photo):
    for x in (photo[:1], photo[None], photo[:, :0]):
        with pytest.raises(ValueError, match="a picture is a tensor"):
            codec.encode(tiny, x, 1)
    for level in (-0.1, 2.1, float("nan")):
        with pytest.raises(ValueError, match="level lies between"):
            codec.encode(tiny, photo, level)
    broken = photo[:, :64, :64].clone()
    broken[0, 3, 4] = float("nan")
    with pytest.raises(ImageError, match="values that are none"):
        codec.encode(tiny, broken, 1)
    with pytest.raises(ValueError, match="at most 65535"):
        codec.encode(tiny, torch.zeros(3, 1, 65536), 1)


def largest_deviation_in_strips(model, shape) -> float:
    """Of encoder and generator in the shortest strips, relative to the largest value."""
    x = images.pad(datasets.sample("astronaut")[None, :, : shape[0], : shape[1]])
    networks = model.networks
    with torch.no_grad():
        y = networks.encoder(x)
        x_hat = networks.generator(y)
        pairs = (in_strips(networks.encoder, x, 16, 1), y), (in_strips(networks.generator, y, 1, 16), x_hat)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("shape", [(512, 320), (320, 512)])
def test_strips_equal_the_whole(mini, shape, monkeypatch):
    monkeypatch.setattr("plic_lib.strips.STRIP_PIXELS", 0)
    assert largest_deviation_in_strips(mini, shape) < 1e-4
    monkeypatch.setattr("plic_lib.strips.HALO", 2)  # too little: the test would notice
    assert largest_deviation_in_strips(mini, shape) > 1e-4


def test_rate_grows_with_the_level(mini):
    analysis = codec.analyse(mini, datasets.sample("astronaut"))
    sizes = [len(codec.encode_latents(mini, analysis, level / 8)) for level in range(17)]
    assert sizes == sorted(sizes) and sizes[-1] > 2 * sizes[0]


def test_a_target_rate_is_met_within_two_percent(mini):
    analysis = codec.analyse(mini, datasets.sample("astronaut"))
    low, high = (metrics.bpp(len(codec.encode_latents(mini, analysis, level)), 512, 512) for level in (0, 2))
    for target in (low * 1.1, (low * high) ** 0.5, high * 0.95):
        data, level = codec.encode_to_bpp(mini, analysis, target)
        assert metrics.bpp(len(data), 512, 512) == pytest.approx(target, rel=0.02)
        assert data == codec.encode_latents(mini, analysis, level)
    for target, end in ((low / 2, 0), (2 * high, 2)):
        assert codec.encode_to_bpp(mini, analysis, target)[1] == end


ELSEWHERE = """
import hashlib, sys, torch
torch.set_num_threads(1)
from plic_lib import checkpoint, codec
model = checkpoint.load(sys.argv[1])
for path in sys.argv[2:]:
    _, y = codec.decode_latents(model, open(path, "rb").read())
    print(hashlib.sha256(y.numpy().tobytes()).hexdigest())
"""


def decoded_elsewhere(paths) -> list[str]:
    """Hashes of the latents, from a process with one thread and without vector instructions."""
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", ELSEWHERE, "mini", *map(str, paths)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()


def latents_hash(model, data):
    import hashlib

    return hashlib.sha256(codec.decode_latents(model, data)[1].numpy().tobytes()).hexdigest()


def check_exactness(mini, pictures, folder):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    paths, expected = [], []
    try:
        for i, x in enumerate(pictures):
            analysis = codec.analyse(mini, x)
            for level in (0, 1, 2):
                data = codec.encode_latents(mini, analysis, level)
                paths.append(folder / f"{i}-{level}.plic")
                paths[-1].write_bytes(data)
                expected.append(latents_hash(mini, data))
    finally:
        torch.set_num_threads(threads)
    assert decoded_elsewhere(paths) == expected


def test_latents_are_equal_with_other_threads_and_instructions(mini, tmp_path):
    check_exactness(mini, [datasets.sample(name)[:, :256, :384] for name in ("coffee", "rocket")], tmp_path)


def test_latents_of_kodak_are_equal_with_other_threads_and_instructions(mini, kodak, tmp_path):
    check_exactness(mini, map(images.read, kodak), tmp_path)


def test_files_cost_what_the_float_model_says(mini, kodak):
    """DESIGN's goal: 0.5 % and 40 bytes a picture over the sequential float estimate, 1 % below 0.1 bpp."""
    analyses = [codec.analyse(mini, images.read(path)) for path in kodak]
    for level in (0, 1, 2):
        size = sum(len(codec.encode_latents(mini, a, level)) for a in analyses)
        estimate = sum(codec.estimated_bits(mini, a, level) for a in analyses) / 8
        pixels = sum(a.height * a.width for a in analyses)
        share = 0.005 if 8 * size / pixels >= 0.1 else 0.01
        assert size <= estimate * (1 + share) + 40 * len(analyses)


def test_checkpoints_round_trip_and_refuse_damage(photo, tmp_path):
    path = tmp_path / "tiny.safetensors"
    model = tiny_model()
    model = checkpoint.TrainedModel("tiny", checkpoint.round_weights_(model.networks), model.frozen)
    checkpoint.save(model, path)
    again = checkpoint.load(path)
    assert again.hash == model.hash and codec.encode(again, photo, 0.5) == codec.encode(model, photo, 0.5)
    data = bytearray(path.read_bytes())
    broken = tmp_path / "broken.safetensors"
    for position in (100, len(data) // 2, len(data) - 1):
        data[position] ^= 0xFF
        broken.write_bytes(data)
        data[position] ^= 0xFF
        with pytest.raises(checkpoint.CheckpointError):
            checkpoint.load(broken)
    broken.write_bytes(data[:1000])
    for name in (broken, tmp_path / "none.safetensors", "nobody"):
        with pytest.raises(checkpoint.CheckpointError):
            checkpoint.load(name)


def test_a_pickle_is_not_a_checkpoint(tmp_path):
    """Loading never executes code: what is not safetensors is refused before anything is unpickled."""
    path = tmp_path / "evil.safetensors"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.load(path)


def test_shipped_model_is_small_and_described(mini):
    path = checkpoint.find("mini")
    assert path.stat().st_size <= 12e6
    card = path.with_suffix(".md").read_text()
    assert mini.hash[:8] in card and f"{mini.about['step']:,} steps" in card


def test_header_is_within_32_bytes():
    assert bitstream.HEADER_BYTES <= 32
