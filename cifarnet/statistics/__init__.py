"""Where trainings would lie, what claims of them are worth, and how likely numbers are under them; no files."""
