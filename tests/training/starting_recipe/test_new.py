"""First recipes: all tasks on a GPU and on a CPU, with values that follow from data and machine."""

from pathlib import Path

import numpy as np
import pytest

from splitnest import zoo
from splitnest.data.recognition.recognized import Recognized, SplitContent
from splitnest.errors import UsageError
from splitnest.recipe import Recipe, Training
from splitnest.recipe.detector import ANCHOR_SIZES
from splitnest.training.starting_recipe import new, semantic
from splitnest.training.starting_recipe.boxes import anchor_sizes, short_side, sizes_of
from splitnest.training.starting_recipe.entry import Entry, render
from splitnest.training.starting_recipe.length import length
from splitnest.training.starting_recipe.machine import Machine, this_machine
from splitnest.training.starting_recipe.new import NewRecipe, new_recipe

CPU, GPU = Machine(2, None, False), Machine(16, 139.0, True)
TASKS = ("detection", "instance", "panoptic", "semantic", "classification", "pose")


def recognized(task: str, count: int = 50, box: float = 60.0, per_image: int = 2) -> Recognized:
    """Return a dataset of images of 640 x 480 pixels with boxes of one size."""
    images = np.repeat(np.arange(count), per_image)
    content = SplitContent(
        names=[f"{number}.jpg" for number in range(count)],
        pairs=np.stack([images, np.arange(len(images)) % 2], axis=1),
        sizes_hw=np.full((count, 2), (480, 640)),
        boxes_wh=np.column_stack([images, np.full((len(images), 2), box)]),
        num_read=count,
    )
    data = {"format": "folders" if task in ("semantic", "classification") else "coco", "train_images": "images"}
    if task != "classification":
        data["train_annotations"] = "a"
    return Recognized(
        "a format", task, Path("/data/my fruit!"), data, ("fig", "date"), content,  # type: ignore[arg-type]  # a task
        stuff=("sky",) if task == "panoptic" else (), keypoints=("a", "b") if task == "pose" else (),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let weights be absent, and images have one size."""
    monkeypatch.setattr(new, "is_available", lambda recipe: False)
    for module in (semantic, new.classification):
        monkeypatch.setattr(module, "image_sides", lambda recognized: (480, 640))


def written(tmp_path: Path, result: NewRecipe) -> Recipe:
    """Return the recipe that is read back from the file."""
    result.write()
    recipe = zoo.load_recipe(tmp_path / "x.yaml")
    assert recipe == result.recipe
    return recipe


def training(recipe: Recipe) -> Training:
    assert recipe.train is not None
    return recipe.train


@pytest.mark.parametrize("machine", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("task", TASKS)
def test_recipes_of_all_tasks(tmp_path: Path, task: str, machine: Machine) -> None:
    result = new_recipe("x", tmp_path / "x.yaml", machine=machine, recognized=recognized(task))
    recipe = written(tmp_path, result)
    assert recipe.task == task
    assert recipe.name == "my_fruit"
    assert recipe.data.val_list == str(tmp_path / "x_val.txt")  # type: ignore[union-attr]  # files
    train = training(recipe)
    assert train.init_from is None
    assert train.precision == ("fp32" if machine is CPU else "bf16")
    assert isinstance(train.batch_size, int)
    assert train.batch_size <= 40
    text = (tmp_path / "x.yaml").read_text()
    values = [line for line in text.splitlines() if line.startswith("  ") and not line.lstrip().startswith("#")]
    assert sum("#" in line for line in values) > 6
    assert "assumed" in text.lower()


@pytest.mark.parametrize("task", TASKS)
def test_published_weights_are_used_where_they_are(tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new, "is_available", lambda recipe: True)
    result = new_recipe("x", tmp_path / "x.yaml", machine=GPU, recognized=recognized(task))
    train = training(written(tmp_path, result))
    assert train.init_from == result.files[tmp_path / "x.yaml"].split("base: ")[1].split()[0]
    assert any("from its published weights" in note for note in result.notes)


def test_learning_rate_follows_the_batch(tmp_path: Path) -> None:
    for gpu_gb, batch in ((5.0, 2), (24.0, 8), (139.0, 16)):
        machine = Machine(8, gpu_gb, True)
        result = new_recipe("x", tmp_path / f"{batch}.yaml", machine=machine, recognized=recognized("instance"))
        train = training(result.recipe)
        assert train.batch_size == batch
        assert train.lr == pytest.approx(0.02 * batch / 16)


def test_length_follows_the_images(tmp_path: Path) -> None:
    few, many = (
        training(new_recipe("x", tmp_path / "x.yaml", machine=GPU, recognized=recognized("detection", count)).recipe)
        for count in (20, 100_000)
    )
    assert few.iterations == 1500
    assert many.iterations == 90_000
    assert (few.warmup_iterations, many.warmup_iterations) == (75, 500)


def test_length_is_at_least_one_iteration() -> None:
    assert length(1, 4, 10, 1, 3000).warmup == 2
    assert length(10**6, 1, 100, 1, 3000).iterations == 3000


@pytest.mark.parametrize(("box", "short", "first"), [(300.0, 300, 32.0), (60.0, 300, 32.0), (12.0, 480, 16.0)])
def test_input_and_anchors_follow_the_boxes(box: float, short: int, first: float) -> None:
    sizes = sizes_of(recognized("detection", box=box).train)
    assert short_side(sizes, 300, 480) == short
    anchors = anchor_sizes(sizes, short / sizes.short) or ANCHOR_SIZES
    assert anchors == tuple(first * 2**level for level in range(5))


def test_sizes_without_boxes() -> None:
    sizes = sizes_of(recognized("detection", per_image=0).train)
    assert (sizes.short, sizes.long, sizes.most) == (480, 640, 0)


def test_crowded_images_have_more_detections(tmp_path: Path) -> None:
    found = recognized("detection", count=10, per_image=180)
    model = new_recipe("x", tmp_path / "x.yaml", machine=CPU, recognized=found).recipe.model
    assert model.max_detections == 400  # type: ignore[union-attr]  # a detector


def test_many_classes_are_read_from_the_files(tmp_path: Path) -> None:
    from dataclasses import replace

    found = replace(recognized("detection"), classes=tuple(f"class {number}" for number in range(600)))
    assert new_recipe("x", tmp_path / "x.yaml", machine=CPU, recognized=found).recipe.data.classes == "file"


def test_few_images_are_validated_on_themselves(tmp_path: Path) -> None:
    result = new_recipe("x", tmp_path / "x.yaml", machine=CPU, recognized=recognized("semantic", count=5))
    assert list(result.files) == [tmp_path / "x.yaml"]
    assert any("too few to split" in note for note in result.notes)


def test_base_is_a_recipe_file(tmp_path: Path) -> None:
    base = new_recipe("x", tmp_path / "base.yaml", machine=CPU, recognized=recognized("detection"))
    base.write()
    result = new_recipe("x", tmp_path / "x.yaml", str(tmp_path / "base.yaml"), machine=CPU,
                        recognized=recognized("detection"))  # fmt: skip
    assert written(tmp_path, result).model == base.recipe.model
    with pytest.raises(UsageError, match="is a model of detection, but the annotations are of pose"):
        new_recipe("x", tmp_path / "y.yaml", str(tmp_path / "base.yaml"), machine=CPU, recognized=recognized("pose"))


def test_this_machine() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.workers >= 1
    assert str(Machine(1, None, False)) == "1 CPU core without a GPU"
    assert str(GPU) == "a GPU with 139 GB"


def test_comments_that_are_long_stand_above() -> None:
    text = render([Entry("a.b", 1, "x" * 200), Entry("a.c", [1, (2, 3)], "why"), Entry("d", None)], ["head"])
    assert text == f"# head\na:\n  # {'x' * 200}\n  b: 1\n  c: [1, [2, 3]]  # why\nd: null\n"
