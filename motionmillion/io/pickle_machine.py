"""The interpreter behind `motionmillion.io.pickles`: a pickle's instructions, for plain data only.

    value = Machine().run(io.BytesIO(data))

`pickletools` decodes the instructions; those for plain data are carried out here, all others are refused. Names are
looked up in `_NAMES` alone, and each stands for a method of this module, never for the function of that name.

Unusual: everything that a file can repeat at will, such as copies of an array, is subtracted from a budget of `LIMIT`
bytes. joblib writes the bytes of an array between two instructions, so the file is read in step with them.
"""

import io
import math
import pickletools
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

LIMIT = 2**30
"""Largest size of a file and of everything made from it, bytes."""
_OPERATIONS = 10_000_000
_NESTED = 4
_PROTOCOL = 6
_DIMENSIONS = 32
_PUSHED = {"INT", "LONG", "FLOAT", "NONE", "BYTEARRAY8"}
_PUSHED |= {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}
_PUSHED |= {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_PUSHED |= {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_FLAT = (str, bytes, int, float, bool, type(None))
_STORAGES = {"Float": "f4", "Double": "f8", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1"}
_STORAGES |= {"Byte": "u1", "Bool": "?", "BFloat16": "bfloat16"}


class _Mark:
    """The mark that separates items on the stack."""


class _Name:
    """A name from the file's table of functions: `call` makes its result, `kind` says what it is of."""

    def __init__(self, call: Callable[..., Any], kind: str = "") -> None:
        self.call, self.kind = call, kind


class _Kind:
    """The dtype of an array; its byte order follows in a later instruction."""

    def __init__(self, text: str) -> None:
        self.text = text

    def dtype(self) -> np.dtype:
        dtype = np.dtype(self.text)
        if (
            dtype.kind not in "biufcSUO"
            or dtype.fields
            or dtype.subdtype
            or (dtype.kind != "O" and not dtype.itemsize)
        ):
            raise ValueError("arrays must hold numbers or text")
        return dtype


class _Wrapper:
    """joblib's place holder of an array whose bytes follow in the file."""


class RefusedError(ValueError):
    """Something that is not plain data."""


class Machine:
    """Interpreter of a pickle's instructions for plain data."""

    def __init__(self, storage: Callable[[str], bytes] | None = None, depth: int = 0) -> None:
        self.storage, self.depth = storage, depth
        self.stack: list[Any] = []
        self.memo: dict[Any, Any] = {}
        self.budget = LIMIT

    def run(self, file: io.BytesIO) -> Any:
        """The object of the next pickle in `file`."""
        if self.depth > _NESTED:
            raise RefusedError("pickles within pickles")
        self.file = file
        steps = {name[4:].upper(): getattr(self, name) for name in dir(self) if name.startswith("_on_")}
        for count, (code, argument, _) in enumerate(pickletools.genops(file)):
            if count > _OPERATIONS:
                raise RefusedError(f"more than {_OPERATIONS} instructions")
            name = code.name
            if name == "STOP":
                return self._plain(self._pop())
            if name in _PUSHED:
                self.stack.append(argument)
            elif name in ("NEWTRUE", "NEWFALSE"):
                self.stack.append(name == "NEWTRUE")
            elif name in _TUPLES:
                items = [self._pop() for _ in range(_TUPLES[name])]
                self.stack.append(tuple(reversed(items)))
            elif (step := steps.get(name)) is not None:
                step(argument)
            elif name not in ("PROTO", "FRAME"):
                raise RefusedError(f"the instruction {name}")
        raise ValueError("no end")

    # stack and memo

    def _pop(self) -> Any:
        if not self.stack or self.stack[-1] is _Mark:
            raise ValueError("empty stack")
        return self.stack.pop()

    def _top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise ValueError(f"no {kind.__name__} to fill")
        return self.stack[-1]

    def _to_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _Mark:
                items = self.stack[place + 1 :]
                del self.stack[place:]
                return items
        raise ValueError("no mark")

    def _spend(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise RefusedError(f"more than {LIMIT} bytes")

    def _plain(self, value: Any) -> Any:
        if isinstance(value, _Name | _Kind | _Wrapper):
            raise RefusedError("a name without data")
        return value

    def _on_mark(self, _: Any) -> None:
        self.stack.append(_Mark)

    def _on_pop(self, _: Any) -> None:
        if not self.stack:
            raise ValueError("empty stack")
        self.stack.pop()

    def _on_pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _on_dup(self, _: Any) -> None:
        self.stack.append(self._top(object))

    def _on_put(self, key: Any) -> None:
        self.memo[int(key)] = self._top(object)

    def _on_get(self, key: Any) -> None:
        self.stack.append(self.memo[int(key)])

    _on_binput = _on_long_binput = _on_put
    _on_binget = _on_long_binget = _on_get

    def _on_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self._top(object)

    # containers

    def _on_empty_list(self, _: Any) -> None:
        self.stack.append([])

    def _on_empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def _on_empty_set(self, _: Any) -> None:
        self.stack.append(set())

    def _on_list(self, _: Any) -> None:
        self.stack.append(self._to_mark())

    def _on_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._to_mark()))

    def _on_dict(self, _: Any) -> None:
        items = self._to_mark()
        self.stack.append({})
        self._fill(items)

    def _on_frozenset(self, _: Any) -> None:
        self.stack.append(set(map(_key, self._to_mark())))

    def _on_append(self, _: Any) -> None:
        item = self._pop()
        self._top(list).append(item)

    def _on_appends(self, _: Any) -> None:
        items = self._to_mark()
        self._top(list).extend(items)

    def _on_additems(self, _: Any) -> None:
        items = self._to_mark()
        self._top(set).update(map(_key, items))

    def _on_setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._fill([key, value])

    def _on_setitems(self, _: Any) -> None:
        self._fill(self._to_mark())

    def _fill(self, items: list[Any]) -> None:
        self._top(dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))

    # names and objects

    def _on_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self._named(module, name))

    def _on_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self.stack.append(self._named(module, name))

    def _named(self, module: Any, name: Any) -> _Name:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("a name that is not text")
        module = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        if module in ("torch", "torch.storage") and name.removesuffix("Storage") in _STORAGES:
            return _Name(_refuse_call, _STORAGES[name.removesuffix("Storage")])
        method = _NAMES.get((module, name))
        if method is None:
            raise RefusedError(f"an object of {short(module)}.{short(name)}")
        return _Name(getattr(self, method), name)

    def _on_reduce(self, _: Any) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise ValueError("a call of no function")
        self.stack.append(function.call(*arguments))

    _on_newobj = _on_reduce

    def _on_build(self, _: Any) -> None:
        state, target = self._pop(), self._top(object)
        if isinstance(target, np.ndarray):
            self._build_array(target, state)
        elif isinstance(target, _Kind) and isinstance(state, tuple):
            if len(state) > 1 and state[1] in ("<", ">"):
                target.text = state[1] + target.text.lstrip("<>=|")
        elif isinstance(target, _Wrapper) and isinstance(state, dict):
            self.stack[-1] = self._wrapped(state)
        elif not isinstance(target, dict):  # attributes of an ordered dictionary are dropped
            raise RefusedError("an object with a state")

    def _on_binpersid(self, _: Any) -> None:
        key = self._pop()
        if self.storage is None or not isinstance(key, tuple) or len(key) < 3 or key[0] != "storage":
            raise RefusedError("a reference to another file")
        if not isinstance(key[1], _Name) or not isinstance(key[2], str):
            raise ValueError("a storage without kind")
        data = self.storage(key[2])
        self._spend(len(data))
        if key[1].kind == "bfloat16":  # the upper half of float32
            self._spend(2 * len(data))
            halves = np.frombuffer(data, "<u2").astype("<u4")
            self.stack.append((halves << 16).view("<f4"))
        else:
            self.stack.append(np.frombuffer(data, np.dtype(key[1].kind).newbyteorder("<")))

    # NumPy

    def _empty_array(self, *_: Any) -> np.ndarray:
        return np.zeros(0)

    def _kind(self, text: Any = "", *_: Any) -> _Kind:
        if isinstance(text, _Name):
            text = {"float": "f8", "int": "i8", "bool": "?", "object": "O"}.get(text.kind, "V")
        if not isinstance(text, str) or len(text) > 20:
            raise ValueError("a kind of array that is not text")
        return _Kind(text)

    def _build_array(self, target: np.ndarray, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("an array without state")
        shape, kind, fortran, content = state[-4:]
        if not isinstance(kind, _Kind):
            raise ValueError("an array without kind")
        array = self._array(content, kind, shape, "F" if fortran else "C")
        if array.dtype.kind == "O":
            target.__setstate__((1, array.shape, array.dtype, False, array.ravel().tolist()))  # type: ignore[call-overload]
        else:
            target.__setstate__((1, array.shape, array.dtype, False, array.tobytes()))  # type: ignore[call-overload]

    def _array(self, content: Any, kind: _Kind, shape: Any, order: Any = "C") -> np.ndarray:
        dtype, count = kind.dtype(), _count(shape)
        if dtype.kind == "O":
            if not isinstance(content, list) or len(content) != count:
                raise ValueError("an array of objects without its objects")
            self._spend(16 * count)
            made = np.empty(count, dtype=object)
            made[:] = content if count != 1 else [None]
            if count == 1:
                made[0] = content[0]  # never as an array
            return made.reshape(shape, order=_order(order))
        if isinstance(content, str):  # of Python 2
            content = content.encode("latin-1")
        if not isinstance(content, bytes | bytearray) or len(content) != count * dtype.itemsize:
            raise ValueError("an array whose size is not that of its data")
        self._spend(2 * len(content))
        return np.frombuffer(content, dtype).reshape(shape, order=_order(order))

    def _from_buffer(self, content: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
        if not isinstance(kind, _Kind):
            raise ValueError("an array without kind")
        return self._array(content, kind, shape, order).copy()

    def _scalar(self, kind: Any, content: Any = b"") -> Any:
        if not isinstance(kind, _Kind) or kind.dtype().kind == "O":
            raise ValueError("a number without kind")
        return self._array(content, kind, ()).copy()[()]

    def _wrapper(self, *_: Any) -> _Wrapper:
        return _Wrapper()

    def _wrapped(self, state: dict[str, Any]) -> np.ndarray:
        kind, shape = state.get("dtype"), state.get("shape")
        if not isinstance(kind, _Kind):
            raise ValueError("an array without kind")
        dtype = kind.dtype()
        if dtype.kind == "O":
            inner = Machine(self.storage, self.depth + 1)
            inner.budget = self.budget
            value = inner.run(self.file)
            self.budget = inner.budget
            return value
        if state.get("numpy_array_alignment_bytes") is not None:
            self.file.read(int.from_bytes(self.file.read(1)))
        return self._array(self.file.read(_count(shape) * dtype.itemsize), kind, shape, state.get("order")).copy()

    # torch

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
        whole = isinstance(storage, np.ndarray) and storage.ndim == 1 and isinstance(offset, int) and offset >= 0
        if not whole or not isinstance(stride, tuple) or _count(size) > len(storage) or len(stride) != len(size):
            raise ValueError("a tensor beyond its storage")
        _count(stride)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if _count(size) and last >= len(storage):
            raise ValueError("a tensor beyond its storage")
        self._spend(_count(size) * storage.itemsize)
        steps = [step * storage.itemsize for step in stride]
        return (
            np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy() if _count(size) else np.zeros(size)
        )

    def _parameter(self, data: Any, *_: Any) -> Any:
        return data

    def _stored(self, data: Any) -> np.ndarray:
        import torch

        if not isinstance(data, bytes):
            raise ValueError("a storage without bytes")
        self._spend(2 * len(data))
        stored = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        tensor = torch.tensor([], dtype=stored.dtype).set_(stored)
        self._spend(tensor.nbytes)
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()

    # Python

    def _encode(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "utf8", "ascii"):
            raise ValueError("bytes that are not text")
        self._spend(4 * len(text))
        return text.encode(encoding)

    def _bytes(self, content: Any = b"", encoding: Any = None) -> bytes:
        if isinstance(content, str):
            return self._encode(content, encoding)
        if not isinstance(content, bytes | bytearray):
            raise ValueError("bytes that are not bytes")
        self._spend(len(content))
        return bytes(content)

    def _dict(self, *arguments: Any) -> dict:
        if arguments and isinstance(arguments[0], list):  # of pairs, in Python 2
            pairs = arguments[0]
            self._spend(64 * len(pairs))
            return {_key(key): value for key, value in pairs}
        if len(arguments) > 1 or any(not isinstance(argument, _Name) for argument in arguments):
            raise ValueError("a dictionary of another kind")
        return {}

    def _list(self, content: Any = ()) -> list:
        return list(self._items(content))

    def _tuple(self, content: Any = ()) -> tuple:
        return tuple(self._items(content))

    def _set(self, content: Any = ()) -> set:
        return set(map(_key, self._items(content)))

    def _items(self, content: Any) -> Any:
        if not isinstance(content, list | tuple):
            raise ValueError("a container of something else")
        self._spend(64 * len(content))
        return content

    def _number(self, *arguments: Any) -> Any:
        if not all(isinstance(argument, int | float) for argument in arguments) or len(arguments) > 2:
            raise ValueError("a number that is none")
        return complex(*arguments) if len(arguments) == 2 else (*arguments, 0)[0]


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): "_empty_array",
    ("numpy.core.multiarray", "scalar"): "_scalar",
    ("numpy.core.numeric", "_frombuffer"): "_from_buffer",
    ("numpy", "ndarray"): "_empty_array",
    ("numpy", "dtype"): "_kind",
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): "_wrapper",
    ("torch._utils", "_rebuild_tensor_v2"): "_tensor",
    ("torch._utils", "_rebuild_tensor"): "_tensor",
    ("torch._utils", "_rebuild_parameter"): "_parameter",
    ("torch.storage", "_load_from_bytes"): "_stored",
    ("torch", "Size"): "_tuple",
    ("collections", "OrderedDict"): "_dict",
    ("collections", "defaultdict"): "_dict",
    ("_codecs", "encode"): "_encode",
    ("builtins", "bytes"): "_bytes",
    ("builtins", "bytearray"): "_bytes",
    ("builtins", "dict"): "_dict",
    ("builtins", "list"): "_list",
    ("builtins", "tuple"): "_tuple",
    ("builtins", "set"): "_set",
    ("builtins", "frozenset"): "_set",
    ("builtins", "int"): "_number",
    ("builtins", "float"): "_number",
    ("builtins", "bool"): "_number",
    ("builtins", "complex"): "_number",
}
"""Names that a file may use, and the method of `Machine` in the place of each."""


def _refuse_call(*_: Any) -> NoReturn:
    raise RefusedError("a storage outside a tensor")


def _key(value: Any) -> Any:
    """A key of a dictionary: flat, since hashing deeply nested tuples overflows the stack."""
    if isinstance(value, tuple) and len(value) < 100 and all(isinstance(item, _FLAT) for item in value):
        return value
    if not isinstance(value, (*_FLAT, np.generic)):
        raise ValueError("a key that is neither text nor a number")
    return value


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple) or len(shape) > _DIMENSIONS:
        raise ValueError("an array without shape")
    if not all(isinstance(n, int | np.integer) and 0 <= n < 2**40 for n in shape):
        raise ValueError("an array of another shape")
    return math.prod(int(n) for n in shape)


def _order(order: Any) -> Any:
    return "F" if order == "F" else "C"


def short(text: str) -> str:
    return "".join(c for c in text[:60] if c.isprintable())
