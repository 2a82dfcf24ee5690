"""The classical models of the papers on whole slices: scikit-learn and XGBoost, no network.

    pixels = read_pixels(table)                          # uint8 (slices, height * width)
    features = build_features(pixels)                    # rotated once, and small pixels for the trees
    predictions = cross_predict("svm_rbf", features, seven_way(table), table)
    tuned = cross_predict_tuned("svm_rbf", features, seven_way(table), table, method="tpe")

pixels      slices as rows of 8-bit pixels
rotation    262,144 pixels to at most as many coordinates as there are slices, without changing an answer
features    what a model is given: the coordinates, or small pixels
estimators  what scikit-learn lacks so that coordinates give the answers of the pixels
models      `MODELS`: every model by name
running     predictions out of fold, by patient
workers     one process, several, or a Dask cluster for the fits
searches    all of a grid, halving, TPE: for any estimator, on given folds
tuning      the search for a model's settings on folds by patient, and predictions with it inside each fold
"""

from hemokit.baselines.features import Features, build_features
from hemokit.baselines.models import MODELS
from hemokit.baselines.pixels import Pixels, read_pixels
from hemokit.baselines.rotation import ExactRotation
from hemokit.baselines.running import cross_predict, fit_predict
from hemokit.baselines.searches import Score
from hemokit.baselines.tuning import Tuned, cross_predict_tuned, tune

__all__ = [
    "MODELS",
    "ExactRotation",
    "Features",
    "Pixels",
    "Score",
    "Tuned",
    "build_features",
    "cross_predict",
    "cross_predict_tuned",
    "fit_predict",
    "read_pixels",
    "tune",
]
