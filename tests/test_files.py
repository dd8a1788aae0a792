import contextlib
import io
import json
import os
import resource
import stat
import sys
import threading

import pytest
import torch

from plic_lib import errors, files
from plic_lib.errors import FileError, PlicError


@contextlib.contextmanager
def full_disk(n_bytes: int):
    """The system lets no file grow beyond ``n_bytes``, as when the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_all_our_errors_have_one_base():
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    assert len(classes) > 10 and all(issubclass(c, PlicError) and str(c("a b")) == "a b" for c in classes)


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.plic"
    path.write_bytes(b"old")
    with full_disk(1000), pytest.raises(FileError, match=r"a\.plic: cannot be written \("):
        files.write(path, bytes(100_000))
    with full_disk(1000), pytest.raises(FileError, match=r"a\.plic: cannot be written \("), files.whole(path) as file:
        torch.save({"weights": torch.zeros(100_000)}, file)
    with pytest.raises(ZeroDivisionError), files.whole(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_usual_rights_and_an_old_one_keeps_its_own(tmp_path):
    usual, new, old = (tmp_path / name for name in ("usual", "new", "old"))
    usual.write_bytes(b"")
    files.write(new, b"x")
    assert new.stat().st_mode == usual.stat().st_mode
    old.write_bytes(b"")
    old.chmod(0o640)
    files.write(old, b"x")
    assert stat.S_IMODE(old.stat().st_mode) == 0o640 and old.read_bytes() == b"x"
    files.write(tmp_path / ("ü" * 120), b"a name of 240 bytes")


def test_links_are_followed(tmp_path):
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.parent.mkdir()
    link.symlink_to(target)
    for content in (b"the target is not there yet", b"now it is"):
        files.write(link, content)
        assert link.is_symlink() and target.read_bytes() == content


def test_fifos_devices_and_standard_output_are_written_through(tmp_path, capsysbinary):
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(files.read(fifo)))
    reader.start()
    files.write(fifo, b"through")
    reader.join()
    assert got == [b"through"] and stat.S_ISFIFO(fifo.stat().st_mode)
    files.write("/dev/null", b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    files.write("-", b"\x00bytes")
    assert capsysbinary.readouterr().out == b"\x00bytes"
    if os.path.exists("/dev/full"):
        with pytest.raises(FileError, match="/dev/full: cannot be written"):
            files.write("/dev/full", b"x")


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\x00bytes")))
    assert files.read("-") == b"\x00bytes"


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    for path, words in ((tmp_path / "none", "there is no such file"), (tmp_path, "is a folder")):
        with pytest.raises(FileError, match=f"{path}: {words}"):
            files.read(path)
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    with pytest.raises(FileError, match="/dev/zero: more than"):
        files.read("/dev/zero")


def test_an_output_that_is_an_input_is_refused(tmp_path):
    given, link, hard, other = (tmp_path / name for name in ("given", "link", "hard", "other"))
    given.write_bytes(b"x")
    link.symlink_to(given)
    hard.hardlink_to(given)
    for path in (given, link, hard, tmp_path / "." / "given", os.path.relpath(given)):
        with pytest.raises(FileError, match="is also what is read"):
            files.check_output(path, other, given)
    for path in (other, "/dev/null", "-"):
        files.check_output(path, given, "/dev/null", "-")
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "no" / "a", f"the folder {tmp_path / 'no'} does not exist")):
        with pytest.raises(FileError, match=words):
            files.check_output(path)


def test_a_folder_that_takes_no_file_is_noticed_before_the_work(tmp_path, monkeypatch):
    """Also where the file itself could be written to: a new one takes its place."""
    (tmp_path / "out").write_bytes(b"x")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path) and access(path, mode))  # root may do anything
    for name in ("out", "new"):
        with pytest.raises(FileError, match=f"{name}: the folder {tmp_path} is write-protected"):
            files.check_output(tmp_path / name)


def test_a_folder_to_write_to_is_made_or_refused_before_the_work(tmp_path):
    files.check_folder(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()
    (tmp_path / "file").write_bytes(b"")
    for path, words in ((tmp_path / "file", "is a file"), (tmp_path / "file" / "in", "Not a directory")):
        with pytest.raises(FileError, match=f"{path}: cannot be a folder to write to .{words}"):
            files.check_folder(path)


def test_json_has_neither_nan_nor_infinity(tmp_path):
    path = tmp_path / "new" / "a.json"
    files.write_json(path, {"a": [float("nan"), (1.5, float("-inf"))], "b": {"c": 1, "d": None, "é": "ü"}})
    strict = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert strict == {"a": [None, [1.5, None]], "b": {"c": 1, "d": None, "é": "ü"}}


def test_a_log_survives_a_torn_line(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    files.append_json(path, {"step": 1})
    with open(path, "a") as log:
        log.write('{"step": 2, "lo')
    files.append_json(path, {"step": 3, "loss": float("inf")})
    assert files.read_json_lines(path) == [{"step": 1}, {"step": 3, "loss": None}]


def test_files_are_known_by_their_contents(tmp_path):
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    for path, content in ((one, b"abc"), (same, b"abc"), (other, b"abd")):
        path.write_bytes(content)
    assert files.sha256(one) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_of_all([one, other]) == files.sha256_of_all([same, other]) != files.sha256_of_all([other, one])
    before = files.sha256(other)
    os.utime(one, ns=(0, 0))
    one.write_bytes(b"abd")  # as long as before
    assert files.sha256(one) == before
