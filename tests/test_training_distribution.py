"""Several replicas train as one does: the same global batches, the same losses up to rounding."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training_cases import build_simple, fit_sequence, fit_simple

from hemokit.checks import HemokitError
from hemokit.training import load
from hemokit.training.distribution import is_chief

tf = pytest.importorskip("tensorflow")
SCRIPT = Path(__file__).parent / "training_worker.py"
TOLERANCE = 1e-5  # sums in another order; float32 has 1.2e-7


def free_ports(count):
    """Ports of this machine that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.promises
@pytest.mark.parametrize("kind, train", [("slices", fit_simple), ("sequence", fit_sequence)])
def test_two_workers_on_loopback(tmp_path, kind, train):
    """Two processes with half of each batch have the loss curve of one process; the first writes the files."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    configs = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in (0, 1)]
    two = [start(tmp_path / "two", json.dumps(config), kind) for config in configs]
    one = train(tmp_path / "one", precision="float32")[["loss", "val_loss"]].to_numpy().ravel()
    losses = [finish(worker) for worker in two]
    assert losses[0] == losses[1] == pytest.approx(one.tolist(), rel=TOLERANCE)
    assert sorted(os.listdir(tmp_path / "two")) == ["best.keras", "history.csv", "last.keras", "run.json"]


def start(folder, config, kind):
    """Start a worker."""
    ours = {"PYTHONPATH": str(SCRIPT.parent.parent), "CUDA_VISIBLE_DEVICES": "-1", "TF_CONFIG": config}
    environment = os.environ | ours
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), kind], **options)


def finish(worker):
    """The losses that a worker prints last."""
    try:
        out, errors = worker.communicate(timeout=240)
    finally:
        worker.kill()
    assert worker.returncode == 0, errors[-3000:]
    return json.loads(out.splitlines()[-1])


@pytest.mark.slow
def test_strategy_of_one_machine(tmp_path):
    """A mirrored strategy trains, writes, resumes and ends as training without one."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    plain = fit_simple(tmp_path / "plain", precision="float32")
    fit_simple(tmp_path / "mirrored", strategy=strategy, epochs=1, precision="float32")
    mirrored = fit_simple(tmp_path / "mirrored", strategy=strategy, precision="float32")
    assert mirrored["val_loss"].to_numpy() == pytest.approx(plain["val_loss"].to_numpy(), rel=TOLERANCE)
    weights = [load(tmp_path / name, "last").get_weights() for name in ("plain", "mirrored")]
    assert all(np.allclose(one, two, rtol=1e-4, atol=1e-6) for one, two in zip(*weights, strict=True))


def test_model_from_outside_the_strategy_is_refused(tmp_path):
    """Its variables would live on one device: a function that builds it is asked for."""
    with pytest.raises(HemokitError, match="a model that was built outside the strategy"):
        fit_simple(tmp_path, build_simple(), strategy=tf.distribute.MirroredStrategy(["CPU:0"]))


@pytest.mark.parametrize("task, others, chief", [
    (("worker", 0), {}, True), (("worker", 1), {}, False), (("chief", 0), {"chief": ["a"]}, True),
    (("worker", 0), {"chief": ["a"]}, False), ((None, None), {}, True),
])  # fmt: skip
def test_chief(task, others, chief):
    """The chief writes; where none is named, worker 0."""

    class Strategy:
        cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": ["b", "c"], **others}), task_type=task[0], task_id=task[1]
        )

    assert is_chief(Strategy()) == chief and is_chief(None)
