"""Pickles from files that are not trusted: nothing in them is run, and none takes years or all memory to read."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, ClassVar

SETS = (pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET)


class RestrictedReader(pickle._Unpickler):
    """Python's reader written in Python: that in C reads ahead, and takes any memory that a damaged file asks for.

    What a file calls should take no state: a pickle can set attributes of whatever it names.
    """

    stand_ins: ClassVar[Mapping[tuple[str, str], Any]]
    """Module and name -> what a file gets in its place; there is nothing else."""
    users: ClassVar[str]
    """For errors: whoever "has no use for" other names."""

    stack: list[Any]
    dispatch: ClassVar[dict[int, Any]] = {
        code: function for code, function in pickle._Unpickler.dispatch.items() if bytes([code]) not in SETS
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.stand_ins:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which {self.users} no use for")
        return self.stand_ins[module, name]

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError(f"it names the extension {code}, which {self.users} no use for")

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())  # type: ignore[attr-defined]

    def load_dict(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self.stack.append({})
        self._set(items)

    def _set(self, items: list[Any]) -> None:
        # A tuple of twice a tuple of twice a tuple ... is short in a file, and would be hashed for years.
        if not all(type(key) is str for key in items[::2]):
            raise pickle.UnpicklingError("a dict has keys that are not texts")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
