"""Recognition of speech that is unlike the training's: with a corpus held out, without text leaks.

All figures are over mu-law, as in a call.
"""

from collections.abc import Iterator
from typing import Any

from training.metrics import estimate, unweighted_accuracy
from training.report.means import MEAN, Pair, columns, identity, over_corpora, settings_under
from training.report.results import Study
from training.report.systems import GIVEN_LIVE, OURS

CONDITION = "mulaw"
TEXT_LEAKS = ("ased",)  # most of its sentences belong to one emotion, and encoders hear words
# The corpora whose mean compares encoders: none confounded, none with text that tells the emotion.
COMPARED = ("emodb", "eyase", "nemo", "ravdess")
WITHOUT_TEXT = "without text"
OF_COMPARED = "compared"
ENCODER_NETWORKS = ("encoder", "ridge")  # Run.network of systems on the encoder


def held_out(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Yields UA and UA of anger of corpora that no run was trained on, and their means."""
    unseen = study.held_out
    if unseen is None:
        return
    for given, name, system, setting in settings_under(unseen, CONDITION):
        if given not in GIVEN_LIVE:
            continue
        drawn = unseen.tally(system, setting).samples(draws)
        anger = unseen.tally(system, setting, "anger").samples(draws)
        for corpus, members in ((MEAN, unseen.unconfounded), *((c, [c]) for c in unseen.styles)):
            yield {
                **identity(unseen, system),
                "given": given,
                "name": name,
                "corpus": corpus,
                **columns("ua", estimate(over_corpora(drawn, members, unweighted_accuracy))),
                **columns("anger", estimate(over_corpora(anger, members, unweighted_accuracy))),
            }


def encoders(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Yields the means by which encoders are compared, of all systems; nothing without encoder.

    `anger` is the mean over corpora, without confounded ones, of anger's UA against the rest.
    """
    if not any(system.network in ENCODER_NETWORKS for system in study.runs):
        return
    without_text = [corpus for corpus in study.unconfounded if corpus not in TEXT_LEAKS]
    compared = [corpus for corpus in COMPARED if corpus in study.styles]
    means = {MEAN: study.unconfounded, WITHOUT_TEXT: without_text, OF_COMPARED: compared}
    tested = [one for one in settings_under(study, CONDITION) if one[0] in GIVEN_LIVE]
    for given, name, system, setting in tested:
        drawn = study.tally(system, setting).samples(draws)
        anger = study.tally(system, setting, "anger").samples(draws)
        row = {**identity(study, system), "given": given, "name": name}
        for mean, corpora in means.items():
            row |= columns(mean, estimate(over_corpora(drawn, corpora, unweighted_accuracy)))
        found = over_corpora(anger, study.unconfounded, unweighted_accuracy)
        row |= columns("anger", estimate(found))
        yield row


def encoder_gains(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Yields Kanjo on embeddings minus each reference system, given the same of the speaker."""
    compared = [corpus for corpus in COMPARED if corpus in study.styles]
    tested = [one for one in settings_under(study, CONDITION) if one[0] in GIVEN_LIVE]
    for given, name, system, setting in tested:
        if system.system != OURS or system.network not in ENCODER_NETWORKS:
            continue
        for other_given, other_name, other, other_setting in tested:
            if other_given == given and other.is_reference:
                pair = Pair.of(study, (system, setting), (other, other_setting), draws)
                yield {
                    "given": given,
                    "name": name,
                    "reference": other_name,
                    **pair.difference(
                        lambda drawn: over_corpora(drawn, compared, unweighted_accuracy)
                    ),
                }
