"""One dense layer on features."""

import keras
import numpy as np
import pytest

from hemokit.checks import HemokitError
from hemokit.training.heads import fit_dense

FEATURES = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
CLASSES = (FEATURES[:, 0] > 0).astype(int)
HOW = {"num_classes": 2, "learning_rate": 0.1}


def test_it_learns():
    """What one feature tells is learned: probabilities of two classes, nearly all of them right."""
    head = fit_dense((FEATURES, CLASSES), (FEATURES, CLASSES), epochs=30, **HOW)
    found = head(FEATURES)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == CLASSES).mean() > 0.95


def test_the_best_epoch_counts():
    """Where the validation rows say the opposite, each epoch is worse than the one before: the first is taken."""
    opposite = (FEATURES, 1 - CLASSES)
    once = fit_dense((FEATURES, CLASSES), opposite, epochs=1, **HOW)(FEATURES)
    often = fit_dense((FEATURES, CLASSES), opposite, epochs=5, **HOW)(FEATURES)
    np.testing.assert_array_equal(often, once)


@pytest.mark.parametrize("patience, epochs, best", [(1, 2, 0), (2, 3, 0), (3, 4, 0), (4, 6, 4), (None, 6, 4)])
def test_patience(patience, epochs, best, monkeypatch):
    """Of the losses 1, 2, 3, 4, 0, 5, whoever waits for less than four epochs stops before the lowest."""
    losses, seen = iter([1, 2, 3, 4, 0, 5]), []

    def loss(classes, said):
        seen.append(np.asarray(said))
        return next(losses)

    monkeypatch.setattr("hemokit.training.heads._loss", loss)
    head = fit_dense((FEATURES, CLASSES), (FEATURES, CLASSES), epochs=6, patience=patience, **HOW)
    assert len(seen) == epochs
    np.testing.assert_allclose(head(FEATURES), seen[best], rtol=1e-6)
    assert not np.allclose(seen[0], seen[1])


def test_the_rate_and_the_optimizer_count():
    """At a rate of 0 nothing is learned, by Adam or by another optimizer, which brings its own rate."""
    still = fit_dense((FEATURES, CLASSES), (FEATURES, CLASSES), epochs=3, **HOW | {"learning_rate": 0.0})(FEATURES)
    sgd = keras.optimizers.SGD(0.0)
    for _ in range(2):  # a copy is used: it may be passed again
        own = fit_dense((FEATURES, CLASSES), (FEATURES, CLASSES), epochs=3, optimizer=sgd, **HOW)
    np.testing.assert_array_equal(own(FEATURES), still)
    named = fit_dense((FEATURES, CLASSES), (FEATURES, CLASSES), epochs=3, optimizer="sgd", **HOW)
    assert not np.allclose(named(FEATURES), still)
    assert not np.allclose(fit_dense((FEATURES, CLASSES), (FEATURES, CLASSES), epochs=3, **HOW)(FEATURES), still)


def test_weights_of_rows_count():
    """Rows of weight 0 are not learned from."""
    wrong = np.concatenate([FEATURES, FEATURES]), np.concatenate([CLASSES, 1 - CLASSES]), np.repeat([1.0, 0.0], 40)
    found = fit_dense(wrong, (FEATURES, CLASSES), epochs=30, **HOW)(FEATURES)
    assert (found.argmax(axis=1) == CLASSES).mean() > 0.95


def test_features_that_are_not_finite():
    """A loss that is no number ends the training."""
    with pytest.raises(HemokitError, match="the validation loss of epoch 1 is nan, but expected a finite number"):
        fit_dense((FEATURES * np.nan, CLASSES), (FEATURES, CLASSES), epochs=2, **HOW)


def test_validation_rows_have_no_weights():
    """They count alike."""
    with pytest.raises(HemokitError, match="validation data of 3 arrays, but expected"):
        fit_dense((FEATURES, CLASSES), (FEATURES, CLASSES, CLASSES), epochs=1, **HOW)
