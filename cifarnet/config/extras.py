"""What the assignments leave as a bonus: schedules, optimisers, dropout and jitter, all of it off by default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cifarnet.config.model import Count, Model, Rate

Share = Annotated[float, Field(ge=0, lt=1)]
Growth = Annotated[int, Field(ge=1, le=10)]
Spread = Annotated[float, Field(ge=0, le=1)]


class Anneal(Model):
    """From eta_max down to eta_min, straight or as half a cosine; then, with more cycles, again from the top."""

    kind: Literal["linear", "cosine"]
    epochs: Count = Field(40, description="Length of the first cycle.")
    cycles: Count = 1
    cycle_growth: Growth = Field(1, description="Each cycle is so many times as long as the one before.")
    eta_min: Rate = 1e-5
    eta_max: Rate = 1e-1


class Sgd(Model):
    """theta -= eta * gradient."""

    kind: Literal["sgd"] = "sgd"


class Momentum(Model):
    """v = beta * v + eta * gradient and theta -= v; Nesterov's takes the step from where v leads."""

    kind: Literal["momentum", "nesterov"]
    beta: Share = 0.9


class Adam(Model):
    """Steps of about eta in every direction (Kingma & Ba 2015); eta_max about 1e-3."""

    kind: Literal["adam"]
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Rate = 1e-8


Optimizer = Annotated[Sgd | Momentum | Adam, Field(discriminator="kind")]


class Dropout(Model):
    """Values set to 0 at random for each image and update, the others scaled up to make good for it."""

    input: Share = Field(0.0, description="Share of the inputs dropped.")
    hidden: Share = Field(0.0, description="Share of the hidden nodes dropped, in every hidden layer.")


class Jitter(Model):
    """Training images changed at random for every update; validation and test images are left alone."""

    flip: bool = Field(False, description="Mirror an image, left and right, with probability 1/2.")
    shift: Annotated[int, Field(ge=0, le=16)] = Field(
        0, description="Move an image by up to so many pixels along both axes; what enters is reflected."
    )
    brightness: Spread = Field(0.0, description="Add up to so much to all pixels (0 to 1), or take it off.")
    contrast: Spread = Field(0.0, description="Scale pixels about their image's mean by a factor in 1 - c to 1 + c.")
    noise: Spread = Field(0.0, description="Standard deviation of Gaussian noise on the normalised inputs.")
