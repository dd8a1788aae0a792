"""What every notebook keeps to; its cells themselves are run by nbval."""

import io
import json
import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from plic_lib import bitstream, checkpoint, datasets, images, metrics, roi
from plic_lib import codec as codec_module
from plic_lib.course import figures, widgets
from plic_lib.course import painter as painter_module

from .conftest import tiny_model

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
RESULTS = FOLDER.parent / "data" / "results"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: Those whose subject needs more than 4,000 words: GDN, the entropy bottleneck, the context model.
LONG = ("02", "03", "05")
HEADER = ("**Goal.**", "**You will be able to**", "**Needs**", "**Time**", "**Paper**")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_header(notebook):
    first = notebook.cells[0].source
    assert first.startswith("# ") and all(part in first for part in HEADER)


def test_sizes(path, notebook):
    assert path.stat().st_size <= 3_000_000
    assert 35 <= len(notebook.cells) <= 85
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    assert 1200 <= words <= (5000 if path.stem[:2] in LONG else 4000)
    assert all(len(cell.source.splitlines()) <= 25 for cell in code_cells(notebook))


def test_saved_outputs_are_complete_and_in_order(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    assert "widgets" not in notebook.metadata


def test_they_fit_into_a_repository():
    """Pictures that one can judge take room; all notebooks together stay a clone of seconds."""
    assert sum(path.stat().st_size for path in NOTEBOOKS) <= 20_000_000


def test_it_checks_what_it_claims(notebook):
    asserts = sum(len(re.findall(r"^\s*assert ", cell.source, re.M)) for cell in code_cells(notebook))
    assert asserts >= 5


def test_code_is_introduced_by_prose(notebook):
    """At most two code cells in a row."""
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in notebook.cells)
    assert "ccc" not in kinds and kinds[0] == "m"


