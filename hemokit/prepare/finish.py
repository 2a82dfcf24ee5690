"""The last steps of a preparation: its tables, and the checksums that say it is whole."""

import json
from pathlib import Path

import pandas as pd

from hemokit.checks import problem
from hemokit.checksums import SUMS
from hemokit.datasets import rsna
from hemokit.datasets.hemokit_store import COLUMNS, LEFT_OUT, SHARDS, SLICES, STORE, WORK, shard_path
from hemokit.files import sha256, write_whole
from hemokit.manifests import is_phantom
from hemokit.prepare.shards import KEYS, journal_path
from hemokit.tables import account

HEADERS, JUDGED, README = "headers.csv", "judged.csv", "README.txt"
_TEXT = "A store of head CT slices, made by `hemokit data prepare`. For education; not a medical device.\n"


def finish(root, out, jobs, plan):
    """Write slices.csv, left_out.csv, store.json, README.txt and, last, SHA256SUMS.txt.

    Args:
        root: the RSNA folder.
        out: the folder of the store, whose shards are all done.
        jobs: list of `Job`.
        plan: dict of `plan.describe`.

    Raises:
        HemokitError: DICOM files that changed while they were prepared.
    """
    packed, digests = _journal(out, jobs)
    reasons = _judge(out / WORK / HEADERS, packed, out / WORK / JUDGED)
    table = rsna.read_table(root, headers=out / WORK / JUDGED, check_pixels=True)
    rows = table.set_index("slice_id", drop=False).join(packed.drop(columns=["constant", "error"]))
    written = packed.index[packed["length"].notna()]
    if set(written) != set(table["slice_id"]):
        remedy = "Delete the folder of the store and begin again."
        raise problem("DICOM files changed while they were prepared", "the same files all the time", remedy, file=root)
    whole = {name: "int64" for name, kind in COLUMNS.items() if kind not in (str, float)}
    tables = {SLICES: rows[list(COLUMNS)].astype(whole), LEFT_OUT: _left_out(table, reasons, root)}
    for name, frame in tables.items():
        with write_whole(out / name) as stream:
            frame.to_csv(stream, index=False, lineterminator="\n")
    notes = [note.replace(f"{root}/", "") for note in account(table).notes]
    facts = {"format": plan["format"], "shards": len(jobs), "slices": len(rows), "notes": notes, "plan": plan}
    facts["left_out"] = len(tables[LEFT_OUT])
    with write_whole(out / STORE) as stream:
        json.dump(facts, stream, indent=1)
    with write_whole(out / README) as stream:
        stream.write((Path(root, README).read_text(encoding="utf-8") if is_phantom(root) else "") + _TEXT)
    digests |= {name: sha256(out / name) for name in (SLICES, LEFT_OUT, STORE, README)}
    with write_whole(out / SUMS) as stream:
        stream.writelines(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def _journal(out, jobs):
    """What became of each slice (DataFrame by slice_id), and dict name of a shard -> its SHA-256."""
    frames, digests = [], {}
    for job in jobs:
        told = json.loads(journal_path(out, job.number).read_text(encoding="utf-8"))
        frames.append(pd.DataFrame(told["rows"], columns=list(KEYS)).assign(shard=job.number))
        digests[f"{SHARDS}/{shard_path(out, job.number).name}"] = told["sha256"]
    empty = pd.DataFrame(columns=[*KEYS, "shard"])
    return (pd.concat(frames) if frames else empty).set_index("slice_id"), digests


def _judge(headers, packed, judged):
    """Write the headers again with what the pixels told; gives dict slice_id -> why a file is refused."""
    facts = pd.read_csv(headers, dtype=str, keep_default_na=False).set_index("slice_id")
    facts["pixels_checked"] = "1"
    facts.loc[packed.index, "constant"] = packed["constant"].astype(int).astype(str)
    wrong = packed.index[packed["error"] != ""]
    blank = [name for name in facts.columns if name not in ("bytes", "modified_us", "pixels_checked")]
    facts.loc[wrong, blank] = ""
    facts.loc[wrong, ["repaired", "constant"]] = "0"
    facts.loc[wrong, "error"] = packed.loc[wrong, "error"]
    with write_whole(judged) as stream:
        facts.reset_index().to_csv(stream, index=False, lineterminator="\n")
    return facts["error"][facts["error"] != ""].to_dict()


def _left_out(table, reasons, root):
    """A row an image that is not in the store: slice_id, reason, and what was said of the file."""
    rows = [(name, drop.reason) for drop in account(table).drops for name in drop.ids]
    told = [reasons.get(name, "").replace(f"{root}/", "") for name, _ in rows]
    return pd.DataFrame(rows, columns=["slice_id", "reason"]).assign(told=told)
