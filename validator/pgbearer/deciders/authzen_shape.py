"""The question as AuthZEN has it: a preset with what the settings say otherwise, filled in for one login.

Names (types, actions, ids made of several parts) take only values of POLICY's pattern. A field that stands alone keeps
value and type, since JSON itself keeps it apart from everything around it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pgbearer.config import parse_template
from pgbearer.config.decider_kinds import AuthZenDecider, AuthZenEntity, Member
from pgbearer.deciders.authzen_presets import Entity, Preset
from pgbearer.deciders.decider import Question
from pgbearer.deciders.fault import QuestionUnaskable
from pgbearer.deciders.values import fill, value_of

__all__ = ["Shape"]

_Filler = Callable[[Question], Any]


class Shape:
    """Makes the body of an evaluation request (AuthZEN section 6.1) for one decider."""

    def __init__(self, settings: AuthZenDecider, preset: Preset) -> None:
        properties = settings.action.properties or {}
        self._parts: Mapping[str, _Filler] = {
            "subject": _entity(settings.subject, preset.subject),
            "action": _object({"name": _name(settings.action.name or preset.action)}, properties),
            "resource": _entity(settings.resource, preset.resource),
        }
        self._context = _members(preset.context if settings.context is None else settings.context)

    def body(self, question: Question) -> dict[str, Any]:
        """The question about one login; raises QuestionUnaskable."""
        body = {name: part(question) for name, part in self._parts.items()}
        context = self._context(question)
        return {**body, "context": context} if context else body


def _entity(given: AuthZenEntity, preset: Entity) -> _Filler:
    named = {"type": _name(given.type or preset.type), "id": _id(given.id or preset.id)}
    return _object(named, preset.properties if given.properties is None else given.properties)


def _object(named: Mapping[str, _Filler], properties: Mapping[str, Member]) -> _Filler:
    members = _members(properties)

    def filled(question: Question) -> dict[str, Any]:
        entity = {name: part(question) for name, part in named.items()}
        found = members(question)
        return {**entity, "properties": found} if found else entity

    return filled


def _name(text: str) -> _Filler:
    template = parse_template(text)
    return lambda question: fill(template, question)


def _id(text: str) -> _Filler:
    """Any text, if it is one field alone; else a name."""
    field = _alone(text)
    if field is None:
        return _name(text)

    def filled(question: Question) -> str:
        value = _value(field, question)
        if not isinstance(value, str) or not value:
            raise QuestionUnaskable(f"the login has no {field!r} for the question")
        return value

    return filled


def _members(members: Mapping[str, Member]) -> _Filler:
    """All members that the login has a value for."""
    fillers = {name: _member(member) for name, member in members.items()}

    def filled(question: Question) -> dict[str, Any]:
        found = {name: filler(question) for name, filler in fillers.items()}
        return {name: value for name, value in found.items() if value is not None}

    return filled


def _member(member: Member) -> _Filler:
    if not isinstance(member, str):
        return lambda _question: member
    field = _alone(member)
    return _name(member) if field is None else lambda question: _value(field, question)


def _alone(text: str) -> str | None:
    """The field, if the template is nothing else."""
    template = parse_template(text)
    return template.fields[0] if template.literals == ("", "") else None


def _value(field: str, question: Question) -> Any:
    return question.decision_id if field == "id" else value_of(field, question)
