"""A row of 16 float32 as one value in numba kernels, which the compiler keeps in vector registers.

Numba has arrays and scalars only, and a loop over 16 states on arrays costs more in checks that they do not
overlap, and in loads and stores of what a register could hold, than in arithmetic. LLVM splits these values
into what the processor has (one, two or four registers).
"""

# numba's parts that extend it carry no types:
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, ClassVar

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin

LANES = 16
Lanes = Any  # 16 float32, in a kernel

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class _LanesType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


_LANES = _LanesType()


@register_default(_LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Any) -> None:  # noqa: ANN401
        super().__init__(dmm, fe_type, _VECTOR)


def _instruction(build: Callable[..., Any]) -> Any:  # noqa: ANN401
    """`intrinsic`, for the type checker a function of whatever kernels hand in."""
    return intrinsic(build)


def _pointer(context: Any, builder: Any, matrix_type: Any, matrix: Any, *indices: Any) -> Any:  # noqa: ANN401
    view = context.make_array(matrix_type)(context, builder, matrix)
    place = cgutils.get_item_pointer(context, builder, matrix_type, view, list(indices))
    return builder.bitcast(place, _VECTOR.as_pointer())


@_instruction
def load(typingctx: Any, matrix: Any, row: Any, column: Any) -> Any:  # noqa: ANN401
    """The 16 numbers from [row, column] on of a matrix whose rows are contiguous."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.load(_pointer(context, builder, signature.args[0], *arguments), align=4)

    return _LANES(matrix, types.intp, types.intp), build


@_instruction
def store(typingctx: Any, matrix: Any, row: Any, column: Any, lanes: Any) -> Any:  # noqa: ANN401
    """Write what `load` would read."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        place = _pointer(context, builder, signature.args[0], *arguments[:3])
        builder.store(arguments[3], place, align=4)
        return context.get_dummy_value()

    return types.void(matrix, types.intp, types.intp, _LANES), build


@_instruction
def spread(typingctx: Any, value: Any) -> Any:  # noqa: ANN401
    """A number in all lanes."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        first = builder.insert_element(
            ir.Constant(_VECTOR, ir.Undefined), arguments[0], ir.Constant(ir.IntType(32), 0)
        )
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), everywhere)

    return _LANES(types.float32), build


@_instruction
def total(typingctx: Any, lanes: Any) -> Any:  # noqa: ANN401
    """The sum over the lanes."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        real = ir.FloatType()
        reduce = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(real, [real, _VECTOR]), f"llvm.vector.reduce.fadd.v{LANES}f32"
        )
        return builder.call(reduce, [ir.Constant(real, -0.0), arguments[0]], fastmath=("reassoc",))

    return types.float32(_LANES), build


def _arithmetic(operation: Any, instruction: str) -> None:  # noqa: ANN401
    """Teach numba an operator between lanes; a product and the sum it goes into may be fused."""

    class _Cases(ConcreteTemplate):  # type: ignore[misc]
        cases: ClassVar = [signature(_LANES, _LANES, _LANES)]

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return getattr(builder, instruction)(*arguments, flags=("contract",))

    infer_global(operation)(_Cases)
    lower_builtin(operation, _LANES, _LANES)(build)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.mul, "fmul")
