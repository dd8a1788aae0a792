"""The widgets in a real JupyterLab: what the page shows is what the bytes decode to.

Run by ``make test-browser``; a newcomer's ``make test`` leaves them out.
"""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plic_lib import checkpoint, codec, images

from .lab import Lab

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(NOTEBOOKS, tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def model():
    return checkpoint.load("mini")


def decoded(model, data: str) -> np.ndarray:
    """What a file (base64) decodes to, as 8-bit pixels."""
    return np.asarray(images.to_image(codec.decode(model, base64.b64decode(data))))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def of_page(page, element) -> np.ndarray:
    """The pixels of an <img> or a <canvas> as the page has them."""
    url = element.evaluate("""async element => {
        let canvas = element;
        if (element.tagName === 'IMG') {
            canvas = document.createElement('canvas'); canvas.width = element.naturalWidth; canvas.height = element.naturalHeight;
            canvas.getContext('2d').drawImage(element, 0, 0) }
        return canvas.toDataURL('image/png') }""")
    return pixels(base64.b64decode(url.split(",")[1]))


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal within one grey level: the generator is in floats, and this is another process."""
    return a.shape == b.shape and bool((abs(a.astype(int) - b.astype(int)) <= 1).all())


def test_the_rate_slider_of_the_tour(lab, model):
    page = lab.open("00_tour.ipynb")
    page.run_all()
    assert page.all_errors() == []
    explorer = page.page.locator(".widget-vbox", has=page.page.locator(".widget-slider")).first
    picture, seen = explorer.locator("img"), {}
    for level in ("0.25", "1.75"):
        readout = explorer.locator(".widget-readout")
        readout.scroll_into_view_if_needed()
        readout.click()
        readout.fill(level)
        readout.press("Enter")
        page.wait()
        data = page.kernel("__import__('base64').b64encode(explorer.shown.data).decode()")
        seen[level] = data, of_page(page, picture), explorer.locator(".widget-label").last.inner_text()
        assert close(seen[level][1], decoded(model, data))
        assert f"level {float(level):.2f}" in seen[level][2]
    assert len(seen["0.25"][0]) < len(seen["1.75"][0]) and not close(seen["0.25"][1], seen["1.75"][1])
    assert page.all_errors() == []
    page.close()


def test_the_painter(lab, model):
    page = lab.open("11_region_of_interest.ipynb")
    page.run_all()
    assert page.all_errors() == []
    page.kernel("[painter.clear.click(), setattr(painter.view, 'value', 'decoded')][0]")
    page.wait()
    canvas = page.page.locator("canvas.plic-painter").first
    read = "__import__('base64').b64encode(painter.shown.data).decode()"
    states = [(page.kernel(read), page.kernel("painter.cells.tolist()"))]
    assert not np.any(states[0][1])

    page.drag(canvas, [(0.3, 0.3), (0.6, 0.5)])  # a box
    states.append((page.kernel(read), page.kernel("painter.cells.tolist()")))
    rows, columns = np.nonzero(states[1][1])
    height, width = np.shape(states[1][1])
    assert (rows.min(), columns.min()) == (int(0.3 * height), int(0.3 * width))
    assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)

    page.page.get_by_role("button", name="paint").last.click()
    page.drag(canvas, [(0.1, 0.8), (0.4, 0.9), (0.7, 0.8)])
    states.append((page.kernel(read), page.kernel("painter.cells.tolist()")))
    assert np.sum(states[2][1]) > np.sum(states[1][1])

    canvas.focus()
    for key in ("e", "ArrowRight", " "):
        page.page.keyboard.press(key)
    page.wait()
    assert page.kernel("painter.mode.value") == "erase"
    for (before, _), (after, _) in zip(states, states[1:]):
        assert len(before) < len(after)

    canvas.blur()  # hides the cell that the keys act on
    shown, picture = of_page(page, canvas), decoded(model, page.kernel(read))
    cells = np.kron(page.kernel("painter.cells.tolist()"), np.ones((16, 16), bool))[: shown.shape[0], : shown.shape[1]]
    inner = np.pad(cells, 3, mode="edge")  # away from the outlines, where three pixels are drawn over
    plain = np.ones_like(cells)
    for dy in range(7):
        for dx in range(7):
            plain &= inner[dy : dy + cells.shape[0], dx : dx + cells.shape[1]] == cells
    assert plain.mean() > 0.5 and close(shown[plain], picture[plain])
    assert page.all_errors() == []
    page.close()
