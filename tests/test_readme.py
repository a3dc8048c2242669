"""Tables of README pages that are generated: `python -m tests.test_readme` writes them."""

import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from service.metrics import Metrics
from service.settings import PREFIX, Settings
from service.telephony.providers import AUDIOSOCKET, PROVIDERS
from service.telephony.shared.facts import FACTS
from service.telephony.shared.provider import Documentation
from tests.benchmarks import sizing

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
METRICS_PAGE = ROOT / "docs/metrics.md"
SCALING_PAGE = ROOT / "docs/scaling.md"
PROVIDERS_README = ROOT / "service/telephony/README.md"


def settings_table() -> str:
    rows = ["| variable | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, Path) and default.is_absolute():
            shown = f"`{default.stem.removeprefix('kanjo-')}`"
        elif default is None:
            shown = "none"
        else:
            shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


def providers_table() -> str:
    columns = "bridge path transport voices encodings replies credentials".split()
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, provider in PROVIDERS.items():
        rows.append(provider_row(provider.documentation, f"`/calls/{name}`", f"{name}/README.md"))
        if name == "asterisk":
            rows.append(provider_row(AUDIOSOCKET, "a TCP port a voice", "asterisk/README.md"))
    return "\n".join(rows) + "\n"


def facts_table() -> str:
    """Returns where each provider says each fact: in a field of its protocol, or as a parameter."""
    rows = [f"| bridge | {' | '.join(f'`{fact}`' for fact in FACTS)} |", "|---" * 8 + "|"]
    for provider in PROVIDERS.values():
        cells = (f"`{provider.facts[fact]}`" if fact in provider.facts else "+" for fact in FACTS)
        rows.append(f"| {provider.documentation.title} | {' | '.join(cells)} |")
    rows.append(f"| {AUDIOSOCKET.title} |{' |' * len(FACTS)}")
    return "\n".join(rows) + "\n"


def provider_row(row: Documentation, path: str, page: str) -> str:
    cells = (row.transport, row.voices, row.encodings, row.replies, row.credentials)
    return f"| [{row.title}]({row.page or page}) | {path} | {' | '.join(cells)} |"


def metrics_table() -> str:
    rows = ["| metric | type | labels | |", "|---|---|---|---|"]
    metrics = Metrics()
    labels = {
        metric._name: metric._labelnames
        for metric in vars(metrics).values()
        if isinstance(metric, MetricWrapperBase)
    }
    for family in metrics.registry.collect():
        if family.name.startswith("kanjo_"):
            name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
            named = ", ".join(f"`{label}`" for label in labels.get(family.name, ()))
            rows.append(f"| `{name}` | {family.type} | {named} | {family.documentation} |")
    return "\n".join(rows) + "\n"


TABLES = {
    README: {"settings": settings_table},
    PROVIDERS_README: {"providers": providers_table, "facts": facts_table},
    METRICS_PAGE: {"metrics": metrics_table},
    SCALING_PAGE: {
        "figures": sizing.costs_table,
        "sizes": sizing.sizes_table,
        "limits": sizing.limits_table,
    },
}


def with_table(page: Path) -> tuple[str, str]:
    """Returns the text of a page as it is, and with its tables written anew."""
    text = written = page.read_text()
    for name, table in TABLES[page].items():
        place = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        match = place.search(written)
        assert match, f"{page} has no place for the table of {name}"
        written = written[: match.start()] + match[1] + table() + match[2] + written[match.end() :]
    return text, written


@pytest.mark.parametrize("page", TABLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_table_in_the_readme_is_that_of_the_service(page: Path) -> None:
    text, expected = with_table(page)
    assert text == expected, "run: python -m tests.test_readme"


if __name__ == "__main__":
    for page in TABLES:
        page.write_text(with_table(page)[1])
