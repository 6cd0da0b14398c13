"""Several networks as one: the arithmetic on a table by hand, and the command's way over real folders of tiny runs."""

import numpy as np
import pytest

from cifarnet import config, data, ensembles, evaluation, experiment, runs
from cifarnet.data.jitter import mirror
from cifarnet.errors import RunError

TINY = ("data.limit=300", "training.schedule.n_s=3", "training.schedule.cycles=3", "network.hidden=[5]")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two runs of three cycles of 6 updates on synthetic images, of other seeds and other training images."""
    paths = []
    for seed, validation in ((1, 50), (2, 60)):
        settings = config.load("quick", [*TINY, f"data.validation={validation}"], seed=seed)
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
