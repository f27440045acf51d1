"""Addresses of weights and images in recipes and commands: file names, odd answers, damaged files."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from helpers.command_line import RECIPE, Run, Server

ODD_ANSWERS = {
    "no-number": {"Content-Length": "many"},
    "negative": {"Content-Length": "-5"},
    "huge": {"Content-Length": "9" * 15},
    "endless-number": {"Content-Length": "9" * 5000},
    "too-long": {"Content-Length": "1000000"},
    "compressed": {"Content-Encoding": "gzip"},
    "to-bad-host": {"Location": "http://[bad/"},
    "to-space": {"Location": "http://a b/"},
    "to-file": {"Location": "file:///etc/hostname"},
    "to-label": {"Location": f"http://{'a' * 70}.example/"},
    "to-itself": {"Location": "to-itself"},
    "chunked": {"Transfer-Encoding": "chunked"},
}
"""Odd answers of a server -> their headers."""

ODD_ADDRESSES = (
    "http://[bad",
    "http://127.0.0.1:x/a",
    "http:///a",
    f"http://{'a' * 70}.example/",
    "http://ü..example/",
)


@pytest.mark.parametrize(
    "address", ["resolve/x.suffix", "%2e%2e", "a%5cb", ".hidden", "a%00b", "a%0ab.pth", f"{'a' * 300}.pth", "%1b[2J"]
)
def test_recipe_writes_nothing_outside_the_cache(
    run: Run, serve: Callable[..., Server], small_checkpoint: Path, image_file: Path, tmp_path: Path, address: str
) -> None:
    """Neither by ``weights.url`` nor by ``train.init_from``; names that are not plain are refused."""
    server = serve(small_checkpoint.read_bytes())
    recipe = tmp_path / "stranger.yaml"
    recipe.write_text(f"{RECIPE}weights: {{url: '{server.url}/{address}'}}\n")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    is_plain = address == "resolve/x.suffix"
    done = run("predict", recipe, image_file, code=0 if is_plain else 4)
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.parent for path in new} <= {tmp_path / "home" / "weights", tmp_path / "predictions"}
    assert is_plain or ("does not end in a file name" in done.stderr and not server.ranges)
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("name", ["../../up", "/abs", "..", "a\nb", "a\\b", "", "x" * 300])
def test_name_of_a_recipe_is_a_file_name(run: Run, tmp_path: Path, name: str) -> None:
    recipe = tmp_path / "stranger.yaml"
    recipe.write_text(RECIPE.replace("name: small", f"name: {json.dumps(name)}"))
    assert "files are named after it" in run("train", recipe, code=2).stderr


def test_url_of_a_recipe_replaces_the_hash_of_its_base(
    run: Run, serve: Callable[..., Server], small_checkpoint: Path, image_file: Path, tmp_path: Path
) -> None:
    server = serve(small_checkpoint.read_bytes())
    (tmp_path / "base.yaml").write_text(f"{RECIPE}weights: {{url: 'http://127.0.0.1:9/a.pth', sha256: '00000000'}}\n")
    recipe = tmp_path / "own.yaml"
    recipe.write_text(f"base: {tmp_path}/base.yaml\nweights.url: {server.url}/own.safetensors\n")
    run("predict", recipe, image_file)
    assert (tmp_path / "home" / "weights" / "own.safetensors").read_bytes() == small_checkpoint.read_bytes()


def test_damaged_download_without_a_hash_is_not_kept(
    run: Run, serve: Callable[..., Server], small_checkpoint: Path, image_file: Path, tmp_path: Path
) -> None:
    server = serve(small_checkpoint.read_bytes()[:20_000])
    recipe = tmp_path / "remote.yaml"
    recipe.write_text(f"{RECIPE}weights.url: {server.url}/model.safetensors\n")
    assert "damaged or incomplete" in run("predict", recipe, image_file, code=4).stderr
    server.content = small_checkpoint.read_bytes()
    run("predict", recipe, image_file)


def test_cached_file_of_another_address_is_not_taken(
    run: Run, serve: Callable[..., Server], small_checkpoint: Path, image_file: Path, tmp_path: Path
) -> None:
    """Without a hash a stranger's recipe could put a file under the name of a published one."""
    content = small_checkpoint.read_bytes()
    recipe = tmp_path / "remote.yaml"
    recipe.write_text(f"{RECIPE}weights.url: {serve(content).url}/model.safetensors\n")
    run("predict", recipe, image_file)
    recipe.write_text(f"{RECIPE}weights.url: {serve(content).url}/model.safetensors\n")
    assert "it was downloaded from" in run("predict", recipe, image_file, code=4).stderr


def test_odd_answers_and_addresses_of_images(run: Run, small_recipe: Path, image_file: Path) -> None:
    """They are errors with a reason; other images are predicted."""
    content = image_file.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind = self.path.strip("/")
            self.send_response(302 if kind.startswith("to-") else 200)
            for name, value in ODD_ANSWERS.get(kind, {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    bad = [*(f"{base}/{kind}" for kind in ODD_ANSWERS), *ODD_ADDRESSES]
    error = run("predict", small_recipe, f"{base}/a.png", f"{base}/ü.png", *bad, "--weights", "none", code=3).stderr
    server.shutdown()
    server.server_close()
    assert f"error: Images that cannot be read ({len(bad)})" in error
    for address in bad:
        assert f"skipped: {address} " in error, address
