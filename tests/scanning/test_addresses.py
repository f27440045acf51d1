"""Addresses: braces, wildcards, protocols."""

import os
from pathlib import Path

import pytest

from splitnest.errors import DataError, UsageError
from splitnest.scanning.addresses import absolute, base_name, expand, filesystem, joined, parent


def test_braces_are_expanded_in_order() -> None:
    assert expand("s3://b/d-{08..11}.tar") == [f"s3://b/d-{n}.tar" for n in ("08", "09", "10", "11")]
    assert expand("/x/{b,a}-{1..0}") == ["/x/b-1", "/x/b-0", "/x/a-1", "/x/a-0"]
    assert expand("/x/plain.tar") == ["/x/plain.tar"]


def test_too_many_braces_are_refused() -> None:
    with pytest.raises(UsageError, match="more than 1000000 files"):
        expand("/x/{0..9999}{0..9999}")


def test_an_existing_path_is_never_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "a{0..3}[x].tar"
    path.touch()
    assert expand(str(path)) == [str(path)]


def test_wildcards(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar", "c.txt"):
        (tmp_path / name).touch()
    assert [os.path.basename(name) for name in expand(f"{tmp_path}/*.tar")] == ["a.tar", "b.tar"]
    with pytest.raises(DataError, match="No file matches"):
        expand(f"{tmp_path}/*.parquet")


@pytest.mark.parametrize("address", ["zip::s3://b/x", "simplecache::file:///etc", "ssh://host/x", "github://x"])
def test_other_protocols_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match="the protocol is unknown"):
        filesystem(address)


def test_names() -> None:
    assert joined("s3://b/x/", "a/b.png") == "s3://b/x/a/b.png"
    assert joined("/x", "a.png") == "/x/a.png"
    assert joined("/x", "s3://b/a.png") == "s3://b/a.png"
    assert (parent("s3://b/x/list.txt"), base_name("s3://b/x/")) == ("s3://b/x", "x")
    assert absolute("s3://b") == "s3://b"
    assert absolute("a") == os.path.abspath("a")
