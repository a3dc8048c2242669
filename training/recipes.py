"""How a network is trained: `TrainConfig`, and the recipes that `kanjo train` offers."""

from dataclasses import dataclass, replace

from model.artifact import DEFAULT_SERVING
from model.embedding import EmbeddingSpec
from model.features import FeatureSpec
from model.functionals import functional_count
from model.gate import GateSpec
from model.input_sizes import InputSpec
from model.network import PRESETS, NetworkConfig
from training.data.augmentation import NO_MASKS, MaskSpec
from training.data.channel import CLEAN, TRAINING_CHANNELS, Channel
from training.data.enrolment import EnrolmentKind
from training.data.features import Preparation
from training.data.recordings import PLAIN_GATE


@dataclass(frozen=True, slots=True)
class Distillation:
    """How a network learns from another one, its teacher (`training.teacher`), beside the labels.

    Raises:
        ValueError: a value is impossible.
    """

    share: float = 0.5  # of the emotions' targets that the teacher gives; the labels give the rest
    temperature: float = 1.0  # divides the logarithms of the teacher's posteriors
    # Weight of the squared error of a readout, from the inputs of the heads, of the principal
    # components of the teacher's functionals; 0: no readout
    imitation: float = 0.0
    components: int = 128

    def __post_init__(self) -> None:
        if not (0 < self.share <= 1 and self.temperature > 0 and self.imitation >= 0):
            raise ValueError(
                f"found {self}, expected a share above 0 to 1, a temperature above 0, and an "
                "imitation of 0 or more"
            )


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """All that decides a training's result.

    It is saved in checkpoints and artifacts and compared when a training is resumed, and studies
    set its fields by name, so the names of the fields are a file format.
    """

    network: NetworkConfig = PRESETS["paper"]
    features: FeatureSpec = FeatureSpec()
    gate: GateSpec = PLAIN_GATE
    # The embeddings that the network is given; `features` are then those of the speech check only.
    embedding: EmbeddingSpec | None = None
    # Data
    folds: int = 5
    test_fold: int = 0
    cap_per_speaker_emotion: int = 25  # utterances an epoch
    lines: tuple[Channel, ...] = (CLEAN,)  # channels, one drawn anew for each utterance
    cuts: int = 0  # of an utterance beside the whole; half of the examples are cuts then
    # Shortest cut of a longer utterance: as long as the first window of a stretch of speech.
    least_s: float = DEFAULT_SERVING.first_s
    jitter: int = 0  # frames, at most, that either end of an example loses, drawn anew
    masks: MaskSpec = NO_MASKS
    soft_labels: bool = False  # annotators' votes in place of the label, where they are known
    # Loss (paper section 2)
    ser_weight: float = 0.8  # lambda
    selective: bool = True
    label_smoothing: float = 0.0  # the paper has none
    # Weight of the divergence between two views of an utterance; 0: one view, as in the paper
    consistency: float = 0.0
    distillation: Distillation | None = None
    # Optimiser (paper section 4.2; "decay rate" is read as weight decay)
    epochs: int = 100
    least_updates: int = 0  # with few utterances there are more epochs, until so many updates
    batch_size: int = 32
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    decoupled: bool = False  # AdamW's weight decay in place of Adam's
    cosine: bool = False  # the learning rate falls to zero over the training; constant in the paper
    averaging: float = 0.0  # decay a step of the weights' average, which is the model; 0: none
    seed: int = 0

    @property
    def enrolment(self) -> EnrolmentKind:
        """The enrolment with which the best epoch is chosen: the one that a service has."""
        return "caller" if self.network.functionals else "utterance"

    @property
    def views(self) -> int:
        """How many times an epoch has every utterance, each time in another channel."""
        return 2 if self.consistency else 1

    @property
    def inputs(self) -> InputSpec:
        """How speech becomes what the network is given."""
        return self.embedding or self.features

    @property
    def preparation(self) -> Preparation:
        """How the features of training utterances are extracted."""
        return Preparation(self.inputs, self.gate, self.cuts, self.least_s)

    @property
    def test_preparation(self) -> Preparation:
        """How the features of validation and test utterances are extracted: without cuts."""
        return Preparation(self.inputs, self.gate)


# Codecs differ below these floors; above them the shipped model is to score alike in any codec.
_WITH_BASELINE = FeatureSpec(log_floor=7.0, masking_db=25.0, pitch_lags=24, functionals=True)
_EMBEDDING = EmbeddingSpec()
RECIPES = {
    "paper": TrainConfig(),
    # The paper's systems on a network that two cores can train, with as few changes as possible.
    "compact": TrainConfig(
        network=PRESETS["compact"],
        epochs=16,
        least_updates=1000,
        learning_rate=1e-3,
        cosine=True,
        averaging=0.99,
    ),
    # Everything that improved the validation scores, and the speaker baseline.
    "kanjo": TrainConfig(
        network=replace(
            PRESETS["compact"],
            d_frame=_WITH_BASELINE.n_features,
            functionals=functional_count(_WITH_BASELINE),
            head_dropout=0.3,
            members=2,
        ),
        features=_WITH_BASELINE,
        gate=GateSpec(),
        lines=TRAINING_CHANNELS,
        cuts=3,
        masks=MaskSpec(),
        jitter=3,
        consistency=1.5,
        epochs=36,
        learning_rate=1e-3,
        weight_decay=1e-3,
        decoupled=True,
        cosine=True,
        averaging=0.995,
        label_smoothing=0.05,
    ),
    # The paper's systems on the embeddings of a pretrained encoder, with as few changes as that
    # needs: neither convolutions nor all of an embedding's numbers.
    "encoder": TrainConfig(
        network=replace(
            PRESETS["compact"],
            d_frame=_EMBEDDING.d_frame,
            conv_channels=(),
            d_lstm=64,
            d_att=64,
            d_projected=128,
        ),
        features=_WITH_BASELINE,
        gate=GateSpec(),
        embedding=_EMBEDDING,
        epochs=16,
        least_updates=1000,
        learning_rate=1e-3,
        cosine=True,
        averaging=0.99,
    ),
    # kanjo-base, on embeddings: trained over lines, with functionals plain and as a distance.
    "base": TrainConfig(
        network=replace(
            PRESETS["compact"],
            d_frame=_EMBEDDING.d_frame,
            functionals=_EMBEDDING.functionals,
            conv_channels=(),
            d_lstm=64,
            d_att=64,
            d_den1=128,
            d_den2=64,
            d_voice=128,
            d_projected=128,
            functionals_projected=384,
            input_dropout=0.3,
            dropout=0.3,
            head_dropout=0.3,
            plain_functionals=True,
            linear=True,
            linear_dropout=0.3,
            members=2,
        ),
        features=_WITH_BASELINE,
        gate=GateSpec(),
        embedding=_EMBEDDING,
        lines=TRAINING_CHANNELS,
        cuts=3,
        epochs=12,
        batch_size=64,
        learning_rate=1e-3,
        weight_decay=1e-2,
        decoupled=True,
        cosine=True,
        averaging=0.99,
        label_smoothing=0.05,
    ),
}
# The network without an encoder, distilled from the one with it (kanjo train --teacher). Each
# utterance has one view an epoch: the teacher answers alike on all channels already.
RECIPES["distilled"] = replace(
    RECIPES["kanjo"],
    cuts=6,
    consistency=0.0,
    epochs=60,
    label_smoothing=0.0,  # the teacher's posteriors are soft
    distillation=Distillation(share=0.7, temperature=1.5, imitation=1.0),
)
