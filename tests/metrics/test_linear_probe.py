"""What a linear probe reads from features, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from forgetbench.metrics.linear_probe import FOLDS, probe_right, stratified_folds, unseen_folds


@pytest.mark.parametrize("n_classes", [2, 4])
def test_it_is_a_ridge_classifier_in_five_folds(n_classes: int) -> None:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(n_classes)
    labels = np.array([f"c{i % n_classes}" for i in range(70)])
    x = rng.normal(size=(70, 30))
    x[:, 0] += 1.5 * (np.arange(70) % n_classes)
    folds = np.zeros(70, dtype=int)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        folds[own] = np.arange(len(own)) % FOLDS
    expected = np.zeros(70, dtype=bool)
    for fold in range(FOLDS):
        test = folds == fold
        fitted = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1.0)).fit(x[~test], labels[~test])
        expected[test] = fitted.predict(x[test]) == labels[test]
    np.testing.assert_array_equal(probe_right(x, list(labels)), expected)


def test_noise_is_read_at_chance() -> None:
    right = probe_right(np.random.default_rng(0).normal(size=(400, 50)), [f"c{i % 4}" for i in range(400)])
    assert abs(right.mean() - 0.25) < 0.08


def test_a_recording_heard_in_two_conditions_is_in_one_fold() -> None:
    """Else it would be named by its own copy: the labels here are noise, and the copies are exact."""
    rng = np.random.default_rng(0)
    labels = [str(label) for label in rng.integers(0, 2, 100) for _ in range(2)]
    recordings = [i // 2 for i in range(200)]
    x = np.repeat(rng.normal(size=(100, 300)), 2, axis=0)
    folds = stratified_folds(labels, recordings)
    assert (folds[::2] == folds[1::2]).all() and np.ptp(np.bincount(folds)) <= 4
    assert probe_right(x, labels).mean() > 0.9, "by its copy"
    assert abs(probe_right(x, labels, folds).mean() - 0.5) < 0.15


def test_features_that_are_no_numbers_or_never_vary_are_rubbish_not_errors() -> None:
    labels = ["a", "b"] * 20
    assert probe_right(np.full((40, 3), np.nan), labels).mean() == 0.5
    assert not probe_right(np.ones((3, 2)), ["a", "b", "c"]).any()


def test_a_speaker_is_in_one_fold_whole_and_each_language_in_several() -> None:
    speakers = ["a", "b", "c", "d"] * 10
    labels = ["de" if speaker in "ab" else "fr" for speaker in speakers]
    folds = unseen_folds(labels, speakers)
    assert {s: set(folds[np.array(speakers) == s]) for s in "abcd"} == {
        "a": {0},
        "b": {1},
        "c": {0},
        "d": {1},
    }
    assert len(set(unseen_folds(["x", "y"], ["one", "one"]))) == 1, "whatever it says"


def test_speakers_who_all_say_the_same_words_share_the_folds_evenly_also_of_a_part() -> None:
    rng = np.random.default_rng(0)
    every = [(word, voice) for voice in "abcdefghij" for word in ("yes", "no", "up", "down")]
    drawn = [every[i] for i in sorted(rng.choice(len(every), 24, replace=False))]
    for said in (every, drawn):
        labels, voices = zip(*said, strict=True)
        folds = unseen_folds(labels, voices)
        n_voices = [len({v for v, f in zip(voices, folds, strict=True) if f == fold}) for fold in range(5)]
        assert n_voices == [2, 2, 2, 2, 2]
