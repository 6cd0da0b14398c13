"""A study of a seventh report, those that are shipped, and curves, for the tests of several rooms."""

from functools import cache
from types import SimpleNamespace

import numpy as np

from cifarnet import config
from cifarnet.studies import read_studies, read_study
from cifarnet.studies.figures import Curve

SHIPPED = {path.stem: path for path in sorted((config.folder() / "reports").glob("*.yaml"))}


@cache
def every():
    """All studies of a folder; reading them takes two seconds."""
    return read_studies()


@cache
def shipped(name):
    return next((study for study in every() if study.id == name), None) or read_study(SHIPPED[name])


STUDY = """
title: A seventh report
author: N. N.
year: 2021
exhibits:
  - id: gradient
    title: Gradient check
    place: Section 1
    settings: {data: {train: [1], validation: 100, dims: 20, limit: 200}}
    rows:
      - id: first
        title: 5 images
        check: {methods: [forward, centred], samples: 5, step: 1e-6}
        stated: {check.samples: "5"}
        reported:
          - {text: "1e-6", measure: norm_relative_error, method: forward, parameter: W1}
          - {text: "1e-7", measure: max_absolute_error, method: centred, bound: true}
  - id: runs
    title: Two trainings
    place: Section 2
    settings:
      data: {train: [1], validation: 100, dims: 20, limit: 200}
      network: {hidden: [8]}
      training: {batch_size: 20, schedule: {kind: cyclic, n_s: 10, cycles: 1}}
      evaluation: {per_cycle: 4}
    figures: [cost, loss, accuracy, eta, lambda]
    x: epoch
    sample: {low: -4, high: -2, trials: 1, seed: 1}
    rows:
      - id: small
        title: lambda 0.01
        settings: {training: {lambda: 0.01}}
        stated: {training.lambda: ["0.01", "-2"], derived.epochs: "2"}
        reported:
          - {text: 46 %, measure: test_accuracy}
          - {text: 3 min 10 sec, measure: seconds, reason: a time depends on the machine}
      - id: mean
        title: recorded from the batches
        settings: {training: {lambda: 0.01}, evaluation: {train_cost: running_mean}}
        reported:
          - {text: "0.1000", measure: test_accuracy}
    other:
      - {text: "7", what: something else, reason: no result}
  - id: templates
    title: One layer
    place: Section 3
    settings:
      data: {train: [1], validation: 100, limit: 200}
      network: {hidden: []}
      training: {schedule: {kind: constant, epochs: 2}}
    figures: [loss, templates]
    rows:
      - {id: one, title: one layer}
claims:
  - {says: They are alike., place: Section 3, expect: alike, measure: test_accuracy, rows: [runs/small, runs/mean]}
"""


def recorded(values, xs=(0.0, 1.0, 2.0)):
    return SimpleNamespace(records={"step": np.array(xs), "epoch": np.array(xs), "train_accuracy": np.array(values)})


def curve(x, y, measure="accuracy", reading=0.0):
    return Curve("runs/small", measure, "train", np.array(x, float), np.array(y, float), reading)
