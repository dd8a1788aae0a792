"""What a run of the ablation leaves beside its figures."""

import torch

from plic_lib import ablation, codec, images
from plic_lib.datasets import sample


def test_crops_are_pieces_of_the_decoded_photographs(tiny, tmp_path):
    path = tmp_path / "crops" / "tiny-0.png"
    ablation.crops(tiny, path)
    sheet = images.read(path)
    assert sheet.shape == (3, ablation.PIECE, len(ablation.PIECES) * ablation.PIECE)
    (name, (top, left)), *_ = ablation.PIECES.items()
    decoded = codec.decode(tiny, codec.encode(tiny, sample(name), 0.0))[:, top : top + ablation.PIECE, left : left + ablation.PIECE]
    assert torch.equal(sheet[:, :, : ablation.PIECE], images.to_tensor(images.to_image(decoded)))
