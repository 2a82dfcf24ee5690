"""hemokit: deep learning on head CT, honestly and hands-on. For education; not a medical device.

Reading order is import order; a module imports only what stands above it:

ground      checks, files, labels, windows, equalize, progress, processes
formats     one file of one kind -> an array or a table, or one clear error
floor 1     tables, polygons, polygon_labels, masks, patches, metrics, manifests, checksums, leaks,
            splits
datasets    one folder -> the slice table (one row = one slice); and the phantom
judging     predictions, exact_search, thresholds, evaluation, plots
learning    augment, slice_cache, baselines (scikit-learn, XGBoost), targets, reduction,
            batches, scan_batches, patch_batches, sequence_batches, pipelines;
            losses, models (keras.ops alone: on any Keras backend)
running     training (a package: fit, predict, load), gradcam, export (and running what was exported), apply (to files)
doors       integrity, fetch, prepare (`hemokit data`); check (the exercises); course (`hemokit run`);
            doctor; runs (what `hemokit train | predict | evaluate` do); demo (the web page);
            cli (the command line); __main__

`import hemokit` itself imports nothing.
"""

__version__ = "0.1.0"
