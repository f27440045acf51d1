"""Checkpoints that do not fit, are harmful, or cannot be downloaded."""

import hashlib
import pickle
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import splitnest
from helpers.command_line import RECIPE, CocoFolder, Run, Server
from helpers.training_tools import contents, tools
from splitnest.recipe.serialization import to_json
from splitnest.weights.checksum import add_checksum


class Harmful:
    """Pickles into a call that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return (open, (str(self.trace), "w"))


def test_truncated_file(run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(small_checkpoint.read_bytes()[:20000])
    assert "half.safetensors" in run("predict", small_checkpoint, image_file, "--weights", path, code=4).stderr


def test_file_of_another_model(run: Run, small_checkpoint: Path, image_file: Path) -> None:
    error = run("predict", "resnest14d", image_file, "--weights", small_checkpoint, code=4).stderr
    assert small_checkpoint.name in error


def test_file_without_recipe(run: Run, image_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "foreign.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    assert "has no recipe" in run("predict", path, image_file, code=4).stderr


@pytest.mark.parametrize("kind", ["pkl", "pth"])
def test_code_in_a_pickle_does_not_run(
    run: Run, small_checkpoint: Path, image_file: Path, tmp_path: Path, kind: str
) -> None:
    trace, path = tmp_path / "executed", tmp_path / f"harmful.{kind}"
    content = {"model": Harmful(trace)}
    if kind == "pkl":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    assert path.name in run("predict", small_checkpoint, image_file, "--weights", path, code=4).stderr
    assert not trace.exists()


def test_download(
    run: Run, serve: Callable[..., Server], small_checkpoint: Path, image_file: Path, tmp_path: Path
) -> None:
    """A dropped connection is resumed. A wrong hash and a missing file have messages of their own."""
    content = small_checkpoint.read_bytes()
    server = serve(content, drop_after=len(content) // 2)
    digest = hashlib.sha256(content).hexdigest()
    recipe = tmp_path / "remote.yaml"

    def weights(name: str, sha256: str) -> None:
        recipe.write_text(f"{RECIPE}weights: {{url: '{server.url}/{name}', sha256: '{sha256}'}}\n")

    weights("model.safetensors", digest[:8])
    run("predict", recipe, image_file)
    assert any(header.startswith("bytes=") for header in server.ranges)
    requests = len(server.ranges)
    run("predict", recipe, image_file)
    assert len(server.ranges) == requests  # from the cache

    weights("other.safetensors", "00000000")
    error = run("predict", recipe, image_file, code=4).stderr
    assert "00000000" in error
    assert digest[:8] in error
    assert not list((tmp_path / "home").rglob("other.safetensors"))

    weights("absent.safetensors", digest[:8])
    error = run("predict", recipe, image_file, code=4).stderr
    assert f"{server.url}/absent.safetensors" in error
    assert str(tmp_path / "home") in error


def test_checkpoint_of_mmengine(run: Run, small_recipe: Path, state: dict[str, Tensor], image_file: Path) -> None:
    """With its log, whose methods are pickled, its optimizer wrapper and its random states."""
    path = image_file.with_name("epoch_12.pth")
    with tools():
        torch.save({"meta": {"seed": 0}, "state_dict": state, **contents()}, path)
    run("predict", small_recipe, image_file, "--weights", path)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.module."])
def test_prefixes_of_wrappers(
    run: Run, small_recipe: Path, state: dict[str, Tensor], tmp_path: Path, prefix: str
) -> None:
    path = tmp_path / "wrapped.pth"
    torch.save({"model": {prefix + key: tensor for key, tensor in state.items()}}, path)
    run("convert", path, "--model", small_recipe, "--out", "out.safetensors")
    converted = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(converted[key], tensor) for key, tensor in state.items())


def test_moving_average(run: Run, small_recipe: Path, state: dict[str, Tensor], tmp_path: Path) -> None:
    """The average is taken, as timm does; the note says how to get the raw weights."""
    average = {key: tensor + 1 for key, tensor in state.items()}
    torch.save({"state_dict": state, "state_dict_ema": average}, tmp_path / "timm.pth")
    convert = partial(run, "convert", "--model", small_recipe, "--out", "out.safetensors")
    note = convert("timm.pth").stderr
    assert "state_dict_ema is loaded, the exponential moving average of the weights" in note
    assert "timm.pth#state_dict" in note
    converted = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(converted[key], tensor) for key, tensor in average.items())
    assert not convert("timm.pth#state_dict").stderr
    converted = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(converted[key], tensor) for key, tensor in state.items())


def test_program_of_torch_export(run: Run, small_recipe: Path, image_file: Path) -> None:
    path = image_file.with_name("model.pt2")
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),)), path)
    error = run("predict", small_recipe, image_file, "--weights", path, code=4).stderr
    assert "is a program of torch.export (.pt2), not a checkpoint" in error
    assert "torch.export.load" in error
    error = run("predict", path, image_file, code=2).stderr
    assert "is a file of torch.export, which is only for other programs. Give the checkpoint" in error


@pytest.fixture(scope="session")
def state(small_checkpoint: Path) -> Mapping[str, Tensor]:
    """Return the state dict of the small model."""
    return load_file(small_checkpoint)


def verbs(recipe: Path, weights: Path, image: Path, data: str) -> dict[str, list[str | Path]]:
    """Return a command for each verb that loads weights."""
    return {
        "predict": ["predict", recipe, image, "--weights", weights],
        "eval": ["eval", recipe, data, "--weights", weights],
        "convert": ["convert", weights, "--model", recipe, "--out", "converted.safetensors"],
        "export": ["export", recipe, "--weights", weights, "--out", "exported.pt2"],
        "bench": ["bench", recipe, image, "--weights", weights],
        "train": ["train", recipe, data, f"train.init_from={weights}", "data.train_images=val2017",
                  "data.train_annotations=annotations/instances_val2017.json", "train.batch_size=2"],
    }  # fmt: skip


@pytest.fixture
def data(coco: CocoFolder) -> str:
    """Return the override of a dataset of two images with instances."""
    coco.content["annotations"].append({**coco.content["annotations"][0], "id": 3, "image_id": 9})
    return f"data.root={coco.write()}"


VERBS = list(verbs(Path(), Path(), Path(), ""))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_not_finite(
    run: Run, small_recipe: Path, state: dict[str, Tensor], data: str, image_file: Path, verb: str, value: float
) -> None:
    key = "roi_heads.box_heads.0.logits.weight"
    bad = {**state, key: state[key].clone()}
    bad[key][0, 0] = value
    path = image_file.with_name("diverged.pth")
    torch.save(bad, path)
    arguments = verbs(small_recipe, path, image_file, data)[verb]
    error = run(*arguments, code=4).stderr
    assert f"diverged.pth has weights that are not finite (NaN or infinity) in 1 of {len(bad)} tensors: {key}." in error
    assert not [*image_file.parent.glob("converted*"), *image_file.parent.glob("exported*")]


def test_large_weights_are_finite(run: Run, small_recipe: Path, state: dict[str, Tensor], tmp_path: Path) -> None:
    """Their sum is not."""
    key = "roi_heads.box_heads.0.logits.weight"
    save_file({**state, key: torch.full_like(state[key], 3e38)}, tmp_path / "a.safetensors")
    run("convert", "a.safetensors", "--model", small_recipe, "--out", "b.safetensors")


@pytest.mark.parametrize("verb", VERBS)
def test_damaged_checkpoint_of_splitnest(
    run: Run, small_recipe: Path, state: dict[str, Tensor], data: str, image_file: Path, verb: str
) -> None:
    """Its checksum shows the change of one bit, for every verb."""
    path = image_file.with_name("best.pt")
    recipe = to_json(splitnest.load(small_recipe, weights=None, device="cpu").recipe)
    with path.open("w+b") as file:
        torch.save({"format": "splitnest", "recipe": recipe, "state_dict": state}, file)
        add_checksum(file)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 16
    path.write_bytes(whole)
    arguments = verbs(small_recipe, path, image_file, data)[verb]
    assert "best.pt is damaged: its SHA-256 checksum does not match" in run(*arguments, code=4).stderr
    assert "checksum does not match" in run("predict", path, image_file, code=4).stderr  # as the model


def test_escape_sequences_of_a_file_are_not_printed_raw(
    run: Run, small_recipe: Path, state: dict[str, Tensor], image_file: Path
) -> None:
    path = image_file.with_name("forged.pth")
    torch.save({**state, "\x1b[2Jerror: none\n.forged\u202e": torch.ones(1), "x" * 3_000_000: torch.ones(1)}, path)
    error = run("predict", small_recipe, image_file, "--weights", path, code=4).stderr
    assert r"\x1b[2Jerror: none\n" in error
    assert len(error.splitlines()) == 1
    assert len(error) < 30_000


def test_outputs_do_not_replace_what_is_read(
    run: Run, small_checkpoint: Path, small_recipe: Path, tmp_path: Path
) -> None:
    source = tmp_path / "model.safetensors"
    source.write_bytes(small_checkpoint.read_bytes())
    (tmp_path / "link.safetensors").symlink_to(source)
    for out in (source, tmp_path / "link.safetensors"):
        done = run("convert", source, "--model", small_recipe, "--out", out, code=2)
        assert f"{out} is read, so it is not written. Give another path for the output." in done.stderr
    (tmp_path / "model.onnx").write_text("a model")
    done = run("export", tmp_path / "model.onnx", "--out", tmp_path / "model.onnx", code=2)
    assert "model.onnx is read, so it is not written" in done.stderr
    assert source.read_bytes() == small_checkpoint.read_bytes()
    run("convert", source, "--model", small_recipe, "--out", tmp_path / "other.safetensors")
    (tmp_path / "to.safetensors").symlink_to("other.safetensors")
    run("convert", source, "--model", small_recipe, "--out", tmp_path / "to.safetensors")
    assert (tmp_path / "to.safetensors").is_symlink()
    assert (tmp_path / "other.safetensors").read_bytes() == (tmp_path / "to.safetensors").read_bytes()
    for verb in (("convert", source, "--model", small_recipe), ("export", source)):
        (tmp_path / "file").touch()
        run(*verb, "--out", tmp_path / "file" / "x.safetensors", code=5)
