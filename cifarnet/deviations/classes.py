"""The deviations: each is a class that changes one step, and says how it comes about, how it shows, and the cure.

Of the classes of a group at most one is on; any others go together.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarnet.deviations.practice import Practice
from cifarnet.nn.losses import L2
from cifarnet.nn.network import Array, Buffers, parameter_count
from cifarnet.nn.random import generator
from cifarnet.nn.schedules import Schedule


class L2Halved(Practice):
    """The L2 term's gradient is lambda W instead of 2 lambda W."""

    origin = "The derivative of lambda W^2 is taken to be lambda W, as for a cost with lambda / 2."
    sign = "Everything is as with half of lambda; a gradient check with lambda > 0 fails for the weights."
    cure = "Add 2 * lam * W to the gradient of each W."
    group = "l2"

    def decay(self, l2: L2, batch_size: int, n: int) -> float:
        return l2.lam


class L2PerBatch(Practice):
    """The L2 term's gradient is divided by the batch size."""

    origin = "The data term's sum and the L2 term are added up first, and their sum is divided by the batch size."
    sign = "Lambda hardly matters; the best one seems to be as many times too large as a batch has images."
    cure = "Divide the data term alone, and add 2 * lam * W after that."
    group = "l2"

    def decay(self, l2: L2, batch_size: int, n: int) -> float:
        return l2.decay / batch_size


class L2PerImage(Practice):
    """The L2 term's gradient is divided by the number of training images."""

    origin = "The L2 term is divided by n, as in books that define the cost with lambda / n."
    sign = "No lambda of the usual range changes anything."
    cure = "Add 2 * lam * W, whatever the number of images is."
    group = "l2"

    def decay(self, l2: L2, batch_size: int, n: int) -> float:
        return l2.decay / n


class L2Missing(Practice):
    """The gradient has no L2 term, although the cost has one."""

    origin = "The L2 term is added to the cost alone."
    sign = "Every lambda gives the same accuracy; the cost grows by lambda times the sum of the squared weights."
    cure = "Add 2 * lam * W to the gradient of each W."
    group = "l2"

    def decay(self, l2: L2, batch_size: int, n: int) -> float:
        return 0.0


class L2OnBiases(Practice):
    """The L2 term's gradient is of the biases, too."""

    origin = "The term is added for all parameters in one loop, or by an optimizer's weight decay."
    sign = "The biases stay closer to 0; accuracy hardly changes, a gradient check fails for the biases alone."
    cure = "Add the L2 term to the gradients of the weights alone."

    def decayed(self, sizes: tuple[int, ...]) -> int:
        return parameter_count(sizes)


class GradientSummed(Practice):
    """The gradient of the loss is a sum over the images of a batch instead of their mean."""

    origin = "The division by the number of images is forgotten after G X'."
    sign = "As with an eta as many times too large as a batch has images: the cost is not finite, or jumps."
    cure = "Divide the gradients of the data term by the batch size."

    def scale(self, scale: float, n: int) -> float:
        return scale * n


class ReluUnmasked(Practice):
    """The gradient passes hidden nodes that are off."""

    origin = "The line that multiplies G by (H > 0) is missing in the backward pass."
    sign = "It trains, but several points worse; a gradient check fails for the first layers and not for the last."
    cure = "Set the gradient to 0 where the hidden value is 0, before that of the layer below."
    rectifies = False


class BiasesFixed(Practice):
    """The biases are not updated: they stay as they start."""

    origin = "The update of b is forgotten, or makes a new array that nothing uses."
    sign = "The biases at the end are those at the start; the accuracy is a little lower."
    cure = "Update each b as each W."

    def finish(self, gradient: Buffers) -> None:
        for gb in gradient.layers[1]:
            gb[:] = 0


class FirstStepOne(Practice):
    """The schedule's first update is t = 1 instead of 0."""

    origin = "The counter is increased before the learning rate is computed, or counts from 1."
    sign = "Eta is that of the next update throughout; only the first points of a curve can show it."
    cure = "Compute eta from t = 0 at the first update, and increase t after it."

    def eta(self, schedule: Schedule, step: int, epoch: int) -> float:
        return schedule.eta(step + 1, epoch)


class StatisticsOfSplit(Practice):
    """Training, validation and test images are each normalised by their own mean and standard deviation."""

    origin = "One function loads and normalises a file or a split by what it finds there."
    sign = "Accuracies differ by some tenths of a point; a single image could not be classified."
    cure = "Keep the mean and standard deviation of the training images and use them for all splits."
    place, group = "inputs", "statistics"
    basis = "split"


class StatisticsOfFile(Practice):
    """Each batch file is normalised by its own mean and standard deviation."""

    origin = "The function that loads a batch file also normalises it."
    sign = "As with the statistics of each split; with several training batches, each has others."
    cure = "Load all files first; normalise them by the mean and standard deviation of the training images."
    place, group = "inputs", "statistics"
    basis = "file"


class StatisticsOfImage(Practice):
    """Each image is normalised by the mean and standard deviation of its own values."""

    origin = "The mean is taken along axis 0 of an array whose columns are the images."
    sign = "After one cycle, the training accuracy is four points too high, and the test accuracy half a point too low."
    cure = "Name the axis of the images: one mean and standard deviation for each of the 3072 inputs."
    place, group = "inputs", "statistics"
    basis = "image"


class StatisticsOfAll(Practice):
    """The mean and standard deviation are those of the training, validation and test images together."""

    origin = "All images are put into one array, which is normalised before it is split."
    sign = "Nothing that an accuracy would show; the test images are no longer unseen."
    cure = "Split first; compute mean and standard deviation of the training images."
    place, group = "inputs", "statistics"
    basis = "all images"


