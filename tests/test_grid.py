import pytest

from plic_lib import grid


@pytest.mark.parametrize("height,width,cells,latents", [(1, 1, (1, 1), (4, 4)), (64, 128, (4, 8), (4, 8)), (65, 17, (5, 2), (8, 4))])
def test_grids(height, width, cells, latents):
    assert grid.cell_grid(height, width) == cells and grid.latent_grid(height, width) == latents
