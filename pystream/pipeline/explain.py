"""The plan as text: a tree with the sinks on top and the sources below."""

from __future__ import annotations

from pystream.errors import ConfigError
from pystream.pipeline.udf_stages import has_udf
from pystream.plan import nodes
from pystream.plan.expressions import ColumnNode, ExpressionNode

__all__ = ["check_format", "describe", "explain", "place"]


def check_format(form: str) -> None:
    """Refuse a format that ``explain`` does not have."""
    if form not in ("text", "mermaid", "dot"):
        raise ConfigError(f'format is {form!r}. Pass "text", "mermaid" or "dot".')


def place(node: nodes.Node) -> str:
    """Return where the work of an operator is done: "native" or "python"."""
    if isinstance(node, nodes.WindowAggregation):
        is_python = node.trigger.own is not None or any(a.user for a in node.aggregates)
    else:
        mark = getattr(node, "watermark", None)
        is_python = isinstance(node, nodes.MapBatches | nodes.ReaderSource | nodes.FileSink) or (
            mark is not None and has_udf(mark.expression)
        )
    return "python" if is_python else "native"


def explain(sinks: tuple[nodes.Node, ...]) -> str:
    """Return one line per operator; a node that was shown before is only named.

    Parameters
    ----------
    sinks : tuple of Node

    Returns
    -------
    str
    """
    numbers = {id(node): number for number, node in enumerate(nodes.walk(sinks), start=1)}
    lines: list[str] = []
    shown: set[int] = set()

    def visit(node: nodes.Node, depth: int) -> None:
        head = f"{'  ' * depth}{numbers[id(node)]}: {describe(node)}"
        if id(node) in shown:
            lines.append(f"{'  ' * depth}{numbers[id(node)]}: (see above)")
            return
        shown.add(id(node))
        lines.append(f"{head}  [{place(node)}]")
        for parent in node.inputs:
            visit(parent, depth + 1)

    for sink in sinks:
        visit(sink, 0)
    return "\n".join(lines)


def describe(node: nodes.Node) -> str:  # noqa: PLR0911, PLR0912  one case per kind of node
    """Return an operator and its settings in one line."""
    match node:
        case nodes.TopicSource():
            ends = "bounded" if node.bounded else "unbounded"
            topics = ", ".join(map(repr, node.topics))
            return f"from_topic({topics}, {ends}){_watermark(node.watermark)}"
        case nodes.BatchSource():
            rows = sum(batch.num_rows for batch in node.batches)
            return f"from_arrow({rows} rows){_watermark(node.watermark)}"
        case nodes.HybridSource():
            parts = f"{describe(node.history)}, then {describe(node.live)}"
            return f"from_source({parts}){_watermark(node.watermark)}"
        case nodes.ReaderSource():
            return f"{node.method}({node.label}){_watermark(node.watermark)}"
        case nodes.Filter():
            return f"filter({node.condition})"
        case nodes.Project():
            columns = ", ".join(_column(name, value) for name, value in node.columns)
            return f"select({columns})"
        case nodes.MapBatches():
            return f"map_batches({node.name})"
        case nodes.Union():
            return f"union({len(node.streams)} streams)"
        case nodes.WindowAggregation():
            return _window(node)
        case nodes.LateRows():
            return "late rows"
        case nodes.TopicSink():
            return f"sink_to_topic({node.topic!r}, key={node.key!r}, acks={node.acks!r})"
        case nodes.FileSink():
            return f"{node.method}({node.path!r})"
        case nodes.Collect():
            return "collect"
    raise AssertionError(f"unknown node {node!r}")


def _watermark(mark: nodes.Watermark | None) -> str:
    if mark is None:
        return ""
    unit = "ticks" if mark.int64_unit == "ms" else mark.int64_unit
    value = f"{mark.column} - {mark.delay} {unit}"
    if mark.expression is not None:
        value = f"{mark.expression} at {mark.column}"
        value += "" if mark.int64_unit == "ms" else f" in {mark.int64_unit}"
    limit = "" if mark.max_ahead is None else f", at most {mark.max_ahead} ahead"
    idle = "" if mark.idle_timeout_us is None else f", idle after {mark.idle_timeout_us} us"
    together = mark.alignment
    aligned = ""
    if together is not None:
        aligned = f", aligned in {together.group!r} within {together.max_drift_ns} ns"
    return f" watermark {value}{limit}{idle}{aligned}"


def _column(name: str, value: ExpressionNode) -> str:
    is_plain = isinstance(value, ColumnNode) and value.name == name
    return name if is_plain else f"{name}={value}"


def _trigger(trigger: nodes.Trigger) -> str:
    text = "" if trigger.own is None else f", trigger {type(trigger.own).__name__}"
    if trigger.every_ticks:
        text += f", early every {trigger.every_ticks} ticks"
    if not trigger.fires_on_close:
        text += ", on update"
    elif trigger.every:
        text += f", early every {trigger.every} records"
    return text + (", discarding" if trigger.discarding else "")


def _window(node: nodes.WindowAggregation) -> str:
    aggregates = ", ".join(f"{each.name}={each.written}" for each in node.aggregates)
    keys = ", ".join(node.keys) or "nothing"
    late = _trigger(node.trigger)
    late += f", allowed lateness {node.allowed_lateness}" if node.allowed_lateness else ""
    late += "" if node.late_tag is None else f", late rows to {node.late_tag!r}"
    return f"window {_assigner(node)} by {keys}: {aggregates}{late}"


def _assigner(node: nodes.WindowAggregation) -> str:
    assigner = node.assigner
    unit = "ms of processing time" if node.is_processing_time else f"ticks of {node.event_time}"
    clock = " of processing time" if node.is_processing_time else ""
    if isinstance(assigner, nodes.SessionAssigner):
        return f"session(gap={assigner.gap} {unit})"
    if isinstance(assigner, nodes.CountAssigner):
        slide = "" if assigner.slide == assigner.size else f", slide={assigner.slide}"
        return f"count_window({assigner.size}{slide} records{clock})"
    if isinstance(assigner, nodes.GlobalAssigner):
        return f"global_window({clock.strip()})"
    size = f"size={assigner.size}"
    if assigner.kind == "hopping":
        size += f", slide={assigner.slide}"
    if assigner.kind == "cumulate":
        size += f", step={assigner.slide}"
    if assigner.offset:
        size += f", offset={assigner.offset}"
    return f"{assigner.kind}({size} {unit})"
