from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from plic_lib import bitstream, codec, datasets, images, level_map, roi
from plic_lib.bitstream import File
from plic_lib.errors import BitstreamError, LevelMapError
from plic_lib.grid import cell_grid
from plic_lib.level_map import LevelMap

GRIDS = st.tuples(st.integers(1, 12), st.integers(1, 12))


def blob() -> np.ndarray:
    y, x = np.mgrid[:32, :48]
    return 5 * (((y - 14) / 9) ** 2 + ((x - 20) / 13) ** 2 < 1)


# ---------------------------------------------------------------- the map's bytes


@settings(max_examples=60, deadline=None)
@given(GRIDS.flatmap(lambda size: arrays(np.int8, size, elements=st.integers(-127, 127))), st.integers(0, 15))
def test_any_map_comes_back(labels, feather):
    packed = LevelMap(labels, feather).pack()
    back = LevelMap.unpack(packed, *labels.shape)
    assert np.array_equal(back.labels, labels) and back.feather == feather


@settings(max_examples=60, deadline=None)
@given(GRIDS.flatmap(lambda size: arrays(np.int8, size, elements=st.sampled_from([0, 0, 4, -3]))))
def test_maps_of_few_values_come_back_in_both_forms(labels):
    cells = bytes([0]) + level_map._encode_cells(labels)
    assert np.array_equal(LevelMap.unpack(cells, *labels.shape).labels, labels)
    boxes = level_map._boxes(labels)
    if boxes is not None:
        packed = bytes([16]) + level_map._encode_boxes(boxes)
        assert np.array_equal(LevelMap.unpack(packed, *labels.shape).labels, labels)


def test_boxes_are_coded_as_boxes_and_a_blob_takes_few_bytes():
    labels = np.zeros((32, 48), int)
    labels[6:15, 8:30] = 8
    packed = LevelMap(labels).pack()
    assert packed[0] >> 4 == 1 and len(packed) == 7
    assert len(LevelMap(blob()).pack()) < 40


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_foreign_bytes_are_a_map_or_a_level_map_error(data):
    try:
        assert LevelMap.unpack(data, 5, 7).labels.shape == (5, 7)
    except LevelMapError as error:
        assert "\n" not in str(error)


def test_unusable_maps_are_refused():
    for labels, feather, words in (
        (np.zeros((3, 4)), 0, "whole numbers"),
        (np.zeros(4, int), 0, "whole numbers"),
        (np.full((3, 4), 128), 0, "127"),
        (np.zeros((3, 4), int), 16, "soft edge"),
    ):
        with pytest.raises(LevelMapError, match=words):
            LevelMap(labels, feather)


def test_the_soft_edge_falls_in_equal_steps():
    labels = np.zeros((9, 9), int)
    labels[4, 4] = 9
    assert LevelMap(labels, 2).offsets()[4].tolist() == [0, 0, 3, 6, 9, 6, 3, 0, 0]
    assert LevelMap(-labels, 2).offsets()[4].tolist() == [0, 0, -3, -6, -9, -6, -3, 0, 0]
    assert np.array_equal(LevelMap(labels, 0).offsets(), labels)


@settings(max_examples=40, deadline=None)
@given(arrays(np.int8, (6, 7), elements=st.sampled_from([0, 0, 0, 7, -5])), st.integers(0, 4))
def test_the_soft_edge_stays_within_the_labels(labels, feather):
    offsets = LevelMap(labels, feather).offsets()
    assert labels.min() <= offsets.min() and offsets.max() <= labels.max()
    assert np.array_equal(offsets[labels != 0], labels[labels != 0])


# ---------------------------------------------------------------- in the codec


def test_a_zero_map_and_equal_rates_give_the_file_without_a_map(tiny, photo):
    plain = codec.encode(tiny, photo, 1.0)
    height, width = cell_grid(*photo.shape[1:])
    assert codec.encode(tiny, photo, 1.0, LevelMap(np.zeros((height, width), int))) == plain
    mask = roi.box(photo, 10, 10, 50, 40)
    assert roi.level_map(mask, 1.0, 1.0) is None
    assert roi.level_map(torch.zeros_like(mask), 2.0, 1.0) is None


def test_a_map_that_is_equal_everywhere_codes_the_same_latents(tiny, photo):
    """Base 1 with +1/2 everywhere is level 1.5: same stream, other header."""
    height, width = cell_grid(*photo.shape[1:])
    file = File.unpack(codec.encode(tiny, photo, 1.0, LevelMap(np.full((height, width), 4))))
    uniform = File.unpack(codec.encode(tiny, photo, 1.5))
    assert file.stream == uniform.stream and file.level != uniform.level


