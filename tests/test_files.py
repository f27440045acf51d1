"""Writing of files: complete or not at all; links, pipes and devices are written to and stay what they are."""

import errno
import os
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from splitnest import files
from splitnest.errors import OutputError, UsageError
from splitnest.files import (
    check_output,
    open_regular,
    printable,
    remove_parts,
    replacing,
    replacing_path,
    versions,
    write_bytes,
    write_text,
)
from splitnest.streams import is_standard_output

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
pytestmark = posix


def write_by_path(path: Path, content: bytes) -> None:
    with replacing_path(path) as part:
        part.write_bytes(content)


@pytest.fixture(params=[write_bytes, write_by_path])
def write(request: pytest.FixtureRequest) -> Callable[[Path, bytes], None]:
    return request.param


@pytest.fixture(params=["without a name", "with a name"])
def temporary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "with a name":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)


def test_empty_file_in_a_new_folder(write: Callable[[Path, bytes], None], tmp_path: Path, temporary: None) -> None:
    write(tmp_path / "new" / "a.txt", b"")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b""
    assert os.listdir(tmp_path / "new") == ["a.txt"]


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path, temporary: None) -> None:
    (tmp_path / "a.txt").write_text("before")
    for replace in (replacing, replacing_path):
        with pytest.raises(KeyboardInterrupt), replace(tmp_path / "a.txt"):
            raise KeyboardInterrupt
    assert (tmp_path / "a.txt").read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "[a]*?", "-a", " ", "a\nb", os.fsdecode(b"caf\xe9.jpg")])
def test_names(write: Callable[[Path, bytes], None], tmp_path: Path, temporary: None, name: str) -> None:
    for content in (b"1", b"2"):
        write(tmp_path / name, content)
    assert (tmp_path / name).read_bytes() == b"2"
    assert os.listdir(tmp_path) == [name]


def test_a_name_that_is_too_long(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 256), Path(tmp_path, *["x" * 200] * 25)):
        for function in (write_bytes, lambda path, _: check_output(path)):
            with pytest.raises(OutputError, match="cannot be written: File name too long"):
                function(path, b"")


