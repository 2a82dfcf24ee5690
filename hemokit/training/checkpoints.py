"""The files best.keras and last.keras of a run: whole or not there, and enough to go on from.

Both are ordinary Keras files. `STATE`, one more member of the archive, holds what Keras does not save: the epoch, the
history, the states of the random generators of layers such as Dropout, and what the run was made with. last.keras holds
the optimizer too; best.keras does not, so it is a third as large.
"""

import contextlib
import json
import zipfile
from pathlib import Path

import keras
import numpy as np

import hemokit.models.unet_plus_plus  # noqa: F401  registers the class of models of several masks, so that they load
from hemokit.checks import check_choice, problem
from hemokit.files import whole_file

BEST, LAST, HISTORY, RECORD = "best.keras", "last.keras", "history.csv", "run.json"
STATE = "hemokit.json"


def write_checkpoint(model, path, state, *, with_optimizer=True):
    """Write a model and a dict of JSON values to one .keras file: a temporary one, flushed, then renamed.

    Killed at any moment, it leaves the old file or the new one under `path`, and perhaps what `remove_leftovers`
    deletes; where memory is short for the model, also a file of Keras' own, tmp..., which is not.
    """
    state = {**state, "random_states": [_plain(one) for one in _random_states(model)]}
    with whole_file(path, ending=".keras") as saved:
        with contextlib.nullcontext() if with_optimizer else _without_optimizer(model):
            model.save(saved)
        with zipfile.ZipFile(saved, "a") as archive:
            archive.writestr(STATE, json.dumps(state))


def read_state(path):
    """The dict that `write_checkpoint` put into a file, or None if there is no such file.

    Raises:
        HemokitError: a file that is damaged, or that hemokit did not write.
    """
    if not Path(path).exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            state = json.loads(archive.read(STATE)) if damaged is None else None
    except (zipfile.BadZipFile, KeyError, ValueError, OSError):
        state = None
    if state is None:
        remedy = "Delete the file, or choose another run_dir."
        raise problem("a file that is damaged or no checkpoint of a run", "one that fit wrote", remedy, file=path)
    return state


def restore(model, path, state):
    """Bring a compiled model, its built optimizer and its random generators to where the checkpoint was written."""
    model.load_weights(path)
    for variable, value in zip(_random_states(model), state["random_states"], strict=True):
        variable.assign(np.array(value, keras.backend.standardize_dtype(variable.dtype)))


def load(run_dir, which="best"):
    """Load the model of a run: of its best epoch, or of its last.

    Args:
        run_dir: the folder that `fit` wrote.
        which: "best" or "last".

    Returns:
        keras.Model in float32, not compiled. Code that a file may carry is never run (Keras' safe mode).

    Raises:
        HemokitError: no such file yet, a damaged one, or one that needs objects that are not registered.
    """
    path = Path(run_dir) / f"{check_choice(which, ('best', 'last'), 'which')}.keras"
    if not path.is_file():
        found = ", ".join(sorted(one.name for one in Path(run_dir).glob("[!.]*.keras"))) or "no .keras file"
        remedy = "Name the folder that training wrote; the first file appears when the first epoch ends."
        raise problem(f"{found} in {run_dir}", path.name, remedy)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a file that is damaged or needs unknown code
        told = str(error).strip().splitlines() or [type(error).__name__]
        remedy = "Import what the model was built from, or train again; the file may be damaged."
        raise problem(f"Keras cannot load it ({told[0][:200]})", "a model that fit wrote", remedy, file=path) from error


def remove_leftovers(run_dir, *, everything=False):
    """Delete temporary files of a run that was killed; with `everything`, the files of the run too."""
    files = (BEST, LAST, HISTORY, RECORD)
    names = [f".{name}.*.part*" for name in files] + list(files if everything else ())
    for name in names:
        for path in Path(run_dir).glob(name):
            path.unlink()


def _random_states(model):
    """The variables of the seed generators of all layers, in order; Keras does not save them."""
    return [one for one in model.non_trainable_variables if one.path.endswith("seed_generator_state")]


def _plain(variable):
    return [int(value) for value in keras.ops.convert_to_numpy(variable)]


@contextlib.contextmanager
def _without_optimizer(model):
    """Let a compiled model look like one that was never compiled, so that it is saved without the optimizer."""
    optimizer, model.optimizer, model.compiled = model.optimizer, None, False
    try:
        yield
    finally:
        model.optimizer, model.compiled = optimizer, True
