"""Overload and faults of a service: full queue, deadline, clients that leave, networks that fail, models not loaded."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from threading import enumerate as enumerate_threads
from time import monotonic, sleep
from typing import Any

import pytest

from helpers.service import encoded, pixels, running
from splitnest.inference.predictor import Predictor
from splitnest.serving.limits import Limits

PNG = encoded(pixels())
REQUEST = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PNG)}\r\n\r\n".encode() + PNG


class Gate:
    """Predictor whose network waits until it is opened, after its warm-up."""

    def __init__(self, predictor: Predictor) -> None:
        self.opened, self.entered = Event(), Event()
        self.opened.set()
        self._predict = predictor.module.predict
        predictor.module.predict = self  # type: ignore[method-assign, assignment]
        self._predictor = predictor

    def __call__(self, batch: Any) -> Any:
        self.entered.set()
        assert self.opened.wait(30)
        return self._predict(batch)

    def remove(self) -> None:
        self.opened.set()
        del self._predictor.module.predict


@pytest.fixture
def gate(detector: Predictor) -> Iterator[Gate]:
    gate = Gate(detector)
    yield gate
    gate.remove()


def test_full_queue_and_deadline(detector: Predictor, gate: Gate) -> None:
    limits = Limits(max_batch=1, max_queue=2, deadline_s=0.5)
    with running({"small": detector}, limits=limits) as client, ThreadPoolExecutor(8) as threads:
        gate.opened.clear()
        answers = list(threads.map(lambda _: client.predict(PNG), range(8)))
        assert sorted(answer.status for answer in answers) == [429] * 6 + [504] * 2
        for answer in answers:
            if answer.status == 429:
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.error == "The service is busy with 2 images. Try again."
            else:
                assert answer.error == "The image was not processed within 0.5 s. Try again."
        gate.opened.set()
        assert client.predict(PNG).status == 200


def test_images_of_clients_that_left_are_withdrawn(detector: Predictor, gate: Gate) -> None:
    with running({"small": detector}, limits=Limits(max_batch=1)) as client:
        gate.opened.clear()
        gate.entered.clear()
        connections = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(3)]
        for connection in connections:
            connection.sendall(REQUEST)
        assert gate.entered.wait(30)
        wait_for(lambda: client.values()["splitnest_queue_length"] == 2)
        for connection in connections:
            connection.close()
        wait_for(lambda: client.values()["splitnest_images_in_process"] == 0)
        gate.opened.set()
        assert client.predict(PNG).status == 200
        assert client.values()['splitnest_images_total{model="small"}'] == 3  # warm-up, the first one, the last one


def wait_for(condition: Any) -> None:
    end = monotonic() + 30
    while not condition():
        assert monotonic() < end
        sleep(0.01)


def test_failures_of_the_network(detector: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    with running({"small": detector}) as client:
        for error, status, message in (
            (RuntimeError("no"), 500, "The prediction of this image failed."),
            (MemoryError(), 503, "Memory ran out. Send a smaller image, or try again."),
        ):

            def fail(_: Any, error: Exception = error) -> Any:
                raise error

            monkeypatch.setattr(detector.module, "predict", fail)
            answer = client.predict(PNG)
            monkeypatch.undo()
            assert answer.status == status
            assert message in answer.error
        assert client.predict(PNG).status == 200


def test_bodies_in_memory_are_bounded(detector: Predictor) -> None:
    with running({"small": detector}, limits=Limits(max_body_bytes=10_000)) as client:
        client.service.hold(16 * 10_000)
        answer = client.predict(PNG)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        client.service.hold(-16 * 10_000)
        assert client.predict(PNG).status == 200


def test_model_that_is_being_loaded_or_cannot_be_loaded(detector: Predictor) -> None:
    go = Event()

    def load() -> Predictor:
        assert go.wait(30)
        raise ValueError("no")

    failures: list[Exception] = []
    models = {"small": detector, "slow": load}
    with running(models, ready=False, on_failure=failures.append) as client:
        assert client.get("/health/live").status == 200
        assert client.get("/health/ready").status == client.get("/v2/health/ready").status == 503
        answer = client.predict(PNG, "?model=slow")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        go.set()
        wait_for(lambda: failures)
        assert "cannot be loaded" in client.predict(PNG, "?model=slow").error
        assert client.get("/health/ready").status == 503
        wait_for(lambda: client.predict(PNG).status == 200)


def test_images_that_would_come_too_late_are_refused(detector: Predictor, gate: Gate) -> None:
    with running({"small": detector}, limits=Limits(deadline_s=5)) as client, ThreadPoolExecutor(1) as thread:
        assert client.predict(PNG).status == 200
        gate.opened.clear()
        waiting = thread.submit(client.predict, PNG)
        wait_for(lambda: client.values()["splitnest_images_in_process"] == 1)
        client.service._seconds_per_image = 6.0
        answer = client.predict(PNG)
        assert (answer.status, answer.headers["retry-after"]) == (429, "6")
        gate.opened.set()
        assert waiting.result(30).status == 200
        assert client.predict(PNG).status == 200  # with nothing in process, images are accepted at any speed


def test_stop_while_a_model_is_being_loaded(detector: Predictor) -> None:
    go, loading = Event(), Event()
    failures: list[Exception] = []

    def load() -> Predictor:
        loading.set()
        assert go.wait(30)
        return detector

    with running({"small": detector, "slow": load}, ready=False, on_failure=failures.append) as client:
        assert loading.wait(30)
        assert client.predict(PNG, "?model=small").status == 200
    go.set()
    wait_for(lambda: not any(thread.name == "splitnest-loading" for thread in enumerate_threads()))
    assert not failures