@pytest.mark.parametrize("base,level", [(0.3, 2.0), (1.6, 0.0), (1.999, 2.0), (0.0, 1.13)])
def test_round_trip(tiny, photo, base, level):
    mask = roi.box(photo, 20, 5, 50, 40)
    chosen = roi.level_map(mask, level, base)
    data = codec.encode(tiny, photo, base, chosen)
    file, y_hat = codec.decode_latents(tiny, data)
    if chosen is not None:
        assert np.array_equal(file.level_map.labels, chosen.labels)
        assert abs(float(file.levels[1, 2].clip(0, 2)) - level) <= 1 / 16 + 1 / 1024
    assert codec.decode(tiny, data).shape == photo.shape
    assert y_hat.isfinite().all()


def test_the_region_gains_and_the_rest_hardly_changes(mini):
    x = datasets.sample("astronaut")[:, :256, 64:384]
    mask = roi.box(x, 96, 64, 192, 192)
    plain = codec.decode(mini, codec.encode(mini, x, 0.0))
    data = codec.encode(mini, x, 0.0, roi.level_map(mask, 2.0, 0.0))
    regional = codec.decode(mini, data)
    error = lambda picture, where: float(((picture - x) ** 2)[:, where].mean())
    far = ~roi.box(x, 0, 0, 320, 256) | ~torch.nn.functional.max_pool2d(mask[None].float(), 129, 1, 64)[0].bool()
    assert error(regional, mask) < 0.8 * error(plain, mask)
    assert error(regional, far) == pytest.approx(error(plain, far), rel=0.1)
    assert len(codec.encode(mini, x, 0.0)) < len(data) < len(codec.encode(mini, x, 2.0))


def test_with_a_target_the_rest_pays_for_the_region(mini):
    x = datasets.sample("astronaut")[:, :256, 64:384]
    mask = roi.box(x, 96, 64, 192, 160)
    plain, level = codec.encode_to_bpp(mini, x, 0.2)
    data, base = codec.encode_to_bpp(mini, x, 0.2, level_map=lambda base: roi.level_map(mask, 2.0, base))
    assert abs(len(data) / len(plain) - 1) < 0.03 and base < level
    assert File.unpack(data).levels.max() == pytest.approx(2.0, abs=1 / 16)


def test_maps_of_wrong_size_or_range_are_refused(tiny, photo):
    height, width = cell_grid(*photo.shape[1:])
    with pytest.raises(ValueError, match=f"{height} x {width} cells"):
        codec.encode(tiny, photo, 1.0, LevelMap(np.ones((height + 1, width), int)))
    with pytest.raises(ValueError, match="have to lie between 0 and 2"):
        codec.encode(tiny, photo, 1.9, LevelMap(np.full((height, width), 3)))


def test_damaged_maps_raise_bitstream_errors(tiny, photo):
    height, width = cell_grid(*photo.shape[1:])
    y, x = np.mgrid[:height, :width]
    file = File.unpack(codec.encode(tiny, photo, 1.0, LevelMap((x + y < 4) * 4, 0)))
    broken = {
        b"": "it is empty",
        b"\x30": "form 3",
        b"\x10": "list of boxes",
        bytes([16, 1, 0, 0, 99, 1, 4]): "does not lie in the picture",
        bytes([16, 1, 0, 0, 1, 1, 64]): "levels",  # eight levels up
    }
    for data, words in broken.items():
        with pytest.raises(BitstreamError, match=words):
            codec.decode(tiny, replace(file, map_bytes=data).pack())
    whole = file.pack()
    for keep in range(26, 40):
        with pytest.raises(BitstreamError):
            codec.decode(tiny, whole[:keep])


def test_describe_shows_the_map(tiny, photo):
    data = codec.encode(tiny, photo, 0.0, roi.level_map(roi.box(photo, 0, 0, 20, 20), 2.0, 0.0))
    rows = bitstream.describe(data)
    assert any("level map" in row[2] for row in rows) and rows[-1][0].endswith(str(len(data) - 1))


# ---------------------------------------------------------------- finding regions


def test_cells_that_a_region_touches():
    mask = torch.zeros(40, 33, dtype=torch.bool)
    mask[15:17, 32] = True
    assert roi.cells(mask).tolist() == [[False, False, True], [False, False, True], [False, False, False]]


def test_boxes_outside_the_picture_are_refused(photo):
    for corners in ((-1, 0, 5, 5), (5, 5, 5, 9), (0, 0, photo.shape[2] + 1, 5)):
        with pytest.raises(roi.RegionError, match="does not lie"):
            roi.box(photo, *corners)


