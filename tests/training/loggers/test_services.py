"""Weights & Biases and MLflow: each holds the rows of metrics.csv."""

import csv
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.tiny_training import NUM_STEPS, TinyData, train, train_config
from splitnest.errors import UsageError, UserCodeError
from splitnest.training.loggers import open as loggers

Rows = dict[int, dict[str, float]]
SETTINGS = {"evaluate_every": 5, "save_every": 6}


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def csv_rows(folder: Path) -> Rows:
    """Return the rows of metrics.csv by step, without empty cells."""
    with (folder / "metrics.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return {int(row.pop("step")): row for row in rows}


def mlflow_rows(run_id: str) -> Rows:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed (pip install 'splitnest[mlflow]')")
    client, rows = mlflow.MlflowClient(), Rows()
    for name in client.get_run(run_id).data.metrics:
        for metric in client.get_metric_history(run_id, name):
            rows.setdefault(metric.step, {})[name] = metric.value
    return rows


def level_db_records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file of Weights & Biases, which is a log of LevelDB after a header of 7 bytes."""
    record, place = b"", 7
    while place < len(content):
        if 0 < (rest := -place % 32768) < 7:  # a block of 32 KiB ends with zeros where no header fits
            place += rest
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # the whole of a record, or its last part
            yield record
            record = b""


def wandb_rows(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the rows of the offline runs of a folder, as the files hold them."""
    from wandb.proto.wandb_internal_pb2 import Record

    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in level_db_records(file.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            if record.HasField("history"):
                items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                row = {name: value for name, value in items.items() if not name.startswith("_")}
                yield int(record.history.step.num), row


def assert_close(rows: Rows, expected: Rows) -> None:
    assert rows.keys() == expected.keys()
    for step, row in expected.items():
        assert rows[step] == pytest.approx(row, rel=1e-5), step


def test_mlflow_holds_the_rows_of_the_csv_file(tmp_path: Path, offline: None) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed (pip install 'splitnest[mlflow]')")
    folder = tmp_path / "run"
    train(folder, TinyData(), lambda _: {"score": 0.5}, loggers=("mlflow",), **SETTINGS)
    run_id = (folder / "mlflow_id.txt").read_text().strip()
    assert_close(mlflow_rows(run_id), csv_rows(folder))
    run = mlflow.MlflowClient().get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")


def test_resumed_training_continues_the_run_of_mlflow(tmp_path: Path, offline: None) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed (pip install 'splitnest[mlflow]')")
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(folder, TinyData(interrupt=9), loggers=("mlflow",), save_every=6)
    run_id = (folder / "mlflow_id.txt").read_text().strip()
    assert mlflow.MlflowClient().get_run(run_id).info.status == "FAILED"
    train(folder, loggers=("mlflow",), save_every=6)
    assert (folder / "mlflow_id.txt").read_text().strip() == run_id
    history = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    assert [metric.step for metric in history] == list(range(1, NUM_STEPS + 1))  # each step once
    losses = {step: row["loss"] for step, row in csv_rows(folder).items()}
    assert {metric.step: metric.value for metric in history} == pytest.approx(losses, rel=1e-5)
    assert mlflow.MlflowClient().get_run(run_id).info.status == "FINISHED"


def test_wandb_holds_the_rows_of_the_csv_file(tmp_path: Path, offline: None) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed (pip install 'splitnest[wandb]')")
    folder = tmp_path / "run"
    train(folder, TinyData(), lambda _: {"score": 0.5}, loggers=("wandb",), **SETTINGS)
    wandb.teardown()  # as at the end of a process: waits for the process that writes the file
    assert_close(dict(wandb_rows(folder)), csv_rows(folder))


def test_loggers_do_not_change_the_training(tmp_path: Path, offline: None) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed (pip install 'splitnest[mlflow]')")
    losses = []
    for name, services in (("with", ("mlflow",)), ("without", ())):
        train(tmp_path / name, loggers=services)
        losses.append([row["loss"] for row in csv_rows(tmp_path / name).values()])
    assert losses[0] == losses[1]


def test_service_that_fails_leaves_a_checkpoint(tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed (pip install 'splitnest[mlflow]')")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "file" / "mlruns").as_uri())
    with pytest.raises(UserCodeError, match="MLflow failed in on_row after step 1: "):
        train(tmp_path / "run", loggers=("mlflow",))
    assert (tmp_path / "run" / "last.pt").is_file()


def test_service_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    loggers.check_loggers(train_config(loggers="auto"))
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    loggers.check_loggers(train_config(loggers="auto"))
    with pytest.raises(UsageError, match=r"train\.loggers has wandb, which is not installed.*splitnest\[wandb\]"):
        loggers.check_loggers(train_config(loggers=["wandb"]))
