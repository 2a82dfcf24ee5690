"""`hemokit data prepare`: DICOM files once decoded, sorted and packed into a store (see `datasets.hemokit_store`).

A preparation can be killed at any moment and goes on where it was: headers are kept 10,000 at a time and pixels a
shard of whole patients at a time, in files that are written whole or not at all. What comes out depends on the input
and the settings alone, byte for byte: not on kills, nor on how many processes worked on it.

Reading order: plan (what there is to do, and whether it is what was begun), shards (one worker's job), crew
(processes, or a Dask cluster), finish (tables and checksums), running (all of it).
"""

from hemokit.prepare.running import prepare_store

__all__ = ["prepare_store"]
