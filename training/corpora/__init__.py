"""One reader for each corpus, which lists the utterances of the corpus as it is distributed."""

from training.corpora import (
    ased,
    callcentre,
    cremad,
    emodb,
    emovo,
    eyase,
    iemocap,
    nemo,
    prepared,
    ravdess,
    savee,
    shemo,
    urdu,
)
from training.corpora.source import Reader

READERS: dict[str, Reader] = {
    "ased": ased.read,
    "callcentre": callcentre.read,
    "cremad": cremad.read,
    "emodb": emodb.read,
    "emovo": emovo.read,
    "eyase": eyase.read,
    "iemocap": iemocap.read,
    "nemo": nemo.read,
    "prepared": prepared.read,
    "ravdess": ravdess.read,
    "savee": savee.read,
    "shemo": shemo.read,
    "urdu": urdu.read,
}
