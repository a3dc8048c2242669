import re
from collections import Counter
from xml.etree import ElementTree

import pandas as pd
import pytest

from training.report import plots
from training.report.statistics import StudyFigures
from training.report.svg import COLOURS, MARKERS, Picture

SVG = "{http://www.w3.org/2000/svg}"
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


@pytest.fixture(scope="module")
def drawn(figures: StudyFigures) -> list[Picture]:
    kanjo = figures.confusions[figures.confusions["name"] == "Kanjo"]
    return [
        plots.overview(figures.by_corpus, " without urdu"),
        plots.gains(figures.overall[figures.overall["main"]]),
        plots.weight_curve(figures.weights, " without urdu"),
        plots.reliability_diagrams(figures.reliability, figures.calibration),
        plots.channel_conditions(figures.channels),
        *(plots.confusion(own) for _, own in kanjo.groupby("given")),
    ]


def texts(picture: Picture) -> list[str]:
    root = ElementTree.fromstring(picture.svg)
    return ["".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")]


def test_a_picture_has_a_title_and_a_description_for_screen_readers(drawn: list[Picture]) -> None:
    for picture in drawn:
        root = ElementTree.fromstring(picture.svg)
        by_id = {element.get("id"): element for element in root.iter()}
        assert root.get("role") == "img"
        accessible = [by_id[one].text for one in (root.get("aria-labelledby") or "").split()]
        assert accessible == [picture.title, picture.description]


def test_pictures_share_one_page_and_need_no_other_file(drawn: list[Picture]) -> None:
    for picture in drawn:
        assert set(re.findall(r'https?://[^"\s]+', picture.svg)) <= NAMESPACES
        assert "<script" not in picture.svg
        ids = set(re.findall(r'\bid="([^"]+)"', picture.svg))
        used = set(re.findall(r'(?:href="|url\()#([^")]+)', picture.svg))
        assert used
        assert used <= ids
    count = Counter(re.findall(r'\bid="([^"]+)"', "".join(picture.svg for picture in drawn)))
    assert max(count.values()) == 1
    assert len({picture.name for picture in drawn}) == len(drawn)


def test_the_same_figures_give_the_same_file(figures: StudyFigures, drawn: list[Picture]) -> None:
    assert plots.overview(figures.by_corpus, " without urdu") == drawn[0]


def test_the_overview_names_every_system_corpus_and_normalisation(drawn: list[Picture]) -> None:
    found = texts(drawn[0])
    for text in ("baseline", "selective MTL", "Kanjo", "egemaps-svm", "emodb", "urdu", "mean"):
        assert text in found
    assert "speaker data: past speech" in found
    assert "without urdu" in found


def test_the_gains_name_every_system_but_the_baseline_and_the_paper(
    figures: StudyFigures, drawn: list[Picture]
) -> None:
    found = texts(drawn[1])
    main = figures.overall[figures.overall["main"]]
    assert set(main["label"]) - {"baseline"} <= set(found)
    assert {"paper, other data", "acted", "spontaneous"} <= set(found)
    assert "baseline" not in found


def test_gains_in_one_style_are_drawn_too(figures: StudyFigures) -> None:
    main = figures.overall[figures.overall["main"]]
    lost = {f"difference_spontaneous{end}": float("nan") for end in ("", "_low", "_high")}
    assert "Kanjo" in texts(plots.gains(main.assign(**lost)))


def test_bins_of_few_utterances_are_not_drawn(figures: StudyFigures) -> None:
    bins = figures.reliability

    def points(rows: pd.DataFrame) -> int:
        return plots.reliability_diagrams(rows, figures.calibration).svg.count("<use ")

    few = bins.assign(utterances=plots.LEAST_SHOWN - 1)
    many = bins.assign(utterances=plots.LEAST_SHOWN)
    assert points(many) - points(few) == len(bins)


def test_a_matrix_has_the_numbers_of_its_figures(figures: StudyFigures) -> None:
    own = figures.confusions[figures.confusions["name"] == "MTL"]
    expected = [
        f"{share * 100:.0f}"
        for share in own[["anger", "happiness", "sadness", "neutral"]].to_numpy().ravel()
    ]
    found = [text for text in texts(plots.confusion(own)) if text.isdigit()]
    assert found == expected


def test_a_matrix_shows_an_absent_emotion_and_an_untested_style(figures: StudyFigures) -> None:
    own = figures.confusions[figures.confusions["name"] == "MTL"]
    emotions = ["anger", "happiness", "sadness", "neutral"]
    acted = own[own["style"] == "acted"].copy()
    acted.loc[acted["labelled"] == "sadness", emotions] = float("nan")
    found = texts(plots.confusion(acted))
    assert found.count("–") == 4
    assert "not tested" in found


def test_curves_differ_in_more_than_colour(drawn: list[Picture]) -> None:
    assert len(COLOURS) == len(MARKERS) == len(set(COLOURS)) == len(set(MARKERS))
    uses = re.findall(r'<use xlink:href="#(\S+)"[^>]*style="fill: (#\w+)', drawn[4].svg)
    of_colour = dict(zip((colour for _, colour in uses), (shape for shape, _ in uses), strict=True))
    assert len(set(of_colour.values())) == len(of_colour) > 5


def test_figures_without_intervals_are_drawn_as_points(figures: StudyFigures) -> None:
    bare = figures.channels.assign(ua_low=float("nan"), ua_high=float("nan"))
    assert "Kanjo" in texts(plots.channel_conditions(bare))


def test_an_interval_that_leaves_its_figure_out_is_drawn_too(figures: StudyFigures) -> None:
    odd = figures.by_corpus.assign(ua_low=figures.by_corpus["ua"] + 0.01)
    assert isinstance(odd, pd.DataFrame)
    assert "Kanjo" in texts(plots.overview(odd, ""))
