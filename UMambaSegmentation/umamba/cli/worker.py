"""`umamba worker`: the process behind the 3D Slicer panel (docs/worker-protocol.md)."""

from __future__ import annotations

import logging
import sys

from umamba.cli.parser import Parser
from umamba.cli.stop import Stop


def run(words: list[str], stop: Stop) -> int:
    """Serve until standard input closes."""
    parser = Parser(
        "umamba worker", "Read requests and write events, one JSON object a line, until input ends."
    )
    parser.add_argument("--debug", action="store_true", help="a fuller log on standard error")
    options = parser.parse_args(words)

    from umamba.worker.pipes import read_lines, take_standard_output
    from umamba.worker.process import settle
    from umamba.worker.server import Server

    settle()
    level = logging.DEBUG if options.debug else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(name)s: %(message)s", force=True)
    Server(read_lines(), take_standard_output()).run()
    return 0
