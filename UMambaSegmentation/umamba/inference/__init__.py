"""From image to labels: the pipeline, its plan, and its result."""
