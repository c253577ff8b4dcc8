"""Textual's stylesheet, which finds the styles of a widget's component classes only when they can have changed.

Textual finds them at each change of a class, of the focus or of what the mouse is over, for all widgets below it: with
an invented node for each name that rows are painted with, half a millisecond or more for a small widget, which is most
of what such a change costs. Yet they hang on nothing but a few rules, and on what the selectors of these ask of the
widget and those above it."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from textual.css.model import RuleSet, SelectorType
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode


class _Asked(NamedTuple):
    """What the styles of some component classes hang on."""

    rules: list[RuleSet]
    """Those that end in one of the classes, in their order."""
    names: frozenset[str]
    """Classes and ids in their selectors."""
    pseudo_classes: tuple[str, ...]

    def has_same_rules(self, other: _Asked) -> bool:
        """Whether they are the very same: to compare what they say would take longer than to use them."""
        return len(self.rules) == len(other.rules) and all(map(lambda a, b: a is b, self.rules, other.rules))


class ThriftyStylesheet(Stylesheet):
    """Gives the same styles as Textual's own."""

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._looked_at: list[RuleSet] = []
        """The rules that `_asked` was made of."""
        self._asked: dict[frozenset[str], _Asked] = {}
        self._found: WeakKeyDictionary[DOMNode, tuple[_Asked, list[Any]]] = WeakKeyDictionary()
        """What was asked, and what was so, when a widget's component classes last got their styles."""

    def _process_component_classes(self, node: DOMNode) -> None:
        components = node._get_component_classes()
        if not components:
            return
        asked = self._asked_for(components)
        state = [
            (
                type(one),
                one.classes & asked.names,
                one._id,
                *map(one.has_pseudo_class, asked.pseudo_classes),
            )
            for one in node.css_path_nodes
        ]
        known = self._found.get(node)
        if (
            known
            and known[1] == state
            and known[0].has_same_rules(asked)
            and len(node._component_styles) == len(components)
        ):
            return
        super()._process_component_classes(node)
        self._found[node] = asked, state

    def _asked_for(self, components: frozenset[str]) -> _Asked:
        if self._looked_at is not self._rules:
            self._looked_at = self._rules
            self._asked.clear()
        asked = self._asked.get(components)
        if asked is None:
            asked = self._asked[components] = self._look(components)
        return asked

    def _look(self, components: frozenset[str]) -> _Asked:
        ends = {"*", DOMNode.__name__, *(f".{component}" for component in components)}
        rules = [rule for rule in self.rules if not ends.isdisjoint(rule.selector_names)]
        selectors = [one for rule in rules for some in rule.selector_set for one in some.selectors]
        named = (one.name for one in selectors if one.type in (SelectorType.CLASS, SelectorType.ID))
        pseudo_classes = {asked for one in selectors for asked in one.pseudo_classes}
        return _Asked(rules, frozenset(named), tuple(pseudo_classes))
