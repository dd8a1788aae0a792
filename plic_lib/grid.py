"""The geometry of a coded picture, and the steps in which its levels are counted.

    picture       height x width pixels
    cell grid     the cells of 16 x 16 pixels that the picture touches; a level map has a label for each
    latent grid   the same of the picture padded to multiples of 64 pixels: y has this size
    z             one value a channel for each block of 64 x 64 pixels, 4 x 4 cells

Sizes are (height, width) everywhere.
"""

CELL = 16  #: pixels of a latent cell's side
BLOCK = 64  #: pixels of a side of what one value of z stands for
LEVEL_STEPS = 1024  #: steps of a level in which a file states its own
OFFSET_STEPS = 8  #: steps of a level in which a level map deviates from it
MAX_PIXELS = 50_000_000  #: larger pictures are refused with a sentence instead of exhausting the memory


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def cell_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the cells that a picture of ``height`` x ``width`` pixels touches.

    >>> cell_grid(100, 65)
    (7, 5)
    """
    return ceil_div(height, CELL), ceil_div(width, CELL)


def latent_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the latents of a picture of ``height`` x ``width`` pixels, multiples of four.

    >>> latent_grid(100, 65)
    (8, 8)
    """
    return BLOCK // CELL * ceil_div(height, BLOCK), BLOCK // CELL * ceil_div(width, BLOCK)
