"""The exercises of lesson 13."""

import contextlib
import gc
import threading
import weakref

import numpy as np

from hemokit.check import Exercise, differs

TOGETHER = 0.5  # seconds that one request waits for the other

_MEGABYTES = tuple(1_962_337 * size / 1e6 for size in (4, 2, 1))
_VALUES = np.array([-0.31, 0.0, 0.013, 0.2, 0.499, 0.62, 0.87, 1.0, 1.9])
LAST = {}  # of the broken application: what it remembers


def quantize(values, low, high):
    step = (high - low) / 255
    return low + step * np.clip(np.round((values - low) / step), 0, 255)


def answer(upload, read, model):
    try:
        image = read(upload)
    except ValueError:
        return 422, None
    return 200, model(image) >= 0.5


def broken_answer(upload, read, model):
    try:
        LAST["image"] = read(upload)
        LAST["mask"] = model(LAST["image"]) >= 0.5
    except ValueError as error:
        print("not read:", error)
    return 200, LAST["mask"]


def _judge_quantize(given):
    for low, high in ((0.0, 1.0), (0.0, 0.6), (-0.5, 2.0)):
        what = f"values from {_VALUES.min():g} to {_VALUES.max():g} on a scale from {low:g} to {high:g}"
        found = differs(given(_VALUES.copy(), low, high), quantize(_VALUES, low, high), what)
        if found:
            return found
    return None


def _read(upload):
    """An image from bytes; a ValueError for what is none."""
    if len(upload) != 72:
        raise ValueError("no picture")
    return np.frombuffer(upload, np.uint8).reshape(8, 9) / 255


def _model(image):
    return image


def _upload(seed):
    return np.random.default_rng(seed).integers(0, 256, 72).astype(np.uint8).tobytes()


def _judge_answer(given):
    for step in (_in_turn, _at_once, _forgotten):
        found = step(given)
        if found:
            return found
    return None


def _in_turn(given):
    """Good and damaged uploads, one after another."""
    first = (_upload(1), b"no picture", _upload(2), b"", _upload(3))
    for upload in first:
        found = _replied_badly(given(upload, _read, _model), upload, "after other requests")
        if found:
            return found
    return None


def _replied_badly(reply, upload, when):
    if not isinstance(reply, tuple | list) or len(reply) != 2:
        return "the function should give back the pair (status, mask)"
    status, mask = reply
    if len(upload) != 72:
        if mask is not None:
            return "an upload that cannot be read is answered with a mask"
        refused = isinstance(status, int) and 400 <= status < 500
        return None if refused else "an upload that cannot be read is answered as if it had been"
    if status != 200:
        return "an upload that can be read is not answered by 200"
    return differs(mask, _model(_read(upload)) >= 0.5, f"the mask of a slice that came {when}")


def _at_once(given):
    """Two requests that are both read before either is computed, and both computed before either is answered."""
    gates = threading.Barrier(2), threading.Barrier(2)

    def meet(gate):
        with contextlib.suppress(threading.BrokenBarrierError):  # one that waits for the other is right, too
            gate.wait(TOGETHER)

    def model(image):
        meet(gates[0])
        heights = _model(image)
        meet(gates[1])
        return heights

    uploads, replies = (_upload(4), _upload(5)), {}

    def work(upload):
        try:
            replies[upload] = given(upload, _read, model)
        except BaseException as error:
            replies[upload] = error

    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in uploads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for upload in uploads:
        if isinstance(replies[upload], BaseException):
            raise replies[upload]
        found = _replied_badly(replies[upload], upload, "at the same time as another")
        if found:
            return found
    return None


def _forgotten(given):
    """Whether anything of a request is kept after its answer."""
    kept = []

    def read(upload):
        image = _read(upload)
        kept.append(weakref.ref(image))
        return image

    given(_upload(6), read, _model)
    gc.collect()
    return "an image is still in memory after its answer" if any(one() is not None for one in kept) else None


q13_1 = Exercise(
    "q13_1",
    judge=lambda given: differs(given, _MEGABYTES, "the three sizes in megabytes", tolerance=0.0051),
    reference=lambda: _MEGABYTES,
    clue="A float32 has 32 bits, and a byte has 8. A megabyte is a million bytes.",
    code="megabytes = tuple(1_962_337 * size / 1e6 for size in (4, 2, 1))",
)

q13_2 = Exercise(
    "q13_2",
    judge=_judge_quantize,
    reference=lambda: quantize,
    clue="256 levels have 255 steps between them. Which level is nearest? np.round; and np.clip keeps it in 0 .. 255.",
    code=quantize,
)

q13_3 = Exercise(
    "q13_3",
    judge=_judge_answer,
    reference=lambda: answer,
    clue="What belongs to a request lives in local variables. And what should whoever sent no picture be told?",
    code=answer,
    stub=broken_answer,
)
