"""The promises of the demo's server, W1 to W3: whose answer, and how much; and one sentence for every damaged file."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from demo_cases import formula, noise, png_of, send, serving, unpacked
from malformed import GOOD, MALFORMED
from test_malformed_files import damaged

from hemokit.demo import server as limits

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def port():
    with serving(formula()) as number:
        yield number


# ---- W1: every answer belongs to its request


def ask(port, seed):
    """The body of an answer, asked for again as long as the server is full; and how often it was."""
    for again in range(200):
        reply = send(port, "/api/slices", noise(seed), f"{seed}.png")
        if reply.status == 200:
            return reply.body, again
        assert reply.status == 503
        time.sleep(float(reply.headers["Retry-After"]))
    raise AssertionError("never answered")


def check_answers_belong(port, users, rounds):
    serial = {seed: ask(port, seed)[0] for seed in range(users)}
    assert len(set(serial.values())) == users
    with ThreadPoolExecutor(users) as pool:
        found = list(pool.map(lambda number: (number % users, *ask(port, number % users)), range(users * rounds)))
    wrong = [seed for seed, body, _ in found if body != serial[seed]]
    print(f"{len(found)} answers to {users} at once, {len(wrong)} wrong, {sum(one[2] for one in found)} times full")
    assert len(found) == users * rounds and not wrong


def test_each_answer_belongs_to_its_request(port):
    """20 users at once, three times each: every answer is the one that the same request gets alone (promise W1)."""
    check_answers_belong(port, 20, 3)


@pytest.mark.promises
def test_a_thousand_answers_belong_to_their_requests(port):
    """200 at once, five times each: 1000 answers equal to the serial ones (promise W1 at full size)."""
    check_answers_belong(port, 200, 5)


# ---- W2 and W3: what is too much is refused early


class Process:
    """A server in a process of its own, whose memory can be looked at."""

    def __init__(self, seconds_per_slice=0.0):
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "demo_cases.py"), str(seconds_per_slice)]
        self.running = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        self.port = int(self.running.stdout.readline())
        self.process = psutil.Process(self.running.pid)

    def megabytes(self):
        return self.process.memory_info().rss / 2**20

    def __enter__(self):
        send(self.port, "/api/slices", noise(0))
        return self

    def __exit__(self, *_):
        self.running.kill()
        self.running.communicate()


def push(port, head, total):
    """(bytes that the server took, its answer) of a body that is sent until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
        connection.sendall(head)
        sent, block, answer = 0, bytes(2**16), b""
        try:
            while sent < total:
                connection.sendall(block)
                sent += len(block)
        except OSError:
            pass
        try:
            while data := connection.recv(2**16):
                answer += data
        except OSError:
            pass
        return sent, answer


@pytest.mark.parametrize("framing, status", [("Content-Length: 209715200", 413), ("Transfer-Encoding: chunked", 411)])
def test_a_body_of_200_mb_is_stopped(framing, status):
    """Within 5 MB, and in no more memory, whether its length is told or not (promises W2 and W3)."""
    head = f"POST /api/slices HTTP/1.1\r\nHost: localhost\r\nX-File-Name: a.png\r\n{framing}\r\n\r\n".encode()
    with Process() as server:
        before = server.megabytes()
        sent, answer = push(server.port, head, 200 * 2**20)
        print(f"{framing}: {sent / 2**20:.2f} MB were taken, +{server.megabytes() - before:.1f} MB of memory")
        assert sent < 5 * 2**20
        assert server.megabytes() - before < 100
        assert answer == b"" or f" {status} ".encode() in answer.splitlines()[0]
        assert send(server.port, "/api/slices", noise(0)).status == 200


def test_who_asks_first_is_told_before_sending():
    """`Expect: 100-continue`, as curl sends it with large files, gets 413 and a sentence instead of 100."""
    head = b"POST /api/slices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 209715200\r\nExpect: 100-continue\r\n\r\n"
    with serving(formula()) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head)
        answer = b"".join(iter(lambda: connection.recv(2**16), b""))
    assert b" 413 " in answer.splitlines()[0] and b"expected are at most" in answer and b"nosniff" in answer


def test_a_body_of_unknown_length_is_told_why():
    """A request whose length is not told gets 411 and a sentence before its body is taken."""
    head = b"POST /api/slices HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(formula()) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head)
        answer = b"".join(iter(lambda: connection.recv(2**16), b""))
    assert b" 411 " in answer.splitlines()[0] and b"expected" in answer


def check_overload(requests, size, seconds_per_slice):
    data = png_of(np.random.default_rng(0).integers(0, 256, (size, size)).astype(np.uint8))
    with Process(seconds_per_slice) as server:
        before, most = server.megabytes(), 0.0

        def one(_):
            start = time.perf_counter()
            reply = send(server.port, "/api/slices", data)
            return reply, time.perf_counter() - start

        with ThreadPoolExecutor(requests) as pool:
            waiting = [pool.submit(one, number) for number in range(requests)]
            while not all(future.done() for future in waiting):
                most = max(most, server.megabytes() - before)
                time.sleep(0.02)
        replies = [future.result() for future in waiting]
    accepted = sorted(seconds for reply, seconds in replies if reply.status == 200)
    refused = [reply for reply, _ in replies if reply.status == 503]
    p99 = accepted[min(len(accepted) - 1, int(0.99 * len(accepted)))]
    print(f"{requests} at once: {len(accepted)} accepted, {len(refused)} refused, p99 {p99:.2f} s, +{most:.0f} MB")
    assert len(accepted) + len(refused) == requests and refused and accepted
    assert all(reply.headers["Retry-After"] == "1" and "Try again" in reply.told["error"] for reply in refused)
    return p99, most


