"""The plan as a graph in a text that other programs draw: Mermaid or Graphviz's DOT.

Text needs no library, can be compared in tests and kept under version control; GitHub, GitLab and
notebooks draw the one, and Graphviz, which is everywhere else, the other.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from pystream.pipeline.explain import describe, place
from pystream.plan import nodes

__all__ = ["explain_graph"]

_WIDTH = 44  # characters of a label's line
# Where the work is done, as colours: the same in both forms.
_COLOURS = {"native": ("#e8f1ea", "#3f7d58"), "python": ("#fdf0e0", "#c17f24")}


@dataclass(frozen=True)
class _Edge:
    source: int
    target: int
    is_late: bool


class _Graph:
    """Boxes and arrows; late rows leave their window by an arrow of their own."""

    def __init__(self, sinks: tuple[nodes.Node, ...]) -> None:
        self.boxes: list[tuple[int, nodes.Node]] = []
        self.edges: list[_Edge] = []
        ordered = list(nodes.walk(sinks))
        numbers = {id(node): number for number, node in enumerate(ordered, start=1)}
        for node in ordered:
            # Late rows are no step of their own: the window sorts them out. Drawn only where
            # nothing follows them.
            if isinstance(node, nodes.LateRows) and node not in sinks:
                continue
            self.boxes.append((numbers[id(node)], node))
            for parent in node.inputs:
                is_late = isinstance(parent, nodes.LateRows) or isinstance(node, nodes.LateRows)
                origin = parent.input if isinstance(parent, nodes.LateRows) else parent
                self.edges.append(_Edge(numbers[id(origin)], numbers[id(node)], is_late))


def explain_graph(sinks: tuple[nodes.Node, ...], form: str) -> str:
    """Return the plan that hangs from `sinks` as a graph.

    Parameters
    ----------
    sinks : tuple of Node
    form : {"mermaid", "dot"}

    Returns
    -------
    str
    """
    graph = _Graph(sinks)
    return _mermaid(graph) if form == "mermaid" else _dot(graph)


def _lines(node: nodes.Node) -> list[str]:
    text = textwrap.wrap(describe(node), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [*text, f"[{place(node)}]"]


def _mermaid(graph: _Graph) -> str:
    lines = ["flowchart LR"]
    for number, node in graph.boxes:
        label = "<br/>".join(_html(line) for line in _lines(node))
        is_end = (
            isinstance(node, nodes.TopicSink | nodes.FileSink | nodes.Collect) or not node.inputs
        )
        opening, closing = ('(["', '"])') if is_end else ('["', '"]')
        lines.append(f"    n{number}{opening}{label}{closing}:::{place(node)}")
    for edge in graph.edges:
        arrow = "-. late .->" if edge.is_late else "-->"
        lines.append(f"    n{edge.source} {arrow} n{edge.target}")
    for where, (fill, stroke) in _COLOURS.items():
        lines.append(f"    classDef {where} fill:{fill},stroke:{stroke},color:#222222")
    return "\n".join(lines)


def _html(text: str) -> str:
    """Escape what Mermaid reads as markup; its entities begin with # instead of &."""
    for character in '#;&"<>`':
        text = text.replace(character, f"\0{ord(character)}\1")
    return text.replace("\0", "#").replace("\1", ";")


def _dot(graph: _Graph) -> str:
    lines = [
        "digraph pipeline {",
        "    rankdir=LR;",
        '    node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];',
        '    edge [fontname="Helvetica", fontsize=10];',
    ]
    for number, node in graph.boxes:
        fill, stroke = _COLOURS[place(node)]
        label = "\\n".join(_quoted(line) for line in _lines(node))
        lines.append(f'    n{number} [label="{label}", fillcolor="{fill}", color="{stroke}"];')
    for edge in graph.edges:
        late = ' [label="late", style=dashed]' if edge.is_late else ""
        lines.append(f"    n{edge.source} -> n{edge.target}{late};")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
