"""Other people's programs, run beside ours for comparison."""
