"""How numbers, curves and claims of a report are judged beside ours, by one stated rule."""
