"""What the command does around its commands: what it imports, its streams, its exit codes."""

import doctest
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plic_lib import codec, images
from plic_lib.commands import main as main_module
from plic_lib.commands import table
from plic_lib.commands.main import COMMANDS, main
from plic_lib.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
PLIC = [sys.executable, "-m", "plic_lib"]


def run(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*PLIC, *map(str, arguments)], env=os.environ | {"PYTHONPATH": str(ROOT)}, **options)


@pytest.fixture(scope="module")
def file(tmp_path_factory, tiny, photo):
    path = tmp_path_factory.mktemp("files") / "a.plic"
    path.write_bytes(codec.encode(tiny, photo, 1.0))
    return path


@pytest.mark.parametrize("arguments", [["--help"], ["info", "FILE"], ["info", "FILE", "--json"], ["encode"], ["nonsense"]])
def test_only_the_module_of_the_command_is_imported_and_info_needs_no_torch(arguments, file):
    heavy = {"torch", "matplotlib", "torchmetrics", "accelerate", "compressai", "PIL"} - (
        {"torch", "compressai", "PIL"} if arguments == ["encode"] else set()
    )
    code = f"""
import sys
from plic_lib.commands.main import main
try:
    main({[str(file) if a == "FILE" else a for a in arguments]!r})
except SystemExit:
    pass
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and not heavy & set(done.stdout.splitlines()[-1].split())


def test_every_command_has_its_help(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            main([name, "--help"])
        assert f"usage: plic {name}" in capsys.readouterr().out


def test_a_command_is_recorded_without_the_folders_of_the_machine():
    typed = ["eval", "/home/me/kodak/", "--json=/home/me/a.json", "../kodak", "--set", "alphas=[2,1,0.5]", "--rates", "1/2"]
    assert [main_module._without_folders(argument) for argument in typed] == [
        *("eval", "kodak", "--json=a.json", "../kodak", "--set", "alphas=[2,1,0.5]", "--rates", "1/2")
    ]


def failing(error: BaseException):
    def run(_):
        raise error

    return run


@pytest.mark.parametrize(
    "error,code,words",
    [
        (UsageError("say it otherwise"), 1, "plic: say it otherwise\n"),
        (KeyError("hash"), 70, "plic: KeyError: 'hash'. This is a fault of plic's"),
        (TypeError("a\nb"), 70, "plic: TypeError: a. This is a fault"),
        (MemoryError(), 1, "plic: not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 1, "plic: not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), 1, "plic: a.png: No space left on device\n"),
        (ModuleNotFoundError("No module named 'lpips'", name="lpips"), 1, "plic: this needs the package lpips"),
        (KeyboardInterrupt(), 130, "plic: interrupted\n"),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_every_error_is_one_sentence_and_those_that_are_not_ours_ask_for_a_report(error, code, words, monkeypatch, capsys):
    from plic_lib.commands import info

    monkeypatch.setattr(info, "run", failing(error))
    assert main(["info", "x"]) == code
    said = capsys.readouterr().err
    assert said.startswith(words) and said.count("\n") == bool(words)
    monkeypatch.setenv("PLIC_DEBUG", "1")
    if isinstance(error, Exception) and not isinstance(error, BrokenPipeError):
        with pytest.raises(type(error)):
            main(["info", "x"])


def test_a_reader_that_has_seen_enough_is_no_error(file):
    with subprocess.Popen([*PLIC, "info", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.close()
        assert process.wait() == 1 and process.stderr.read() == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_output_that_cannot_be_written_is_said(file):
    with open("/dev/full", "w") as full:
        done = run("info", file, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr == "plic: No space left on device\n"


def test_streams_that_are_closed(tmp_path, file):
    """The first file that is opened would be taken for standard output."""
    command = " ".join([*PLIC, "decode", str(file), str(tmp_path / "out.png"), "--model", "mini"])
    done = subprocess.run(f"{command} <&- >&- 2>&-", shell=True, cwd=ROOT)
    assert done.returncode == 1 and not list(tmp_path.iterdir())  # another model's file
    assert subprocess.run(f"{' '.join(PLIC)} info {file} >&-", shell=True, cwd=ROOT).returncode == 0


def test_an_interrupt_while_modules_load_ends_the_process_with_one_word():
    """Packages swallow a KeyboardInterrupt while they load, or take it for a fault of their own."""
    code = """
import os, signal, time
from plic_lib.commands.main import _interrupt_at_once
with _interrupt_at_once():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    except BaseException:
        print("swallowed")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "plic: interrupted\n")


def test_interrupts_reach_the_caller_again_after_the_imports():
    before = signal.getsignal(signal.SIGINT)
    with main_module._interrupt_at_once():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_figures_stand_in_columns():
    assert doctest.testmod(table).failed == 0
    text = table.table({"a": "", "b": ".2f", "c": "d"}, [("long text", float("nan"), 3), (None, float("inf"), 1000)])
    assert text == "a            b     c\nlong text    -     3\n-          inf  1000"
    with pytest.raises(ValueError):
        table.table({"a": ""}, [(1, 2)])


def test_a_picture_comes_out_of_a_pipe(tmp_path, mini, photo):
    data = codec.encode(mini, photo, 1.0)
    with open(tmp_path / "out", "wb") as out:  # a file, which must not be opened a second time
        done = run("decode", "-", "/dev/stdout", input=data, stdout=out, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"/dev/stdout: 192 x 128\n")
    picture = images.read(tmp_path / "out")
    assert (picture - codec.decode(mini, data)).abs().max() <= 1.501 / 255  # one grey level, and rounding


def test_info_as_json_and_from_standard_input(file):
    done = run("info", "-", "--json", input=file.read_bytes(), capture_output=True)
    facts = json.loads(done.stdout)
    assert facts["bytes"] == file.stat().st_size and facts["model_name"] is None and facts["file"] == "-"
