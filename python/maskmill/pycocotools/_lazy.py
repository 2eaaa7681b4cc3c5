"""Attributes that are made when somebody looks at them.

pycocotools' objects are open: people read `coco.anns`, edit the dicts in it, replace `ev.evalImgs`, pickle everything.
Here these attributes exist from the start, under their names and in their order, but as a `Pending` that stands for all
of them; whoever reads one (or `vars()`, or pickles, or copies) gets the real thing, and from then on it is an attribute
like any other.
"""

import threading
from collections.abc import Callable
from typing import Any


class Pending:
    """Stands for attributes of one object until `build` has made them."""

    def __init__(self, build: Callable[[], dict[str, Any]], state: Any = None) -> None:
        self._build: Callable[[], dict[str, Any]] | None = build
        self._lock = threading.RLock()
        self.state = state

    def settle(self, attributes: dict[str, Any]) -> None:
        """Put the real values where this stands."""
        with self._lock:
            if self._build is None:
                return
            values = self._build()
            for name, value in values.items():
                if attributes.get(name) is self:
                    attributes[name] = value
            self._build = None


class Open:
    """Base of classes with pending attributes."""

    def __getstate__(self) -> dict[str, Any]:
        return attributes_of(self)


_instance_dict = Open.__dict__["__dict__"].__get__


def raw_attributes_of(obj: Open) -> dict[str, Any]:
    """The instance's dict, with what is pending in it."""
    found: dict[str, Any] = _instance_dict(obj)
    return found


def attributes_of(obj: Open) -> dict[str, Any]:
    """The instance's dict, all in it being real."""
    attributes = raw_attributes_of(obj)
    for value in list(attributes.values()):
        if type(value) is Pending:
            value.settle(attributes)
    return attributes


class Attribute:
    """One attribute that may be pending."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, obj: Open | None, owner: type | None = None) -> Any:
        if obj is None:
            return self
        attributes = raw_attributes_of(obj)
        try:
            value = attributes[self.name]
        except KeyError:
            raise AttributeError(f"'{type(obj).__name__}' object has no attribute '{self.name}'") from None
        if type(value) is Pending:
            value.settle(attributes)
            value = attributes[self.name]
        return value

    def __set__(self, obj: Open, value: Any) -> None:
        attributes = raw_attributes_of(obj)
        before = attributes.get(self.name)
        if type(before) is Pending:  # what stands beside it is still wanted as it was
            before.settle(attributes)
        attributes[self.name] = value

    def __delete__(self, obj: Open) -> None:
        try:
            del attributes_of(obj)[self.name]
        except KeyError:
            raise AttributeError(self.name) from None


class AllAttributes:
    """The `__dict__` of a class with pending attributes: whoever asks for it gets real values."""

    def __get__(self, obj: Open | None, owner: type | None = None) -> Any:
        return self if obj is None else attributes_of(obj)

    def __set__(self, obj: Open, value: dict[str, Any]) -> None:
        attributes = raw_attributes_of(obj)
        attributes.clear()
        attributes.update(value)
