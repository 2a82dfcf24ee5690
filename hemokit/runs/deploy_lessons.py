"""What lesson 13 measures: slices as arrays, the Dice that a format costs, speed, and a server under load.

The network may be any; what is compared is always what was trained with what was exported.
"""

import http.client
import json
import platform
import threading
import zlib
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from hemokit.checks import problem
from hemokit.evaluation.bootstrap import show_interval, unit_codes, weighted_intervals
from hemokit.export import compare_exported, export_model, load_exported
from hemokit.export.cards import SUFFIXES
from hemokit.export.comparing import CALLS
from hemokit.processes import cores

PHONE_MS = 218  # renyard's network on an iPhone 6S, Core ML


def forms_here():
    """The formats that can be made and run on this machine: dict of name -> what `export_model` takes."""
    forms = {"Keras": {"format": "keras"}}
    if all(map(find_spec, ("onnx", "tf2onnx", "onnxruntime"))):
        forms["ONNX"] = {"format": "onnx"}
    if find_spec("ai_edge_litert"):
        for precision in ("float32", "float16", "int8"):
            forms[f"LiteRT {precision}"] = {"format": "litert", "precision": precision}
    return forms


def file_of(form, kind):
    """The file's name of a form of `forms_here`: "litert_int8.tflite"."""
    return form.lower().replace(" ", "_") + SUFFIXES[kind["format"]]


def slices_of(rows, *, masked=True, **how):
    """Slices as a network sees them.

    Args:
        rows: of a slice table.
        masked: False for rows without masks.
        how: windows and image_size, as `slice_pipeline` takes them.

    Returns:
        (float32 (slices, size, size, channels), bool (slices, size, size) or None).
    """
    from hemokit.pipelines import slice_pipeline

    batches = slice_pipeline(
        rows.reset_index(drop=True), target="mask" if masked else None, batch_size=16, **how
    ).batches
    pairs = [batches[number] for number in range(len(batches))]
    if not masked:
        return np.concatenate(pairs), None
    images, masks = (np.concatenate(one) for one in zip(*pairs, strict=True))
    return images, masks[..., 0] > 0.5


def time_forms(model, forms, folder, *, seed=0, repeats=10):
    """Export a network in several forms and time one slice at a time; random pixels do for that.

    Args:
        model: keras.Model of one image size.
        forms: as `forms_here`.
        folder: for the files.
        seed: of the pixels.
        repeats: calls of `model.predict`.

    Returns:
        DataFrame with the columns ms (median a slice), MB (of the file) and n (calls), a row for each form and
        "model.predict".
    """
    images = np.random.default_rng(seed).random((4, *model.input_shape[1:]), np.float32)
    rows = {}
    for form, kind in forms.items():
        shown = images if kind.get("precision") == "int8" else None
        path = export_model(model, Path(folder) / f"timed_{file_of(form, kind)}", calibration=shown, **kind)
        found = compare_exported(model, load_exported(path), images, None, threshold=0.5).iloc[0]
        rows[form] = {"ms": found["ms_per_slice"], "MB": found["size_bytes"] / 1e6, "n": CALLS}
    model.predict(images[:1], verbose=0)  # the first call builds the graph
    times = []
    for number in range(repeats):
        start = perf_counter()
        model.predict(images[number % 4][None], verbose=0)
        times.append(1000 * (perf_counter() - start))
    size = next((one["MB"] for one in rows.values()), np.nan)
    rows["model.predict"] = {"ms": float(np.median(times)), "MB": size, "n": repeats}
    return pd.DataFrame(rows).T.astype({"n": int})


def machine():
    """This machine in a few words."""
    return f"{platform.system()} {platform.machine()}, {cores()} cores"


