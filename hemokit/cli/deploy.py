"""`hemokit export`: a trained model as a file that runs without TensorFlow."""

from pathlib import Path
from typing import Annotated

import typer

from hemokit.checks import check_choice
from hemokit.cli.frameworks import keras_at_hand
from hemokit.cli.models import NOTICE
from hemokit.cli.options import FILE, FOLDER


def export(
    run_dir: Annotated[Path, typer.Argument(**{**FOLDER, "metavar": "RUN_DIR"}, help="What hemokit train wrote.")],
    format: Annotated[str, typer.Option(metavar="F", help="keras, litert or onnx.")] = "onnx",
    precision: Annotated[str, typer.Option(metavar="P", help="float32; for litert float16 or int8 too.")] = "float32",
    out: Annotated[
        Path | None, typer.Option(**FILE, help="File to write; in the run's folder exported/ if not given.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--data", **FOLDER, help="Data of the training: compares, and calibrates int8.")
    ] = None,
):
    """Export a trained model to Keras, LiteRT or ONNX, with a card beside it.

    The card <file>.json says what the model sees, its threshold, its data and scores, and the file's SHA-256; nothing
    loads the file without it. With --data it also says how much Dice the format costs on test slices of the run.
    int8 learns its ranges from training slices, so it needs --data (a run on the built-in phantom does not).
    For education only, not a medical device.
    """
    from hemokit.export import FORMATS, PRECISIONS, read_card
    from hemokit.runs.judging_facts import check_folder

    check_choice(format, FORMATS, "--format")
    check_choice(precision, PRECISIONS, "--precision")
    check_folder(run_dir, "the folder that hemokit train wrote")
    with keras_at_hand():
        from hemokit.runs.exporting import export_run
    path = export_run(run_dir, out, format=format, precision=precision, root=root)
    card = read_card(path)
    print(f"The model is {path} ({card.size_bytes / 2**20:.2f} MiB) and its card {path.name}.json. {NOTICE}")
    for row in card.compared:
        print(
            f"On {row['judged_on']}: Dice {row['dice']:.4f}, by Keras {row['dice_keras']:.4f}; probabilities differ by "
            f"{row['max_difference']:.2g} at most; {row['ms_per_slice']:.1f} ms a slice on this machine."
        )
    print(f"Use it: hemokit predict {path} --data FILE_OR_FOLDER --out FOLDER")
