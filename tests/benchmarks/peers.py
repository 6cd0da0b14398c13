"""The same training in each library: `python peers.py NAME` answers lines of JSON, so that one script drives them all.

{"m": 50, "batch": 100, "k": 200} makes a network of m hidden nodes and its images, trains k updates to warm up, and
answers the norms of its weights; {"times": 5} trains 5 k more and answers the seconds. All start from the same
weights and take the same batches, the same eta at each step (scikit-learn: the mean of them) and the same L2 term.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np

from cifarnet.config import Settings
from cifarnet.data import Dataset, Pixels, Split
from cifarnet.nn.network import initialize, views
from cifarnet.nn.random import generator
from cifarnet.nn.schedules import Cyclic
from cifarnet.training import State, cores, train_lockstep

N, D, K = 20_000, 3072, 10
SEED, LAM = 1, 0.001
CORES = cores()
SCHEDULE = Cyclic(n_s=500, cycles=10**6, eta_max=1e-2)


class Task(NamedTuple):
    """A network of m hidden nodes, its weights, and what it trains on: pixels, and the same normalised, as floats."""

    m: int
    batch: int
    k: int
    pixels: Any
    X: Any
    y: Any
    Ws: list[Any]

    def batches(self) -> Iterator[Any]:
        """Indices of the images of one batch after the other: those of cifarnet's first epoch, over and over."""
        order = generator(SEED, "shuffle", 0).permutation(N)
        return cycle(order[: N // self.batch * self.batch].reshape(-1, self.batch))

    def steps(self) -> Iterator[tuple[float, Any]]:
        """eta and batch of one update after the other."""
        return ((SCHEDULE.eta(step, 1), batch) for step, batch in enumerate(self.batches()))


Trainer = Callable[[int], None]  # trains this many updates
Norms = Callable[[], list[float]]


def norms(*Ws: Any) -> list[float]:
    return [float(np.linalg.norm(np.asarray(W, dtype=np.float64))) for W in Ws]


def ours(task: Task, threads: int, lockstep: int = 1) -> tuple[Trainer, Norms]:
    """The product's own loop, on this many threads, of this many trainings in lockstep."""
    split, few = Split(task.pixels, task.y), Split(task.X[:10], task.y[:10])
    settings = Settings.model_validate(
        {
            "seed": SEED,
            "data": {"train": "all", "validation": 1000},
            "network": {"hidden": [task.m]},
            "training": {"batch_size": task.batch, "lambda": LAM, "schedule": SCHEDULE.model_dump()},
            "evaluation": {"per_cycle": 1},
        }
    )
    states = [State.initial(settings) for _ in range(lockstep)]
    group, images = [settings] * lockstep, Dataset.of(split, few, few)
    records = train_lockstep(states, images, group, threads, train_scores=False)
    next(records)

    def run(k: int) -> None:
        for _ in islice(records, k // lockstep):
            pass

    def measure() -> list[float]:
        time.sleep(0.1)  # a thread may still be at the last update
        return norms(*views(states[0].theta, settings.sizes)[0])

    return run, measure


def cifarnet(task: Task) -> tuple[Trainer, Norms]:
    return ours(task, CORES)


def cifarnet_1_thread(task: Task) -> tuple[Trainer, Norms]:
    return ours(task, 1)


def cifarnet_search(task: Task) -> tuple[Trainer, Norms]:
    """Trials as a search of many runs them, four in lockstep on each core; k updates are k of all of them together."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(CORES)
    made = [ours(task, 1, lockstep=4) for _ in range(CORES)]

    def run(k: int) -> None:
        each = 4 * -(-k // (4 * CORES))
        started = time.perf_counter()
        list(pool.map(lambda one: one[0](each), made))
        run.seconds = (time.perf_counter() - started) * k / (each * CORES)  # type: ignore[attr-defined]

    return run, made[0][1]


def naive(task: Task) -> tuple[Trainer, Norms]:
    """The loop that a student writes: float64, everything allocated anew."""
    (W1, W2), b1, b2 = (W.astype(float) for W in task.Ws), np.zeros(task.m), np.zeros(K)
    X_all, Y_all = task.X.astype(float), np.eye(K)[task.y]
    steps = task.steps()

    def run(k: int) -> None:
        nonlocal W1, W2, b1, b2
        for eta, batch in islice(steps, k):
            X, Y = X_all[batch], Y_all[batch]
            H = np.maximum(0, X @ W1 + b1)
            S = H @ W2 + b2
            P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
            G = P - Y
            grad_W2 = H.T @ G / len(X) + 2 * LAM * W2
            grad_b2 = G.mean(axis=0)
            G = (G @ W2.T) * (H > 0)
            grad_W1 = X.T @ G / len(X) + 2 * LAM * W1
            grad_b1 = G.mean(axis=0)
            W1, W2, b1, b2 = W1 - eta * grad_W1, W2 - eta * grad_W2, b1 - eta * grad_b1, b2 - eta * grad_b2

    return run, lambda: norms(W1, W2)


def numpy(task: Task) -> tuple[Trainer, Norms]:
    """What NumPy alone can do: the same arithmetic as ours in float32, with buffers, on the BLAS's own threads."""
    return numpy_loop(task, CORES)


def numpy_1_thread(task: Task) -> tuple[Trainer, Norms]:
    """The same on one thread, to hold a single thread of ours against."""
    return numpy_loop(task, 1)


def numpy_loop(task: Task, threads: int) -> tuple[Trainer, Norms]:
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads, user_api="blas")
    W1, W2 = (W.copy() for W in task.Ws)
    b1, b2, rows, steps = np.zeros(task.m, np.float32), np.zeros(K, np.float32), np.arange(task.batch), task.steps()
    X, H, G1 = (np.empty((task.batch, width), np.float32) for width in (D, task.m, task.m))
    P, g1, g2 = np.empty((task.batch, K), np.float32), np.empty_like(W1), np.empty_like(W2)

    def run(k: int) -> None:
        for eta, batch in islice(steps, k):
            np.take(task.X, batch, axis=0, out=X, mode="clip")
            np.maximum(np.add(np.matmul(X, W1, out=H), b1, out=H), 0, out=H)
            np.add(np.matmul(H, W2, out=P), b2, out=P)
            P[:] -= P.max(axis=1, keepdims=True)
            np.exp(P, out=P)
            P[:] /= P.sum(axis=1, keepdims=True)
            P[rows, task.y[batch]] -= 1
            P[:] *= eta / task.batch
            np.multiply(np.matmul(P, W2.T, out=G1), H > 0, out=G1)
            for W, b, inputs, G, g in ((W1, b1, X, G1, g1), (W2, b2, H, P, g2)):
                W *= 1 - 2 * eta * LAM
                W -= np.matmul(inputs.T, G, out=g)
                b -= G.sum(axis=0)

    return run, lambda: norms(W1, W2)


def pytorch(task: Task) -> tuple[Trainer, Norms]:
    """Eager, with what was fastest here: fused SGD, batches gathered into one buffer, gradients set to None."""
    import torch

    torch.set_num_threads(CORES)
    X_all, y_all, X = torch.from_numpy(task.X), torch.from_numpy(task.y), torch.empty(task.batch, D)
    first, second = torch.nn.Linear(D, task.m), torch.nn.Linear(task.m, K)
    with torch.no_grad():
        for layer, W in zip((first, second), task.Ws, strict=True):
            layer.weight.copy_(torch.from_numpy(W).T)
            layer.bias.zero_()
    model, loss = torch.nn.Sequential(first, torch.nn.ReLU(), second), torch.nn.CrossEntropyLoss()
    groups = [
        {"params": [first.weight, second.weight], "weight_decay": 2 * LAM},
        {"params": [first.bias, second.bias]},
    ]
    optimizer, steps = torch.optim.SGD(groups, lr=0.1, fused=True), task.steps()

    def run(k: int) -> None:
        for eta, batch in islice(steps, k):
            for group in optimizer.param_groups:
                group["lr"] = eta
            chosen = torch.from_numpy(batch)
            torch.index_select(X_all, 0, chosen, out=X)
            optimizer.zero_grad(set_to_none=True)
            loss(model(X), y_all[chosen]).backward()
            optimizer.step()

    return run, lambda: norms(first.weight.detach(), second.weight.detach())


def pytorch_by_hand(task: Task) -> tuple[Trainer, Norms]:
    """The gradient written out, without autograd: torch's tensors as a faster NumPy."""
    import torch

    torch.set_num_threads(CORES)
    X_all, y_all, X = torch.from_numpy(task.X), torch.from_numpy(task.y), torch.empty(task.batch, D)
    W1, W2 = (torch.from_numpy(W.copy()) for W in task.Ws)
    b1, b2, rows = torch.zeros(task.m), torch.zeros(K), torch.arange(task.batch)
    H, S, steps = torch.empty(task.batch, task.m), torch.empty(task.batch, K), task.steps()

    @torch.inference_mode()
    def run(k: int) -> None:
        for eta, batch in islice(steps, k):
            decay, chosen = 1 - 2 * eta * LAM, torch.from_numpy(batch)
            torch.index_select(X_all, 0, chosen, out=X)
            torch.addmm(b1, X, W1, out=H).relu_()
            G = torch.softmax(torch.addmm(b2, H, W2, out=S), 1)
            G[rows, y_all[chosen]] -= 1
            G *= eta / task.batch
            GH = (G @ W2.T).mul_(H > 0)
            W2.addmm_(H.T, G, beta=decay, alpha=-1)
            b2.sub_(G.sum(0))
            W1.addmm_(X.T, GH, beta=decay, alpha=-1)
            b1.sub_(GH.sum(0))

    return run, lambda: norms(W1, W2)


def jax(task: Task) -> tuple[Trainer, Norms]:
    """Compiled whole: a scan over k updates, the parameters given away to be overwritten."""
    import jax
    import jax.numpy as jnp

    X_all, y_all, steps = jnp.asarray(task.X), jnp.asarray(task.y), task.steps()
    W1, W2 = map(jnp.asarray, task.Ws)
    parameters = (W1, W2, jnp.zeros(task.m), jnp.zeros(K))

    def cost(parameters: Any, X: Any, y: Any) -> Any:
        W1, W2, b1, b2 = parameters
        S = jax.nn.log_softmax(jax.nn.relu(X @ W1 + b1) @ W2 + b2)
        return -jnp.take_along_axis(S, y[:, None], 1).mean() + LAM * ((W1**2).sum() + (W2**2).sum())

    @partial(jax.jit, donate_argnums=0)
    def scan(parameters: Any, etas: Any, batches: Any, X_all: Any, y_all: Any) -> Any:
        def update(parameters: Any, step: Any) -> Any:
            eta, batch = step
            gradient = jax.grad(cost)(parameters, X_all[batch], y_all[batch])
            return jax.tree.map(lambda p, g: p - eta * g, parameters, gradient), None

        return jax.lax.scan(update, parameters, (etas, batches))[0]

    def run(k: int) -> None:
        nonlocal parameters
        etas, batches = zip(*islice(steps, k), strict=True)
        etas32 = jnp.asarray(etas, jnp.float32)
        parameters = jax.block_until_ready(scan(parameters, etas32, jnp.asarray(np.stack(batches)), X_all, y_all))

    return run, lambda: norms(*parameters[:2])


def sklearn(task: Task) -> tuple[Trainer, Norms]:
    """MLPClassifier.partial_fit, a call of k updates in its own random order, the inputs not checked for NaN."""
    import warnings

    import sklearn
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    sklearn.set_config(assume_finite=True)
    eta = float(np.mean([SCHEDULE.eta(step, 1) for step in range(1000)]))
    model = MLPClassifier(
        (task.m,), solver="sgd", batch_size=task.batch, alpha=2 * LAM * task.batch, learning_rate_init=eta, momentum=0
    )

    def run(k: int) -> None:
        n = k * task.batch
        model.partial_fit(task.X[:n], task.y[:n], classes=range(K))

    return run, list


def limit(task: Task) -> tuple[Trainer, Norms]:
    """sgemm alone, as fast as this machine's NumPy does it: k updates are as many operations as theirs."""
    size = 3072
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, size, size), np.float32)
    C = np.empty_like(A)

    def run(k: int) -> None:
        started = time.perf_counter()
        np.matmul(A, B, out=C)
        run.seconds = (time.perf_counter() - started) / (2 * size**3) * k * flop(task.m, task.batch)  # type: ignore[attr-defined]

    return run, list


