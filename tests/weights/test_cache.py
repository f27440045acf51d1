"""Names of files in the cache, and its folder."""

from pathlib import Path

import pytest

from splitnest.errors import WeightsError
from splitnest.weights.cache import file_name, weights_folder


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/o/r/releases/download/v1/resnest50-528c19ca.pth", "resnest50-528c19ca.pth"),
        ("https://host/a%2Bb/backbone%2Bhead_1x-20289c16.pth?x=1#y", "backbone+head_1x-20289c16.pth"),
        (
            "https://huggingface.co/timm/resnest14d.gluon_in1k/resolve/main/model.safetensors",
            "resnest14d.gluon_in1k.safetensors",
        ),
    ],
)
def test_file_names(url: str, name: str) -> None:
    assert file_name(url) == name


@pytest.mark.parametrize(
    "address",
    ["", "/", "/..", "/%2e%2e", "/.x", "/a%2fb/..", "/a%5cb", "/a%00b", "/a%0ab", f"/{'a' * 300}", "/resolve/%2e%2e"],
)
def test_names_that_are_not_plain(address: str) -> None:
    with pytest.raises(WeightsError, match="does not end in a file name"):
        file_name(f"https://host{address}")


@pytest.mark.parametrize("address", ["/resolve/x.suffix", "/a/resolve/main/x.suffix", "/%2e%2e%2f%2e%2e%2fx.pth"])
def test_names_are_one_part(address: str) -> None:
    name = file_name(f"https://host{address}")
    assert Path(name).parts == (name,)
    assert not Path(name).is_absolute()


def test_published_files_do_not_share_a_name() -> None:
    from splitnest import zoo

    names = [file_name(zoo.published(name).url) for name in zoo.TASK_OF]
    assert len(set(names)) == len(names)


def test_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPLITNEST_HOME", "~/nests")
    assert weights_folder() == Path.home() / "nests" / "weights"
    monkeypatch.delenv("SPLITNEST_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "splitnest" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_folder() == Path.home() / ".cache" / "splitnest" / "weights"
