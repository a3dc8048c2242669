"""The systems of a study: how they are ordered, named and compared."""

from dataclasses import dataclass

from training.study.predictions import Run

# The paper's systems, in its order, with their lambda.
PAPER = {"baseline": 1.0, "combined": 1.0, "mtl": 0.8, "selective-mtl": 0.8}
OURS = "kanjo"
DISPLAY_NAMES = {
    "mtl": "MTL",
    "selective-mtl": "selective MTL",
    OURS: "Kanjo",
    "compare": "ComParE",
    "egemaps": "eGeMAPS",
    "egemaps-rbf": "eGeMAPS RBF",
    "encoder-linear": "encoder + linear",
}
# Of Kanjo, as its artifacts are named.
NETWORK_NAMES = {"compact": "compact", "encoder": "base", "distilled": "compact, distilled"}

# Systems are compared by the speaker data that they are given: data -> normalisations of features.
NOTHING_GIVEN = "nothing"
GIVEN = {
    NOTHING_GIVEN: ("utterance", "corpus"),
    "past speech": ("caller",),
    "all speech": ("speaker",),
}
GIVEN_LIVE = tuple(GIVEN)[:2]  # what is available in a live call
CONDITION_NAMES = {
    "clean": "clean",
    "mulaw": "mu-law",
    "alaw": "A-law",
    "loss5": "5 % packet loss",
    "loss10": "10 % packet loss",
    "noise10": "noise at 10 dB",
}
CONDITIONS = tuple(CONDITION_NAMES)


@dataclass(frozen=True, slots=True)
class SystemKey:
    """What all runs of a system have in common, whatever their fold and seed."""

    system: str
    network: str
    share: float  # of the training utterances
    ser_weight: float  # lambda

    @classmethod
    def of(cls, run: Run) -> "SystemKey":
        return cls(run.system, run.network, run.share, run.ser_weight)

    @property
    def is_reference(self) -> bool:
        """Returns whether it is neither the paper's nor ours."""
        return self.system not in PAPER and self.system != OURS

    @property
    def sort_key(self) -> tuple[int, str, float, float, str]:
        """Returns its place in a table: the paper's systems, Kanjo, reference systems."""
        order = (*PAPER, OURS)
        first = order.index(self.system) if self.system in order else len(order)
        return first, self.system, -self.share, self.ser_weight, self.network


def display_name(system: str) -> str:
    return DISPLAY_NAMES.get(system, system)


def label(name: str, given: str) -> str:
    """Returns a system's name with what it is given of the speaker: `Kanjo + past speech`."""
    return name if given == NOTHING_GIVEN else f"{name} + {given}"


def normalisation(setting: str) -> str:
    """Returns the first half of a test setting, `NORMALISATION/CONDITION`."""
    return setting.split("/")[0]