def test_no_path_of_one_machine_and_no_network(notebook):
    texts = [cell.source for cell in notebook.cells]
    for output in (output for cell in code_cells(notebook) for output in cell.outputs):
        texts += [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
    assert not re.search(r"/(?:home|Users|root|tmp)/|https?://(?!creativecommons)", "\n".join(texts))


def test_they_run_in_the_time_that_a_course_has():
    """Of the last ``make notebooks``: a minute each, eight for all, four for the solutions."""
    seconds = {name: value["seconds"] for name, value in json.loads((RESULTS / "notebook_seconds.json").read_text()).items()}
    assert {path.name for path in NOTEBOOKS} == {name for name in seconds if "/" not in name}
    solutions = sum(value for name, value in seconds.items() if "/" in name)
    assert max(seconds.values()) <= 60 and sum(seconds.values()) - solutions <= 480 and solutions <= 240


def test_readme_lists_every_notebook_that_there_is():
    listed = re.findall(r"^\| \[(\w+)\]\(notebooks/", (FOLDER.parent / "README.md").read_text(), re.M)
    assert listed == [path.stem for path in NOTEBOOKS]


def test_the_tour_was_run_with_the_shipped_model(mini):
    text = (FOLDER / "00_tour.ipynb").read_text()
    assert f"hash {mini.hash[:8]}" in text


def test_the_recorded_toys_are_those_of_the_notebook():
    """Whoever changes the toy codec of 02 trains it anew: ``python notebooks/record.py``."""
    threads = torch.get_num_threads()
    names = runpy.run_path(str(FOLDER / "record.py"))["toys"]()
    _, losses, _ = names["train_toy"]("GDN", 0, steps=3)
    torch.set_num_threads(threads)
    runs = json.loads((RESULTS / "toy_codecs.json").read_text())["runs"]
    assert list(runs) == list(names["KINDS"]) and all(len(of_kind) == 5 for of_kind in runs.values())
    assert losses == pytest.approx(runs["GDN"][0]["losses"][:3], rel=1e-3)


# ------------------------------------------------------------ what the notebooks call


def test_describe_covers_every_byte(tiny, photo):
    data = codec_module.encode(tiny, photo, 1)
    rows = bitstream.describe(data)
    spans = [tuple(map(int, (row[0].split("-") * 2)[:2])) for row in rows]
    assert spans[0][0] == 0 and spans[-1][1] == len(data) - 1
    assert all(a[1] + 1 == b[0] for a, b in zip(spans, spans[1:]))


@pytest.mark.parametrize("level", [0.0, 0.7, 2.0])
def test_render_shows_what_the_bytes_decode_to(tiny, photo, level):
    shown = widgets.render(tiny, photo, codec_module.analyse(tiny, photo), level)
    assert shown.data == codec_module.encode(tiny, photo, level)
    assert (shown.picture - codec_module.decode(tiny, shown.data)).abs().max() <= 0.501 / 255
    assert f"{len(shown.data):,} bytes" in shown.caption()


def shown_by(canvas, which):
    return images.to_tensor(Image.open(io.BytesIO(getattr(canvas, which))))


def test_a_wipe_holds_both_pictures(photo):
    canvas = widgets.wipe({"dark": 0.5 * photo, "light": 0.5 + 0.5 * photo}, 0.25)
    assert torch.equal(shown_by(canvas, "left"), images.eight_bit(0.5 * photo))
    assert torch.equal(shown_by(canvas, "picture"), images.eight_bit(0.5 + 0.5 * photo))
    assert (canvas.names, canvas.position, canvas.mode) == (["dark", "light"], 0.25, "wipe")


def test_the_slider_re_encodes(photo):
    explorer = widgets.rate_explorer(tiny_model(), photo, level=2.0)
    before = explorer.canvas.picture, explorer.caption.value
    assert torch.equal(shown_by(explorer.canvas, "picture"), explorer.shown.picture)
    assert torch.equal(shown_by(explorer.canvas, "left"), photo) and explorer.beside is None
    explorer.slider.value = 0.5
    assert explorer.shown.level == 0.5 and explorer.canvas.picture != before[0] and explorer.caption.value != before[1]
    explorer.slider.value = 9  # clamped by the slider
    assert explorer.shown.level == 2.0 and (explorer.canvas.picture, explorer.caption.value) == before


@pytest.mark.parametrize("name", ["JPEG", "AVIF"])
def test_another_codec_stands_beside_at_equal_bytes(photo, name):
    explorer = widgets.rate_explorer(tiny_model(), photo, level=2.0)
    if name not in explorer.against.options:
        pytest.skip(f"this Pillow was built without {name}")
    explorer.against.value = name
    ours, other = explorer.shown, explorer.beside
    assert torch.equal(shown_by(explorer.canvas, "left"), other.picture) and other.name.startswith(name)
    assert len(other.data) <= len(ours.data) or "its smallest file" in other.name
    assert f"{len(other.data):,} bytes" in explorer.caption.value
    smaller = widgets.render_rival(explorer.RIVALS[name], photo, len(other.data) // 2)
    assert len(smaller.data) < len(other.data) and smaller.psnr < other.psnr
    assert "its smallest file" in widgets.render_rival(explorer.RIVALS[name], photo, 1).name


def test_models_can_be_chosen(photo, tiny):
    other = tiny_model(symmetric=True)
    other.name = "other"
    explorer = widgets.rate_explorer(tiny, photo, others=[other])
    explorer.model.value = "other"
    assert explorer.shown.data == codec_module.encode(other, photo, 1.0) and explorer.caption.value.startswith("other")


@pytest.fixture
def painter(photo):
    return painter_module.roi_painter(tiny_model(), photo, region=2.0, background=0.5)


def test_the_painter_shows_what_the_bytes_decode_to(painter, photo):
    tiny = painter.model
    assert painter.shown.data == codec_module.encode(tiny, photo, 0.5)
    painter.set_box(20, 10, 60, 50)
    chosen = roi.level_map(roi.box(photo, 20, 10, 60, 50), 2.0, 0.5)
    assert painter.shown.data == codec_module.encode(tiny, photo, 0.5, chosen)
    picture = images.to_tensor(Image.open(io.BytesIO(painter.canvas.picture)))
    assert torch.equal(picture, painter.shown.picture)
    assert (picture - codec_module.decode(tiny, painter.shown.data)).abs().max() <= 0.501 / 255
    assert f"{len(painter.shown.data):,} bytes" in painter.caption.value and painter.canvas.answered == painter.canvas.stroke
    assert painter.columns.value == (16, 64) and painter.rows.value == (0, 64)


def test_the_painter_finds_a_file_of_equal_bytes_with_few_others(monkeypatch):
    mini, x = checkpoint.load("mini"), datasets.sample("coffee")[:, :128, :192]
    analysis, encode, files = codec_module.analyse(mini, x), codec_module.encode_latents, []
    monkeypatch.setattr(codec_module, "encode_latents", lambda *given: files.append(encode(*given)) or files[-1])
    sizes = [len(encode(mini, analysis, level)) for level in (0.0, 0.3, 1.1, 1.7, 2.0)]
    for size in sizes:
        found = len(encode(mini, analysis, painter_module._equal_level(mini, analysis, size)))
        assert abs(found / size - 1) <= 0.01
    assert len(files) <= 2 + 3 * 3, "both ends, then a few files a stroke"
    before = len(files)
    assert painter_module._equal_level(mini, analysis, 1) == 0 and painter_module._equal_level(mini, analysis, 10**6) == 2
    painter_module._equal_level(mini, analysis, sizes[2])
    assert len(files) == before, "what was tried is not tried again"


def test_all_controls_of_the_painter_share_one_state(painter):
    before = painter.canvas.picture
    painter.columns.value = (16, 48)
    assert not painter.cells.any()  # a box without height
    painter.rows.value = (32, 64)
    assert painter.cells.sum() == 4 and painter.canvas.picture != before
    painter.cells = ~painter.cells
    assert painter.rows.value[0] == 0
    painter.mode.value = "erase"
    assert painter.canvas.mode == "erase"
    shown = painter.shown
    for view in painter.VIEWS:
        painter.view.value = view
        assert Image.open(io.BytesIO(painter.canvas.picture)).size == (painter.canvas.width, painter.canvas.height)
        assert bool(painter.canvas.left) == (view == "compare") and painter.shown is shown  # a view costs no file
    painter.clear.click()
    assert not painter.cells.any() and painter.shown.data == painter.shown.uniform_data


def test_the_painter_says_what_the_rest_paid(painter, photo):
    painter.set_box(20, 10, 60, 50)
    shown = painter.shown
    (inside, equal_inside), (rest, equal_rest) = shown.psnr["region"], shown.psnr["rest"]
    assert inside == metrics.psnr(photo[:, shown.mask], shown.picture[:, shown.mask])
    assert equal_rest == metrics.psnr(photo[:, ~shown.mask], shown.equal_picture[:, ~shown.mask])
    assert shown.equal_data == codec_module.encode(painter.model, photo, shown.equal_level)
    assert abs(len(shown.equal_data) / len(shown.data) - 1) < 0.03  # of a tiny file: a byte or two
    for figure in (f"{inside - equal_inside:+.1f}", f"{rest - equal_rest:+.1f}", f"{len(shown.equal_data):,} bytes"):
        assert figure in painter.caption.value
    painter.view.value = "compare"
    assert torch.equal(shown_by(painter.canvas, "left"), shown.equal_picture)


def test_the_painter_says_errors_in_words(painter, monkeypatch):
    def fails(*_):
        raise ValueError("the reason")

    monkeypatch.setattr(painter_module, "render_region", fails)
    painter.region.value = 1.0
    assert "the reason" in painter.caption.value
    with pytest.raises(roi.RegionError):
        painter.set_box(0, 0, 9999, 9)


def test_a_picture_is_drawn_pixel_for_pixel(photo):
    figures.use_style()
    figure = figures.show({"a title wider than the picture": photo, "b": photo, "c": photo}, columns=2, zoom=2)
    drawn = np.asarray(_png(figure).convert("RGB"))
    box = figure.axes[0].get_window_extent()
    left, top = round(box.x0), len(drawn) - round(box.y1)
    found = drawn[top : top + round(box.height), left : left + round(box.width)]
    assert (found == np.asarray(images.to_image(photo)).repeat(2, 0).repeat(2, 1)).all()
    plt.close("all")


def test_line_plots_are_svg_and_the_same_file_each_time():
    figures.use_style()
    made = []
    for _ in range(2):
        figure, axis = plt.subplots()
        for height in (1.0, 1.001, 3.0):
            axis.plot([0, 1], [0, height], label=f"to {height}")
        figures.label_lines(axis)
        made.append(figures.saved(figure, "svg")[0])
        tops = sorted(text.get_window_extent().y0 for text in axis.texts)
        assert min(b - a for a, b in zip(tops, tops[1:])) >= 12  # no label on another
    assert made[0] == made[1] and "<dc:date>" not in made[0]
    plt.close("all")


def test_maps_and_the_drawing_of_the_method(photo):
    figures.use_style()
    assert len(figures.show_maps({"a": photo[0], "b": photo[1]}, "unit").axes) == 3
    assert len(figures.show_maps({"a": photo[0], "b": photo[1]}, "unit", shared=False, zoom=1).axes) == 4
    beside = figures.show_maps({"a": photo[0, :8, :12]}, "unit", zoom=16, photo=photo)  # a cell of 16 x 16 pixels at its own size
    assert (beside.axes[0].images[0].get_array() == np.asarray(images.to_image(photo))).all()
    laid_over = figures.show_maps({"a": photo[0, :8, :12], "b": photo[1, :8, :12]}, "unit", over=[photo, 1 - photo])
    assert [len(axis.images) for axis in laid_over.axes[:2]] == [2, 2] and laid_over.axes[0].images[1].get_alpha() == 0.5
    assert laid_over.axes[0].images[0].get_extent() == laid_over.axes[0].images[1].get_extent()  # each cell lies on its pixels
    assert figures.method().axes
    plt.close("all")


def _png(figure):
    return Image.open(io.BytesIO(figures.saved(figure, "png")[0]))