def test_a_link_stays_and_its_file_is_replaced(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_text("before")
    (tmp_path / "link").symlink_to("below/file")
    (tmp_path / "chain").symlink_to(tmp_path / "link")
    (tmp_path / "dangling").symlink_to("below/new")
    write(tmp_path / "chain", b"1")
    write(tmp_path / "dangling", b"2")
    assert (tmp_path / "below" / "file").read_text() == "1"
    assert (tmp_path / "below" / "new").read_text() == "2"
    assert sum(path.is_symlink() for path in tmp_path.iterdir()) == 3
    assert sorted(os.listdir(tmp_path / "below")) == ["file", "new"]


def test_a_circle_of_links(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match="Too many levels of symbolic links"):
        write(tmp_path / "a", b"")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device_is_written_to_and_stays(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.close(os.open(null, os.O_WRONLY))
    except PermissionError:
        pytest.skip("no devices in this file system")
    (tmp_path / "link").symlink_to("null")
    for path in (null, tmp_path / "link"):
        check_output(path)
        write(path, b"content")
    assert stat.S_ISCHR(null.stat().st_mode)
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "null"]
    full = tmp_path / "full"
    os.mknod(full, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    with pytest.raises(OutputError, match="No space left on device"):
        write(full, b"content")
    disk = tmp_path / "disk"
    os.mknod(disk, 0o600 | stat.S_IFBLK, os.makedev(7, 250))
    for function in (write, lambda path, _: check_output(path)):
        with pytest.raises(OutputError, match="it is a block device"):
            function(disk, b"content")
    assert stat.S_ISBLK(disk.stat().st_mode)


def test_a_pipe_gets_the_content(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    pipe, content = tmp_path / "pipe", bytes(300_000)
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="no process reads this named pipe"):
        write(pipe, b"")
    check_output(pipe)
    received: list[bytes] = []
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    thread = Thread(target=lambda: (select.select([reader], [], []), received.append(os.fdopen(reader, "rb").read())))
    thread.start()
    write(pipe, content)
    thread.join(20)
    assert received == [content]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_whose_reader_goes_away(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    thread = Thread(target=lambda: (select.select([reader], [], []), os.close(reader)))
    thread.start()
    with pytest.raises(OutputError, match="Broken pipe"):
        write(tmp_path / "pipe", bytes(1_000_000))
    thread.join(20)


def test_sockets_and_folders_are_refused(write: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket is short
        try:
            server.bind("socket")
        finally:
            os.chdir(before)
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        for name, reason in (("socket", "it is a socket"), ("folder", "Is a directory"), ("file/a", "Not a directory")):
            for function in (write, lambda path, _: check_output(path)):
                with pytest.raises(OutputError, match=reason):
                    function(tmp_path / name, b"")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "socket"]


SCRIPT = """
import sys
from pathlib import Path
from splitnest.files import check_output, write_text
from splitnest.streams import is_standard_output
print("before")
path = Path(sys.argv[1])
check_output(path)
write_text(path, "content\\n")
print("after", is_standard_output(path))
"""


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output(tmp_path: Path, path: str) -> None:
    command = [sys.executable, "-c", SCRIPT, path]
    expected = "before\ncontent\nafter True\n"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == expected
    with (tmp_path / "log").open("w") as log:
        subprocess.run(command, stdout=log, check=True)
    assert (tmp_path / "log").read_text() == expected
    (tmp_path / "link").symlink_to(path)
    command[-1] = str(tmp_path / "link")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == expected
    assert (tmp_path / "link").is_symlink()


def test_inputs_are_not_outputs(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    os.link(tmp_path / "a", tmp_path / "hard")
    for path in ("a", "link", "hard", "./a"):
        with pytest.raises(UsageError, match="is read, so it is not written"):
            check_output(tmp_path / path, inputs=["no file", "\0", tmp_path / "a"])
    check_output(tmp_path / "b", inputs=[tmp_path / "a", tmp_path / "b"])
    assert sorted(os.listdir(tmp_path)) == ["a", "hard", "link"]


def test_versions_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "target.pt").write_text("1")
    (tmp_path / "last.pt").symlink_to("target.pt")
    with replacing(tmp_path / "last.pt", keep=2) as file:
        file.write(b"2")
    assert [path.read_text() for path in versions(tmp_path / "last.pt")] == ["2", "1"]
    assert not (tmp_path / "last.pt").is_symlink()


def test_a_killed_process_leaves_no_part(tmp_path: Path) -> None:
    script = "import sys, time\nfrom pathlib import Path\nfrom splitnest.files import replacing\n"
    script += "with replacing(Path(sys.argv[1])) as file:\n file.write(bytes(9))\n print(flush=True)\n time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, tmp_path / "a"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert os.listdir(tmp_path) == [] or not hasattr(os, "O_TMPFILE")


def test_parts_of_killed_processes_are_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    dead, alive = f".[a].onnx.{process.pid}.part.onnx", f".[a].onnx.{os.getppid()}.part.onnx"
    for name in (dead, alive, f".b.onnx.{process.pid}.part.onnx"):
        (tmp_path / name).touch()
    write_by_path(tmp_path / "[a].onnx", b"")
    assert sorted(os.listdir(tmp_path)) == sorted(["[a].onnx", alive, f".b.onnx.{process.pid}.part.onnx"])
    (tmp_path / ".[a].onnx.7.part").touch()
    remove_parts(tmp_path / "[a].onnx")
    assert not (tmp_path / ".[a].onnx.7.part").exists()


def test_a_name_that_the_locale_cannot_encode(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its name cannot be encoded in this locale"):
        write_text(tmp_path / "\ud800", "")


def test_printable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printable("") == ""
    assert printable(Path("a/ü 蛇.jpg")) == "a/ü 蛇.jpg"
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"
    assert printable("a\nb\x1b[31m\u2028\x85") == "a\\nb\\x1b[31m\\u2028\\x85"
    assert printable("\ud800") == "\\ud800"
    assert printable(os.fsencode("ü").decode("ascii", "surrogateescape")) == "ü"  # under an ASCII locale


def test_a_file_is_not_standard_output(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert not is_standard_output(tmp_path / "a")
    assert not is_standard_output(tmp_path / "absent")


def test_an_unnamed_file_is_not_required(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(files.os, "open", refuse)
    write_bytes(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(OSError, match="no file can have this name"):
        open_regular(name)
