"""LitServe with a classifier of splitnest, for comparison. Its requests are JSON, so images are in base64.

pip install litserve
python benchmarks/litserve_peer.py CHECKPOINT PORT MAX_BATCH MAX_WAIT_MS
"""

import base64
import io
import sys

import litserve
from PIL import Image

import splitnest


class Api(litserve.LitAPI):
    """Classifier: image in base64 -> probabilities."""

    def __init__(self, checkpoint: str, max_batch: int, max_wait_ms: float) -> None:
        super().__init__(max_batch_size=max_batch, batch_timeout=max_wait_ms / 1000)
        self.checkpoint, self.batch_size = checkpoint, max_batch

    def setup(self, device: str) -> None:
        self.model = splitnest.load(self.checkpoint, device="cpu")

    def decode_request(self, request: dict[str, str]) -> Image.Image:
        return Image.open(io.BytesIO(base64.b64decode(request["image"])))

    def predict(self, images: list[Image.Image]) -> list[list[float]]:
        results = self.model.predict(images, batch_size=self.batch_size)
        return [result.probabilities.tolist() for result in results]

    def encode_response(self, probabilities: list[float]) -> dict[str, list[float]]:
        return {"probabilities": probabilities}


if __name__ == "__main__":
    checkpoint, port, max_batch, max_wait_ms = sys.argv[1:]
    api = Api(checkpoint, int(max_batch), float(max_wait_ms))
    litserve.LitServer(api, accelerator="cpu").run(port=int(port), generate_client_file=False, log_level="error")
