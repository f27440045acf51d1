"""What a process does that ``test_distributed.py`` starts: it trains or evaluates, and writes what it found.

``python two_processes.py JOB.json``; with one process it does the same alone.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

import splitnest
from splitnest import processes
from splitnest.evaluator import evaluate
from splitnest.predictor import load
from splitnest.resolve import resolve
from splitnest.trainer import _new_model
from splitnest.training.data import open_training
from splitnest.training.distributed import shared
from splitnest.training.loop import Losses, train_step
from splitnest.training.run import RunFolder
from splitnest.training.schedule import Schedule
from splitnest.training.state import TrainingState, start_state

STEPS = 5


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Take some steps; return losses and norms, and the gradients of the first and the weights after the last step."""
    recipe, _ = resolve(job["recipe"], job["overrides"])
    assert recipe.train is not None
    model = _new_model(recipe, recipe.train.seed, torch.device("cpu")).double()
    data = open_training(recipe)
    state = start_state(model, recipe.train, Schedule(recipe.train, data.steps_per_epoch))
    network = shared(Losses(model), state.device).train()
    steps, logged, gradients = data.steps(0), [], {}
    for step in range(STEPS):
        losses, norm = train_step(network, state, recipe.train, next(steps))
        logged.append({**losses, "norm": norm})
        if step == 0:
            gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"losses": logged, "gradients": gradients, "weights": dict(model.state_dict())}


def measure(job: dict[str, Any]) -> dict[str, float]:
    """Return the metrics of a model."""
    predictor = load(job["recipe"], weights=None, device="cpu", overrides=job["overrides"])
    for name, parameter in sorted(predictor.module.named_parameters()):
        torch.manual_seed(len(name))  # the same network in each process
        torch.nn.init.normal_(parameter, std=0.1)
    return evaluate(predictor, batch_size=2)


class Stop(Exception):
    """Ends a training in its middle."""


def resume(job: dict[str, Any]) -> dict[str, Any]:
    """Return the weights of a training that was never stopped, and of one that was stopped and resumed."""
    begun = {"overrides": job["overrides"], "device": "cpu"}
    whole = splitnest.train(job["recipe"], out=f"{job['folder']}/whole", **begun)
    save, stopped = RunFolder.save_last, Path(job["folder"]) / "stopped"

    def save_and_stop(folder: RunFolder, state: TrainingState) -> None:
        save(folder, state)
        raise Stop

    RunFolder.save_last = save_and_stop  # type: ignore[method-assign]  # this process ends with it
    with contextlib.suppress(Stop):
        splitnest.train(job["recipe"], out=stopped, **begun)
    RunFolder.save_last = save  # type: ignore[method-assign]
    resumed = splitnest.train(stopped, resume=True, device="cpu")
    return {run.folder.name: torch.load(run.last, weights_only=True)["state_dict"] for run in (whole, resumed)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    work = json.loads(Path(sys.argv[1]).read_text())
    act = {"train": train, "measure": measure, "resume": resume}[work["do"]]
    with processes.together():
        found = {name: act(job) for name, job in work["jobs"].items()}
        torch.save(found, f"{work['out']}.{os.environ.get('RANK', '0')}")
