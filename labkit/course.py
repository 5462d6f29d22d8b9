"""What the report is about: five parts, six notebooks, their results."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """A notebook and what its full run leaves under results/.

    Attributes:
        stem: of the notebook's file, and the name of its results' folder.
        trainings: those saved with a summary and a curve.
        histories: trainings of which only the history is saved.
        texts: other summaries.
        pictures: other pictures.
        optional: histories that are there only for those who trained more.
    """

    stem: str
    trainings: tuple[str, ...] = ()
    histories: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


SEEDS = tuple(
    f"seeds_{network}_{run}"
    for network in ("lstm_256", "gru_256", "gru_296") for run in (0, 1, 2)
)
# Each part of the report by its key; labkit/report/words.py has the titles.
PARTS = {
    "text": (
        Lesson("01_text_preprocessing", texts=("summary",),
               pictures=("frequencies",)),
        Lesson("02_long_sequence_sampling"),
    ),
    "scratch": (
        Lesson("03_rnn_from_scratch",
               ("rnn_scratch_sequential", "rnn_scratch_random")),
    ),
    "concise": (
        Lesson("04_rnn_concise",
               ("rnn_concise", "rnn_concise_2_layers",
                "rnn_concise_3_layers", "rnn_concise_4_layers")),
    ),
    "lstm": (Lesson("05_lstm_from_scratch", ("lstm_scratch",)),),
    "deep": (
        Lesson("06_deep_lstm_vs_gru", ("deep_lstm", "deep_gru"),
               ("deep_gru_adam", *SEEDS), ("comparison",), ("comparison",),
               ("whole_book",)),
    ),
}
LESSONS = tuple(lesson for part in PARTS.values() for lesson in part)
