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


def test_the_rate_explorer_of_the_tour(lab, model):
    page = lab.open("00_tour.ipynb")
    page.run_all()
    assert page.all_errors() == []
    page.kernel("setattr(explorer.against, 'value', 'original')")
    page.kernel("setattr(explorer.canvas, 'position', 0.0)")
    canvas = page.page.locator("canvas.plic-canvas").first
    explorer = page.page.locator(".widget-vbox", has=canvas).first
    read, seen = "__import__('base64').b64encode(explorer.{}.data).decode()", {}
    for level in ("0.25", "1.75"):
        readout = explorer.locator(".widget-readout")
        readout.scroll_into_view_if_needed()
        readout.click()
        readout.fill(level)
        readout.press("Enter")
        page.wait()
        data = page.kernel(read.format("shown"))
        seen[level] = data, right_of_line(of_page(page, canvas), 0.0)
        assert close(seen[level][1], right_of_line(decoded(model, data), 0.0))
        assert f"level {float(level):.2f}" in explorer.locator(".widget-html").last.inner_text()
    assert len(seen["0.25"][0]) < len(seen["1.75"][0]) and not close(seen["0.25"][1], seen["1.75"][1])

    # JPEG left of the line, which the mouse moves
    explorer.get_by_role("button", name="JPEG").click()
    page.wait()
    page.drag(canvas, [(0.3, 0.5), (0.5, 0.5), (0.6, 0.4)])
    position = page.kernel("explorer.canvas.position")
    assert abs(position - 0.6) < 0.01
    whole, ours = of_page(page, canvas), decoded(model, page.kernel(read.format("shown")))
    jpeg = pixels(base64.b64decode(page.kernel(read.format("beside"))))
    assert close(right_of_line(whole, position), right_of_line(ours, position))
    assert close(left_of_line(whole, position), left_of_line(jpeg, position))
    canvas.focus()
    page.page.keyboard.press("Home")
    page.wait()
    assert page.kernel("explorer.canvas.position") == 0

    # another model writes the file
    explorer.get_by_role("button", name="mini-mse").click()
    page.wait()
    data = page.kernel(read.format("shown"))
    assert close(right_of_line(of_page(page, canvas), 0.0), right_of_line(decoded(checkpoint.load("mini-mse"), data), 0.0))
    assert "mini-mse" in explorer.locator(".widget-html").last.inner_text()
    assert page.all_errors() == []
    page.close()


def right_of_line(picture: np.ndarray, position: float) -> np.ndarray:
    """What is neither under the line with its handle nor under a name."""
    return picture[30:, round(position * picture.shape[1]) + 12 :]


def left_of_line(picture: np.ndarray, position: float) -> np.ndarray:
    """As above, of the other picture."""
    return picture[30:, : round(position * picture.shape[1]) - 12]


def test_the_painter(lab, model):
    page = lab.open("11_region_of_interest.ipynb")
    page.run_all()
    assert page.all_errors() == []
    page.kernel("[painter.clear.click(), setattr(painter.view, 'value', 'decoded')][0]")
    page.wait()
    canvas = page.page.locator("canvas.plic-canvas").first
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

    # left of a line the file of equal bytes without a region; near the line every mode moves it
    page.page.get_by_role("button", name="compare").last.click()
    page.wait()
    page.drag(canvas, [(0.5, 0.5), (0.7, 0.5)])
    assert abs(page.kernel("painter.canvas.position") - 0.7) < 0.01
    equal = decoded(model, page.kernel(read.replace("shown.data", "shown.equal_data")))
    cells = np.kron(page.kernel("painter.cells.tolist()"), np.ones((16, 16), bool))[: equal.shape[0], : equal.shape[1]]
    away = left_of_line(~outlined(cells), 0.7)
    assert close(left_of_line(of_page(page, canvas), 0.7)[away], left_of_line(equal, 0.7)[away])
    page.page.get_by_role("button", name="decoded").last.click()
    page.wait()

    canvas.blur()  # hides the cell that the keys act on
    shown, picture = of_page(page, canvas), decoded(model, page.kernel(read))
    cells = np.kron(page.kernel("painter.cells.tolist()"), np.ones((16, 16), bool))[: shown.shape[0], : shown.shape[1]]
    plain = ~outlined(cells)
    assert plain.mean() > 0.5 and close(shown[plain], picture[plain])
    assert page.all_errors() == []
    page.close()


def outlined(cells: np.ndarray) -> np.ndarray:
    """The pixels within three of the region's outline, which is drawn over the picture."""
    inner = np.pad(cells, 3, mode="edge")
    near = np.zeros_like(cells)
    for down in range(7):
        for right in range(7):
            near |= inner[down : down + cells.shape[0], right : right + cells.shape[1]] != cells
    return near
