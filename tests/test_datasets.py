import os

import pytest

from plic_lib import datasets, images
from plic_lib.errors import ImageError


@pytest.fixture
def folder(tmp_path, photo):
    """Pictures as people have them: hidden copies, links, a link upwards, what systems leave behind."""
    picture, _ = images.to_bytes(photo)
    wanted = ["a.png", "b.PNG", "sub/c.png", "linked/d.png"]
    others = [
        "._a.png",
        ".ipynb_checkpoints/a-checkpoint.png",
        "sub/.hidden/e.png",
        "__MACOSX/f.png",
        "@eaDir/a.png/thumb.png",
        "notes.txt",
    ]
    for name in ["top/" + name for name in wanted[:3] + others] + ["elsewhere/d.png"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    top = tmp_path / "top"
    (top / "linked").symlink_to(tmp_path / "elsewhere")
    (top / "linked again").symlink_to(tmp_path / "elsewhere")
    (top / "sub" / "up").symlink_to(top)
    (top / "sub" / "further up").symlink_to(tmp_path)
    (top / "gone.png").symlink_to(tmp_path / "gone.png")
    return top, sorted(top / name for name in wanted)


def test_folders_as_people_have_them(folder):
    top, wanted = folder
    assert datasets.find(top) == wanted
    assert datasets.find(top / "sub" / ".hidden") == [top / "sub" / ".hidden" / "e.png"]  # who names it means it


def test_folders_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(ImageError, match="nowhere: there is no such folder"):
        datasets.find(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ImageError, match="no picture files here"):
        datasets.find(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_may_not_be_read_is_not_passed_over(folder):
    top, _ = folder
    (top / "sub").chmod(0)
    with pytest.raises(ImageError, match="sub: cannot be read"):
        datasets.find(top)
    (top / "sub").chmod(0o755)
