"""serve as a user runs it: address, token, several models, signals under load, models that cannot be loaded."""

import http.client
import os
import re
import signal
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import splitnest
from helpers.command_line import Run, start_splitnest
from helpers.processes import wait_for
from helpers.service import Answer, encoded, pixels

PNG = encoded(pixels())


class Served:
    """Service in a process of its own."""

    def __init__(self, folder: Path, *arguments: str | Path, **environment: str) -> None:
        self.log, self.errors = folder / "log", folder / "errors"
        variables = {"SPLITNEST_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", **environment}
        words = ["serve", *map(str, arguments), "--port", "0", "--device", "cpu"]
        self.process: BaseProcess = start_splitnest(folder, *words, stdout=self.log, stderr=self.errors, **variables)
        wait_for(lambda: self.log.exists() and "/docs" in self.log.read_text(), self.process)
        address = re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text())
        assert address is not None
        self.port = int(address[1])

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def wait(self) -> None:
        """Wait until all models are ready."""
        wait_for(lambda: self.request("GET", "/health/ready").status == 200, self.process)

    def end(self) -> int | None:
        self.process.join(60)
        return self.process.exitcode


Start = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Start]:
    started: list[Served] = []

    def start(*arguments: str | Path, **environment: str) -> Served:
        started.append(Served(tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for served in started:
        served.process.kill()
        served.process.join()


def test_two_models_and_a_token(serve: Start, small_checkpoint: Path) -> None:
    served = serve(small_checkpoint, f"second={small_checkpoint}", SPLITNEST_TOKEN="secret")
    served.wait()
    assert "small, second at http://127.0.0.1:" in served.log.read_text()
    assert served.request("POST", "/predict", PNG).status == 401
    expected = splitnest.load(small_checkpoint, device="cpu").predict([pixels()])[0].to_dict()["detections"]
    for name in ("small", "second"):
        answer = served.request("POST", f"/predict?model={name}", PNG, Authorization="Bearer secret")
        found = answer.json["result"]["detections"]
        assert len(found) == len(expected) > 0
        assert np.allclose([row["score"] for row in found], [row["score"] for row in expected], atol=1e-4)
    os.kill(served.process.pid or 0, signal.SIGINT)
    assert served.end() == 0
    assert "stopped after 2 images" in served.log.read_text()


def test_sigterm_under_load_loses_no_accepted_request(serve: Start, small_checkpoint: Path) -> None:
    served = serve(small_checkpoint, "--max-batch", "4")
    served.wait()
    statuses: list[int] = []
    ended: list[str] = []

    def client() -> None:
        while True:
            try:
                statuses.append(served.request("POST", "/predict", PNG).status)
            except OSError as error:  # refused: the service listens no longer
                ended.append(type(error).__name__)
                return

    clients = [Thread(target=client) for _ in range(16)]
    for thread in clients:
        thread.start()
    wait_for(lambda: len(statuses) > 30, served.process)
    os.kill(served.process.pid or 0, signal.SIGTERM)
    assert served.end() == 0
    for thread in clients:
        thread.join(60)
    assert set(statuses) == {200}
    assert len(ended) == 16
    assert f"stopped after {len(statuses)} images" in served.log.read_text()  # each of them reached its client
    assert not served.errors.read_text()


def test_models_that_cannot_be_loaded(serve: Start, tmp_path: Path) -> None:
    (tmp_path / "damaged.pt").write_bytes(b"no checkpoint")
    served = serve(tmp_path / "damaged.pt")
    assert served.end() == 4
    assert "damaged.pt" in served.errors.read_text()
    assert "Traceback" not in served.errors.read_text()


def test_wrong_arguments(run: Run, small_checkpoint: Path) -> None:
    done = run("serve", small_checkpoint, small_checkpoint, code=2)
    assert "are both called small. Give them names: first=" in done.stderr
    done = run("serve", small_checkpoint, "--token", code=2, SPLITNEST_TOKEN="")
    assert "--token needs the token in the environment variable SPLITNEST_TOKEN" in done.stderr
    done = run("serve", small_checkpoint, "--max-queue", "2", code=2)
    assert "max_queue is 2, less than max_batch (8)" in done.stderr
    done = run("serve", small_checkpoint, "--host", "192.0.2.1", code=2)
    assert "The service cannot listen on 192.0.2.1, port 8000" in done.stderr
    done = run("serve", "a.pt", "b.pt", "--weights", "c.pt", code=2)
    assert "--weights belongs to a single model" in done.stderr


def test_export_to_triton(run: Run, small_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "repository" / "small").mkdir(parents=True)
    done = run("export", small_checkpoint, "--to", "triton", "--out", "repository", code=2)
    assert "repository/small exists. Remove it, or give another folder." in done.stderr
    assert "'tensorrt' is not" in run("export", small_checkpoint, "--to", "tensorrt", code=2).stderr
