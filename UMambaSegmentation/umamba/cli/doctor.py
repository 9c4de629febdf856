"""`umamba doctor`: what works on this computer, and how fast."""

from __future__ import annotations

from umamba.cli.parser import Parser
from umamba.cli.stop import Stop
from umamba.cli.streams import write_line
from umamba.messages import json_line


def run(words: list[str], stop: Stop) -> int:
    """Examine and print."""
    parser = Parser("umamba doctor", "Say in a few lines what works on this computer, and how fast.")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--debug", action="store_true", help="show the log")
    options = parser.parse_args(words)

    from umamba.doctor import examine

    report = examine()
    write_line(json_line(report.as_dict()) if options.json else "\n".join(report.lines()))
    return 0
