"""From a labelled folder to a model bundle with an honest report; ``python -m training.run``."""


class TrainingError(Exception):
    """Training cannot go on; the message tells a person why and what to do."""

    exit_code = 1


class DatasetError(TrainingError):
    """A folder that cannot be trained on."""

    exit_code = 2