def speed_beside_paper(speed, where, *, seed=0):
    """A table of seconds a slice: renyard's phone, and what `time_forms` found on the machine `where` with `seed`."""
    phone = {"run by": "Core ML", "s a slice": f"{PHONE_MS / 1000:.3f}", "on": "iPhone 6S", "who": "renyard"}
    here = [
        {"run by": form, "s a slice": f"{one.ms / 1000:.3f}", "on": where, "who": "here"}
        for form, one in speed.iterrows()
    ]
    table = pd.DataFrame([phone, *here]).set_index("who")
    table["n"] = ["not stated", *[f"median of {count}, one at a time" for count in speed["n"]]]
    for name, value in {"data": "random pixels", "seed": seed}.items():
        table[name] = ["not stated", *[value] * len(here)]
    return table


def dice_lost(maps, truth, rows, threshold, *, seed=0):
    """The pooled Dice that each form loses against Keras, with an interval by patient.

    Args:
        maps: dict of form -> probabilities (slices, height, width); "Keras" is what others are compared with.
        truth: bool of that shape.
        rows: of the slice table, with patient_id.
        threshold: of pixels.
        seed: of the draws.

    Returns:
        DataFrame, a row a form: dice, lost (as text, with its interval; positive is worse). The same patients are drawn
        for both sides of a difference.

    Raises:
        HemokitError: no map of Keras.
    """
    if "Keras" not in maps:
        raise problem("there is no map of Keras", "one to compare with", "Export the model as .keras, too.")
    found = {form: one >= threshold for form, one in maps.items()}
    both = {form: (one & truth).sum(axis=(1, 2)) for form, one in found.items()}
    marked = {form: one.sum(axis=(1, 2)) + truth.sum(axis=(1, 2)) for form, one in found.items()}

    def losses(weights):
        with np.errstate(invalid="ignore"):
            score = {form: 2 * (weights @ both[form]) / (weights @ marked[form]) for form in both}
        return {form: score["Keras"] - one for form, one in score.items()}

    lost = weighted_intervals(losses, unit_codes(rows), seed=seed)
    rows = {
        form: {
            "dice": round(float(2 * both[form].sum() / max(1, marked[form].sum())), 3),
            "lost": show_interval(*lost[form].interval, digits=4),
        }
        for form in maps
    }
    return pd.DataFrame(rows).T


def queue_waits(loads, *, most=np.inf, num_requests=5000, seed=0):
    """Requests that come at random times to a server that answers one after another.

    Args:
        loads: requests in the time of one answer.
        most: how long a request may have to wait, in answers; others are refused.
        num_requests: of each load.
        seed: of the times.

    Returns:
        DataFrame, a row a load: p99 (99th percentile of the wait of those who were served, in answers; Lindley 1952)
        and refused (part of all).
    """
    rng, rows = np.random.default_rng(seed), {}
    for load in loads:
        wait, waits = 0.0, []
        for gap in rng.exponential(1 / load, num_requests):
            wait = max(0.0, wait - gap)
            if wait <= most:
                waits.append(wait)
                wait += 1
        rows[float(load)] = {"p99": np.percentile(waits, 99), "refused": 1 - len(waits) / num_requests}
    return pd.DataFrame(rows).T


def unpack_reply(data):
    """(facts, probabilities (slices, height, width) in steps of 0.001) of what the page of the demo is sent."""
    raw = zlib.decompress(data, 31)
    length = int.from_bytes(raw[:4], "little")
    facts = json.loads(raw[4 : 4 + length])
    shape = facts["slices"], facts["height"], facts["width"]
    heights = np.frombuffer(raw, "<u2", int(np.prod(shape)), 4 + length + int(np.prod(shape)))
    return facts, heights.reshape(shape) / 1000


def announce(server, num_bytes):
    """Run a server of the demo for a moment, announce a file to it and send none of it: (status, sentence)."""
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    line = http.client.HTTPConnection("127.0.0.1", server.effective_port, timeout=60)
    try:
        line.putrequest("POST", "/api/slices")
        line.putheader("Content-Length", str(num_bytes))
        line.endheaders()
        reply = line.getresponse()
        return reply.status, json.loads(reply.read())["error"]
    finally:
        line.close()
        server.task_dispatcher.shutdown()
        server.asyncore.close_all(server._map)
        thread.join(5)
