"""The three things that can end a run other than a result."""


class InputError(ValueError):
    """The input or the request is wrong. The message is one line: what is wrong and what to do."""


class ModelError(InputError):
    """A model folder, checkpoint, plans or card is wrong, foreign or unsafe."""


class Cancelled(Exception):  # noqa: N818  (a request that was granted, not an error)
    """The run was stopped because `cancel()` said so; nothing was written."""
