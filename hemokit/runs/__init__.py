"""What `hemokit train | predict | evaluate` do: a run on disk from data to report, each step a file of the one before.

    RUN_DIR/  run.json history.csv best.keras last.keras  (training.fit)
              predictions.csv histograms.npz judging.json (validation and test rows; thresholds from validation rows)
              panels.png                                  (some test slices, chosen by a rule)
              report/                                     (report.md, tables as CSV, figures)

Reading order: channels (which windows a model sees), data (folder -> split table), judging_facts (thresholds and origin
beside predictions), judging (tables), figures, reports (files), panels, settings, training, prediction; lesson_data,
recipes (what the lessons on segmentation share); classifiers, pretraining, classifier_lessons, looking (those on
classifiers and heat maps). Judging imports no Keras.
"""
