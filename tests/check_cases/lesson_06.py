"""Plausible wrong answers to the exercises of lesson 06."""

import numpy as np
from sklearn.metrics import balanced_accuracy_score

from check_cases import Case

COUNTS = np.array([120, 30, 9, 41])


def _parts(parts):
    return (parts == part for part in ("train", "validation", "test"))


def scaled_twice(images, labels, parts, fit):
    images = 255 * images
    train, validation, test = _parts(parts)
    model = fit(images[train], labels[train], images[validation], labels[validation])
    return balanced_accuracy_score(labels[test], model(images[test]))


def stopped_on_test(images, labels, parts, fit):
    train, _, test = _parts(parts)
    model = fit(images[train], labels[train], images[test], labels[test])
    return balanced_accuracy_score(labels[test], model(images[test]))


def accuracy(images, labels, parts, fit):
    train, validation, test = _parts(parts)
    model = fit(images[train], labels[train], images[validation], labels[validation])
    return (model(images[test]) == labels[test]).mean()


def judged_on_validation(images, labels, parts, fit):
    train, validation, _ = _parts(parts)
    model = fit(images[train], labels[train], images[validation], labels[validation])
    return balanced_accuracy_score(labels[validation], model(images[validation]))


CASES = {
    "q06_1": Case(wrong=((14336, 42247), (14343, 41856), (2048 + 7, 32 + 256 + 128 + 7), 14343)),
    "q06_2": Case(
        given=(COUNTS,), wrong=(COUNTS / COUNTS.sum(), 1 / COUNTS, COUNTS.max() / COUNTS, COUNTS.sum() / COUNTS)
    ),
    "q06_3": Case(wrong=(scaled_twice, stopped_on_test, accuracy, judged_on_validation)),
}
