"""Jobs of the processes that ``test_distributed.py`` starts: they train or evaluate, and write their results."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import splitnest
from helpers.own_networks import PixelClassifier
from helpers.tiny_training import interrupted, state_dict_of
from splitnest.distributed import process_group, rank, world_size, wrap_ddp
from splitnest.evaluation.evaluate import evaluate
from splitnest.inference.load import load
from splitnest.inference.resolve import resolve
from splitnest.structures.batch import Batch
from splitnest.training.batches import open_training
from splitnest.training.schedule import Schedule
from splitnest.training.state import initial_state
from splitnest.training.step import Losses, train_step
from splitnest.training.train import _new_model

NUM_STEPS = 3
"""Steps of a training; an epoch has two."""

Job = dict[str, Any]
"""Recipe name and overrides, and a folder to resume in."""


def run_jobs(task: str, jobs: dict[str, Job], rank: int, world_size: int, port: int, out: Path) -> None:
    """Run a task for each job in a process with the environment that ``torchrun`` sets; write the results by job."""
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size))
    os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port))
    run = {"train": train, "measure": measure, "resume": resume, "own": own}[task]
    with process_group():
        torch.save({name: run(job) for name, job in jobs.items()}, out)


def train(job: Job) -> dict[str, Any]:
    """Return losses and gradient norms of some steps, gradients of the first step, and weights after the last."""
    recipe, _ = resolve(job["recipe"], job["overrides"])
    assert recipe.train is not None
    model = _new_model(recipe, recipe.train.seed, torch.device("cpu"), None).double()
    data = open_training(recipe)
    state = initial_state(model, recipe.train, Schedule(recipe.train, data.steps_per_epoch))
    network = wrap_ddp(Losses(model), state.device).train()
    steps, logged, gradients = data.steps(0), [], {}
    for step in range(NUM_STEPS):
        losses, norm = train_step(network, state, recipe.train, next(steps))
        logged.append({**losses, "norm": norm})
        if step == 0:
            gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"losses": logged, "gradients": gradients, "weights": dict(model.state_dict())}


def measure(job: Job) -> dict[str, float]:
    """Return the metrics of a model whose weights are the same in each process."""
    predictor = load(job["recipe"], weights=None, device="cpu", overrides=job["overrides"])
    for name, parameter in sorted(predictor.module.named_parameters()):
        torch.manual_seed(len(name))
        torch.nn.init.normal_(parameter, std=0.1)
    return evaluate(predictor, batch_size=2)


class PartlyUsed(PixelClassifier):
    """Module without randomness, with a parameter that takes no part in the loss; its weights depend on the process."""

    def __init__(self, categories: Any) -> None:
        torch.manual_seed(rank())
        super().__init__(categories)
        self.dropout.p = 0.0
        self.unused = torch.nn.Linear(2, 2)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the mean over all pixels, unlabeled ones too: that of a batch is the mean of those of its shares."""
        assert batch.semantic is not None
        total = F.cross_entropy(self.conv(batch.images), batch.semantic.long(), ignore_index=255, reduction="sum")
        return {"loss_pixel": total / batch.semantic.numel()}


def own(job: Job) -> dict[str, Any]:
    """Return weights and metrics of a module from Python after a training, and the weights of a resumed one."""
    categories = splitnest.build(job["recipe"], job["overrides"]).categories
    values = {"overrides": job["overrides"], "device": "cpu"}
    folder = f"{job['folder']}/{world_size()}"
    model = PartlyUsed(categories)
    whole = splitnest.train(job["recipe"], out=f"{folder}-whole", model=model, **values)
    try:
        with interrupted(step=3):
            splitnest.train(job["recipe"], out=f"{folder}-resumed", model=PartlyUsed(categories), **values)
    except KeyboardInterrupt:
        pass
    resumed = splitnest.train(f"{folder}-resumed", resume=True, device="cpu", model=PartlyUsed(categories))
    return {
        "weights": dict(model.state_dict()),
        "whole": state_dict_of(whole.last),
        "resumed": state_dict_of(resumed.last),
        "metrics": whole.metrics,
    }


def resume(job: Job) -> dict[str, Any]:
    """Return the weights of an uninterrupted training, and of one that was interrupted and resumed."""
    values = {"overrides": job["overrides"], "device": "cpu"}
    whole = splitnest.train(job["recipe"], out=f"{job['folder']}/whole", **values)
    folder = Path(job["folder"]) / "resumed"
    try:
        with interrupted(step=3):
            splitnest.train(job["recipe"], out=folder, **values)
    except KeyboardInterrupt:
        pass
    resumed = splitnest.train(folder, resume=True, device="cpu")
    return {"whole": state_dict_of(whole.last), "resumed": state_dict_of(resumed.last)}
