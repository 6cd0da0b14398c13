"""``python -m cifarnet`` is ``cifarnet``."""

from cifarnet.cli import main

main()