def test_over_capacity_is_503_with_retry_after():
    """More requests than can be held are refused at once; the accepted ones are answered in bounded time and memory."""
    p99, most = check_overload(2 * limits.CAPACITY, 64, 0.02)
    assert p99 < 5 and most < 100


@pytest.mark.promises
def test_overload_by_slices_of_512(port):
    """200 slices of 512x512 at once: memory below +100 MB, p99 of the accepted below 5 s (promise W2)."""
    p99, most = check_overload(200, 512, 0.05)
    assert p99 < 5 and most < 100


# ---- errors


def check_corpus(port, files):
    seen = {}
    for name, (kind, make, _) in MALFORMED.items():
        for seed in range(files):
            reply = send(port, "/api/slices", make(np.random.default_rng(seed)), f"file.{kind}")
            seen[reply.status] = seen.get(reply.status, 0) + 1
            assert reply.status in (200, 413, 422), f"{name}: {reply.status}"
            assert reply.status == 200 or "expected" in reply.told["error"], name
    print(seen)
    assert seen[422] >= 60


def test_damaged_files_get_one_sentence(port):
    """Every class of damage, sent to the server: no 5xx (promise I1 over HTTP)."""
    check_corpus(port, 1)


@pytest.mark.promises
def test_damaged_files_get_one_sentence_in_10_files(port):
    """The same with 10 files a class, and 100 files with random damage of each kind."""
    check_corpus(port, 10)
    for kind in ("jpg", "png", "nii", "nii.gz", "dcm"):
        for seed in range(100):
            rng = np.random.default_rng(seed)
            assert send(port, "/api/slices", damaged(GOOD[kind](rng), rng), f"file.{kind}").status in (200, 422)


@pytest.mark.parametrize("path", ["/api/heat", "/api/heat?slice=1", "/api/heat?slice=-1", "/api/heat?slice=²",
                                  "/api/result?threshold=1001", "/api/result", "/api/slices?example=x"])  # fmt: skip
def test_wrong_numbers_and_examples_are_told(port, path):
    """One sentence each."""
    reply = send(port, path.replace("²", "%C2%B2"), noise(0))
    assert reply.status == 422 and "expected" in reply.told["error"]


def test_a_bug_is_told_without_the_file(caplog):
    """500 with one sentence; the log has the place in the code, and nothing of what was sent."""

    def broken(images):
        raise RuntimeError("secret of the picture")

    with serving(formula(probabilities=broken)) as port:
        reply = send(port, "/api/slices", noise(0), "Roe.png")
    assert reply.status == 500 and "not in your file" in reply.told["error"]
    assert "RuntimeError" in caplog.text and "secret" not in caplog.text and "Roe" not in caplog.text


def test_an_answer_is_whole_before_it_is_sent(port):
    """Its length is told: a reader who takes long holds the packed bytes, not the maps."""
    reply = send(port, "/api/slices", noise(0))
    assert int(reply.headers["Content-Length"]) == len(reply.body)


def test_heat_and_result_come_for_the_file_that_is_sent(port):
    """A map of the slice's size, and a zip; an example needs no file."""
    heat = send(port, "/api/heat?slice=0", noise(0))
    assert len(heat.body) == 2 * 24 * 24
    result = send(port, "/api/result?threshold=500", noise(0))
    assert result.body[:2] == b"PK" and "hemokit_result.zip" in result.headers["Content-Disposition"]
    example = send(port, "/api/slices?example=epidural")
    assert unpacked(example.body)[0]["slices"] == 15 and int(example.headers["X-First-Slice"]) < 15


@pytest.mark.slow
def test_real_slices_are_answered_as_the_model_sees_them(ct_ich_root):
    """40 real slices: the page's map is the model's own on `prepare_slice`, to 2/1000."""
    from hemokit.apply.squares import from_square
    from hemokit.datasets import open_dataset
    from hemokit.demo import open_model
    from hemokit.slice_cache import LEVELS, prepare_slice

    table = open_dataset(ct_ich_root)
    rows = table.sort_values("any", ascending=False, kind="stable").iloc[:: max(1, len(table) // 40)]
    model, worst = open_model(), 0
    with serving(model) as port:
        for _, row in rows.iterrows():
            path = Path(row["image_path"])
            maps = unpacked(send(port, "/api/slices", path.read_bytes(), path.name).body)[2]
            image = prepare_slice(row, image_size=model.image_size)[0] / np.float32(LEVELS)
            wanted = from_square(model.probabilities(image[None].astype(np.float32))[0, ..., 0], maps.shape[1:])
            worst = max(worst, float(np.abs(maps[0] / 1000 - wanted).max()))
    print(f"{len(rows)} real slices: at most {worst:.5f} apart")
    assert worst < 0.002