ALL = (limit, cifarnet, cifarnet_1_thread, cifarnet_search, numpy, numpy_1_thread, naive, pytorch, pytorch_by_hand, jax,
       sklearn)  # fmt: skip
PEERS = {f.__name__: f for f in ALL}
ONE_BLAS_THREAD = {"cifarnet", "cifarnet_1_thread", "cifarnet_search"}
BY_K = {"limit", "jax", "sklearn"}  # one product a call, compiled for k updates, epochs of k updates


def flop(m: int, batch: int) -> int:
    """Operations of the five matrix products of an update."""
    return 4 * batch * D * m + 6 * batch * m * K


def timed(train: Trainer, k: int) -> float:
    """Seconds of k updates."""
    started = time.perf_counter()
    train(k)
    return float(getattr(train, "seconds", time.perf_counter() - started))


def main(name: str) -> None:
    from threadpoolctl import threadpool_limits

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    values = np.random.default_rng(SEED).integers(256, size=(N, D), dtype=np.uint8)
    pixels = Pixels(values, np.full(D, 127.5, np.float32), np.full(D, 73.9, np.float32))
    X = np.asarray(pixels)
    y = np.random.default_rng(SEED).integers(K, size=N)
    with threadpool_limits(1 if name in ONE_BLAS_THREAD else CORES, user_api="blas"):
        for line in sys.stdin:
            order = json.loads(line)
            if "m" in order:
                sizes, m, batch, k = (D, order["m"], K), order["m"], order["batch"], order["k"]
                Ws = views(initialize(sizes, "xavier", generator(SEED, "init")), sizes)[0]
                train, measure = PEERS[name](Task(m, batch, k, pixels, X, y, Ws))
                train(k)
                answer: Any = {"norms": measure()}
            else:
                calls = [k * order["times"]] if name in ONE_BLAS_THREAD else [k] * order["times"]
                answer = {
                    "seconds": sum(timed(train, k) for k in calls)
                }  # libraries compile for k, or have epochs of k
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
