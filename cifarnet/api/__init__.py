"""cifarnet in Python: train, load, predict, evaluate and draw, by the functions that the command line calls.

>>> import cifarnet
>>> config = {"data": {"source": "synthetic", "limit": 1000}, "training": {"schedule": {"n_s": 10}}}
>>> training = cifarnet.start(config, label="example")
>>> for record in training:
...     if record.validation:
...         print(record.step, record.validation.accuracy > 0.05)
0 True
2 True
4 True
6 True
8 True
10 True
12 True
14 True
16 True
18 True
20 True
>>> run = cifarnet.load("latest")
>>> run.status, run.settings.training.batch_size
('completed', 100)
>>> sorted(run.records)[:3]
['cycle', 'epoch', 'eta']
>>> run.records["validation_accuracy"].shape
(11,)
>>> import numpy as np
>>> images = np.zeros((2, 32, 32, 3), np.uint8)
>>> run.predict(images).shape
(2, 10)
>>> run.draw("curves").axes[0].get_ylabel()
'cost (loss + λ Σ W²)'

In a notebook, a run and a figure are shown as pictures, and `train`, `search`, `gradcheck` and `find_eta` have a bar.
"""

from cifarnet.api.calls import find_eta, gradcheck, search, start, train
from cifarnet.api.run import Run, load
from cifarnet.experiments.train import Training
from cifarnet.nn.model import Model

__all__ = ["Model", "Run", "Training", "find_eta", "gradcheck", "load", "search", "start", "train"]
