"""Several networks as one: the arithmetic on a table by hand, and the command's way over real folders of tiny runs."""

import functools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from cifarnet import config, data, ensembles, evaluation, experiment, plots, runs
from cifarnet.cli.evaluate import evaluate
from cifarnet.data.jitter import mirror, variants
from cifarnet.errors import RunError

TINY = ("data.limit=300", "training.schedule.n_s=3", "training.schedule.cycles=3", "network.hidden=[5]")


@pytest.fixture(scope="module", autouse=True)
def light():
    """Images are made once for all tests, and figures written as empty files, which is what takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", functools.lru_cache(data.load))
        patch.setattr(plots, "render", lambda figure, kind: b"")
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two runs of three cycles of 6 updates on synthetic images, of other seeds and other training images."""
    paths = []
    for seed, validation in ((1, 50), (2, 60)):
        settings = config.load("quick", [*TINY, f"data.validation={validation}"], seed=seed, label=f"seed-{seed}")
        dataset = data.load(settings.data)
        run = experiment.start(settings, dataset, tmp_path_factory.mktemp("runs"))
        assert list(experiment.execute(settings, dataset, run))
        paths.append(run.path)
    return paths


def test_growth_by_hand():
    """Three networks on two images: by mean 1 of 2 and then both, by vote a tie that the mean decides."""
    Ps = np.array([[[0.6, 0.4], [0.3, 0.7]], [[0.1, 0.9], [0.4, 0.6]], [[0.3, 0.7], [0.9, 0.1]]])
    rows = evaluation.growth(Ps, np.array([1, 1]))
    assert [row["members"] for row in rows] == [1, 2, 3]
    assert [row["mean_probability"] for row in rows] == [0.5, 1.0, 0.5]  # means .6; .65, .65; .67, .47
    assert [row["majority_vote"] for row in rows] == [0.5, 1.0, 1.0]


def test_the_ends_of_cycles_are_the_members(folders):
    """The latest first, and the ensemble of the one latest cycle is the run's own network."""
    team = ensembles.members(folders, cycles=True)
    assert [member.file[-5] for member in team] == list("321321")
    found = ensembles.evaluate(folders[:1], "test", cycles=True)
    assert found.name == "ensemble-test"
    assert found.summary["by_members"][0]["mean_probability"] == found.summary["members"][0]["accuracy"]
    assert found.summary["members"][0]["accuracy"] == experiment.evaluate(folders[0], "test").summary["accuracy"]
    assert (folders[0] / "figures" / "members-ensemble-test.png").is_file()


def test_every_run_sees_its_own_normalisation(folders):
    """Runs on other training images: each member's accuracy is that of the run by itself."""
    found = ensembles.evaluate(folders, "test")
    alone = [experiment.evaluate(path, "test").summary["accuracy"] for path in folders]
    assert [member["accuracy"] for member in found.summary["members"]] == alone
    assert found.summary["n"] == 10_000


def test_splits_that_differ_are_refused(folders):
    """Validation images of other sizes are no common ground."""
    with pytest.raises(RunError, match=r"has other validation images than .* take --split test"):
        ensembles.evaluate(folders, "validation")


def test_flips_average_an_image_and_its_mirror_image(folders):
    """The accuracy is that of (P(x) + P(mirrored x)) / 2 worked apart; mirrored twice is the image itself."""
    settings = config.saved(folders[0] / "config.yaml")
    X, y = data.load(settings.data).test
    assert np.array_equal(mirror(mirror(X)), X)
    theta = runs.read_arrays(folders[0] / "model.npz", ["theta"])["theta"]
    mirrored = X.reshape(-1, 3, 32, 32)[:, :, :, ::-1].reshape(len(X), -1)
    P = sum(evaluation.outcomes(theta, settings.sizes, images, y)[0] for images in (X, mirrored))
    found = ensembles.evaluate(folders[:1], "test", flips=True)
    assert found.summary["accuracy"] == pytest.approx((P.argmax(axis=1) == y).mean(), abs=2e-4)
    assert "members" not in found.summary


@pytest.mark.parametrize(("flips", "count"), [(False, 9), (True, 18)])
def test_variants_are_moved_in_every_way_by_reflection(flips, count):
    """Each way once, what enters mirrored at the edge, and the images themselves among them."""
    X = np.random.default_rng(0).standard_normal((2, 3072)).astype(np.float32)
    found = list(variants(X, flips=flips, shifts=1))
    assert len({v.tobytes() for v in found}) == len(found) == count
    assert any(np.array_equal(v, X) for v in found)
    down = X.reshape(-1, 3, 32, 32)[:, :, [1, *range(31)]].reshape(X.shape)  # the row above the first is the second
    assert any(np.array_equal(v, down) for v in found)


def test_shifts_average_all_places_of_an_image(folders):
    """The accuracy is that of the mean over 25 places and their mirror images, worked apart on all images at once."""
    settings = config.saved(folders[0] / "config.yaml")
    X, y = data.load(settings.data).test
    theta = runs.read_arrays(folders[0] / "model.npz", ["theta"])["theta"]
    seen = (evaluation.outcomes(theta, settings.sizes, v, y)[0] for v in variants(X, flips=True, shifts=2))
    P = np.sum(list(seen), axis=0)
    found = ensembles.evaluate(folders[:1], "test", flips=True, shifts=2)
    assert found.summary["accuracy"] == pytest.approx((P.argmax(axis=1) == y).mean(), abs=2e-4)
    assert found.name == "flips-shifts-2-test"


def test_the_command_shows_every_member(folders):
    """A line for each network with the accuracy so far, by --json the same numbers."""
    arguments = [*map(str, folders), "--flips", "--quiet"]
    printed = CliRunner().invoke(evaluate, arguments).stdout
    found = json.loads(CliRunner().invoke(evaluate, [*arguments, "--json"]).stdout)
    assert "members-flips-ensemble-test.png" in printed
    for path, member, so_far in zip(folders, found["members"], found["by_members"], strict=True):
        [line] = [line for line in printed.splitlines() if line.startswith(path.name)]
        percent = [f"{member['accuracy']:.2%}", *(f"{so_far[k]:.2%}" for k in ("mean_probability", "majority_vote"))]
        assert line.split()[-3:] == percent
    assert found["accuracy"] == pytest.approx(found["by_members"][-1]["mean_probability"], abs=2e-4)
