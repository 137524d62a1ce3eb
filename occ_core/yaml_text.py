"""YAML of plain values: nothing in it can refer to anything else, so that a short text stays a small value."""

from typing import Any

import yaml

from .errors import InputError

MAX_DEPTH = 20
MAX_PLAIN = 2000
"""Characters of a value without quotes: YAML makes numbers of them, and the time for that grows with the square."""
_SHOWN = 100


def parse_yaml(text: str) -> Any:
    """Lists, mappings, texts, numbers, dates, true, false and null.

    Raises InputError, in one line, for text that is not YAML, anchors, aliases and tags, a key that stands twice in a
    mapping, and lists or mappings nested deeper than MAX_DEPTH.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader that refuses more
    except yaml.YAMLError as error:
        raise InputError(f"not valid YAML: {' '.join(str(error).split())[:500]}") from None
    except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # A value such as 2024-13-45, which is read as a date.
        raise InputError(f"not valid YAML: {' '.join(str(error).split())[:_SHOWN]}") from None


def dump_yaml(content: Any, **layout: Any) -> str:
    """As `parse_yaml` reads it, keys in the order given. layout : of `yaml.dump`"""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, **layout)


def shown(value: Any) -> str:
    """A value for use in an error: as Python writes it, and cut."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


class _Loader(yaml.SafeLoader):
    _depth = 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse("anchors and aliases are not used here; write the value out", event)
        if event.tag is not None:
            self._refuse("tags are not used here", event)
        if isinstance(event, yaml.ScalarEvent) and not event.style and len(event.value) > MAX_PLAIN:
            self._refuse(f"a value of {len(event.value)} characters; expected at most {MAX_PLAIN}, or quotes", event)
        if self._depth >= MAX_DEPTH:
            self._refuse(f"nested deeper than {MAX_DEPTH} lists and mappings", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                self._refuse(f"key {shown(key.value)} stands here twice", key)
            keys.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)

    @staticmethod
    def _refuse(problem: str, place: Any) -> None:
        raise yaml.MarkedYAMLError(None, None, problem, place.start_mark)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True