def test_a_mask_file(photo, tmp_path):
    mask = roi.box(photo, 8, 4, 30, 20)
    images.to_image(mask.float().expand(3, -1, -1)).save(tmp_path / "mask.png")
    assert torch.equal(roi.from_file(photo, tmp_path / "mask.png"), mask)
    images.to_image(torch.ones(3, 9, 9)).save(tmp_path / "small.png")
    with pytest.raises(roi.RegionError, match="9 x 9"):
        roi.from_file(photo, tmp_path / "small.png")


def test_masks_as_people_have_them(photo, tmp_path):
    mask = roi.box(photo, 8, 4, 30, 20)
    inside = mask.numpy()
    drawn = {}
    red = Image.new("RGBA", (192, 128), (0, 0, 0, 0))
    red.paste((200, 0, 0, 255), (8, 4, 30, 20))
    drawn["opaque red on transparent"] = red
    black = Image.new("RGBA", (192, 128), (255, 255, 255, 0))
    black.paste((0, 0, 0, 255), (8, 4, 30, 20))
    drawn["opaque black on transparent white"] = black
    drawn["0 and 1"] = Image.fromarray(inside.astype(np.uint8))
    drawn["0 and 1 of 16 bits"] = Image.fromarray(inside.astype(np.uint16))
    drawn["0 and 1, floats"] = Image.fromarray(inside.astype(np.float32))
    drawn["bits"] = Image.fromarray(inside)
    labels = Image.fromarray(inside.astype(np.uint8) + (inside & (np.arange(192) > 20)), "P")
    labels.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])  # as VOC's: a dark red, a dark green
    drawn["labels of a palette"] = labels
    for name, picture in drawn.items():
        picture.save(tmp_path / "mask.tif" if picture.mode == "F" else tmp_path / "mask.png")
        found = roi.from_file(photo, tmp_path / ("mask.tif" if picture.mode == "F" else "mask.png"))
        assert torch.equal(found, mask), name
    turned = Image.Exif()
    turned[0x0112] = 3
    drawn["bits"].rotate(180).save(tmp_path / "mask.png", exif=turned)
    assert torch.equal(roi.from_file(photo, tmp_path / "mask.png"), mask)
    for grey, share in ((0, 0), (100, 0), (200, 1)):  # one value: nothing was drawn, or all
        Image.new("L", (192, 128), grey).save(tmp_path / "mask.png")
        assert roi.from_file(photo, tmp_path / "mask.png").float().mean() == share
    soft = images.to_tensor(images.to_image(photo)).mean(dim=0)
    images.to_image(soft.expand(3, -1, -1)).save(tmp_path / "mask.png")
    assert torch.equal(roi.from_file(photo, tmp_path / "mask.png"), (soft * 255).round() > 127)


def test_the_astronauts_face_is_found_and_no_face_on_a_cup():
    mask = roi.faces(datasets.sample("astronaut"))
    y, x = mask.nonzero().double().mean(dim=0)
    assert 150 < x < 290 and 50 < y < 200 and 0.01 < mask.float().mean() < 0.15
    assert roi.faces(datasets.sample("coffee")).float().mean() < 0.05


def test_a_scribble_takes_the_cup_and_not_the_table():
    x = datasets.sample("coffee")
    mask = roi.scribble(x, inside=[(300, 110), (320, 170), (230, 160)], outside=[(40, 40), (560, 40), (40, 380), (560, 380), (300, 20)])
    assert mask[150, 300] and not mask[20, 20] and 0.03 < mask.float().mean() < 0.6
    with pytest.raises(roi.RegionError, match="point"):
        roi.scribble(x, [(9999, 0)], [(0, 0)])
    with pytest.raises(roi.RegionError, match="needs a point"):
        roi.scribble(x, [(1, 1)], [])


def test_deeplab_without_weights_says_what_to_do_instead_and_with_weights_runs(photo, tmp_path, monkeypatch):
    from torchvision.models import segmentation

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(roi.RegionError, match="draw a box"):
        roi.salient(photo)
    network = segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, aux_loss=True)
    name = segmentation.DeepLabV3_MobileNet_V3_Large_Weights.DEFAULT.url.rsplit("/", 1)[1]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / name).write_text("<html>")
    with pytest.raises(roi.RegionError, match="does not hold the weights"):
        roi.salient(photo)
    torch.save(network.state_dict(), tmp_path / "hub" / "checkpoints" / name)
    assert roi.salient(photo).shape == photo.shape[1:]
