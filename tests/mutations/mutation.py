"""What a mutation is: exact source text that is replaced."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """Replace ``old``, which occurs ``times`` times in ``path``, by ``new``."""

    path: str
    old: str
    new: str
    times: int = 1


@dataclass(frozen=True)
class Mutation:
    """A rule, broken."""

    name: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Group:
    """Mutations and the tests that must notice them, in the order in which they are tried.

    Attributes
    ----------
    mutations : tuple of Mutation
    native_tests : tuple of str
        Patterns of the names of programs.
    python_tests : tuple of str
        Files; tried when no native test notices.
    """

    mutations: tuple[Mutation, ...]
    native_tests: tuple[str, ...]
    python_tests: tuple[str, ...]
