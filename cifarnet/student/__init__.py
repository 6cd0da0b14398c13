"""A student's file: its gradient and cost are found in it, and called in the way that it takes."""
