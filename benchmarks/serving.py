"""Throughput and latency of `splitnest serve` with 64 clients, beside `predict` and LitServe with the same model.

    pip install litserve
    python benchmarks/serving.py --seconds 60

The three take turns. Answers are compared with those for single images. Then four times as many requests as the service
can answer arrive for a while; each must be answered or refused within the deadline, and memory must not grow.
"""

import argparse
import asyncio
import base64
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from measuring import machine
from PIL import Image

import splitnest
from splitnest.data.scenes import Scenes
from splitnest.serving.server import listen
from splitnest.weights import save

MODEL, INPUT_SIZE = "resnest14d_imagenet.timm", 112
MAX_BATCH, MAX_WAIT_MS, DEADLINE_S = 8, 5.0, 2.0
PORT = 8123
NUM_IMAGES = 32
PEER = Path(__file__).with_name("litserve_peer.py")


@dataclass
class Load:
    """Answers to many requests."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0

    @property
    def throughput(self) -> float:
        return self.statuses[200] / self.seconds

    def percentiles(self) -> list[float]:
        return [1000 * float(value) for value in np.percentile(self.latencies, (50, 95, 99))]


class Connection:
    """HTTP/1.1 connection that is kept open."""

    def __init__(self) -> None:
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Send an image, and return status and body of the answer."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", PORT)
        reader, writer = self.streams
        kind = "application/json" if body.startswith(b"{") else "image/jpeg"
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
        content = await reader.readexactly(length)
        if b"connection: close" in answer:
            writer.close()
            self.streams = None
        return int(answer.split()[1]), content


async def closed_loop(images: Sequence[bytes], expected: np.ndarray, clients: int, seconds: float) -> Load:
    """Send requests from some clients, each of which waits for its answer."""
    load, end = Load(), time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection = Connection()
        while time.perf_counter() < end:
            index = number % len(images)
            start = time.perf_counter()
            status, body = await connection.post(images[index])
            load.latencies.append(time.perf_counter() - start)
            load.statuses[status] += 1
            if status == 200:
                found = json.loads(body)
                probabilities = found["result"]["probabilities"] if "result" in found else found["probabilities"]
                load.wrong += not np.allclose(probabilities, expected[index], atol=1e-5)
            number += clients

    start = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    load.seconds = time.perf_counter() - start
    return load


async def open_loop(images: Sequence[bytes], rate: float, seconds: float) -> Load:
    """Send requests at a rate, whether earlier ones are answered or not."""
    load, tasks = Load(), []

    async def one(number: int) -> None:
        start = time.perf_counter()
        status, _ = await Connection().post(images[number % len(images)])
        load.latencies.append(time.perf_counter() - start)
        load.statuses[status] += 1

    start = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    load.seconds = time.perf_counter() - start
    return load


@contextmanager
def running(warm_up: bytes, *command: str) -> Iterator[int]:
    """Run a server until the end of the context, and yield its process id when it has answered a request."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(600):
            try:
                status, _ = asyncio.run(Connection().post(warm_up))
                if status == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        else:
            raise RuntimeError(f"{' '.join(command)} does not answer")
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):  # workers that LitServe leaves behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def resident_mb(process: int) -> float:
    """Return the resident memory of a process (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def encoded_scenes() -> list[bytes]:
    """Return JPEG files of generated scenes, 640x480."""
    files = []
    for scene in Scenes(NUM_IMAGES, (480, 640), seed=7):
        file = io.BytesIO()
        Image.fromarray(scene.image).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def predict_throughput(model: splitnest.Predictor, images: Sequence[bytes], seconds: float) -> float:
    """Return the images per second of ``predict`` with the largest batch of the service."""
    end, count = time.perf_counter() + seconds, 0
    start = time.perf_counter()

    def endless() -> Iterator[Image.Image]:
        while time.perf_counter() < end:
            yield from (Image.open(io.BytesIO(image)) for image in images)

    for _ in model.predict(endless(), batch_size=MAX_BATCH, stream=True):
        count += 1
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60, help="seconds of each measurement")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    listen("127.0.0.1", PORT).close()  # raises if the port is in use
    images = encoded_scenes()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = os.path.join(folder, "model.safetensors")
        torch.manual_seed(0)
        model = splitnest.load(MODEL, weights=None, device="cpu", overrides={"input.size": INPUT_SIZE})
        save.save(model.module, model.recipe, Path(checkpoint))
        model = splitnest.load(checkpoint, device="cpu")
        pictures = [Image.open(io.BytesIO(image)) for image in images]
        expected = np.array([result.probabilities for result in model.predict(pictures)])
        compare(model, images, expected, checkpoint, options)


def compare(
    model: splitnest.Predictor, images: list[bytes], expected: np.ndarray, checkpoint: str, options: argparse.Namespace
) -> None:
    ours = ["-m", "splitnest", "serve", checkpoint, "--port", str(PORT), "--max-batch", str(MAX_BATCH)]
    ours += ["--max-wait-ms", str(MAX_WAIT_MS), "--max-queue", str(max(64, options.clients))]
    theirs = [str(PEER), checkpoint, str(PORT), str(MAX_BATCH), str(MAX_WAIT_MS)]
    in_json = [json.dumps({"image": base64.b64encode(image).decode()}).encode() for image in images]
    direct: list[float] = []
    loads: dict[str, list[Load]] = {"splitnest serve": [], "LitServe": []}
    for _ in range(options.rounds):
        predict_throughput(model, images, 5)
        direct.append(predict_throughput(model, images, options.seconds))
        print(f"predict: {direct[-1]:.1f} images/s", flush=True)
        for title, command, bodies in (("splitnest serve", ours, images), ("LitServe", theirs, in_json)):
            with running(bodies[0], *command):
                asyncio.run(closed_loop(bodies, expected, options.clients, 5))
                load = asyncio.run(closed_loop(bodies, expected, options.clients, options.seconds))
            loads[title].append(load)
            print(f"{title}: {load.throughput:.1f} images/s", flush=True)
    reference = statistics.median(direct)
    title = f"{MODEL} at {INPUT_SIZE}x{INPUT_SIZE}, {machine()}"
    print(f"{title}, {options.clients} clients, {options.rounds} rounds of {options.seconds:g} s")
    print(f"predict(batch_size={MAX_BATCH}): {reference:.1f} images/s")
    for title, found in loads.items():
        rate = statistics.median(load.throughput for load in found)
        per_round = zip(*(load.percentiles() for load in found), strict=True)
        p50, p95, p99 = map(statistics.median, per_round)
        statuses = dict(sum((load.statuses for load in found), Counter()))
        wrong = sum(load.wrong for load in found)
        print(
            f"{title}: {rate:.1f} images/s ({rate / reference:.2f} of predict), latency p50 {p50:.0f}, p95 {p95:.0f}, "
            f"p99 {p99:.0f} ms; statuses {statuses}, {wrong} answers differ"
        )
    overload(images, expected, ours, reference, options)


def overload(
    images: list[bytes], expected: np.ndarray, command: list[str], rate: float, options: argparse.Namespace
) -> None:
    with running(images[0], *command, "--deadline", str(DEADLINE_S)) as process:
        asyncio.run(closed_loop(images, expected, options.clients, 5))
        asyncio.run(open_loop(images, 4 * rate, 5))
        before = resident_mb(process)
        load = asyncio.run(open_loop(images, 4 * rate, options.seconds))
        after = resident_mb(process)
    p50, _, p99 = load.percentiles()
    print(
        f"overload, {4 * rate:.0f} requests/s for {options.seconds:g} s: {load.throughput:.1f} images/s, statuses "
        f"{dict(load.statuses)}, latency p50 {p50:.0f}, p99 {p99:.0f}, maximum {1000 * max(load.latencies):.0f} ms "
        f"(deadline {1000 * DEADLINE_S:.0f}), memory {before:.0f} -> {after:.0f} MB"
    )


if __name__ == "__main__":
    main()
