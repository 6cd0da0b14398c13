"""Which known mistake a gradient has, and the check of a student's gradient with its run folder as evidence."""