class OneStatistic(Practice):
    """One mean and one standard deviation for all inputs, instead of one for each."""

    origin = "np.mean(X) and np.std(X) are called without an axis."
    sign = "It trains a little more slowly, as the inputs keep their own means and spreads."
    cure = "Name the axis of the images: one mean and standard deviation for each of the 3072 inputs."
    place = "inputs"

    def statistics(self, mean: Array, std: Array) -> tuple[Array, Array]:
        one = mean.mean()
        spread = np.sqrt((std**2 + (mean - one) ** 2).mean())
        return np.full_like(mean, one), np.full_like(std, spread)


class BiasesDrawn(Practice):
    """The biases start at random, with the standard deviation of their layer's weights, instead of at 0."""

    origin = "The same call draws W and b."
    sign = "The initial cost is a little higher; nothing else after some updates."
    cure = "Start each b at 0."
    place = "start"
    draws_biases = True


class SameOrder(Practice):
    """The images are shuffled once, and every epoch has that order."""

    origin = "The shuffle stands before the loop over the epochs, or its seed is set in every epoch."
    sign = "Accuracy is some tenths of a point lower where there are many epochs."
    cure = "Draw a new permutation at the start of every epoch."
    place, group = "order", "order"

    def order(self, n: int, shuffle: bool, seed: int, epoch: int) -> NDArray[np.intp]:
        return super().order(n, shuffle, seed, 0)


class WithReplacement(Practice):
    """The images of a batch are drawn at random each time, so that an epoch misses a third of them."""

    origin = "Batches are drawn by randint or choice, which put the images back."
    sign = "Accuracy and cost vary a little more; nothing else."
    cure = "Cut a permutation of all images into batches."
    place, group = "order", "order"

    def order(self, n: int, shuffle: bool, seed: int, epoch: int) -> NDArray[np.intp]:
        return generator(seed, "shuffle", epoch).integers(n, size=n)


class LastBatch(Practice):
    """The images that are left over in an epoch make a smaller last batch, instead of being left out."""

    origin = "The loop goes on to the last image, as in most libraries."
    sign = "An epoch has one update more where the batch size does not divide n; no effect otherwise."
    cure = "Take floor(n / batch_size) updates an epoch; or state that the last batch is smaller."
    place = "batches"

    def updates_of_epoch(self, n: int, batch_size: int) -> int:
        return -(-n // batch_size)


class BestEpoch(Practice):
    """What is printed is of the network that was best on the validation images at the end of an epoch."""

    origin = "The largest value of a curve is printed, or the best parameters are kept on the way."
    sign = "Validation accuracy is a point too high, by selection; the test accuracy is less so."
    cure = "Print the numbers of the last update, or say that they are of the best epoch."
    place, group = "results", "best"
    keeps_best = True

    def chooses(self, ends_epoch: bool, ends_cycle: bool) -> bool:
        return ends_epoch


class BestCycle(Practice):
    """What is printed is of the network that was best on the validation images at the end of a cycle."""

    origin = "The networks at the ends of the cycles are compared, and the best one is kept."
    sign = "Validation accuracy is some tenths of a point too high, where there are several cycles."
    cure = "Print the numbers of the last update, or say that they are of the best cycle."
    place, group = "results", "best"
    keeps_best = True

    def chooses(self, ends_epoch: bool, ends_cycle: bool) -> bool:
        return ends_cycle


class ValidationAsTest(Practice):
    """The values of the validation images are printed as those of the test images."""

    origin = "The wrong variable is printed, or one batch serves as both."
    sign = "The test accuracy is that of the validation images to the last digit."
    cure = "Evaluate the network on test_batch, once, at the end."
    place = "results"

    def results(self, results: dict[str, Any]) -> dict[str, Any]:
        found = {name: results[name.replace("test_", "validation_")] for name in results if name.startswith("test_")}
        return results | found


class CyclesAsEpochs(Practice):
    """The training ends after as many epochs as there should be cycles."""

    origin = "The number of cycles is given to the parameter that counts epochs."
    sign = "A much shorter training, which may end in the middle of a cycle; the last eta is not eta_min."
    cure = "Train for 2 n_s updates for each cycle."
    place, group = "length", "length"

    def updates(self, schedule: Schedule, epoch: int, batch_size: int) -> int:
        return schedule.repeats[0] * epoch


class EpochsAsCycles(Practice):
    """The training has as many cycles as there should be epochs."""

    origin = "The number of epochs is given to the parameter that counts cycles."
    sign = "A training that is many times as long as stated."
    cure = "Train for n_epochs * floor(n / batch_size) updates."
    place, group = "length", "length"

    def updates(self, schedule: Schedule, epoch: int, batch_size: int) -> int:
        return schedule.length(epoch) * max(1, schedule.updates(epoch) // epoch)


class EpochsByBatchSize(Practice):
    """The number of epochs is that of updates divided by the batch size, not by the updates of an epoch."""

    origin = "It is right for the 10,000 images of one batch file, where an epoch has 100 updates of 100 images."
    sign = "The more images, the longer the training: 4.5 times as long with 45,000 of them in batches of 100."
    cure = "Train for 2 n_s updates for each cycle; an epoch has floor(n / batch_size) of them."
    place, group = "length", "length"

    def updates(self, schedule: Schedule, epoch: int, batch_size: int) -> int:
        return max(1, schedule.updates(epoch) // batch_size) * epoch


def key(deviation: type[Practice]) -> str:
    """Return the switch of a deviation: l2_per_batch is L2PerBatch's."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", deviation.__name__).lower()


DEVIATIONS = {key(deviation): deviation for deviation in Practice.__subclasses__()}
