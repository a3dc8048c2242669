"""The result as a table, for terminal and Markdown."""

from collections.abc import Iterator, Sequence

from service.loadtest.result import Result, Snapshot, Step

HEADERS = (
    *("calls", "verdict", "p50 ms", "p95 ms", "p99 ms", "dropped", "refused", "broken"),
    *("service CPU", "a call /1000", "event loop", "scorer", "generator", "frames late ms"),
    *("windows a batch", "MB"),
)


def row(step: Step, name: str | None = None) -> tuple[str, ...]:
    """Returns the cells of a step; `-` is not known."""
    return (
        name or str(step.calls),
        step.verdict,
        _ms(step.late_p50_s),
        _ms(step.late_p95_s),
        _ms(step.late_p99_s),
        _number(step.dropped),
        _number(step.refused),
        _number(step.broken),
        _number(step.service_cpu, 2),
        _number(step.cpu_a_call, 1),
        _number(step.loop_cpu, 2),
        _number(step.scorer, 2),
        _number(step.generator_cpu, 2),
        _ms(step.behind_p99_s),
        _number(step.batch, 1),
        _number(step.memory_mb),
    )


def rows(result: Result) -> Iterator[tuple[str, ...]]:
    """Yields a row a step, then those of overload and soak."""
    for step in result.steps:
        yield row(step)
    if result.overload:
        yield row(result.overload, f"{result.overload.calls} overload")
    for minute, step in enumerate(result.soak, 1):
        yield row(step, f"{step.calls} soak {minute}")


def sentences(result: Result) -> Iterator[str]:
    """Yields what the figures say, a sentence each."""
    if result.capacity is None:
        yield "No step held."
    else:
        yield f"Capacity: {result.capacity} calls."
    if result.stopped_by:
        yield f"Stopped by: {result.stopped_by}."
        yield f"Capped by: {result.capped_by}."
    if (over := result.overload) is not None:
        words = ", ".join(f"{text} ({count})" for text, count in over.words.items())
        outcome = "; ".join(over.reasons) or "every admitted call kept the bound"
        yield f"Overload, {over.calls} calls: {outcome}; refused {over.refused}: {words or 'none'}."
    if result.overload_skipped:
        yield f"No overload: {result.overload_skipped}."
    for minute, step in enumerate(result.soak, 1):
        if step.reasons:
            yield f"Soak, minute {minute}: {'; '.join(step.reasons)}."
    if (audit := result.audit) is not None:
        yield f"Audit: {'; '.join(audit.reasons) or 'nothing was left'}."
        for name, snapshot in (
            ("fresh", audit.fresh),
            ("idle", audit.before),
            (f"idle after {audit.calls} calls once more", audit.after),
        ):
            yield f"{name}: {_held(snapshot)}."
    if result.problem:
        yield f"Ended early: {result.problem}."
    if result.interrupted:
        yield "Interrupted: what was measured until then."


def markdown(result: Result) -> str:
    """Returns the result as a page of Markdown."""
    machine = result.machine
    lines = [
        f"# Load test of {result.target}",
        "",
        f"Kanjo {result.version}, {result.began_at}, {machine.processor}, {machine.cores} cores, "
        f"{machine.memory_gb or '?'} GB, {machine.system}, Python {machine.python}. "
        + ", ".join(f"{name} {value}" for name, value in result.settings.items())
        + ".",
        "",
        "Lateness is counted from the end of a window's speech; CPU is in cores; `frames late` is "
        "the generator's own p99.",
        "",
        _line(HEADERS),
        _line(["---"] * len(HEADERS)),
        *(_line(cells) for cells in rows(result)),
        "",
        *(f"- {sentence}" for sentence in sentences(result)),
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _held(snapshot: Snapshot) -> str:
    return (
        f"{_number(snapshot.tasks)} tasks, {_number(snapshot.descriptors)} descriptors, "
        f"{_number(snapshot.memory_mb)} MB, {'idle' if snapshot.idle else 'not idle'}"
    )
