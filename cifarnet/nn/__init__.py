"""The mathematics: network, losses, optimizers, schedules, augmentation and gradient checks."""
