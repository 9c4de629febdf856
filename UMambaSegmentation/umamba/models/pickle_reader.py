"""Reads the pickle inside a checkpoint as data: an interpreter of 36 opcodes that can do nothing else.

Python's own unpickler imports what a file names and calls it. This one knows only the opcodes that
`torch.save` writes for dicts, lists, tuples, numbers, texts and tensors (protocols 2 to 5); a call is a
look-up in `pickle_values.NAMES`; any other opcode, INST, OBJ, NEWOBJ and the EXT family among them, ends
the reading. Opcodes and their meaning: the comments of Python's `pickletools`.

Limits: texts and bytes must lie inside the data, so memory is bounded by the file; keys of dicts are texts
or small integers, whose hashing cannot be made slow; a key stands once; opcodes are counted.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from typing import Any

from umamba.models.pickle_values import Named, OrderedMap, Refused, named, persistent_storage, set_state

PROTOCOLS = range(2, 6)
# A log of 4,000 epochs of 117 classes, the longest known, takes 14 opcodes for each of its numbers.
MAX_OPCODES = 8_000_000
MAX_PICKLE_BYTES = 64_000_000
MAX_NAME_BYTES = 200
MAX_INTEGER_BYTES = 8
MAX_INTEGER_KEY = 2**31

_STOP = ord(".")


def read_pickle(data: bytes) -> object:
    """Read one pickle.

    Args:
        data: The whole pickle.

    Returns:
        dict, list, tuple, text, numbers, and the inert values of `pickle_values`. Lists and dicts may be
        shared or hold themselves.

    Raises:
        Refused: Something that no genuine checkpoint holds, or a pickle that is cut off.
    """
    if len(data) > MAX_PICKLE_BYTES:
        raise Refused(f"a pickle of {len(data)} bytes")
    return _Interpreter(data).run()


class _Interpreter:
    """The pickle machine: a stack, marks on it, and a memo."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> object:
        if len(self.data) < 2 or self.data[0] != 0x80 or self.data[1] not in PROTOCOLS:
            raise Refused("a pickle protocol other than 2 to 5")
        self.position = 2
        data, size = self.data, len(self.data)
        for _ in range(MAX_OPCODES):
            if self.position >= size:
                break
            opcode = data[self.position]
            self.position += 1
            if opcode == _STOP:
                return self.result()
            action = _ACTIONS.get(opcode)
            if action is None:
                raise Refused(f"the pickle opcode {_opcode_name(opcode)}, which no genuine checkpoint holds")
            action(self)
        cut_off = self.position >= size
        raise Refused("a pickle that is cut off" if cut_off else f"more than {MAX_OPCODES} pickle opcodes")

    def result(self) -> object:
        if self.marks or len(self.stack) != 1 or self.position != len(self.data):
            raise Refused("a pickle that ends with loose parts")
        return self.stack[0]

    # What the opcodes are made of.

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self.position + count
        if end > len(self.data):
            raise Refused("a pickle that is cut off")
        found = self.data[self.position : end]
        self.position = end
        return found

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def line(self) -> str:
        end = self.data.find(b"\n", self.position, self.position + MAX_NAME_BYTES + 1)
        if end < 0:
            raise Refused("a name without an end")
        found = self.data[self.position : end]
        self.position = end + 1
        return _text(found)

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> Any:  # noqa: ANN401  (whatever the pickle pushed)
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Refused("a pickle that takes more than it gave")
        return self.stack.pop()

    def top(self) -> Any:  # noqa: ANN401
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Refused("a pickle that takes more than it gave")
        return self.stack[-1]

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise Refused("a pickle without a mark where one is needed")
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    # Values.

    def unicode(self, size: int) -> None:
        self.push(_text(self.take(self.unsigned(size))))

    def binary(self, size: int) -> None:
        self.push(self.take(self.unsigned(size)))

    def long1(self) -> None:
        size = self.unsigned(1)
        if size > MAX_INTEGER_BYTES:
            raise Refused(f"an integer of {size} bytes")
        self.push(int.from_bytes(self.take(size), "little", signed=True))

    def signed4(self) -> None:
        self.push(int.from_bytes(self.take(4), "little", signed=True))

    def float8(self) -> None:
        self.push(struct.unpack(">d", self.take(8))[0])

    def tuple_of(self, count: int) -> None:
        entries = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(entries)))

    # Containers.

    def set_items(self, pairs: list[Any]) -> None:
        target = self.top()
        if type(target) is not dict and type(target) is not OrderedMap:
            raise Refused(f"items set on a {type(target).__name__}")
        if len(pairs) % 2:
            raise Refused("a key without a value")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if type(key) is not str and not (type(key) is int and abs(key) < MAX_INTEGER_KEY):
                raise Refused(f"a dict key of type {type(key).__name__}")
            if key in target:
                raise Refused("a dict key that stands twice")
            target[key] = value

    def set_item(self) -> None:
        value = self.pop()
        self.set_items([self.pop(), value])

    def append(self, entries: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise Refused(f"entries added to a {type(target).__name__}")
        target.extend(entries)

    # Memo.

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise Refused("a reference to nothing")
        self.push(self.memo[index])

    # Names and calls: a look-up, then a function of this package.

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise Refused("a name that is not a text")
        self.push(named(module, name))

    def reduce(self) -> None:
        arguments, target = self.pop(), self.pop()
        if type(target) is not Named or target.call is None:
            raise Refused(f"a call of a {type(target).__name__}")
        if type(arguments) is not tuple:
            raise Refused("a call whose arguments are not a tuple")
        self.push(target.call(arguments))

    def build(self) -> None:
        state = self.pop()
        set_state(self.top(), state)

    def frame(self) -> None:
        if self.unsigned(8) > len(self.data) - self.position:
            raise Refused("a pickle that is cut off")


_ACTIONS: dict[int, Callable[[_Interpreter], None]] = {
    ord(opcode): action
    for opcode, action in {
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "J": _Interpreter.signed4,
        "K": lambda m: m.push(m.unsigned(1)),
        "M": lambda m: m.push(m.unsigned(2)),
        "\x8a": _Interpreter.long1,
        "G": _Interpreter.float8,
        "X": lambda m: m.unicode(4),
        "\x8c": lambda m: m.unicode(1),
        "B": lambda m: m.binary(4),
        "C": lambda m: m.binary(1),
        "(": lambda m: m.marks.append(len(m.stack)),
        ")": lambda m: m.push(()),
        "\x85": lambda m: m.tuple_of(1),
        "\x86": lambda m: m.tuple_of(2),
        "\x87": lambda m: m.tuple_of(3),
        "t": lambda m: m.push(tuple(m.pop_to_mark())),
        "]": lambda m: m.push([]),
        "a": lambda m: m.append([m.pop()]),
        "e": lambda m: m.append(m.pop_to_mark()),
        "}": lambda m: m.push({}),
        "s": _Interpreter.set_item,
        "u": lambda m: m.set_items(m.pop_to_mark()),
        "q": lambda m: m.put(m.unsigned(1)),
        "r": lambda m: m.put(m.unsigned(4)),
        "\x94": lambda m: m.put(len(m.memo)),
        "h": lambda m: m.get(m.unsigned(1)),
        "j": lambda m: m.get(m.unsigned(4)),
        "c": lambda m: m.push(named(m.line(), m.line())),
        "\x93": _Interpreter.stack_global,
        "R": _Interpreter.reduce,
        "b": _Interpreter.build,
        "Q": lambda m: m.push(persistent_storage(m.pop())),
        "\x95": _Interpreter.frame,
    }.items()
}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused("a text that is not UTF-8") from None


def _opcode_name(opcode: int) -> str:
    names = {ord(known.code): known.name for known in pickletools.opcodes}
    return names.get(opcode, f"0x{opcode:02x}")
