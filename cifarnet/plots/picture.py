"""A figure that a notebook shows; imported where one is made, as it brings matplotlib."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure


class Picture(Figure):
    """A matplotlib figure without pyplot, which a notebook shows as a picture by itself."""

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        """Return the PNG that a run folder would get, and its size in pixels of a screen."""
        from cifarnet.plots.style import render

        width, height = (round(96 * inches) for inches in self.get_size_inches())
        return render(self, "png"), {"width": width, "height": height}
